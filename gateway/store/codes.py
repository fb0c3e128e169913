"""Binding codes: what a dock shows to be let into an organization. Rows in and out of table ``bind_code``.

A code is never deleted alone: what it bound points at it.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from gateway.errors import ConflictError, NotFoundError, UsageError
from gateway.model import BindingCode

_COLUMNS = "code, organization_id, uses_left, expires_at, sn, revoked_at, created_at"


def add(
    db: sqlite3.Connection,
    *,
    code: str,
    organization_id: str,
    uses: int | None,
    expires_at: int | None,
    sn: str | None,
    now: int,
) -> BindingCode:
    """``uses`` None = without limit; ``sn`` set = for that dock only.

    :raises ConflictError: the code exists (in any organization). :raises NotFoundError: the organization.
    """
    if uses is not None and uses < 1:
        raise UsageError("a binding code needs at least one use")
    if db.execute("SELECT 1 FROM bind_code WHERE code = ?", (code,)).fetchone():
        raise ConflictError("that binding code exists already")
    if not db.execute("SELECT 1 FROM organization WHERE id = ?", (organization_id,)).fetchone():
        raise NotFoundError(f"there is no organization {organization_id}", hint="dockgate org list")
    db.execute(
        f"INSERT INTO bind_code ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, NULL, ?)",  # noqa: S608 -- our own column list
        (code, organization_id, uses, expires_at, sn, now),
    )
    return get(db, code)


def find(db: sqlite3.Connection, code: str) -> BindingCode | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM bind_code WHERE code = ?", (code,)).fetchone()  # noqa: S608
    return None if row is None else _record(row)


def get(db: sqlite3.Connection, code: str) -> BindingCode:
    found = find(db, code)
    if found is None:
        raise NotFoundError("there is no such binding code", hint="dockgate org code list ID")
    return found


def list_for(db: sqlite3.Connection, organization_id: str | None) -> list[BindingCode]:
    """Of one organization, or with None of all; the oldest first."""
    where, parameters = ("", ()) if organization_id is None else ("WHERE organization_id = ?", (organization_id,))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM bind_code {where} ORDER BY organization_id, created_at, code",  # noqa: S608
        parameters,
    )
    return [_record(row) for row in rows]


def revoke(db: sqlite3.Connection, code: str, now: int) -> BindingCode:
    """Nothing new is bound with it from now on; what it bound stays bound. Revoking twice keeps the first time."""
    get(db, code)
    db.execute("UPDATE bind_code SET revoked_at = coalesce(revoked_at, ?) WHERE code = ?", (now, code))
    return get(db, code)


def use(db: sqlite3.Connection, code: BindingCode) -> BindingCode:
    """Take one use off a code that has one left; a code without limit stays as it is."""
    if code.uses_left is None:
        return code
    db.execute("UPDATE bind_code SET uses_left = uses_left - 1 WHERE code = ?", (code.code,))
    return BindingCode(
        code=code.code,
        organization_id=code.organization_id,
        uses_left=code.uses_left - 1,
        expires_at=code.expires_at,
        sn=code.sn,
        revoked_at=code.revoked_at,
        created_at=code.created_at,
    )


def _record(row: tuple[Any, ...]) -> BindingCode:
    code, organization_id, uses_left, expires_at, sn, revoked_at, created_at = row
    return BindingCode(
        code=code,
        organization_id=organization_id,
        uses_left=uses_left,
        expires_at=expires_at,
        sn=sn,
        revoked_at=revoked_at,
        created_at=created_at,
    )
