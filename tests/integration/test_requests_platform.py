"""What the gateway has no answer to: left to a service that listens, byte for byte; never left without any answer (cases 16)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import aiomqtt
import pytest

from gateway.simulator import SimulatedDock
from gateway.topics import Kind, device_topic

from .test_requests import dock_of, profile_of
from .town import DOCK_A, Lines, Town, settle, until

REQUESTS = device_topic(DOCK_A, Kind.REQUESTS)
REPLY = f"{REQUESTS}_reply"
METHODS = ("storage_config_get", "flighttask_resource_get", "flighttask_progress_get", "a_method_of_tomorrow")
LIMIT_S = 0.4
REFUSED = {"result": 200001, "output": {}}


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def make(installation: Any, serve: Any) -> Callable[..., Town]:
    def town(**requests: Any) -> Town:
        installation.configure(
            lambda settings: settings["dockgate"]["requests"].update({"handler_timeout_s": LIMIT_S, **requests})
        )
        installation.license()
        return settle(installation, serve)

    return town


def raw(method: str, tid: str = "p-1", **other: Any) -> bytes:
    """As a device writes it: blanks, key order and all."""
    body = {"bid": "flight 7", "data": {"module": 0}, "tid": tid, "method": method, "timestamp": 1, "x": None, **other}
    return json.dumps(body, indent=1).encode()


def client(town: Town, name: str, *, version: int = 4) -> aiomqtt.Client:
    protocol = aiomqtt.ProtocolVersion.V5 if version == 5 else aiomqtt.ProtocolVersion.V311
    return aiomqtt.Client(
        town.gateway.host, town.gateway.port(), username=name, password=town.passwords[name], identifier=f"{name}-aio",
        protocol=protocol,
    )  # fmt: skip


def asked(dock: SimulatedDock, payload: bytes) -> Coroutine[Any, Any, dict[str, Any]]:
    """Ask in a thread, so that the service can answer meanwhile."""
    return asyncio.to_thread(lambda: dock.reply(dock.send_raw(dock.requests_topic, payload), strict=False))


@pytest.mark.case(16)
@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
@pytest.mark.parametrize("name", ["service-a", "service-all"])
def test_a_listening_service_answers(make: Any, keep: Any, name: str, version: int) -> None:
    town = make(neutral_answers=False)
    dock = keep(dock_of(town, profile_of(town), protocol=version))

    async def scenario() -> None:
        async with client(town, name, version=version) as service:
            await service.subscribe("thing/product/+/requests", qos=1)
            incoming = aiter(service.messages)
            for number, method in enumerate((*METHODS, "flight_areas_get", "offline_map_get")):
                payload = raw(method, tid=f"p-{number}")
                waiting = asyncio.ensure_future(asked(dock, payload))  # noqa: TID251 - a test has no gateway.tasks
                message = await anext(incoming)
                assert (str(message.topic), message.payload) == (REQUESTS, payload)
                answer = {"tid": f"p-{number}", "bid": "flight 7", "method": method, "timestamp": 1767225600000,
                          "data": {"result": 0, "output": {"from": "platform"}}}  # fmt: skip
                await service.publish(REPLY, json.dumps(answer), qos=1)
                assert await waiting == answer

    asyncio.run(scenario())
    # answered: no refusal comes later
    until(town.gateway, lambda: len(town.gateway.runtime.dispatcher._forwarded) == 0)
    dock.publish(REQUESTS, raw("config", tid="fence", data={}))
    assert json.loads(dock.expect(REPLY).payload)["tid"] == "fence"


@pytest.mark.case("C22")
@pytest.mark.case("C23")
@pytest.mark.parametrize("listens", ["nobody", "another organization", "observer", "service that is gone", "refuse"])
def test_without_a_platform_it_is_refused_at_once(make: Any, keep: Any, listens: str) -> None:
    town = make(unanswered="refuse" if listens == "refuse" else "platform", handler_timeout_s=30.0)
    if listens == "another organization":
        reader = keep(town.login("service-b"))
        reader.subscribe("#")
    elif listens == "observer":  # hears everything and can answer nothing
        reader = keep(town.login("observer-all"))
        reader.subscribe("#")
    elif listens == "service that is gone":
        reader = town.login("service-a", clean=False)
        reader.subscribe("#")
        reader.drop()
        until(town.gateway, lambda: not town.gateway.broker.table.get("service-a-client").connected)
    elif listens == "refuse":
        reader = keep(town.login("service-a"))
        reader.subscribe("#")
    dock = keep(dock_of(town, profile_of(town)))
    for method in METHODS:
        started = time.monotonic()
        assert dock.reply(dock.send_raw(REQUESTS, raw(method)))["data"] == REFUSED
        assert time.monotonic() - started < 2


@pytest.mark.case("C23")
def test_a_service_that_never_answers_is_given_its_time(make: Any, keep: Any) -> None:
    town = make()
    reader = keep(town.login("service-a"))
    reader.subscribe("thing/product/+/requests")
    dock = keep(dock_of(town, profile_of(town)))
    second = keep(town.login("dock-a", client_id="second"))
    second.subscribe(REPLY)
    for method in METHODS:
        started = time.monotonic()
        with Lines() as lines:
            reply = dock.reply(dock.send_raw(REQUESTS, raw(method, tid=method)), strict=False)
        assert reply["data"] == REFUSED
        assert LIMIT_S - 0.05 < time.monotonic() - started < LIMIT_S + 2
        assert reader.receive().payload == raw(method, tid=method)
        assert lines.found("no service answered")
    # asked again within the time it is passed on once
    dock.send_raw(REQUESTS, raw(METHODS[0], tid="again"))
    dock.send_raw(REQUESTS, raw(METHODS[0], tid="again", timestamp=2))
    assert json.loads(dock.expect(REPLY).payload)["tid"] == "again"
    dock.publish(REQUESTS, raw("config", tid="fence", data={}))
    assert json.loads(dock.expect(REPLY).payload)["tid"] == "fence"
    reader.ping()
    assert [got.payload for got in reader.inbox] == [raw(METHODS[0], tid="again")]
    second.ping()
    assert not second.inbox


@pytest.mark.case("C49")
def test_a_second_answer_is_noticed(make: Any, keep: Any) -> None:
    town = make()
    reader = keep(town.login("service-a"))
    reader.subscribe("thing/product/+/requests")
    other = keep(town.login("service-all"))
    dock = keep(dock_of(town, profile_of(town)))
    sent = dock.send_raw(REQUESTS, raw(METHODS[0]))
    reader.receive()
    answer = json.dumps({"tid": "p-1", "bid": "flight 7", "method": METHODS[0], "timestamp": 1, "data": {"result": 0}})
    reader.publish(REPLY, answer.encode())
    assert dock.reply(sent, strict=False)["data"] == {"result": 0}
    with Lines() as lines:
        other.publish(REPLY, answer.encode())
        assert lines.wait("second answer").sn == DOCK_A
    assert town.gateway.ask(lambda: town.gateway.broker.metrics.requests.foreign) == 1


def test_a_service_asks_a_dock_and_is_answered(make: Any, keep: Any) -> None:
    """The other direction: services, properties and DRC pass through unchanged."""
    town = make()
    dock = keep(dock_of(town, profile_of(town)))
    dock.subscribe([device_topic(DOCK_A, Kind.DRC_DOWN)])

    async def scenario() -> None:
        async with client(town, "service-a") as service:
            await service.subscribe("thing/product/+/services_reply", qos=1)
            await service.subscribe("thing/product/+/property/set_reply", qos=1)
            await service.subscribe("thing/product/+/drc/up", qos=0)
            incoming = aiter(service.messages)
            for down, up in (
                (Kind.SERVICES, Kind.SERVICES_REPLY),
                (Kind.PROPERTY_SET, Kind.PROPERTY_SET_REPLY),
                (Kind.DRC_DOWN, Kind.DRC_UP),
            ):
                payload = raw(f"to {down.value}")
                await service.publish(device_topic(DOCK_A, down), payload, qos=1)
                got = await asyncio.to_thread(dock.expect, device_topic(DOCK_A, down))
                assert got.payload == payload
                await asyncio.to_thread(dock.publish, device_topic(DOCK_A, up), payload)
                message = await anext(incoming)
                assert (str(message.topic), message.payload) == (device_topic(DOCK_A, up), payload)

    asyncio.run(scenario())
