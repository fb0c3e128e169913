"""Events and the audit trail, the latter into a real database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from gateway.metrics import Metrics
from gateway.services import DISTINCT, FLUSH_ENTRIES, KEPT, OTHERS, AuditTrail, EventSink
from gateway.store import audit
from gateway.store.connection import Store
from gateway.tasks import Tasks


class Clock:
    def __init__(self) -> None:
        self.now = 1_767_225_600_000

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@dataclass
class Stage:
    path: Path
    clock: Clock
    store: Store
    tasks: Tasks
    metrics: Metrics
    trail: AuditTrail

    def refused(
        self, target: str = "dock", *, reason: str = "wrong_password", action: str = "login", **more: str
    ) -> None:
        detail = {"reason": reason, **more}
        self.trail.record(actor="192.0.2.1", action=action, target=target, outcome="refused", detail=detail)

    async def entries(self) -> list[audit.Entry]:
        return await self.store.read(audit.list_since, limit=100_000)


@asynccontextmanager
async def stage(tmp_path: Path, *, flush_s: float = 3600, busy_timeout_ms: int = 5000) -> AsyncIterator[Stage]:
    """``flush_s`` an hour: only what fills up or closes is written, so nothing hangs on time."""
    clock, tasks, metrics = Clock(), Tasks(), Metrics()
    path = tmp_path / "dockgate.db"
    store = await Store.open(path, clock=clock, create=True, busy_timeout_ms=busy_timeout_ms)
    trail = AuditTrail(store, clock, tasks, metrics, flush_s=flush_s)
    try:
        yield Stage(path, clock, store, tasks, metrics, trail)
    finally:
        await trail.close()
        await tasks.close()
        await store.close()


# -- events --------------------------------------------------------------------------------------------------


def test_an_event_is_json_on_the_docks_own_topic() -> None:
    clock, metrics = Clock(), Metrics()
    sink = EventSink(clock, metrics)
    sink.emit("7CTDM7100BAAAA", "online")  # nobody listens yet: no harm
    told: list[tuple[str, bytes]] = []
    sink.set_publisher(lambda topic, payload: told.append((topic, payload)))
    sink.emit("7CTDM7100BAAAA", "bound", device_sn="1581F5BK", organization_id=None)
    ((topic, payload),) = told
    assert topic == "dockgate/events/7CTDM7100BAAAA"
    assert orjson.loads(payload) == {
        "event": "bound",
        "sn": "7CTDM7100BAAAA",
        "at": clock.now,
        "device_sn": "1581F5BK",
        "organization_id": None,
    }
    sink.set_publisher(None)
    sink.emit("7CTDM7100BAAAA", "offline")
    assert len(told) == 1
    assert metrics.fleet.events == 1


# -- audit ---------------------------------------------------------------------------------------------------


def test_entries_are_written_in_order_when_it_closes(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.refused("one")
            at.trail.record(actor="dock", action="pin", target="dock", outcome="ok", detail={"dock": "7CTDM"})
            at.trail.record(actor="dock", action="pin", target="other", outcome="ok")
            assert await at.entries() == []
            await at.trail.close()
            await at.trail.close()
            entries = await at.entries()
            assert [(entry.actor, entry.action, entry.target, entry.outcome) for entry in entries] == [
                ("192.0.2.1", "login", "one", "refused"),
                ("dock", "pin", "dock", "ok"),
                ("dock", "pin", "other", "ok"),
            ]
            assert entries[0].at == at.clock.now
            assert entries[1].detail == {"dock": "7CTDM"}
            assert entries[2].detail == {}
            assert at.metrics.database.audit_written == 3
            at.refused("too late")
            assert at.metrics.database.audit_lost == 1

    asyncio.run(main())


def test_entries_are_written_by_themselves(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, flush_s=0.01) as at:
            at.refused()
            (writing,) = [task for task in asyncio.all_tasks() if task.get_name() == "audit"]
            await asyncio.wait_for(writing, 10)  # it ends when there is nothing left to write
            assert len(await at.entries()) == 1
            at.refused("another")
            assert len(at.tasks) == 1

    asyncio.run(main())


def test_a_full_batch_does_not_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, flush_s=60) as at:
            for number in range(FLUSH_ENTRIES):
                at.refused("dock", action=f"action-{number}")
            async with asyncio.timeout(10):
                while len(await at.entries()) < FLUSH_ENTRIES:
                    pass

    asyncio.run(main())


def test_repeats_within_a_minute_become_a_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            first_at = at.clock.now
            for _ in range(5):
                at.refused()
                at.clock.forward(10)
            last_at = at.clock.now - 10_000
            at.refused("dock", reason="disabled")
            at.clock.forward(10)
            at.refused()  # the minute is over: told anew
            await at.trail.close()
            entries = await at.entries()
            assert [(entry.at, entry.detail) for entry in entries] == [
                (first_at, {"reason": "wrong_password"}),
                (first_at + 50_000, {"reason": "disabled"}),
                (last_at, {"reason": "wrong_password", "count": 4, "since": first_at}),
                (first_at + 60_000, {"reason": "wrong_password"}),
            ]
            assert at.metrics.database.audit_collapsed == 4

    asyncio.run(main())


def test_who_is_refused_and_comes_again_is_told_of_anew(tmp_path: Path) -> None:
    """All within one minute: the last that is told of a dock is the last that happened."""

    async def main() -> None:
        async with stage(tmp_path) as at:

            def come() -> None:
                for action in ("connect", "config", "disconnect"):
                    at.trail.record(actor="dock", action=action, target="7CTDM", outcome="ok", detail={"address": "a"})

            def refuse() -> None:
                at.refused("dock", dock="7CTDM")

            for happened in (come, come, refuse, refuse, come, come, refuse):
                happened()
                at.clock.forward(1)
            await at.trail.flush()
            told = [entry.action for entry in sorted(await at.entries(), key=lambda entry: (entry.at, entry.id))]
            access = ["connect", "config", "disconnect"]
            assert told == [*access, *access, "login", "login", *access, *access, "login"]

    asyncio.run(main())


def test_a_dock_that_is_refused_all_day_long_does_not_fill_the_database(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            for _ in range(500):
                at.trail.record(actor="dock", action="connect", target="7CTDM", outcome="ok", detail={"address": "a"})
                at.refused("7CTDM", action="organization_get", reason="code_unknown")
                at.clock.forward(0.1)
            await at.trail.close()
            assert len(await at.entries()) < 50

    asyncio.run(main())


def test_what_waits_for_repetitions_is_bounded_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.services.MOST_WINDOWS", 3)

    async def main() -> None:
        async with stage(tmp_path) as at:
            at.refused("dock", reason="first")
            at.refused("dock", reason="first")
            for number in range(10):
                at.refused("dock", reason=f"other {number}")
            at.refused("dock", reason="first")  # its window had to go, with what it had counted
            await at.trail.close()
            told = [entry.detail for entry in await at.entries() if entry.detail["reason"] == "first"]
            assert [detail.get("count") for detail in told] == [None, 1, None]

    asyncio.run(main())


def test_names_that_strangers_make_up_do_not_fill_the_database(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            for number in range(DISTINCT + 1000):
                at.refused(f"made-up-{number}")
            at.refused("made-up-3")  # those told apart still are
            at.refused("dock", reason="disabled")
            await at.trail.close()
            entries = await at.entries()
            others = [entry for entry in entries if entry.target == OTHERS]
            assert len(entries) == DISTINCT + 4
            assert [entry.detail.get("count") for entry in others] == [None, 999]

    asyncio.run(main())


def test_a_locked_database_delays_entries_and_loses_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, flush_s=0.01, busy_timeout_ms=10) as at:
            with closing(sqlite3.connect(at.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                at.refused("one")
                async with asyncio.timeout(10):
                    while not at.metrics.database.failures.total():
                        assert await at.entries() == []
                at.refused("two")
                other.execute("COMMIT")
            await at.trail.close()
            assert [entry.target for entry in await at.entries()] == ["one", "two"]
            assert at.metrics.database.audit_lost == 0

    asyncio.run(main())


def test_what_is_kept_for_a_locked_database_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(tmp_path, busy_timeout_ms=10) as at:
            with closing(sqlite3.connect(at.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                for number in range(KEPT + 10):
                    at.refused("dock", action=f"action-{number}")
                await at.trail.close()
                other.execute("ROLLBACK")
            assert at.metrics.database.audit_lost == KEPT + 10

    asyncio.run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
