"""The audit that only grows, the gateway's own row, the lockouts, and the snapshot of it all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from gateway.store import accounts, audit, bindings, codes, devices, licenses, lockouts, organizations, snapshot, state
from gateway.store.audit import Entry
from gateway.store.lockouts import Lock
from gateway.store.state import GatewayState


def entry(at: int, target: str = "DOCK1", **detail: object) -> Entry:
    return Entry(at, "actor", "act", target, "ok", dict(detail))


def times(entries: list[Entry]) -> list[int]:
    return [entry.at for entry in entries]


def test_audit_is_read_as_it_was_written(db: sqlite3.Connection) -> None:
    audit.append(db, [entry(1, reason='ä "quoted" \'', count=3, nested={"a": [1, None]}), entry(2)])
    audit.append(db, [])
    first, second = audit.list_since(db)
    assert first == Entry(
        1, "actor", "act", "DOCK1", "ok", {"reason": 'ä "quoted" \'', "count": 3, "nested": {"a": [1, None]}}, 1
    )
    assert second == Entry(2, "actor", "act", "DOCK1", "ok", {}, 2)


def test_audit_lists_the_latest_in_the_order_they_were_written(db: sqlite3.Connection) -> None:
    audit.append(db, [entry(at, "DOCK1" if at % 2 else "DOCK2") for at in range(10)])
    audit.append(db, [entry(10, "AIR1", dock="DOCK1"), entry(11, "AIR2", dock="DOCK2"), entry(12, "x", dock=["DOCK1"])])
    assert times(audit.list_since(db)) == list(range(13))
    assert times(audit.list_since(db, since=8)) == [8, 9, 10, 11, 12]
    assert times(audit.list_since(db, limit=3)) == [10, 11, 12]
    assert times(audit.list_since(db, dock="DOCK1")) == [1, 3, 5, 7, 9, 10]
    assert times(audit.list_since(db, dock="AIR1")) == [10]
    assert times(audit.list_since(db, dock="DOCK1", since=5, limit=2)) == [9, 10]
    last = audit.list_since(db, limit=1)[0].id
    assert last is not None
    assert audit.list_since(db, after_id=last) == []
    assert times(audit.list_since(db, after_id=last - 3)) == [10, 11, 12]
    assert times(audit.list_since(db, after_id=last - 3, limit=2)) == [10, 11], "who follows misses nothing"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET outcome = 'refused'",
        "UPDATE audit SET id = 9 WHERE id = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE at = 2",
        "UPDATE audit_horizon SET trimmed_before = 0",
    ],
)
def test_audit_is_append_only(change: str, db: sqlite3.Connection) -> None:
    audit.append(db, [entry(1), entry(2)])
    assert audit.trim(db, 1) == 0
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        db.execute(change)
    assert times(audit.list_since(db)) == [1, 2]


def test_audit_without_any_trim_is_append_only(db: sqlite3.Connection) -> None:
    audit.append(db, [entry(1)])
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        db.execute("DELETE FROM audit")


def test_audit_is_trimmed_by_age(db: sqlite3.Connection) -> None:
    audit.append(db, [entry(at) for at in range(6)])
    assert audit.trim(db, 3) == 3
    assert audit.trim(db, 2) == 0
    assert times(audit.list_since(db)) == [3, 4, 5]
    assert audit.trim(db, 100) == 3
    audit.append(db, [entry(101)])
    assert audit.list_since(db)[0].id == 7, "an id is never given twice: who follows would miss it"


def test_the_gateways_own_row(db: sqlite3.Connection) -> None:
    assert state.get(db) is None
    for beat in (1, 2):
        said = GatewayState(pid=7, started_at=1, heartbeat_at=beat, connections=3, stats={"rates": {"in": 1.5}})
        state.heartbeat(db, said)
        assert state.get(db) == said
    assert db.execute("SELECT count(*) FROM gateway_state").fetchone() == (1,)


@pytest.mark.case(27)
def test_case27_lockouts(db: sqlite3.Connection) -> None:
    here, there = Lock("a", "192.0.2.1", 3, None, 1), Lock("a", "2001:db8::1", 20, 99, 2)
    stranger = Lock("nobody", "192.0.2.1", 1, None, 3)
    for lock in (here, there, stranger):
        lockouts.put(db, lock)
    assert lockouts.get_all(db) == [here, there, stranger]
    locked = Lock("a", "192.0.2.1", 20, 50, 5)
    lockouts.put(db, locked)
    assert lockouts.get_all(db) == [locked, there, stranger]
    assert lockouts.trim(db, 60) == 2, "what is locked beyond is kept"
    assert lockouts.get_all(db) == [there]
    assert lockouts.clear(db, "a") == 1
    assert lockouts.clear(db, "a") == 0


def test_the_snapshot_is_everything_memory_answers_from(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None]
) -> None:
    assert snapshot.load(db) == snapshot.Snapshot({}, {}, {}, {}, {})
    found(db)
    wish = bindings.BindWish("DOCK1", "A", "ONCE", "", "3-2-0")
    bindings.bind(db, gateway_sn="DOCK1", account="acc1", wishes=[wish], now=1)
    loaded = snapshot.load(db)
    assert loaded.accounts["acc1"] == accounts.get(db, "acc1")
    assert loaded.organizations["B"] == organizations.get(db, "B")
    assert loaded.codes["ONCE"] == codes.get(db, "ONCE")
    assert loaded.devices == {"DOCK1": devices.get(db, "DOCK1")}
    assert list(loaded.licenses.values()) == licenses.get_all(db)


def test_what_is_looked_up_is_found_by_an_index(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None]
) -> None:
    """No statement of the paths that docks cause, nor of look-ups by key, walks through a whole table."""
    found(db)
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    wishes = [bindings.BindWish(sn, "A", "ONCE", "", "0-91-1") for sn in ("DOCK1", "AIR1")]
    bindings.bind(db, gateway_sn="DOCK1", account="acc1", wishes=wishes, now=1)
    devices.attach(db, "DOCK1", [("AIR1", "0-91-1")], now=1)
    devices.flush_presence(db, [devices.Presence("DOCK1", 1, online=True)])
    devices.list_all(db, organization_id="A")
    devices.unbind(db, "DOCK1", 1)
    devices.forget(db, "DOCK1")
    codes.list_for(db, "A")
    accounts.pin_sn(db, accounts.get(db, "acc2").name, "DOCK2", 1)
    accounts.touch_logins(db, {"acc1": 1})
    lockouts.put(db, Lock("a", "192.0.2.1", 1, None, 1))
    lockouts.clear(db, "a")
    audit.list_since(db, dock="DOCK1", since=0)
    audit.list_since(db, after_id=1)
    audit.trim(db, 1)
    db.set_trace_callback(None)
    plans = {
        f"{step[3]}: {statement}"
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))
        for step in db.execute(f"EXPLAIN QUERY PLAN {statement}")
    }
    scans = [
        plan for plan in plans if plan.startswith("SCAN") and not plan.startswith(("SCAN w ", "SCAN audit_horizon"))
    ]
    assert len(plans) > 15
    assert scans == []
