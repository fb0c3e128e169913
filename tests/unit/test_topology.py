"""Learning which aircraft hang on which dock: from update_topo by ``learn``, from telemetry by ``Dispatcher.observe``."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import topology
from gateway.model import Role
from gateway.store import devices
from gateway.topics import Kind, device_topic
from gateway.topology import MAX_AIRCRAFT, Aircraft, learn

from .dock_world import BIRD1, BIRD2, DOCK1, DOCK2, DOCK_A, ORG_A, World, opened


def osd(sn: Any = BIRD1, *, online: Any = 1, model: Any = "0-91-1") -> bytes:
    sub_device = {"device_sn": sn, "device_model_key": model, "device_online_status": online, "device_paired": 1}
    return json.dumps({"bid": "b", "data": {"sub_device": sub_device}, "tid": "t", "gateway": DOCK1}).encode()


async def observed(world: World, payload: bytes, *, dock: str = DOCK1, sn: str = "", kind: Kind = Kind.OSD) -> int:
    """Hand it over and wait for what comes of it; how many commits that took."""
    before = world.store.commits
    world.dispatcher.observe(world.identity(dock), device_topic(sn or dock, kind), payload)
    await settled(world)
    return world.store.commits - before


async def settled(world: World) -> None:
    learning = [task for task in asyncio.all_tasks() if task.get_name() == "learn aircraft"]
    if learning:
        await asyncio.wait(learning)


def learning(world: World) -> bool:
    return any(task.get_name() == "learn aircraft" for task in asyncio.all_tasks())


# -- learn


def test_an_unknown_aircraft_is_attached_with_its_dock(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            learnt = await learn(
                world.services, world.identity(), DOCK1, [Aircraft(BIRD1, "0-91-1")], model_key="3-2-0"
            )
            assert (learnt.attached, learnt.refused) == ((BIRD1,), ())
            assert await world.stored() == {DOCK1: (None, None), BIRD1: (None, DOCK1)}
            assert world.directory.gateway_of(BIRD1) == DOCK1
            dock, bird = world.directory.device(DOCK1), world.directory.device(BIRD1)
            assert dock is not None
            assert bird is not None
            assert (dock.is_gateway, dock.model_key, bird.model_key) == (True, "3-2-0", "0-91-1")

    asyncio.run(scenario())


def test_what_is_known_costs_no_write(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            for _ in range(2):
                await learn(world.services, world.identity(), DOCK1, [Aircraft(BIRD1, "0-91-1")], model_key="3-2-0")
                before = world.store.commits
            await learn(world.services, world.identity(), DOCK1, [Aircraft(BIRD1)])
            await learn(world.services, world.identity(), DOCK1, [])
            assert world.store.commits == before

    asyncio.run(scenario())


def test_another_model_is_taken_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await learn(world.services, world.identity(), DOCK1, [Aircraft(BIRD1, "0-91-0")], model_key="3-2-0")
            await learn(world.services, world.identity(), DOCK1, [Aircraft(BIRD1, "0-91-1")], model_key="3-3-0")
            stored = {d.sn: d.model_key for d in await world.store.read(devices.list_all)}
            assert stored == {DOCK1: "3-3-0", BIRD1: "0-91-1"}

    asyncio.run(scenario())


def test_claims_that_are_not_believed_are_audited(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await learn(world.services, world.identity(DOCK1), DOCK1, [Aircraft(BIRD1)])
            claims = [Aircraft(BIRD1), Aircraft(DOCK1), Aircraft(DOCK2), Aircraft("a/b"), Aircraft(BIRD2)]
            learnt = await learn(world.services, world.identity(DOCK2), DOCK2, claims)
            assert learnt.attached == (BIRD2,)
            assert learnt.refused == (BIRD1, DOCK1, DOCK2, "a/b")
            assert world.directory.gateway_of(BIRD1) == DOCK1
            assert world.services.metrics.fleet.claims_refused == 4
            assert {entry for entry in await world.audited() if entry[0] == "attach"} == {
                ("attach", BIRD1, "refused", "not_claimable"),
                ("attach", DOCK1, "refused", "not_claimable"),
                ("attach", DOCK2, "refused", "not_claimable"),
                ("attach", "a/b", "refused", "bad_sn"),
            }

    asyncio.run(scenario())


def test_a_dock_cannot_invent_aircraft_without_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            many = [Aircraft(f"BIRD{i}") for i in range(MAX_AIRCRAFT + 5)]
            learnt = await learn(world.services, world.identity(), DOCK1, many)
            assert len(learnt.attached) == MAX_AIRCRAFT
            assert len(learnt.refused) == 5
            again = await learn(world.services, world.identity(), DOCK1, [Aircraft("ANOTHER")])
            assert again.refused == ("ANOTHER",)

    asyncio.run(scenario())


def test_of_two_docks_that_claim_the_same_aircraft_at_once_one_gets_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            first, second = await asyncio.gather(
                learn(world.services, world.identity(DOCK1), DOCK1, [Aircraft(BIRD1)]),
                learn(world.services, world.identity(DOCK2), DOCK2, [Aircraft(BIRD1)]),
            )
            assert (first.attached, second.attached) == ((BIRD1,), ())
            assert second.refused == (BIRD1,)
            assert (await world.stored())[BIRD1] == (None, DOCK1)
            assert world.directory.gateway_of(BIRD1) == DOCK1

    asyncio.run(scenario())


def test_an_aircraft_that_is_only_known_is_not_taken_from_where_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await world.bind(DOCK1, BIRD1) == [0, 0]
            learnt = await learn(world.services, world.identity(DOCK_A), DOCK_A, [Aircraft(BIRD1, is_present=False)])
            assert (learnt.attached, learnt.refused) == ((), ())
            learnt = await learn(world.services, world.identity(DOCK_A), DOCK_A, [Aircraft(BIRD1)])
            assert learnt.attached == (BIRD1,)
            assert (await world.stored())[BIRD1] == (ORG_A, DOCK_A)

    asyncio.run(scenario())


# -- observe


def test_an_aircraft_is_learnt_from_telemetry_and_is_online(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await observed(world, osd()) == 1
            assert world.directory.gateway_of(BIRD1) == DOCK1
            assert world.presence.is_online(BIRD1)
            assert (await world.stored())[BIRD1] == (None, DOCK1)
            assert [told["device_sn"] for told in world.told("online")] == [BIRD1]

    asyncio.run(scenario())


def test_the_same_telemetry_again_starts_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await observed(world, osd())
            world.dispatcher.observe(world.identity(), device_topic(DOCK1, Kind.OSD), osd())
            assert not learning(world)

    asyncio.run(scenario())


def test_an_aircraft_that_is_switched_off_stays_with_its_dock(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await observed(world, osd())
            assert await observed(world, osd(online=0)) == 0
            assert not world.presence.is_online(BIRD1)
            assert world.directory.gateway_of(BIRD1) == DOCK1
            await observed(world, osd(online=1))
            assert world.presence.is_online(BIRD1)

    asyncio.run(scenario())


def test_a_model_that_is_known_is_not_overruled_by_telemetry(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await observed(world, osd(model=None))
            await observed(world, osd(model="0-100-1"))
            await observed(world, osd(model="0-100-0"))
            device = world.directory.device(BIRD1)
            assert device is not None
            assert device.model_key == "0-100-1"

    asyncio.run(scenario())


def test_the_last_word_counts_when_telemetry_comes_faster_than_it_is_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            topic = device_topic(DOCK1, Kind.OSD)
            for sn, online in ((BIRD1, 1), (BIRD2, 1), (BIRD2, 0), (BIRD1, 0), (BIRD2, 1)):
                world.dispatcher.observe(world.identity(), topic, osd(sn, online=online))
            assert len([task for task in asyncio.all_tasks() if task.get_name() == "learn aircraft"]) == 1
            await settled(world)
            assert world.presence.is_online(BIRD2)

    asyncio.run(scenario())


def test_a_refused_aircraft_is_asked_for_again_after_a_while(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await learn(world.services, world.identity(DOCK2), DOCK2, [Aircraft(BIRD1)])
            await observed(world, osd())
            assert world.directory.gateway_of(BIRD1) == DOCK2
            assert not world.presence.is_online(BIRD1)
            # the operator's mend
            await world.store.write(devices.forget, BIRD1)
            world.directory.remove_device(BIRD1)
            world.clock.now += topology.AGAIN_MS - 1
            await observed(world, osd())
            assert world.directory.gateway_of(BIRD1) is None
            world.clock.now += 1
            await observed(world, osd())
            assert world.directory.gateway_of(BIRD1) == DOCK1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not JSON with sub_device",
        b'{"data":{"sub_device":null}}',
        b'{"data":{"sub_device":[]}}',
        b'{"data":{"sub_device":{}}}',
        b'{"data":{"x":1}}',
        osd(7),
        osd(""),
    ],
)
def test_telemetry_that_names_no_aircraft_teaches_nothing(payload: bytes, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            world.dispatcher.observe(world.identity(), device_topic(DOCK1, Kind.OSD), payload)
            assert not learning(world)

    asyncio.run(scenario())


def test_only_a_dock_s_own_osd_is_listened_to(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await observed(world, osd(), sn=BIRD2)
            await observed(world, osd(), sn=DOCK2)
            await observed(world, osd(), kind=Kind.STATE)
            service = replace(world.identity(), role=Role.SERVICE)
            world.dispatcher.observe(service, device_topic(DOCK1, Kind.OSD), osd())
            world.dispatcher.observe(world.identity(), "elsewhere", osd())
            assert not learning(world)
            assert world.directory.gateway_of(BIRD1) is None

    asyncio.run(scenario())


def test_an_sn_that_is_none_is_refused_and_nothing_fails(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await observed(world, osd("a/+/#"))
            assert ("attach", "a/+/#", "refused", "bad_sn") in await world.audited()

    asyncio.run(scenario())


def test_a_database_that_is_locked_is_survived_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, busy_timeout_ms=10) as world:
            with closing(sqlite3.connect(world.store.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await observed(world, osd())
                other.execute("ROLLBACK")
            assert world.directory.gateway_of(BIRD1) is None
            assert "an aircraft cannot be recorded" in caplog.text
            world.clock.now += topology.AGAIN_MS
            await observed(world, osd())
            assert world.directory.gateway_of(BIRD1) == DOCK1

    asyncio.run(scenario())
