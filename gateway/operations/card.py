"""What an operator types into Pilot 2 to bring a dock here. Configuration and database come in, six values go out; never a
password, which nobody knows after it was made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway import pki
from gateway.config import Config, ListenerSettings
from gateway.errors import DockgateError, NotFoundError, RefusedError
from gateway.model import Account, BindingCode, Role
from gateway.operations.change import Db
from gateway.operations.organizations import usable_code
from gateway.operations.times import now_ms
from gateway.store import accounts, codes, organizations

_WHOSE = {Role.SERVICE: "a service's", Role.OBSERVER: "an observer's"}
_USES = ("is unused", "no dock has it yet", "is for a dock that has not come yet", "has its dock, as all others have")


def place(config: Config) -> dict[str, Any]:
    """Where docks connect to: ``address``, ``port``, ``tls``. The card section of the configuration wins over guesses."""
    listener = best_listener(config)
    own = config.dockgate.card
    address = own.address or (_guess(listener) if listener else None)
    port = own.port or (listener.bind.port if listener else None)
    return {"address": address, "port": port or None, "tls": bool(listener and listener.ssl)}


def best_listener(config: Config, *, tls: bool | None = None) -> ListenerSettings | None:
    """The one for docks: MQTT over TLS, else MQTT without, open to others rather than to this machine only.

    ``tls`` None: whichever there is.
    """
    fitting = [one for one in config.listeners.values() if one.type == "tcp" and tls in {None, one.ssl}]
    return max(fitting, key=lambda one: (one.ssl, not one.bind.is_loopback), default=None)


def invitation(db: Db, *, account: str | None, org: str | None, now: int) -> dict[str, Any]:
    """``account``, ``organization_id``, ``binding_code`` that go together; null for what there is none of.

    :raises NotFoundError: no such account, or no dock's; no such organization.
    """
    try:
        return invitation_and_why(db, account=account, org=org, now=now)[0]
    except RefusedError as error:
        raise NotFoundError(str(error), hint=error.hint) from None


def invitation_and_why(db: Db, *, account: str | None, org: str | None, now: int) -> tuple[dict[str, Any], str | None]:
    """The same, and why it is this account, where there were several to choose from.

    :raises NotFoundError: no such account or organization. :raises RefusedError: the account is no dock's.
    """
    why = None
    if account is not None:
        chosen: Account | None = accounts.get(db, account)
        if chosen is not None and chosen.role is not Role.DOCK:
            raise RefusedError(
                f"{chosen.name} is {_WHOSE[chosen.role]} account, not a dock's",
                hint="dockgate account add NAME --role dock",
            )
    else:
        chosen, why = _first_dock(accounts.list_all(db), org)
    everybody = organizations.list_all(db)
    organization_id = org or (chosen.organization_id if chosen else None)
    if organization_id is not None:
        organizations.get(db, organization_id)
    elif everybody:
        organization_id = everybody[0].id
    code = _code(codes.list_for(db, organization_id), organization_id, chosen, now)
    found = {
        "account": chosen.name if chosen else None,
        "organization_id": organization_id,
        "binding_code": code.code if code else None,
    }
    return found, why


def missing_of(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What the card lacks, and the command that makes it."""
    organization_id = found["organization_id"]
    lacking = [
        ("address", "the address is not known", "set dockgate.card.address in the configuration"),
        ("account", "no account for a dock", "dockgate account add NAME --role dock"),
        ("organization_id", "no organization", "dockgate org add NAME"),
        ("binding_code", "no usable binding code", f"dockgate org code add {organization_id or 'ID'}"),
    ]
    return [(what, hint) for key, what, hint in lacking if found[key] is None]


def _first_dock(known: Sequence[Account], org: str | None) -> tuple[Account | None, str | None]:
    """An account that a new dock can use comes before one that has its dock already, and one of the organization before one of
    none, which may bind to any; and why, when there are several.
    """
    docks = [
        one
        for one in known
        if one.role is Role.DOCK and one.enabled and (org is None or one.organization_id in {None, org})
    ]
    chosen = min(docks, key=lambda one: (_use_of(one), one.organization_id is None, one.created_at), default=None)
    if chosen is None or len(docks) == 1:
        return chosen, None
    use = _USES[_use_of(chosen)]
    whose = f"belongs to {chosen.organization_id}" if chosen.organization_id else "belongs to no organization"
    return chosen, f"account {chosen.name} of {len(docks)} for docks: it {whose} and {use}"


def _use_of(account: Account) -> int:
    """0 to 3: an account is of the first dock that uses it, and with an SN of that dock only."""
    return 2 * (account.sn is not None) + (account.last_login_at is not None)


def _code(
    all_codes: list[BindingCode], organization_id: str | None, account: Account | None, now: int
) -> BindingCode | None:
    if organization_id is None:
        return None
    return usable_code(all_codes, organization_id, now, sn=account.sn if account else None)


def _guess(listener: ListenerSettings) -> str | None:
    """What others may reach this machine by: a name of the certificate, since a dock checks it; else the bind address."""
    names = [name for name in certificate_names_of(listener.certfile) if not name.startswith("*")]
    if names:
        return min(names, key=strangeness)
    return None if listener.bind.is_wildcard else listener.bind.host


def certificate_names_of(certfile: Path | None) -> tuple[str, ...]:
    if certfile is None:
        return ()
    try:
        return pki.inspect(certfile, now=now_ms()).sans
    except DockgateError:  # `check` and `doctor` say what is wrong with it
        return ()


def strangeness(name: str) -> int:
    """How likely a name fails on a dock: a bare host name needs this site's name server, a loopback name never works."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if name == "localhost" or name.startswith("localhost."):
            return 4
        return 0 if "." in name else 3
    if address.is_loopback:
        return 5
    return 1 if address.version == 4 else 2
