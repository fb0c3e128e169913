"""Who is there, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.model import AccessStep, Role
from gateway.store import devices

from .presence_stage import BIRD, DOCK, HOME, OTHER_BIRD, OTHER_DOCK, identity, stage

# -- docks ---------------------------------------------------------------------------------------------------


@pytest.mark.case(1)
def test_a_dock_that_only_connects_is_seen_and_listed(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            assert at.told() == [("connected", DOCK)]
            at.clock.forward(1)
            await at.presence.flush()
            row = await at.row(DOCK)
            assert row.is_gateway
            assert row.access_step is AccessStep.CONNECTED
            assert not row.online
            assert row.last_seen_at == at.clock.now
            known = at.directory.device(DOCK)
            assert known is not None
            assert known.is_gateway

    asyncio.run(main())


def test_what_events_say(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.disconnected(1, reason="keepalive")
            stamp = {"sn": DOCK, "at": at.clock.now, "account": "dock"}
            assert at.messages == [
                {"event": "connected", "address": HOME, **stamp},
                {"event": "disconnected", "reason": "keepalive", **stamp},
            ]

    asyncio.run(main())


def test_telemetry_brings_a_dock_online_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.seen(DOCK)
            assert not at.presence.is_online(DOCK)
            at.told()
            for _ in range(3):
                at.presence.telemetry(DOCK)
            assert at.told() == [("online", DOCK, DOCK)]
            assert at.presence.is_online(DOCK)
            at.presence.disconnected(1)
            assert at.told() == [("offline", DOCK, DOCK), ("disconnected", DOCK)]
            assert not at.presence.is_online(DOCK)
            at.presence.connected(identity(), 2, HOME)
            assert not at.presence.is_online(DOCK)
            at.presence.telemetry(DOCK)
            assert at.told() == [("connected", DOCK), ("online", DOCK, DOCK)]

    asyncio.run(main())


def test_nobody_without_a_connection_is_online(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.telemetry(DOCK)
            at.presence.topology(DOCK, [BIRD])
            at.presence.sub_device(DOCK, BIRD, online=True)
            at.presence.sub_device(DOCK, BIRD, online=False)
            at.presence.disconnected("never seen")
            assert at.told() == []
            assert not at.presence.is_online(DOCK)
            assert not at.presence.is_online(BIRD)

    asyncio.run(main())


def test_a_second_connection_of_the_same_dock_is_the_same_dock(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), "main", HOME)
            at.presence.connected(identity(), "drc", HOME)
            at.presence.telemetry(DOCK)
            assert at.told() == [("connected", DOCK), ("online", DOCK, DOCK)]
            assert at.presence.snapshot()["docks_connected"] == 1
            assert at.presence.snapshot()["connections"]["dock"] == 2
            at.presence.disconnected("main")
            at.presence.disconnected("main")
            assert at.told() == []
            assert at.presence.is_online(DOCK)
            at.presence.disconnected("drc")
            assert at.told() == [("offline", DOCK, DOCK), ("disconnected", DOCK)]

    asyncio.run(main())


def test_a_connection_gets_its_sn_with_the_pin(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(sn=None), 1, HOME)
            assert at.told() == []
            at.presence.connected(identity(sn=DOCK), 1, HOME)
            assert at.told() == [("connected", DOCK)]
            at.presence.disconnected(1)
            assert at.told() == [("disconnected", DOCK)]

    asyncio.run(main())


def test_services_and_observers_are_connections_and_no_docks(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity("platform", sn=None, role=Role.SERVICE), 1, HOME)
            at.presence.connected(identity("eye", sn=None, role=Role.OBSERVER), 2, HOME)
            snapshot = at.presence.snapshot()
            assert snapshot["connections"] == {"total": 2, "dock": 0, "service": 1, "observer": 1}
            at.presence.disconnected(1)
            at.presence.disconnected(2)
            assert at.presence.snapshot()["connections"]["total"] == 0
            assert at.told() == []

    asyncio.run(main())


# -- steps ---------------------------------------------------------------------------------------------------


def test_the_steps_of_an_access(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            assert at.presence.step_of(DOCK) is AccessStep.SEEN
            at.presence.connected(identity(), 1, HOME)
            at.presence.step(DOCK, AccessStep.LICENSED)
            at.presence.step(DOCK, AccessStep.CONNECTED)  # never back
            await at.presence.flush()
            assert (await at.row(DOCK)).access_step is AccessStep.LICENSED
            await at.bind()
            assert at.presence.step_of(DOCK) is AccessStep.BOUND
            at.presence.telemetry(DOCK)
            await at.presence.flush()
            row = await at.row(DOCK)
            assert row.access_step is AccessStep.ONLINE
            assert row.online
            assert at.presence.snapshot()["docks"] == {
                "seen": 0,
                "connected": 0,
                "licensed": 0,
                "bound": 0,
                "online": 1,
            }
            at.presence.disconnected(1)
            await at.presence.flush()
            row = await at.row(DOCK)
            assert row.access_step is AccessStep.BOUND
            assert not row.online

    asyncio.run(main())


@pytest.mark.case(1)
def test_an_unbound_dock_that_sends_telemetry_is_online_but_not_through(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.telemetry(DOCK)
            await at.presence.flush()
            row = await at.row(DOCK)
            assert row.online
            assert row.access_step is AccessStep.CONNECTED
            await at.bind()
            assert at.presence.step_of(DOCK) is AccessStep.ONLINE

    asyncio.run(main())


def test_an_operator_unbinds_a_dock_that_is_online(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            await at.presence.flush()
            await at.bind()
            at.presence.telemetry(DOCK)
            at.told()
            await at.by_operator(devices.unbind, DOCK, 2)
            assert sorted(at.told()) == [("unbound", DOCK, BIRD), ("unbound", DOCK, DOCK)]
            assert at.presence.is_online(DOCK)
            await at.presence.flush()
            row = await at.row(DOCK)
            assert row.online
            assert row.organization_id is None
            assert row.access_step is AccessStep.LICENSED

    asyncio.run(main())


def test_an_operator_forgets_a_dock_that_is_connected(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.connected(identity("other", sn=OTHER_DOCK), 2, HOME)
            await at.presence.flush()
            at.presence.disconnected(2)
            await at.by_operator(devices.forget, DOCK)
            await at.by_operator(devices.forget, OTHER_DOCK)
            await at.presence.flush()
            assert (await at.row(DOCK)).is_gateway  # it is here
            assert [device.sn for device in await at.store.read(devices.list_all)] == [DOCK]
            assert sum(at.presence.snapshot()["docks"].values()) == 1

    asyncio.run(main())


# -- aircraft ------------------------------------------------------------------------------------------------


@pytest.mark.case(10)
def test_topology_says_which_aircraft_are_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.told()
            at.presence.topology(DOCK, [BIRD, OTHER_BIRD])
            assert at.told() == [("online", DOCK, DOCK), ("online", DOCK, BIRD), ("online", DOCK, OTHER_BIRD)]
            at.presence.topology(DOCK, [BIRD])
            assert at.told() == [("offline", DOCK, OTHER_BIRD)]
            at.presence.topology(DOCK, [])
            assert at.told() == [("offline", DOCK, BIRD)]
            assert at.presence.is_online(DOCK)
            assert not at.presence.is_online(BIRD)

    asyncio.run(main())


def test_the_docks_osd_says_whether_its_aircraft_is_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.told()
            for _ in range(3):
                at.presence.sub_device(DOCK, BIRD, online=True)
            for _ in range(3):
                at.presence.sub_device(DOCK, BIRD, online=False)
            assert at.told() == [("online", DOCK, BIRD), ("offline", DOCK, BIRD)]

    asyncio.run(main())


def test_a_dock_takes_its_aircraft_along_when_it_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            await at.presence.flush()
            await at.bind()
            at.presence.topology(DOCK, [BIRD])
            await at.presence.flush()
            assert (await at.row(BIRD)).online
            at.told()
            at.presence.disconnected(1)
            assert at.told() == [("offline", DOCK, BIRD), ("offline", DOCK, DOCK), ("disconnected", DOCK)]
            await at.presence.flush()
            assert not (await at.row(BIRD)).online
            assert at.metrics.fleet.aircraft_online == 0

    asyncio.run(main())


def test_an_aircraft_that_moves_is_on_at_one_dock_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            at.presence.connected(identity("other", sn=OTHER_DOCK), 2, HOME)
            at.presence.topology(DOCK, [BIRD])
            at.told()
            at.presence.sub_device(OTHER_DOCK, BIRD, online=True)
            assert at.told() == [("offline", DOCK, BIRD), ("online", OTHER_DOCK, BIRD)]
            at.presence.topology(DOCK, [])  # what the old dock says of it does not matter any more
            at.presence.disconnected(1)
            assert at.presence.is_online(BIRD)

    asyncio.run(main())


def test_telemetry_of_an_aircraft_shows_that_its_dock_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.presence.connected(identity(), 1, HOME)
            await at.presence.flush()
            await at.bind()
            for key in (2, 3):
                at.told()
                at.presence.telemetry(BIRD)
                assert at.told() == [("online", DOCK, DOCK)]  # whether the aircraft is on, says the dock
                at.presence.disconnected(key - 1)
                at.presence.connected(identity(), key, HOME)

    asyncio.run(main())
