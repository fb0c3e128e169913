"""Who may publish and who receives is remembered while the rules are the same; a change of them is obeyed with the next message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.topics import Kind, device_topic

from .process import dockgate
from .test_requests import dock_of, profile_of
from .town import BIRD_A, DOCK_A, Town, settle, until
from .wire import Wire

OSD = device_topic(DOCK_A, Kind.OSD)


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def town(installation: Any, serve: Any) -> Town:
    installation.license()
    return settle(installation, serve)


def hears(reader: Wire, dock: Any, topic: str = OSD) -> bool:
    """Whether a message on ``topic`` reaches ``reader``, who can hear the dock's status in any case."""
    dock.publish(topic, b"asked")
    dock.publish(device_topic(DOCK_A, Kind.EVENTS), b"fence")
    return b"asked" in [got.payload for got in reader.receive_until(b"fence")]


def test_a_binding_that_ends_takes_the_telemetry_away(town: Town, keep: Any) -> None:
    dock = keep(town.login("dock-new"))
    sn = "7CTDM7100B00NW"
    all_of_it, own = keep(town.login("service-all")), keep(town.login("service-a"))
    osd, requests = device_topic(sn, Kind.OSD), device_topic(sn, Kind.REQUESTS)
    for reader in (all_of_it, own):
        reader.subscribe("thing/product/+/osd")
    dock.subscribe(f"{requests}_reply")  # it is this dock from now on
    wish = {
        "sn": sn, "organization_id": town.installation.organization_id, "device_callsign": "x", "device_model_key": "3-2-0",
        "device_binding_code": town.installation.binding_code,
    }  # fmt: skip
    bind = {"tid": "t", "bid": "b", "method": "airport_organization_bind", "data": {"bind_devices": [wish]}}

    def heard_by_own(number: int) -> bool:
        for _ in range(3):  # the first is judged, the others are remembered
            dock.publish(osd, b"%d" % number, qos=0)
        dock.publish(osd, b"fence %d" % number, qos=0)
        all_of_it.receive_until(b"fence %d" % number)
        dock.ping()
        own.ping()
        found = any(got.payload == b"%d" % number for got in own.inbox)
        own.inbox.clear()
        return found

    assert not heard_by_own(1)
    dock.publish(requests, json.dumps(bind).encode())
    assert b'"err_code":0' in dock.receive().payload
    assert heard_by_own(2)
    dockgate(town.installation.config_file, "dock", "unbind", sn, "--yes")
    until(town.gateway, lambda: town.gateway.runtime.services.directory.device(sn).organization_id is None)
    assert not heard_by_own(3)


def test_an_aircraft_that_moves_away_is_refused_at_once(town: Town, keep: Any) -> None:
    dock = keep(dock_of(town, profile_of(town)))
    reader = keep(town.login("service-all"))
    reader.subscribe("thing/product/+/osd", "thing/product/+/events")
    bird = device_topic(BIRD_A, Kind.OSD)
    assert not hears(reader, dock, bird)
    dock.update_topo()
    assert [hears(reader, dock, bird) for _ in range(3)] == [True, True, True]
    town.gateway.ask(lambda: town.gateway.runtime.services.directory.remove_device(BIRD_A))
    assert not hears(reader, dock, bird)


def test_subscriptions_that_come_and_go_are_obeyed_at_once(town: Town, keep: Any) -> None:
    dock = keep(town.login("dock-a"))
    fence, wild, exact, group = (keep(town.login("service-all", client_id=name)) for name in "fwxg")
    fence.subscribe("thing/product/+/osd", "thing/product/+/events")

    def heard_by() -> list[str]:
        assert hears(fence, dock)
        for reader in (wild, exact, group):
            reader.ping()
        found = [name for name, reader in (("w", wild), ("x", exact), ("g", group)) if reader.inbox]
        for reader in (wild, exact, group):
            reader.inbox.clear()
        return found

    assert heard_by() == []
    wild.subscribe("thing/product/#")
    assert heard_by() == ["w"]
    exact.subscribe(OSD)
    assert heard_by() == ["w", "x"]
    group.subscribe("$share/g/thing/product/+/osd")
    assert heard_by() == ["w", "x", "g"]
    wild.drop()
    until(town.gateway, lambda: town.gateway.broker.table.get("w") is None)
    wild = keep(town.login("service-all", client_id="w"))
    assert heard_by() == ["x", "g"]
    exact.disconnect()
    until(town.gateway, lambda: town.gateway.broker.table.get("x") is None)
    exact = keep(town.login("service-all", client_id="x"))
    assert heard_by() == ["g"]
