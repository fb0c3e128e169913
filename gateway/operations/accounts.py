"""Who may connect. Names and a hash come in, an account's record goes out; never a password, never a hash.

A running gateway closes the connections of an account that was changed here.
"""

from __future__ import annotations

from typing import Any

from gateway import topics
from gateway.errors import UsageError
from gateway.lockout import place_of
from gateway.model import Account, Role
from gateway.operations.change import Change, Db
from gateway.operations.times import iso
from gateway.store import accounts, lockouts

MAX_NAME = 64


def every(db: Db) -> list[dict[str, Any]]:
    return [describe(account) for account in accounts.list_all(db)]


def show(db: Db, name: str) -> dict[str, Any]:
    """One account, and what is locked for it after wrong passwords."""
    result = describe(accounts.get(db, name))
    result["locks"] = [
        {"address": lock.address, "failures": lock.failures, "locked_until": iso(lock.locked_until)}
        for lock in lockouts.get_all(db)
        if lock.account == name
    ]
    return result


def check(name: str, *, role: Role, sn: str | None, can_read_sys: bool, prefix: str = "") -> None:
    """What can be said before a password is hashed. ``prefix`` stands before an option's name where this is called from."""
    check_name(name)
    if sn is not None and role is not Role.DOCK:
        raise UsageError(f"{prefix}sn is for a dock, not for a {role}")
    if sn is not None and not topics.is_valid_sn(sn):
        raise UsageError(f"{prefix}sn {sn!r}: not a serial number")
    if can_read_sys and role is not Role.SERVICE:
        raise UsageError(f"{prefix}sys is for a service, not for a {role}")


def add(
    change: Change,
    name: str,
    *,
    role: Role,
    sn: str | None,
    organization_id: str | None,
    can_read_sys: bool,
    password_hash: str,
) -> dict[str, Any]:
    """``check`` has been called."""
    account = accounts.add(
        change.db,
        name=name,
        role=role,
        sn=sn,
        organization_id=organization_id,
        password_hash=password_hash,
        can_read_sys=can_read_sys,
        now=change.now,
    )
    change.audit("account.add", name, role=role.value, dock=sn, organization_id=organization_id)
    return describe(account)


def set_password(change: Change, name: str, password_hash: str, *, made: bool) -> dict[str, Any]:
    account = accounts.set_password(change.db, name, password_hash, change.now)
    change.audit("account.passwd", name, made=made, dock=account.sn)
    return describe(account)


def switch(change: Change, name: str, *, enabled: bool) -> dict[str, Any]:
    account = accounts.set_enabled(change.db, name, enabled, change.now)
    change.audit("account.enable" if enabled else "account.disable", name, dock=account.sn)
    return describe(account)


def unpin(change: Change, name: str, sn: str | None = None, *, prefix: str = "") -> dict[str, Any]:
    """Untie the account from its dock, for the next one that uses it or for ``sn``. What was bound stays bound."""
    if sn is not None and not topics.is_valid_sn(sn):
        raise UsageError(f"{prefix}sn {sn!r}: not a serial number")
    before = accounts.get(change.db, name).sn
    account = accounts.change_sn(change.db, name, sn, change.now)
    change.audit("account.unpin", name, dock=before or sn, sn=sn)
    return {**describe(account), "previous_sn": before}


def unlock(change: Change, name: str | None, address: str | None = None) -> dict[str, Any]:
    """Of an account, of an address, or of an account at an address; a name without an account can be locked too.

    An address is taken as it is locked: of an IPv6 address its /64 (``gateway.lockout``).
    """
    place = None if address is None else place_of(address)
    if place is not None:
        cleared = lockouts.clear_address(change.db, place, name)
    elif name is not None:
        cleared = lockouts.clear(change.db, name)
    else:
        raise UsageError("say which account or which address")
    if not cleared and name is not None:
        accounts.get(change.db, name)
    change.audit("account.unlock", name or place or "", cleared=cleared, locked_address=place)
    return {"account": name, "address": place, "cleared": cleared}


def delete(change: Change, name: str) -> dict[str, Any]:
    sn = accounts.get(change.db, name).sn
    accounts.delete(change.db, name)
    change.audit("account.delete", name, dock=sn)
    return {"account": name, "deleted": True}


def check_name(name: str, *, what: str = "an account") -> None:
    """1 to 64 visible characters without spaces: it is typed on a remote controller. Errors: ``UsageError``."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or any(char.isspace() for char in name):
        raise UsageError(f"{what}'s name is 1 to {MAX_NAME} visible characters without spaces")


def describe(account: Account) -> dict[str, Any]:
    """The keys are a promise; the hash is not among them."""
    return {
        "account": account.name,
        "role": account.role.value,
        "sn": account.sn,
        "organization_id": account.organization_id,
        "enabled": account.enabled,
        "can_read_sys": account.can_read_sys,
        "created_at": iso(account.created_at),
        "changed_at": iso(account.changed_at),
        "last_login_at": iso(account.last_login_at),
    }
