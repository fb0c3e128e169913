"""First contacts: one row for each client id of an account, the latest few of them, found by the dock's SN."""

from __future__ import annotations

import sqlite3

from gateway.model import Role
from gateway.store import accounts, contacts
from gateway.store.contacts import PER_ACCOUNT, Contact


def contact(client_id: str, at: int, *, sn: str | None = None, **facts: object) -> Contact:
    return Contact("dock-1", client_id, sn, at, at, {"level": 4, **facts})


def test_a_change_keeps_the_time_of_the_first(db: sqlite3.Connection) -> None:
    contacts.put(db, [contact("c", 1, sn="D1")])
    contacts.put(db, [contact("c", 2, keepalive_s=9)])
    assert contacts.list_for(db, sn="D1") == [Contact("dock-1", "c", "D1", 1, 2, {"level": 4, "keepalive_s": 9})]


def test_of_an_account_the_latest_stay(db: sqlite3.Connection) -> None:
    contacts.put(db, [contact(f"c{at}", at, sn="D1") for at in range(PER_ACCOUNT + 3)])
    kept = contacts.list_for(db, sn="D1")
    assert [one.client_id for one in kept] == [f"c{at}" for at in range(PER_ACCOUNT + 2, 2, -1)]


def test_those_of_before_the_pin_are_found_by_the_account(db: sqlite3.Connection, now: int) -> None:
    contacts.put(db, [contact("c", 1)])
    assert contacts.list_for(db, sn="D1") == []
    accounts.add(
        db, name="dock-1", role=Role.DOCK, sn="D1", organization_id=None, password_hash="$", can_read_sys=False, now=now
    )
    assert [one.client_id for one in contacts.list_for(db, sn="D1")] == ["c"]
