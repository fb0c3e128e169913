"""Accounts: who may log in. Rows in and out of table ``account``; hashes come in ready-made, passwords never."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from gateway.errors import ConflictError, NotFoundError, UsageError
from gateway.model import Account, Role

_COLUMNS = (
    "name, role, sn, organization_id, password_hash, enabled, can_read_sys, version, created_at, changed_at,"
    " last_login_at"
)


def add(
    db: sqlite3.Connection,
    *,
    name: str,
    role: Role,
    sn: str | None,
    organization_id: str | None,
    password_hash: str,
    can_read_sys: bool,
    now: int,
) -> Account:
    """:raises ConflictError: the name is taken, or the SN is another account's or that of an aircraft on a dock.

    :raises NotFoundError: there is no such organization.
    """
    if sn is not None and role is not Role.DOCK:
        raise UsageError(f"only an account with role dock has an SN, not one with role {role}")
    if db.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone():
        raise ConflictError(f"account {name} exists already")
    if (
        organization_id is not None
        and not db.execute("SELECT 1 FROM organization WHERE id = ?", (organization_id,)).fetchone()
    ):
        raise NotFoundError(f"there is no organization {organization_id}", hint="dockgate org list")
    if sn is not None:
        _require_free(db, sn, name)
    db.execute(
        f"INSERT INTO account ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, NULL)",  # noqa: S608 -- our own column list
        (name, role.value, sn, organization_id, password_hash, can_read_sys, _next_version(db), now, now),
    )
    return get(db, name)


def get(db: sqlite3.Connection, name: str) -> Account:
    row = db.execute(f"SELECT {_COLUMNS} FROM account WHERE name = ?", (name,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFoundError(f"there is no account {name}", hint="dockgate account list")
    return _record(row)


def list_all(db: sqlite3.Connection) -> list[Account]:
    return [_record(row) for row in db.execute(f"SELECT {_COLUMNS} FROM account ORDER BY name")]  # noqa: S608


def set_password(db: sqlite3.Connection, name: str, password_hash: str, now: int) -> Account:
    """A new password: live connections end."""
    get(db, name)
    db.execute(
        "UPDATE account SET password_hash = ?, version = ?, changed_at = ? WHERE name = ?",
        (password_hash, _next_version(db), now, name),
    )
    return get(db, name)


def rehash(db: sqlite3.Connection, name: str, password_hash: str, *, version: int) -> None:
    """The same password hashed anew: nothing ends. Nothing happens when the account has changed since ``version``."""
    db.execute("UPDATE account SET password_hash = ? WHERE name = ? AND version = ?", (password_hash, name, version))


def set_enabled(db: sqlite3.Connection, name: str, enabled: bool, now: int) -> Account:  # noqa: FBT001 -- the new value itself
    """Live connections end when it changes; an account that is so already stays untouched."""
    before = get(db, name)
    if before.enabled == enabled:
        return before
    db.execute(
        "UPDATE account SET enabled = ?, version = ?, changed_at = ? WHERE name = ?",
        (enabled, _next_version(db), now, name),
    )
    return get(db, name)


def delete(db: sqlite3.Connection, name: str) -> None:
    """Its lockouts go with it; what it bound stays bound."""
    get(db, name)
    db.execute("DELETE FROM account WHERE name = ?", (name,))
    db.execute("DELETE FROM lockout WHERE account = ?", (name,))


def pin_sn(db: sqlite3.Connection, name: str, sn: str, now: int) -> Account:
    """Tie the account to the first SN it uses; no connection ends.

    :raises ConflictError: it has another SN, another account has this one, or this SN hangs on a dock.
    """
    before = get(db, name)
    if before.sn == sn:
        return before
    if before.sn is not None:
        raise ConflictError(f"account {name} belongs to {before.sn} already")
    if before.role is not Role.DOCK:
        raise ConflictError(f"account {name} has role {before.role} and takes no SN")
    _require_free(db, sn, name)
    db.execute("UPDATE account SET sn = ?, changed_at = ? WHERE name = ?", (sn, now, name))
    return get(db, name)


def change_sn(db: sqlite3.Connection, name: str, sn: str | None, now: int) -> Account:
    """Tie the account to another SN, or with None to the next one that uses it; live connections end.

    :raises ConflictError: another account has this SN, it hangs on a dock, or the account is not for a dock.
    """
    before = get(db, name)
    if before.role is not Role.DOCK:
        raise ConflictError(f"account {name} has role {before.role} and takes no SN")
    if before.sn == sn:
        return before
    if sn is not None:
        _require_free(db, sn, name)
    db.execute(
        "UPDATE account SET sn = ?, version = ?, changed_at = ? WHERE name = ?", (sn, _next_version(db), now, name)
    )
    return get(db, name)


def touch_logins(db: sqlite3.Connection, logins: Mapping[str, int]) -> None:
    """``{name: at}``; unknown names are passed over, and the time never goes back."""
    db.executemany(
        "UPDATE account SET last_login_at = max(coalesce(last_login_at, 0), ?) WHERE name = ?",
        [(at, name) for name, at in logins.items()],
    )


def _require_free(db: sqlite3.Connection, sn: str, name: str) -> None:
    row = db.execute("SELECT name FROM account WHERE sn = ? AND name <> ?", (sn, name)).fetchone()
    if row is not None:
        raise ConflictError(f"{sn} belongs to account {row[0]}", hint=f"dockgate account show {row[0]}")
    if db.execute("SELECT 1 FROM device WHERE sn = ? AND gateway_sn IS NOT NULL", (sn,)).fetchone():
        raise ConflictError(f"{sn} hangs on a dock and is none itself", hint=f"dockgate dock forget {sn}")


def _next_version(db: sqlite3.Connection) -> int:
    # RETURNING needs its row fetched to the end, or the statement is still running at COMMIT
    rows = db.execute(
        "INSERT INTO account_version (id, last) VALUES (1, 1)"
        " ON CONFLICT (id) DO UPDATE SET last = last + 1 RETURNING last"
    ).fetchall()
    version: int = rows[0][0]
    return version


def _record(row: tuple[Any, ...]) -> Account:
    (
        name,
        role,
        sn,
        organization_id,
        password_hash,
        enabled,
        can_read_sys,
        version,
        created_at,
        changed_at,
        last_login_at,
    ) = row
    return Account(
        name=name,
        role=Role(role),
        sn=sn,
        organization_id=organization_id,
        password_hash=password_hash,
        enabled=bool(enabled),
        can_read_sys=bool(can_read_sys),
        version=version,
        created_at=created_at,
        changed_at=changed_at,
        last_login_at=last_login_at,
    )
