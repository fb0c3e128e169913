"""Accounts: unique names, unique SNs, and versions that end live connections exactly when they must."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import ConflictError, NotFoundError, UsageError
from gateway.model import Account, Role
from gateway.store import accounts, devices, lockouts, organizations


def add(db: sqlite3.Connection, name: str, **changes: Any) -> Account:
    given: dict[str, Any] = {
        "role": Role.DOCK,
        "sn": None,
        "organization_id": None,
        "password_hash": "$hash",
        "can_read_sys": False,
        "now": 1,
    }
    return accounts.add(db, name=name, **(given | changes))


def test_what_is_added_is_read(db: sqlite3.Connection) -> None:
    organizations.add(db, id="A", name="A", now=1)
    dock = add(db, "dock", sn="DOCK1", organization_id="A", now=7)
    assert dock == Account(
        name="dock",
        role=Role.DOCK,
        sn="DOCK1",
        organization_id="A",
        enabled=True,
        can_read_sys=False,
        version=dock.version,
        created_at=7,
        changed_at=7,
        last_login_at=None,
        password_hash="$hash",
    )
    service = add(db, "cloud", role=Role.SERVICE, can_read_sys=True)
    assert accounts.get(db, "dock") == dock
    assert accounts.list_all(db) == [service, dock]
    assert service.can_read_sys
    assert "$hash" not in repr(dock)


def test_conflicts(db: sqlite3.Connection) -> None:
    add(db, "one", sn="DOCK1")
    with pytest.raises(ConflictError, match="exists"):
        add(db, "one")
    with pytest.raises(ConflictError, match="one"):
        add(db, "two", sn="DOCK1")
    with pytest.raises(NotFoundError, match="organization"):
        add(db, "two", organization_id="nowhere")
    with pytest.raises(UsageError):
        add(db, "two", role=Role.OBSERVER, sn="DOCK2")
    assert [account.name for account in accounts.list_all(db)] == ["one"]


@pytest.mark.case(21)
def test_case21_there_is_no_account_after_installation(db: sqlite3.Connection) -> None:
    assert accounts.list_all(db) == []


def test_what_is_not_there(db: sqlite3.Connection) -> None:
    for call in (
        lambda: accounts.get(db, "no"),
        lambda: accounts.set_password(db, "no", "$", 1),
        lambda: accounts.set_enabled(db, "no", True, 1),
        lambda: accounts.delete(db, "no"),
        lambda: accounts.pin_sn(db, "no", "DOCK1", 1),
    ):
        with pytest.raises(NotFoundError, match="account no"):
            call()


def test_versions_grow_with_what_ends_a_connection_and_with_nothing_else(db: sqlite3.Connection) -> None:
    first = add(db, "one")
    changed = accounts.set_password(db, "one", "$new", 5)
    assert changed == replace(first, password_hash="$new", changed_at=5, version=changed.version)
    assert changed.version > first.version
    off = accounts.set_enabled(db, "one", False, 6)
    assert (off.enabled, off.changed_at) == (False, 6)
    assert off.version > changed.version
    assert accounts.set_enabled(db, "one", False, 7) == off
    on = accounts.set_enabled(db, "one", True, 8)
    assert on.version > off.version

    accounts.rehash(db, "one", "$other", version=off.version)
    assert accounts.get(db, "one") == on, "the account has changed since"
    accounts.rehash(db, "one", "$other", version=on.version)
    pinned = accounts.pin_sn(db, "one", "DOCK1", 9)
    accounts.touch_logins(db, {"one": 10, "unknown": 10})
    accounts.touch_logins(db, {"one": 4})
    assert accounts.get(db, "one") == replace(pinned, last_login_at=10)
    assert pinned == replace(on, password_hash="$other", sn="DOCK1", changed_at=9)


def test_an_account_made_again_never_passes_for_its_predecessor(db: sqlite3.Connection) -> None:
    versions = set()
    for _ in range(3):
        versions.add(add(db, "one").version)
        versions.add(accounts.set_password(db, "one", "$", 1).version)
        accounts.delete(db, "one")
    assert len(versions) == 6


def test_pinning(db: sqlite3.Connection) -> None:
    for name in ("one", "two"):
        add(db, name)
    add(db, "cloud", role=Role.SERVICE)
    assert accounts.pin_sn(db, "one", "DOCK1", 2).sn == "DOCK1"
    assert accounts.pin_sn(db, "one", "DOCK1", 3).changed_at == 2, "again is nothing new"
    with pytest.raises(ConflictError, match="DOCK1"):
        accounts.pin_sn(db, "one", "DOCK2", 3)
    with pytest.raises(ConflictError, match="account one"):
        accounts.pin_sn(db, "two", "DOCK1", 3)
    with pytest.raises(ConflictError, match="role"):
        accounts.pin_sn(db, "cloud", "DOCK2", 3)
    devices.attach(db, "DOCK1", [("AIR1", "0-91-1")], now=1)
    with pytest.raises(ConflictError, match="hangs on"):
        accounts.pin_sn(db, "two", "AIR1", 3)
    assert accounts.get(db, "two").sn is None
    with pytest.raises(ConflictError, match="hangs on"):
        add(db, "three", sn="AIR1")


def test_deleting_lifts_the_lockouts_of_the_name(db: sqlite3.Connection) -> None:
    add(db, "one")
    lockouts.put(db, lockouts.Lock("one", "192.0.2.1", 3, 9, 1))
    lockouts.put(db, lockouts.Lock("other", "192.0.2.1", 3, 9, 1))
    accounts.delete(db, "one")
    assert accounts.list_all(db) == []
    assert [lock.account for lock in lockouts.get_all(db)] == ["other"]


@pytest.mark.parametrize(
    ("column", "value"), [("role", "admin"), ("enabled", 2), ("name", ""), ("password_hash", ""), ("version", "x")]
)
def test_the_table_itself_refuses(column: str, value: object, db: sqlite3.Connection) -> None:
    add(db, "one")
    with pytest.raises(sqlite3.IntegrityError):
        db.execute(f"UPDATE account SET {column} = ?", (value,))  # noqa: S608
