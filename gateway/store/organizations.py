"""Organizations: whom docks, accounts, codes and licenses belong to. Rows in and out of table ``organization``."""

from __future__ import annotations

import sqlite3

from gateway.errors import ConflictError, NotFoundError
from gateway.model import Organization


def add(db: sqlite3.Connection, *, id: str, name: str, now: int) -> Organization:  # noqa: A002 -- the column's name
    if db.execute("SELECT 1 FROM organization WHERE id = ?", (id,)).fetchone():
        raise ConflictError(f"organization {id} exists already")
    db.execute("INSERT INTO organization (id, name, created_at) VALUES (?, ?, ?)", (id, name, now))
    return Organization(id=id, name=name, created_at=now)


def get(db: sqlite3.Connection, id: str) -> Organization:  # noqa: A002
    row = db.execute("SELECT id, name, created_at FROM organization WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no organization {id}", hint="dockgate org list")
    return Organization(id=row[0], name=row[1], created_at=row[2])


def list_all(db: sqlite3.Connection) -> list[Organization]:
    rows = db.execute("SELECT id, name, created_at FROM organization ORDER BY id")
    return [Organization(id=row[0], name=row[1], created_at=row[2]) for row in rows]


def rename(db: sqlite3.Connection, id: str, name: str) -> Organization:  # noqa: A002
    get(db, id)
    db.execute("UPDATE organization SET name = ? WHERE id = ?", (name, id))
    return get(db, id)


def delete(db: sqlite3.Connection, id: str) -> None:  # noqa: A002
    """Its codes and its license go with it.

    :raises ConflictError: devices are bound to it, or accounts belong to it.
    """
    get(db, id)
    devices: int = db.execute("SELECT count(*) FROM device WHERE organization_id = ?", (id,)).fetchone()[0]
    if devices:
        raise ConflictError(f"organization {id} still has {devices} bound device(s)", hint="dockgate dock unbind SN")
    accounts: int = db.execute("SELECT count(*) FROM account WHERE organization_id = ?", (id,)).fetchone()[0]
    if accounts:
        raise ConflictError(f"organization {id} still has {accounts} account(s)", hint="dockgate account delete NAME")
    db.execute("DELETE FROM organization WHERE id = ?", (id,))
