"""What the setup requests do besides answering: events, access steps, audit, and what they must not tell."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.methods import METHODS, NEUTRAL_METHODS, PLATFORM_METHODS, STATUS_METHODS
from gateway.model import AccessStep
from gateway.store import audit, codes, devices
from gateway.topics import event_topic

from .dock_case import CONFIG, refused
from .dock_world import (
    BIRD1,
    CODE_A,
    CODE_B,
    CODE_FOR_DOCK2,
    CODE_LAPSED,
    CODE_ONCE,
    CODE_REVOKED,
    DOCK1,
    DOCK2,
    NOW,
    ORG_A,
    ORG_B,
    TEAM_A,
    license_of,
    opened,
    wish,
)


def test_the_tables_name_each_method_once() -> None:
    assert set(METHODS) == {
        "config",
        "airport_bind_status",
        "airport_organization_get",
        "airport_organization_bind",
        "flight_areas_get",
        "offline_map_get",
    }
    assert set(STATUS_METHODS) == {"update_topo"}
    assert set(METHODS) > NEUTRAL_METHODS
    assert not PLATFORM_METHODS & set(METHODS)


# -- config


def test_a_served_license_is_a_step_and_an_event_without_secrets(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, with_licenses=(license_of(ORG_B), license_of(None))) as world:
            await world.outcome(CONFIG)
            assert world.presence.step_of(DOCK1) is AccessStep.LICENSED
            assert world.told("license_served") == [
                {"event": "license_served", "sn": DOCK1, "at": NOW, "organization_id": None}
            ]
            assert world.events[-1][0] == event_topic(DOCK1)

    asyncio.run(scenario())


def test_a_missing_license_is_loud_once_a_minute_and_audited(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, with_licenses=(license_of(ORG_B),)) as world:
            for _ in range(5):
                assert await world.ask("config", {}) == refused(200001)
            assert world.presence.step_of(DOCK1) is AccessStep.CONNECTED
            (line,) = [r for r in caplog.records if r.levelname == "ERROR"]
            assert "dockgate license set" in line.message
            assert world.told("refused")[0]["reason"] == "license_missing"
            assert world.services.metrics.requests.answered.get("config", "200001") == 5
            world.clock.now += 60_000
            await world.ask("config", {})
            assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 2
            assert await world.audited() == [("config", DOCK1, "refused", "license_missing")] * 3

    asyncio.run(scenario())


@pytest.mark.parametrize("field", ["app_id", "app_key", "app_license"])
def test_a_license_with_an_empty_field_is_none(field: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            world.directory.apply_licenses([replace(license_of(None), **{field: ""})])
            assert await world.ask("config", {}) == refused(200001)

    asyncio.run(scenario())


def test_the_account_s_license_comes_before_the_one_of_the_binding(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, with_licenses=(license_of(ORG_A), license_of(ORG_B))) as world:
            assert await world.bind(DOCK1, code=CODE_B, organization_id=ORG_B) == [0]
            assert (await world.ask("config", {}))["app_key"] == "key-of-org-b"
            account = world.directory.account("dock-one")
            assert account is not None
            world.directory.apply_accounts([replace(account, organization_id=ORG_A)])
            assert (await world.ask("config", {}))["app_key"] == "key-of-org-a"

    asyncio.run(scenario())


# -- organization


@pytest.mark.parametrize("code", ["unknown", CODE_LAPSED, CODE_REVOKED, CODE_FOR_DOCK2, CODE_B])
def test_refusals_of_a_code_look_the_same_on_the_wire_and_differ_in_the_audit(code: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            ask = {"device_binding_code": code, "organization_id": ORG_A}
            assert await world.ask("airport_organization_get", ask) == refused(210230)
            assert await world.bind(DOCK1, code=code) == [210230]
            told, refused_bind = world.told("refused"), world.told("bind_refused")
            assert told[0]["reason"] == refused_bind[0]["reason"]
            reasons = {reason for action, *_, reason in await world.audited() if action in {"organization_get", "bind"}}
            assert reasons == {told[0]["reason"]}
            # a code is a secret of its organization: it stands in no event and in no audit entry
            if code != "unknown":
                entries = [entry.detail for entry in await world.store.read(audit.list_since)]
                assert code not in json.dumps([entries, world.events])

    asyncio.run(scenario())


def test_a_code_expires_while_the_gateway_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            ask = {"device_binding_code": CODE_ONCE, "organization_id": ORG_A}
            code = await world.store.read(codes.get, CODE_ONCE)
            assert code.expires_at is not None
            world.clock.now = code.expires_at - 1
            assert (await world.ask("airport_organization_get", ask))["result"] == 0
            world.clock.now = code.expires_at
            assert (await world.ask("airport_organization_get", ask))["result"] == 210230
            assert await world.bind(DOCK1, code=CODE_ONCE) == [210230]

    asyncio.run(scenario())


# -- bind


def test_a_bind_is_an_access_step_and_an_event_for_each_device(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await world.bind(BIRD1, DOCK1) == [0, 0]
            assert world.presence.step_of(DOCK1) is AccessStep.BOUND
            assert [(told["device_sn"], told["organization_id"]) for told in world.told("bound")] == [
                (BIRD1, ORG_A),
                (DOCK1, ORG_A),
            ]

    asyncio.run(scenario())


def test_binding_again_changes_nothing_and_tells_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await world.bind(DOCK1, BIRD1, code=CODE_ONCE) == [0, 0]
            assert await world.bind(DOCK1, BIRD1, code=CODE_ONCE) == [0, 0]
            assert len(world.told("bound")) == 2
            assert (await world.store.read(codes.get, CODE_ONCE)).uses_left == 0

    asyncio.run(scenario())


def test_a_code_that_was_used_up_by_a_bind_is_known_to_be_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await world.bind(DOCK1, code=CODE_ONCE) == [0]
            ask = {"device_binding_code": CODE_ONCE, "organization_id": ORG_A}
            assert (await world.ask("airport_organization_get", ask, dock=DOCK2))["result"] == 210230

    asyncio.run(scenario())


def test_two_docks_with_the_last_use_of_a_code(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            answers = await asyncio.gather(
                world.bind(DOCK1, code=CODE_ONCE), world.bind(DOCK2, code=CODE_ONCE, organization_id=ORG_A, dock=DOCK2)
            )
            assert sorted(answers) == [[0], [210230]]

    asyncio.run(scenario())


def test_a_refused_bind_is_told_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await world.bind(DOCK1)
            assert await world.bind(DOCK1, code=CODE_B, organization_id=ORG_B) == [210232]
            (told,) = world.told("bind_refused")
            assert (told["sn"], told["device_sn"], told["reason"]) == (DOCK1, DOCK1, "bound_elsewhere")
            (line,) = [record for record in caplog.records if record.message == "devices not bound"]
            assert (line.__dict__["sn"], line.__dict__["reason"]) == (DOCK1, ["bound_elsewhere"])

    asyncio.run(scenario())


def test_a_bind_of_many_devices_is_answered_in_their_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            sns = [*(f"BIRD{number:04}" for number in range(999)), DOCK1]
            assert await world.bind(*sns) == [0] * 1000
            assert len(await world.stored()) == 1000

    asyncio.run(scenario())


def test_a_bind_keeps_the_callsign_unless_it_brings_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await world.bind(DOCK1, callsign="Dock North")
            await world.bind(DOCK1)
            await world.bind(BIRD1, callsign="x" * 10_000)
            stored = {device.sn: device.callsign for device in await world.store.read(devices.list_all)}
            assert stored[DOCK1] == "Dock North"
            assert 0 < len(stored[BIRD1]) < 1000

    asyncio.run(scenario())


def test_numbers_of_an_operator_stand_in_err_code_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        numbers = {"organization_unavailable": 210229, "bound_elsewhere": 210231, "binding_failed": 210233}
        async with opened(tmp_path, result_codes=numbers) as world:
            await world.bind(DOCK1)
            assert await world.bind(DOCK1, code="wrong") == [210229]
            assert await world.bind(DOCK1, code=CODE_B, organization_id=ORG_B) == [210231]
            answer = await world.ask("airport_organization_bind", {"bind_devices": [wish(BIRD1, model_key="x")]})
            assert answer["output"]["err_infos"] == [{"sn": BIRD1, "err_code": 210233}]

    asyncio.run(scenario())


# -- bind status


def test_an_unbound_device_is_free_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await world.bind(DOCK1, BIRD1, callsign="North")
            ask = {"devices": [{"sn": BIRD1}]}
            answer = (await world.ask("airport_bind_status", ask))["output"]["bind_status"]
            assert answer[0]["organization_name"] == TEAM_A
            world.directory.apply_devices(await world.store.write(devices.unbind, DOCK1, NOW))
            answer = (await world.ask("airport_bind_status", ask))["output"]["bind_status"]
            assert answer == [
                {
                    "sn": BIRD1,
                    "is_device_bind_organization": False,
                    "organization_id": "",
                    "organization_name": "",
                    "device_callsign": "",
                }
            ]
            assert await world.bind(DOCK1, code=CODE_B, organization_id=ORG_B) == [0]

    asyncio.run(scenario())


def test_a_status_of_an_organization_that_is_unknown_by_now_has_no_null(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await world.bind(DOCK1)
            device = world.directory.device(DOCK1)
            assert device is not None
            world.directory.apply_devices([replace(device, organization_id="gone")])
            answer = (await world.ask("airport_bind_status", {"devices": [{"sn": DOCK1}]}))["output"]["bind_status"]
            assert (answer[0]["organization_id"], answer[0]["organization_name"]) == ("gone", "")

    asyncio.run(scenario())


# -- topology


def test_a_topology_brings_the_dock_and_its_aircraft_online(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await world.topo(BIRD1) == {"result": 0}
            assert world.presence.is_online(DOCK1)
            assert world.presence.is_online(BIRD1)
            assert await world.topo() == {"result": 0}
            assert world.presence.is_online(DOCK1)
            assert not world.presence.is_online(BIRD1)

    asyncio.run(scenario())


def test_a_dock_that_names_itself_or_another_dock_has_no_aircraft(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert await world.topo(DOCK1, DOCK2) == {"result": 0}
            assert world.services.metrics.fleet.aircraft_online == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"domain": "0", "type": 91, "sub_type": 1}, "0-91-1"),
        ({"domain": 0, "type": "91", "sub_type": "1"}, "0-91-1"),
        ({"domain": "0", "type": 65535, "sub_type": 65534}, "0-65535-65534"),
        ({"type": 91, "sub_type": 1}, ""),
        ({"domain": "0", "type": True, "sub_type": 1}, ""),
        ({"domain": "0", "type": 1.5, "sub_type": 1}, ""),
        ({"domain": "0", "type": -1, "sub_type": 1}, ""),
        ({"domain": "0", "type": "x" * 1000, "sub_type": None}, ""),
        ({"domain": "٣", "type": 1, "sub_type": 1}, ""),
    ],
)
def test_the_model_key_of_a_topology(model: dict[str, object], key: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await world.topo(BIRD1, model=model)
            stored = {device.sn: device.model_key for device in await world.store.read(devices.list_all)}
            assert stored == {DOCK1: "3-2-0", BIRD1: key}

    asyncio.run(scenario())


def test_a_topology_that_tells_no_model_keeps_the_known_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            await world.bind(DOCK1, BIRD1)
            await world.topo(BIRD1, model={})
            device = world.directory.device(BIRD1)
            assert device is not None
            assert device.model_key == "0-91-1"

    asyncio.run(scenario())


def test_a_full_access_from_a_new_dock_to_online(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, with_licenses=(license_of(None),)) as world:
            steps = [world.presence.step_of(DOCK1)]
            await world.ask("config", {})
            steps.append(world.presence.step_of(DOCK1))
            await world.ask("airport_bind_status", {"devices": [{"sn": DOCK1}]})
            ask = {"device_binding_code": CODE_A, "organization_id": ORG_A}
            assert (await world.ask("airport_organization_get", ask))["output"] == {"organization_name": TEAM_A}
            assert await world.bind(DOCK1, BIRD1) == [0, 0]
            steps.append(world.presence.step_of(DOCK1))
            await world.topo(BIRD1)
            steps.append(world.presence.step_of(DOCK1))
            assert steps == [AccessStep.CONNECTED, AccessStep.LICENSED, AccessStep.BOUND, AccessStep.ONLINE]

    asyncio.run(scenario())
