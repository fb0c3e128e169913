"""What of presence reaches the database, where an operator's commands read it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import timeit
from contextlib import closing
from pathlib import Path

import pytest

from gateway.model import AccessStep, Role
from gateway.presence import SEEN_EVERY
from gateway.store import state

from .presence_stage import BIRD, DOCK, HOME, OTHER_DOCK, identity, stage


def test_the_time_of_the_last_message_is_written_now_and_then(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.telemetry(DOCK)
            await at.presence.flush()
            for _ in range(SEEN_EVERY):
                at.clock.forward(1)
                at.presence.telemetry(DOCK)
                known = at.directory.device(DOCK)
                assert known is not None
                assert at.presence.live(known).last_seen_at == at.clock.now
                await at.presence.flush()
            assert (await at.row(DOCK)).last_seen_at == at.clock.now

    asyncio.run(main())


def test_a_record_can_be_had_as_it_is_now(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            await at.presence.flush()
            stored = at.directory.device(DOCK)
            assert stored is not None
            await at.bind()
            at.clock.forward(1)
            at.presence.telemetry(DOCK)
            live = at.presence.live(stored)
            assert (live.online, live.access_step, live.last_seen_at) == (True, AccessStep.ONLINE, at.clock.now)
            assert live.first_seen_at == stored.first_seen_at

    asyncio.run(main())


def test_how_far_a_new_dock_came_outlives_a_change_by_others(tmp_path: Path) -> None:
    """It left before it was written for the first time, and in between an operator's command changed the database."""

    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.step(DOCK, AccessStep.LICENSED)
            at.presence.disconnected(1)
            at.presence.follow(await at.directory.reload(at.store))
            await at.presence.flush()
            assert (await at.row(DOCK)).access_step is AccessStep.LICENSED

    asyncio.run(main())


def test_the_heartbeat_is_what_status_shows(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            started_at = at.clock.now
            at.presence.connected(identity(), 1, HOME)
            at.metrics.messages.received += 7
            at.clock.forward(5)
            await at.presence.flush()
            beat = await at.store.read(state.get)
            assert beat is not None
            assert (beat.pid, beat.started_at, beat.heartbeat_at) == (os.getpid(), started_at, at.clock.now)
            assert beat.connections == 1
            assert beat.stats == at.presence.snapshot()
            assert beat.stats["messages"]["received"] == 7
            assert beat.stats["rates"].keys() == {"received", "sent", "requests", "logins"}

    asyncio.run(main())


def test_nobody_is_online_after_a_kill(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            await at.presence.flush()
            await at.bind()
            at.presence.topology(DOCK, [BIRD])
            await at.presence.flush()
            assert (await at.row(DOCK)).access_step is AccessStep.ONLINE
        async with stage(tmp_path) as at:
            assert at.presence.step_of(DOCK) is AccessStep.BOUND
            known = at.directory.device(DOCK)
            assert known is not None
            assert not at.presence.live(known).online
            async with asyncio.TaskGroup() as group:
                running = group.create_task(at.presence.run(interval_s=0.001))
                while (await at.row(DOCK)).access_step is not AccessStep.BOUND:
                    pass
                running.cancel()
            assert not (await at.row(DOCK)).online
            assert not (await at.row(BIRD)).online

    asyncio.run(main())


def test_a_clean_end_says_that_all_have_left(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.telemetry(DOCK)
            at.presence.connected(identity("platform", sn=None, role=Role.SERVICE), 2, HOME)
            await at.presence.flush()
            await at.bind()
            at.clock.forward(1)
            at.presence.telemetry(BIRD)
            await at.presence.close()
            await at.presence.close()
            assert not (await at.row(DOCK)).online
            assert (await at.row(BIRD)).last_seen_at == at.clock.now  # though its time for that had not come
            assert await at.store.read(state.get) is None  # nothing runs any more
            assert at.told()[-2:] == [("offline", DOCK, DOCK), ("disconnected", DOCK)]

    asyncio.run(main())


def test_a_locked_database_delays_and_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            with closing(sqlite3.connect(at.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                at.presence.connected(identity(), 1, HOME)
                await at.presence.flush()
                at.presence.telemetry(DOCK)
                await at.presence.flush()
                other.execute("ROLLBACK")
            assert at.metrics.database.failures.total() == 2
            await at.presence.flush()
            row = await at.row(DOCK)
            assert row.online
            assert row.access_step is AccessStep.CONNECTED

    asyncio.run(main())
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_gauges_follow(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            fleet = at.metrics.fleet
            at.presence.connected(identity(), 1, HOME)
            at.presence.connected(identity("other", sn=OTHER_DOCK), 2, HOME)
            at.presence.topology(DOCK, [BIRD])
            assert (fleet.docks_connected, fleet.docks_online, fleet.aircraft_online) == (2, 1, 1)
            at.presence.disconnected(1)
            assert (fleet.docks_connected, fleet.docks_online, fleet.aircraft_online) == (1, 0, 0)

    asyncio.run(main())


def test_a_message_costs_less_than_a_microsecond(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.telemetry(DOCK)
            for told in (at.presence.seen, at.presence.telemetry):
                best = min(timeit.repeat(lambda told=told: told(DOCK), number=10_000, repeat=10)) / 10_000
                assert best < 1e-6

    asyncio.run(main())
