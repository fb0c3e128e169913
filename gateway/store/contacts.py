"""First contacts: what each client id of an account put into CONNECT and SUBSCRIBE, the latest of it; never a password."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

# Some clients invent a client id for each connection; the latest are what an operator looks for.
PER_ACCOUNT = 8


@dataclass(frozen=True, slots=True)
class Contact:
    """``facts`` is as ``gateway.broker.first_contact`` makes it."""

    account: str
    client_id: str
    sn: str | None
    first_at: int
    changed_at: int
    facts: dict[str, Any]


def put(db: sqlite3.Connection, contacts: Sequence[Contact]) -> None:
    """Insert or replace, keeping the time of the first; of each account the ``PER_ACCOUNT`` latest stay."""
    for contact in contacts:
        db.execute(
            "INSERT INTO contact (account, client_id, sn, first_at, changed_at, facts) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (account, client_id) DO UPDATE SET"
            " sn = coalesce(excluded.sn, sn), changed_at = excluded.changed_at, facts = excluded.facts",
            (
                contact.account,
                contact.client_id,
                contact.sn,
                contact.first_at,
                contact.changed_at,
                orjson.dumps(contact.facts).decode(),
            ),
        )
    for account in {contact.account for contact in contacts}:
        db.execute(
            "DELETE FROM contact WHERE account = ?1 AND client_id NOT IN"
            " (SELECT client_id FROM contact WHERE account = ?1 ORDER BY changed_at DESC, client_id LIMIT ?2)",
            (account, PER_ACCOUNT),
        )


def list_for(db: sqlite3.Connection, *, sn: str) -> list[Contact]:
    """Those of a dock, the latest first."""
    rows = db.execute(
        "SELECT account, client_id, sn, first_at, changed_at, facts FROM contact WHERE sn = ?1"
        " OR account IN (SELECT name FROM account WHERE sn = ?1) ORDER BY changed_at DESC, client_id",
        (sn,),
    )
    return [
        Contact(account, client_id, of, first_at, changed_at, orjson.loads(facts))
        for account, client_id, of, first_at, changed_at, facts in rows
    ]
