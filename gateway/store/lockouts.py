"""Failed logins by account and address, so that a lockout outlives a restart and an operator can lift it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lock:
    """``locked_until`` None: failures are counted, the door is still open. ``account`` need not exist."""

    account: str
    address: str
    failures: int
    locked_until: int | None
    last_at: int


def put(db: sqlite3.Connection, lock: Lock) -> None:
    db.execute(
        "INSERT INTO lockout (account, address, failures, locked_until, last_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account, address) DO UPDATE SET"
        " failures = excluded.failures, locked_until = excluded.locked_until, last_at = excluded.last_at",
        (lock.account, lock.address, lock.failures, lock.locked_until, lock.last_at),
    )


def get_all(db: sqlite3.Connection) -> list[Lock]:
    rows = db.execute("SELECT account, address, failures, locked_until, last_at FROM lockout ORDER BY account, address")
    return [Lock(*row) for row in rows]


def clear(db: sqlite3.Connection, account: str) -> int:
    """Lift every lock of the account; returns how many there were."""
    return db.execute("DELETE FROM lockout WHERE account = ?", (account,)).rowcount


def clear_address(db: sqlite3.Connection, address: str, account: str | None = None) -> int:
    """Lift every lock of the address, or only that of one account there; returns how many there were."""
    return db.execute(
        "DELETE FROM lockout WHERE address = ?1 AND account = coalesce(?2, account)", (address, account)
    ).rowcount


def trim(db: sqlite3.Connection, before: int) -> int:
    """Forget what last failed before ``before`` and is not locked beyond it; returns how many went."""
    return db.execute("DELETE FROM lockout WHERE last_at < ?1 AND coalesce(locked_until, 0) < ?1", (before,)).rowcount
