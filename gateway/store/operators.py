"""Who may log in to the console. Rows in and out of table ``operator``; hashes come in ready-made, passwords never."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from gateway.errors import ConflictError, NotFoundError

_COLUMNS = "name, password_hash, created_at, changed_at, last_login_at"


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    password_hash: str = field(repr=False)
    created_at: int
    changed_at: int
    last_login_at: int | None


def add(db: sqlite3.Connection, *, name: str, password_hash: str, now: int) -> Operator:
    """:raises ConflictError: the name is taken."""
    if find(db, name) is not None:
        raise ConflictError(f"operator {name} exists already", hint=f"dockgate operator passwd {name}")
    db.execute(
        f"INSERT INTO operator ({_COLUMNS}) VALUES (?, ?, ?, ?, NULL)",  # noqa: S608 -- our own column list
        (name, password_hash, now, now),
    )
    return get(db, name)


def find(db: sqlite3.Connection, name: str) -> Operator | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM operator WHERE name = ?", (name,)).fetchone()  # noqa: S608
    return None if row is None else Operator(*row)


def get(db: sqlite3.Connection, name: str) -> Operator:
    found = find(db, name)
    if found is None:
        raise NotFoundError(f"there is no operator {name}", hint="dockgate operator list")
    return found


def list_all(db: sqlite3.Connection) -> list[Operator]:
    return [Operator(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM operator ORDER BY name")]  # noqa: S608


def set_password(db: sqlite3.Connection, name: str, password_hash: str, now: int) -> Operator:
    """Who is logged in with the old one is logged out: a session holds the hash that it began with."""
    get(db, name)
    db.execute("UPDATE operator SET password_hash = ?, changed_at = ? WHERE name = ?", (password_hash, now, name))
    return get(db, name)


def delete(db: sqlite3.Connection, name: str) -> None:
    get(db, name)
    db.execute("DELETE FROM operator WHERE name = ?", (name,))


def touch(db: sqlite3.Connection, name: str, at: int) -> None:
    """A login; an unknown name is passed over."""
    db.execute("UPDATE operator SET last_login_at = max(coalesce(last_login_at, 0), ?) WHERE name = ?", (at, name))
