"""Tokens of programs for the admin HTTP. Rows in and out of table ``api_token``; digests come in ready-made, tokens never."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.errors import ConflictError, NotFoundError

_COLUMNS = "name, digest, scope, created_at, created_by, expires_at, revoked_at, last_used_at"


class Scope(StrEnum):
    """``write`` may read, too."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    name: str
    digest: str = field(repr=False)
    scope: Scope
    created_at: int
    created_by: str
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None

    def is_usable(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def add(
    db: sqlite3.Connection, *, name: str, digest: str, scope: Scope, created_by: str, expires_at: int | None, now: int
) -> Token:
    """:raises ConflictError: the name is taken, a revoked token's too."""
    row = db.execute("SELECT revoked_at IS NOT NULL FROM api_token WHERE name = ?", (name,)).fetchone()
    if row is not None:
        raise ConflictError(f"token {name} exists already{' (revoked)' if row[0] else ''}", hint="dockgate token list")
    db.execute(
        f"INSERT INTO api_token ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",  # noqa: S608 -- our own column list
        (name, digest, scope.value, now, created_by, expires_at),
    )
    return get(db, name)


def get(db: sqlite3.Connection, name: str) -> Token:
    row = db.execute(f"SELECT {_COLUMNS} FROM api_token WHERE name = ?", (name,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFoundError(f"there is no token {name}", hint="dockgate token list")
    return _record(row)


def list_all(db: sqlite3.Connection) -> list[Token]:
    """Revoked and expired ones too."""
    return [_record(row) for row in db.execute(f"SELECT {_COLUMNS} FROM api_token ORDER BY name")]  # noqa: S608


def revoke(db: sqlite3.Connection, name: str, now: int) -> Token:
    """Revoking twice keeps the first time."""
    get(db, name)
    db.execute("UPDATE api_token SET revoked_at = coalesce(revoked_at, ?) WHERE name = ?", (now, name))
    return get(db, name)


def touch(db: sqlite3.Connection, name: str, at: int) -> None:
    """It was used; an unknown name is passed over, and the time never goes back."""
    db.execute("UPDATE api_token SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE name = ?", (at, name))


def _record(row: tuple[Any, ...]) -> Token:
    name, digest, scope, created_at, created_by, expires_at, revoked_at, last_used_at = row
    return Token(
        name=name,
        digest=digest,
        scope=Scope(scope),
        created_at=created_at,
        created_by=created_by,
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=last_used_at,
    )
