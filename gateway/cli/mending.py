"""What ``dockgate doctor --fix`` does by itself: only what loses nothing and surprises nobody. Findings come in, what was done goes
out; each change of a certificate has its audit entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gateway import pki
from gateway.cli import machine, reloading
from gateway.cli.context import Change, Cli
from gateway.config import Config, ListenerSettings
from gateway.errors import DockgateError
from gateway.operations import certificates
from gateway.operations.card import place
from gateway.operations.finding import Finding
from gateway.pki import CertificateInfo, CrlInfo, Layout
from gateway.pki.names import LOOPBACK_NAMES

_RENEWABLE = frozenset({"certificate_expired", "certificate_expiring", "certificate_names"})
_SIGNABLE = frozenset({"client_crl_expired", "client_crl_expiring"})


def mend(cli: Cli, config: Config, findings: Iterable[Finding]) -> list[str]:
    """What was done, in words; what could not be done is told by the finding that stays."""
    kinds = {finding.id for finding in findings}
    done = _modes(config) if "file_mode" in kinds else []
    if kinds & _RENEWABLE:
        done += _renew(cli, config, with_address="certificate_names" in kinds)
    if kinds & _SIGNABLE:
        done += _sign(cli, config)
    if done or "certificate_not_reloaded" in kinds:
        told = reloading.tell(cli)
        if told["reloaded"]:
            done.append(f"the gateway (process {told['pid']}) was told to read its certificates again")
    return done


def _modes(config: Config) -> list[str]:
    done = []
    for path, _, wanted in machine.wrong_modes(config):
        try:
            path.chmod(wanted)
        except OSError:  # not ours to change; the finding stays
            continue
        done.append(f"chmod {wanted:04o} {path}")
    return done


def _renew(cli: Cli, config: Config, *, with_address: bool) -> list[str]:
    done = []
    address: str | None = place(config)["address"]
    for listener in _ours(config):
        layout = Layout(listener.certfile.parent) if listener.certfile else None
        if layout is None:
            continue
        hosts = None
        if with_address and address is not None:
            present = pki.inspect(layout.server, now=cli.now).sans
            hosts = [*dict.fromkeys((address, *present, *LOOPBACK_NAMES))]

        def work(change: Change, layout: Layout = layout, hosts: list[str] | None = hosts) -> CertificateInfo:
            info = pki.renew_server(layout.directory, now=change.now, hosts=hosts)
            change.audit("cert.renew", info.subject, serial=info.serial, sans=list(info.sans))
            return info

        info = cli.change(work)
        done.append(f"dockgate cert renew: {layout.server}, for {', '.join(info.sans)}")
    return done


def _ours(config: Config) -> list[ListenerSettings]:
    """One listener for each server certificate of our CA."""
    found: dict[Path, ListenerSettings] = {}
    for listener in config.listeners.values():
        if listener.certfile is not None and listener.certfile.name == "server.pem" and pki.is_ours(listener.certfile):
            found.setdefault(listener.certfile, listener)
    return list(found.values())


def _sign(cli: Cli, config: Config) -> list[str]:
    done = []
    for crlfile in dict.fromkeys(one.crlfile for one in config.listeners.values() if one.crlfile is not None):
        if not certificates.signs(crlfile):
            continue

        def work(change: Change, crlfile: Path = crlfile) -> CrlInfo:
            info = pki.renew_crl(crlfile.parent, now=change.now)
            change.audit("cert.crl", str(crlfile), number=info.number)
            return info

        try:
            cli.change(work)
        except DockgateError:
            continue
        done.append(f"{crlfile}: signed anew")
    return done
