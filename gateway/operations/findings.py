"""What is missing, or about to go wrong, in an installation that starts. Configuration, certificates and database come in,
findings with the command that mends each go out; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from gateway.config import Config
from gateway.model import AccessStep, Device, Role
from gateway.operations import certificates, story
from gateway.operations.card import place
from gateway.operations.change import Db
from gateway.operations.finding import Finding, Severity
from gateway.operations.licenses import is_placeholder
from gateway.operations.live import Live, Overlay, look
from gateway.operations.organizations import usable_code
from gateway.operations.times import iso, shown
from gateway.store import lockouts, snapshot
from gateway.store.lockouts import Lock
from gateway.store.snapshot import Snapshot

MOST_STORIES = 50
"""Docks whose last attempt is looked into; each takes a few milliseconds."""
Verdict = tuple[str, str | None]
"""What a dock's last attempt came to, and the command that helps (``gateway.operations.story``)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says, all at one moment."""

    data: Snapshot
    locks: list[Lock]
    live: Live
    verdicts: Mapping[str, Verdict]
    refusals: Sequence[story.Refusal]


def facts(db: Db, now: int, overlay: Overlay | None = None) -> Facts:
    """``overlay``: what a running gateway knows better."""
    data = snapshot.load(db)
    return Facts(
        data, lockouts.get_all(db), look(db, now, overlay), _last_verdicts(db, data, now), story.refused_lately(db, now)
    )


def look_for(config: Config, found: Facts, now: int) -> list[Finding]:
    """All findings, the worst first. Reads the certificates' files: not for an event loop."""
    data = found.data
    return ranked(
        [
            *of_listeners(config, now),
            *certificates.of_authorities(config, a_dock_came=_a_dock_came(data)),
            *certificates.of_issued(config, now),
            *of_access(data, now),
            *of_docks(data, found.live, found.verdicts),
            *of_refusals(found.refusals),
            *of_accounts(data, found.locks, now),
            *of_settings(config),
        ]
    )


def ranked(findings: list[Finding]) -> list[Finding]:
    """The worst first, else as they were found."""
    order = list(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def _last_verdicts(db: Db, data: Snapshot, now: int) -> dict[str, Verdict]:
    """Of the docks that are not bound, by SN."""
    waiting = [device for device in data.devices.values() if device.is_gateway and device.organization_id is None]
    latest = sorted(waiting, key=lambda device: device.last_seen_at, reverse=True)[:MOST_STORIES]
    told = {device.sn: story.of_dock(db, device.sn, now, limit=1) for device in latest}
    return {sn: (found[0]["verdict"], found[0]["hint"]) for sn, found in told.items() if found}


def describe(findings: list[Finding]) -> dict[str, Any]:
    """The keys are a promise. ``ok``: no dock is kept out, and nobody gets in who must not."""
    ok = all(finding.severity is not Severity.ERROR for finding in findings)
    return {"ok": ok, "findings": [asdict(finding) for finding in findings]}


def of_listeners(config: Config, now: int) -> Iterator[Finding]:
    """What docks meet before they can say anything: the address, the certificate, an open door."""
    address: str | None = place(config)["address"]
    for name, listener in config.listeners.items():
        if listener.ssl:
            yield from certificates.of_server(name, listener, address, now)
            yield from certificates.of_clients(name, listener, now)
        elif not listener.bind.is_loopback:
            yield Finding(
                "plain_listener_open",
                Severity.WARNING,
                f"listener {name} takes passwords without TLS on {listener.bind}: anybody on the way can read them",
                f"bind listeners.{name} to 127.0.0.1, or give it ssl: true with certfile and keyfile",
            )


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
        if any(map(is_placeholder, (license_.app_id, license_.app_key, license_.app_license))):
            own = license_.organization_id
            what = (
                f"the license {f'of {own} ' if own else ''}holds a placeholder: docks disconnect when they are given it"
            )
            yield Finding("license_placeholder", Severity.ERROR, what, f"{set_license}{f' --org {own}' if own else ''}")
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


def of_docks(data: Snapshot, live: Live, verdicts: Mapping[str, Verdict] = MappingProxyType({})) -> Iterator[Finding]:
    """Docks that came near and stopped on their way."""
    for dock in sorted(data.devices.values(), key=lambda device: device.sn):
        if not dock.is_gateway or dock.organization_id is not None:
            continue
        step = live.step(dock)
        why, fix = _STOPPED.get(step, _STOPPED[AccessStep.LICENSED])
        if dock.sn in verdicts:
            why, hint = verdicts[dock.sn]
            fix = hint or f"dockgate dock show {dock.sn}"
        what = f"dock {dock.sn} stopped at step {step}: {why}; last seen {_seen(dock)}"
        yield Finding("dock_not_bound", Severity.WARNING, what, fix.replace("{sn}", dock.sn))


def of_refusals(refusals: Sequence[story.Refusal]) -> Iterator[Finding]:
    """Who was sent away in the last hour: it may be a dock that is in no list."""
    for refusal in refusals:
        what = f"{refusal.who}{f' from {refusal.address}' if refusal.address else ''}: {refusal.what}"
        yield Finding("refused_lately", Severity.WARNING, what, refusal.hint or "dockgate audit list --since 1h")


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


def of_settings(config: Config) -> Iterator[Finding]:
    """What makes guessing passwords cheap."""
    login = config.dockgate.login
    if login.lockout_failures == 0 and login.address_failures == 0:
        what = "nobody is locked out after wrong passwords: they can be guessed without end"
        yield Finding("lockout_off", Severity.WARNING, what, "set dockgate.login.lockout_failures and address_failures")


def _a_dock_came(data: Snapshot) -> bool:
    if any(account.role is Role.DOCK and account.last_login_at is not None for account in data.accounts.values()):
        return True
    return any(device.is_gateway and device.access_step is not AccessStep.SEEN for device in data.devices.values())


def _seen(dock: Device) -> str:
    return shown(iso(dock.last_seen_at))
