"""Certificates of this installation: what there is, and issuing, renewing, revoking. Names come in, certificates and a revocation
list go into their files, a record of each goes out; a key is never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway import pki
from gateway.config import Config, ListenerSettings
from gateway.errors import DockgateError, NotFoundError, RefusedError
from gateway.operations.change import Change, Db
from gateway.operations.times import iso
from gateway.pki import CertificateInfo, Layout
from gateway.pki.names import LOOPBACK_NAMES
from gateway.store import accounts

DIRECTORY = "certs"


def layout_of(config: Config) -> Layout:
    """The directory with this installation's CA."""
    used = [one.certfile for one in config.listeners.values() if one.certfile is not None]
    return pki.find(used, config.path.parent / DIRECTORY)


def every(
    config: Config, now: int, unreadable: Callable[[DockgateError], object] = lambda _: None
) -> list[dict[str, Any]]:
    """The CA and all that it has issued; and certificates of others that are in use, but for those that can't be read."""
    return list(_rows(config, layout_of(config), now, unreadable))


def show(config: Config, now: int, name: str | None = None) -> dict[str, Any]:
    """The certificate that docks are shown, or a client's."""
    layout = layout_of(config)
    if name is None:
        listener = tls_listener(config)
        certfile, keyfile = (listener.certfile, listener.keyfile) if listener else (layout.server, layout.server_key)
    else:
        certfile, keyfile = layout.client(name), layout.client_key(name)
        if not certfile.is_file():
            raise NotFoundError(f"there is no certificate for {name}", hint=f"dockgate cert issue {name}")
    if certfile is None:
        raise NotFoundError("no listener has a certificate")
    return describe(pki.inspect(certfile, now=now), layout, certfile, keyfile)


def issue(change: Change, layout: Layout, name: str, *, replace: bool) -> dict[str, Any]:
    info = pki.issue_client(layout.directory, name, now=change.now, replace=replace)
    change.audit("cert.issue", name, serial=info.serial, not_after=iso(info.not_after), dock=_sn_of(change.db, name))
    return describe(info, layout, layout.client(name), layout.client_key(name))


def renew(change: Change, config: Config, *, hosts: Sequence[str], new_key: bool) -> dict[str, Any]:
    """For the same names unless ``hosts`` says others; a running gateway has to read it again."""
    layout = layout_of(config)
    require_in_use(config, layout)
    names = [*dict.fromkeys((*hosts, *LOOPBACK_NAMES))] if hosts else None
    info = pki.renew_server(layout.directory, now=change.now, hosts=names, fresh_key=new_key)
    change.audit("cert.renew", info.subject, serial=info.serial, sans=list(info.sans), not_after=iso(info.not_after))
    return describe(info, layout, layout.server, layout.server_key)


def revoke(change: Change, layout: Layout, serial: str) -> tuple[dict[str, Any], str]:
    """For good; a running gateway has to read the list again. And whose it was."""
    info = pki.revoke(layout.directory, serial, now=change.now)
    name = info.common_name or ""
    change.audit("cert.revoke", info.serial, subject=info.subject, dock=_sn_of(change.db, name))
    return {**describe(info, layout, None, None), "revoked": True, "crl": str(layout.crl)}, name


def describe(info: CertificateInfo, layout: Layout, certfile: Path | None, keyfile: Path | None) -> dict[str, Any]:
    """The keys are a promise."""
    return {
        "subject": info.subject,
        "sans": list(info.sans),
        "issuer": info.issuer,
        "own": layout.issued_file(info.serial).is_file() or (info.subject == info.issuer and certfile == layout.ca),
        "not_before": iso(info.not_before),
        "not_after": iso(info.not_after),
        "days_left": info.days_left,
        "serial": info.serial,
        "fingerprint_sha256": info.fingerprint_sha256,
        "file": None if certfile is None else str(certfile),
        "key_file": None if keyfile is None else str(keyfile),
    }


def _rows(
    config: Config, layout: Layout, now: int, unreadable: Callable[[DockgateError], object]
) -> Iterator[dict[str, Any]]:
    listed = pki.list_issued(layout.directory, now=now)
    if layout.ca.is_file():
        info = pki.inspect(layout.ca, now=now)
        yield _row("ca", info, layout, layout.ca, None, now)
    for one in listed:
        yield _row(one.kind, one.info, layout, one.path, one.revoked_at, now)
    known = {one.info.fingerprint_sha256 for one in listed}
    for certfile in dict.fromkeys(one.certfile for one in config.listeners.values() if one.certfile is not None):
        try:
            info = pki.inspect(certfile, now=now)
        except DockgateError as error:
            unreadable(error)
            continue
        if info.fingerprint_sha256 not in known:
            known.add(info.fingerprint_sha256)
            yield _row("server", info, layout, certfile, None, now)


def _row(
    kind: str, info: CertificateInfo, layout: Layout, path: Path | None, revoked_at: int | None, now: int
) -> dict[str, Any]:
    if revoked_at is not None:
        state = "revoked"
    elif info.not_after <= now:
        state = "expired"
    else:
        state = "in use" if path is not None else "replaced"
    return {
        **describe(info, layout, path, None),
        "kind": kind,
        "name": info.common_name or info.subject,
        "state": state,
        "revoked_at": iso(revoked_at),
    }


def tls_listener(config: Config) -> ListenerSettings | None:
    fitting = [one for one in config.listeners.values() if one.certfile is not None]
    return max(fitting, key=lambda one: (one.type == "tcp", not one.bind.is_loopback), default=None)


def require_in_use(config: Config, layout: Layout) -> None:
    """A certificate that no listener reads would be made for nothing."""
    used = {one.certfile: name for name, one in config.listeners.items() if one.certfile is not None}
    if used and layout.server not in used:
        certfile, name = next(iter(used.items()))
        raise RefusedError(
            f"listener {name} uses {certfile}, which dockgate does not look after",
            hint=f"set listeners.{name}.certfile to {layout.server} and keyfile to {layout.server_key} in {config.path}",
        )


def _sn_of(db: Db, name: str) -> str | None:
    return next((one.sn for one in accounts.list_all(db) if name in {one.name, one.sn}), None)
