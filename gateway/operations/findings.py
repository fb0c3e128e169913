"""What is missing, or about to go wrong, in an installation that starts. Configuration, certificates and database come in,
findings with the command that mends each go out; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from gateway import pki
from gateway.config import Config, ListenerSettings
from gateway.errors import DockgateError
from gateway.model import AccessStep, Device, Role
from gateway.operations.card import place
from gateway.operations.live import Live
from gateway.operations.organizations import usable_code
from gateway.operations.times import iso, shown
from gateway.store.lockouts import Lock
from gateway.store.snapshot import Snapshot

EXPIRING_DAYS = 30
"""Time enough for somebody to get a certificate and drive to a site."""


class Severity(StrEnum):
    """``error``: docks are kept out now. ``warning``: some will be, or something is unsafe. ``info``: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """The fields are a promise; ``id`` names the kind of finding, not the single one."""

    id: str
    severity: Severity
    what: str
    fix: str


def look_for(config: Config, data: Snapshot, locks: list[Lock], live: Live, now: int) -> list[Finding]:
    """All findings, the worst first. Reads the certificates' files: not for an event loop."""
    findings = [
        *of_listeners(config, now),
        *of_access(data, now),
        *of_docks(data, live),
        *of_accounts(data, locks, now),
    ]
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return findings


def describe(findings: list[Finding]) -> dict[str, Any]:
    """The keys are a promise. ``ok``: no dock is kept out."""
    ok = all(finding.severity is not Severity.ERROR for finding in findings)
    return {"ok": ok, "findings": [asdict(finding) for finding in findings]}


def of_listeners(config: Config, now: int) -> Iterator[Finding]:
    """What docks meet before they can say anything: the address, the certificate, an open door."""
    address: str | None = place(config)["address"]
    for name, listener in config.listeners.items():
        if listener.ssl:
            yield from _certificate(name, listener, address, now)
        elif not listener.bind.is_loopback:
            yield Finding(
                "plain_listener_open",
                Severity.WARNING,
                f"listener {name} takes passwords without TLS on {listener.bind}: anybody on the way can read them",
                f"bind listeners.{name} to 127.0.0.1, or give it ssl: true with certfile and keyfile",
            )


def _certificate(name: str, listener: ListenerSettings, address: str | None, now: int) -> Iterator[Finding]:
    certfile, keyfile = listener.certfile, listener.keyfile
    if certfile is None or keyfile is None:
        return
    replace = f"put another certificate into {certfile} and its key into {keyfile}, then send SIGHUP to the gateway"
    try:
        info = pki.inspect(certfile, now=now)
    except DockgateError as error:
        yield Finding("certificate_unreadable", Severity.ERROR, f"listener {name}: {error}", replace)
        return
    until = shown(iso(info.not_after))
    if info.not_after <= now:
        yield Finding(
            "certificate_expired", Severity.ERROR, f"listener {name}: {certfile} has expired ({until})", replace
        )
    elif info.days_left < EXPIRING_DAYS:
        what = f"listener {name}: {certfile} expires in {info.days_left} days ({until})"
        yield Finding("certificate_expiring", Severity.WARNING, what, replace)
    if info.not_before > now:
        since = shown(iso(info.not_before))
        what = f"listener {name}: {certfile} is not valid before {since}; is the clock of this machine right?"
        yield Finding("certificate_not_yet_valid", Severity.ERROR, what, replace)
    if address is not None and not pki.covers(info.sans, address):
        what = f"listener {name}: docks are told to connect to {address}, and {certfile} is for {', '.join(info.sans)}"
        fix = f"{replace}; or set dockgate.card.address to one of its names"
        yield Finding("certificate_names", Severity.ERROR, what, fix)


def of_access(data: Snapshot, now: int) -> Iterator[Finding]:
    """What the three requests of a dock are answered from: license, organization, binding code."""
    set_license = "dockgate license set --file license.json"
    if not data.organizations:
        yield Finding("organization_missing", Severity.ERROR, "there is no organization", "dockgate org add NAME")
    if None not in data.licenses:
        without = [id_ for id_ in data.organizations if id_ not in data.licenses]
        if without or not data.organizations:
            whose = f" and none for {', '.join(without)}" if without else ""
            what = f"no default license is set{whose}: docks disconnect when they ask for it"
            yield Finding("license_missing", Severity.ERROR, what, set_license)
    for license_ in data.licenses.values():
        if not license_.ntp_server_host:
            own = license_.organization_id
            what = (
                f"the license {f'of {own} ' if own else ''}names no NTP server: a dock without internet keeps "
                "a wrong clock and refuses flight tasks"
            )
            fix = f"{set_license}{f' --org {own}' if own else ''}   (with ntp_server_host)"
            yield Finding("ntp_missing", Severity.WARNING, what, fix)
    all_codes = list(data.codes.values())
    for organization in data.organizations.values():
        # A code for one dock only is a code too, as long as it can be used
        bound_to_dock = any(
            code.sn is not None and usable_code([code], organization.id, now, sn=code.sn) is not None
            for code in all_codes
        )
        if usable_code(all_codes, organization.id, now) is None and not bound_to_dock:
            what = f"organization {organization.id} has no binding code that can be used: no dock can join it"
            fix = f"dockgate org code add {organization.id}"
            yield Finding("organization_without_code", Severity.WARNING, what, fix)


_STOPPED: dict[AccessStep, tuple[str, str]] = {
    AccessStep.SEEN: ("it never logged in by itself", "dockgate audit list --dock {sn}"),
    AccessStep.CONNECTED: ("it logged in and was given no license", "dockgate license set --file license.json"),
    AccessStep.LICENSED: (
        "it was given a license and did not bind: id and code were not typed, or the license was not accepted",
        "dockgate card",
    ),
    AccessStep.ONLINE: ("it is online without being bound", "dockgate card"),
}


def of_docks(data: Snapshot, live: Live) -> Iterator[Finding]:
    """Docks that came near and stopped on their way."""
    for dock in sorted(data.devices.values(), key=lambda device: device.sn):
        if not dock.is_gateway or dock.organization_id is not None:
            continue
        step = live.step(dock)
        why, fix = _STOPPED.get(step, _STOPPED[AccessStep.LICENSED])
        what = f"dock {dock.sn} stopped at step {step}: {why}; last seen {_seen(dock)}"
        yield Finding("dock_not_bound", Severity.WARNING, what, fix.format(sn=dock.sn))


def of_accounts(data: Snapshot, locks: list[Lock], now: int) -> Iterator[Finding]:
    """Who cannot come in, and who never did."""
    docks = [account for account in data.accounts.values() if account.role is Role.DOCK]
    if not any(account.enabled for account in docks):
        what = "no dock can log in: there is no account for one that is enabled"
        yield Finding("dock_account_missing", Severity.ERROR, what, "dockgate account add NAME --role dock")
    for lock in locks:
        if lock.account in data.accounts and lock.locked_until is not None and lock.locked_until > now:
            what = (
                f"account {lock.account} is locked for {lock.address or 'every address'} until "
                f"{shown(iso(lock.locked_until))} after wrong passwords"
            )
            yield Finding("account_locked", Severity.WARNING, what, f"dockgate account unlock {lock.account}")
    for account in data.accounts.values():
        if account.last_login_at is None and account.enabled:
            what = f"account {account.name} was never used since {shown(iso(account.created_at))}"
            command = "card --account" if account.role is Role.DOCK else "account delete"
            yield Finding("account_unused", Severity.INFO, what, f"dockgate {command} {account.name}")


def _seen(dock: Device) -> str:
    return shown(iso(dock.last_seen_at))
