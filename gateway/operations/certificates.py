"""What is wrong with certificates, or soon will be: a listener's files come in, findings go out. Reads files, changes none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway import pki
from gateway.config import Config, ListenerSettings
from gateway.errors import DockgateError
from gateway.operations.finding import EXPIRING_DAYS, Finding, Severity
from gateway.operations.times import iso, shown
from gateway.pki import Authority, ClientFault, Fault

RENEW = "dockgate cert renew"
IMPORT = "dockgate cert import --chain F --key F"
_IDS = {
    Fault.ORDER: "certificate_order",
    Fault.KEY: "certificate_key",
    Fault.EXPIRED: "certificate_expired",
    Fault.NOT_YET_VALID: "certificate_not_yet_valid",
    Fault.PURPOSE: "certificate_purpose",
    Fault.NAMES: "certificate_names",
    Fault.INCOMPLETE: "certificate_incomplete",
}
_CLIENT_SEVERITY = {
    ClientFault.CA_EXPIRING: Severity.WARNING,
    ClientFault.CRL_EXPIRING: Severity.WARNING,
}


def of_server(name: str, listener: ListenerSettings, address: str | None, now: int) -> Iterator[Finding]:
    """What a dock would refuse: chain, key, dates, names. ``address``: what docks are told to connect to."""
    certfile, keyfile = listener.certfile, listener.keyfile
    if certfile is None or keyfile is None:
        return
    try:
        info = pki.inspect(certfile, now=now)
        flaws = pki.examine_server(certfile, keyfile, now=now, hosts=() if address is None else (address,))
        ours = pki.is_ours(certfile)
    except DockgateError as error:
        yield Finding(
            "certificate_unreadable", Severity.ERROR, f"listener {name}: {error}", _another(certfile, keyfile)
        )
        return
    for flaw in flaws:
        severity = Severity.WARNING if flaw.fault is Fault.INCOMPLETE else Severity.ERROR
        what, fix = flaw.what, RENEW if ours else IMPORT
        if flaw.fault is Fault.NAMES and address is not None and info.sans:
            what = f"docks are told to connect to {address}, and {certfile} is for {', '.join(info.sans)}"
            fix = f"{RENEW} --host {address}" if ours else f"{IMPORT}; or set dockgate.card.address to one of its names"
        elif flaw.fault is Fault.NOT_YET_VALID:
            what = f"{what}; is the clock of this machine right?"
        elif flaw.fault is Fault.EXPIRED:
            what = f"{certfile}: {what}"
        elif flaw.fault is Fault.KEY and ours:
            fix = f"{RENEW} --new-key"
        yield Finding(_IDS[flaw.fault], severity, f"listener {name}: {what}", fix)
    if now < info.not_after and info.days_left < EXPIRING_DAYS:
        what = f"listener {name}: {certfile} expires in {info.days_left} days ({shown(iso(info.not_after))})"
        yield Finding("certificate_expiring", Severity.WARNING, what, RENEW if ours else IMPORT)


def of_authorities(config: Config, *, a_dock_came: bool) -> Iterator[Finding]:
    """Which CA docks take no public source says; that is worth knowing until a dock has logged in."""
    if a_dock_came:
        return
    seen: set[Path] = set()
    for name, listener in config.listeners.items():
        if not listener.ssl or listener.certfile is None or listener.certfile in seen:
            continue
        seen.add(listener.certfile)
        try:
            authority = pki.authority_of(listener.certfile)
        except DockgateError:  # told by ``of_server``
            continue
        if authority is Authority.NAMED:
            continue
        kind = "a public CA" if authority is Authority.OTHER else "a private CA"
        yield Finding(
            "certificate_private_ca" if authority is not Authority.OTHER else "certificate_other_ca",
            Severity.INFO,
            f"listener {name} has a certificate of {kind}; docks are documented to accept those of GoDaddy, and whether they "
            "take others no public source says: the log tells when a dock refuses it",
            "try one dock; if it does not trust the certificate: dockgate cert import --chain F --key F",
        )


def of_clients(name: str, listener: ListenerSettings, now: int) -> Iterator[Finding]:
    """What keeps clients with certificates out, or lets revoked ones in."""
    if listener.cafile is None:
        return
    for flaw in pki.examine_clients(listener.cafile, listener.crlfile, now=now, soon_days=EXPIRING_DAYS):
        fix = f"put a readable file there, then: kill -HUP the gateway ({listener.cafile})"
        if flaw.fault is ClientFault.CRL_UNUSED:
            fix = f"set listeners.{name}.crlfile to {pki.Layout(listener.cafile.parent).crl}"
        elif flaw.fault in {ClientFault.CRL_EXPIRED, ClientFault.CRL_EXPIRING}:
            fix = (
                "dockgate doctor --fix" if listener.crlfile and signs(listener.crlfile) else "get the CA's newest list"
            )
        elif flaw.fault is ClientFault.CRL_OF_OTHER_CA:
            fix = f"set listeners.{name}.crlfile to the list of the CA in {listener.cafile}"
        elif flaw.fault in {ClientFault.CA_EXPIRED, ClientFault.CA_EXPIRING}:
            fix = "give the clients certificates of another CA, and name that as cafile"
        severity = _CLIENT_SEVERITY.get(flaw.fault, Severity.ERROR)
        yield Finding(f"client_{flaw.fault}", severity, f"listener {name}: {flaw.what}", fix)


def of_issued(config: Config, now: int) -> Iterator[Finding]:
    """Client certificates of our CA that run out soon; the gateway renews only its own."""
    used = [one.certfile for one in config.listeners.values() if one.certfile is not None]
    layout = pki.find(used, config.path.parent / "certs")
    try:
        listed = pki.list_issued(layout.directory, now=now)
    except DockgateError as error:
        yield Finding("certificates_unreadable", Severity.WARNING, str(error), "dockgate cert list")
        return
    for issued in listed:
        if issued.kind != "client" or issued.path is None or issued.revoked_at is not None:
            continue
        if issued.info.days_left < EXPIRING_DAYS:
            name = issued.info.common_name or issued.info.subject
            days = issued.info.days_left
            state = f"expires in {days} days" if issued.info.not_after > now else "has expired"
            what = f"the client certificate of {name} {state} ({shown(iso(issued.info.not_after))})"
            yield Finding(
                "client_certificate_expiring", Severity.WARNING, what, f"dockgate cert issue {name} --replace"
            )


def signs(crlfile: Path) -> bool:
    """Is it the revocation list of our own CA, whose key lies beside it."""
    layout = pki.Layout(crlfile.parent)
    return crlfile == layout.crl and layout.ca_key.is_file()


def _another(certfile: Path, keyfile: Path) -> str:
    return f"{RENEW}, or put another certificate into {certfile} and its key into {keyfile}"
