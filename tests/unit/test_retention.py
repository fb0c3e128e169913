"""What is past its time goes from the audit trail, a little at a time; a wrong clock does not empty it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import retention
from gateway.errors import DatabaseBusyError
from gateway.metrics import Metrics
from gateway.store import audit
from gateway.store.connection import Store
from gateway.tasks import Tasks

DAY = retention.DAY_MS
NOW = 1_767_225_600_000


@dataclass
class Stage:
    """As much of the services as retention needs, with a real database."""

    store: Store
    metrics: Metrics
    now: int = NOW

    def clock(self) -> int:
        return self.now

    async def write(self, *days_ago: float) -> None:
        entries = [
            audit.Entry(NOW - round(days * DAY), "cli:root", "org.add", f"{days}", "ok", {}) for days in days_ago
        ]
        await self.store.write(audit.append, entries)

    async def left(self) -> list[str]:
        return [entry.target for entry in await self.store.read(audit.list_since, limit=100_000)]

    async def trim(self, keep_days: int) -> int:
        return await retention.trim(self, keep_days)  # type: ignore[arg-type]

    async def run(self, keep_days: int, every_s: float) -> None:
        await retention.run(self, keep_days, every_s=every_s)  # type: ignore[arg-type]


@asynccontextmanager
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with await Store.open(tmp_path / "dockgate.db", clock=lambda: NOW, create=True) as store:
        yield Stage(store, Metrics())


def test_only_what_is_older_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with stage(tmp_path) as here:
            assert await here.trim(30) == 0
            await here.write(31, 30.001, 30, 29, 0)
            assert await here.trim(30) == 2
            assert await here.left() == ["30", "29", "0"]
            assert await here.trim(30) == 0
            here.now += 2 * DAY
            await here.write(-2)
            assert await here.trim(30) == 2
            assert await here.left() == ["0", "-2"]

    asyncio.run(scenario())


def test_many_go_in_several_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 10)
    monkeypatch.setattr(retention, "PAUSE_S", 0)

    async def scenario() -> None:
        async with stage(tmp_path) as here:
            await here.write(*(100 + number for number in range(35)), 0)
            before = here.store.commits
            assert await here.trim(30) == 35
            assert here.store.commits - before == 4
            assert await here.left() == ["0"]

    asyncio.run(scenario())


def test_a_clock_that_jumped_ahead_empties_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with stage(tmp_path) as here:
            await here.write(10, 1, 0)
            here.now += 20_000 * DAY
            assert await here.trim(30) == 0
            assert await here.left() == ["10", "1", "0"]

    asyncio.run(scenario())


def test_it_comes_again_and_outlives_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done = asyncio.Event()
    outcomes: list[Any] = [DatabaseBusyError("locked"), 3, 0]

    async def trim(_services: Any, _keep_days: int) -> int:
        if len(outcomes) == 1:
            done.set()
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return int(outcome)

    monkeypatch.setattr(retention, "trim", trim)
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with stage(tmp_path) as here:
            running = Tasks().spawn(here.run(365, 0), name="retention")
            await asyncio.wait_for(done.wait(), 10)
            assert not running.done()
            running.cancel()
            await asyncio.wait({running})
            assert here.metrics.database.failures.total() == 1

    asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "365 days" in caplog.records[1].getMessage()
