"""Presence: connections and what they publish -> who is connected and online, and the events that services hear."""

from __future__ import annotations

import json

import pytest

from tests.integration.lasting import served, wait_until
from tests.integration.octets import Octets, puback, publish

from .stage import BIRD, SN, Stage, hear, next_message, topology

OSD, BIRD_OSD = f"thing/product/{SN}/osd", f"thing/product/{BIRD}/osd"
EVENTS = f"dockgate/events/{SN}"


def connected(stage: Stage, sn: str = SN) -> bool:
    return stage.gateway.ask(lambda: stage.gateway.runtime.presence.is_connected(sn))


def online(stage: Stage, sn: str = SN) -> bool:
    return stage.gateway.ask(lambda: stage.gateway.runtime.presence.is_online(sn))


def until_gone(stage: Stage, sn: str = SN) -> None:
    wait_until(stage.gateway, lambda: not stage.gateway.runtime.presence.is_connected(sn))


@pytest.fixture
def witness(stage: Stage) -> Octets:
    client = stage.client("platform", "witness")
    hear(client, EVENTS)
    return client


def event(witness: Octets) -> tuple[str, str | None]:
    """The next one, and the device that it is about where it says so."""
    body = next_message(witness).body
    assert body["sn"] == SN
    return body["event"], body.get("device_sn")


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_dock_is_connected_as_long_as_its_connection(stage: Stage, witness: Octets, goodbye: bool) -> None:
    assert not connected(stage)
    dock = stage.client("dock-a")
    assert connected(stage)
    assert event(witness) == ("connected", None)
    if goodbye:
        dock.close()
    else:
        dock.drop()
    assert event(witness) == ("disconnected", None)
    assert not connected(stage)


def test_a_login_that_is_refused_connects_nobody(stage: Stage) -> None:
    assert stage.socket().login("client", "dock-a", "wrong")[3] == 4
    assert not connected(stage)


def test_a_dock_with_two_connections_is_gone_with_the_last(stage: Stage, witness: Octets) -> None:
    one, other = stage.client("dock-a", "one"), stage.client("dock-a", "other")
    assert event(witness) == ("connected", None)
    one.close()
    wait_until(stage.gateway, lambda: stage.gateway.broker.table.get("one") is None)
    assert connected(stage)
    other.drop()
    assert event(witness) == ("disconnected", None)


@pytest.mark.parametrize("clean", [True, False])
def test_after_a_take_over_a_dock_is_still_connected(stage: Stage, clean: bool) -> None:
    old = stage.client("dock-a", clean=clean)
    new = stage.client("dock-a", clean=clean, present=not clean)
    assert old.until_closed() == b""
    assert new.is_silent()
    assert connected(stage)
    new.close()
    until_gone(stage)


def test_a_session_that_waits_for_its_client_is_not_connected(stage: Stage) -> None:
    stage.client("dock-a", clean=False).drop()
    until_gone(stage)
    stage.client("dock-a", clean=False, present=True)
    assert connected(stage)


@pytest.mark.parametrize("kind", ["osd", "state", "events"])
def test_telemetry_brings_a_dock_online(stage: Stage, witness: Octets, kind: str) -> None:
    dock = stage.client("dock-a")
    assert not online(stage)
    assert dock.answers(publish(f"thing/product/{SN}/{kind}", b'{"data":{}}', qos=1)) == puback()
    assert online(stage)
    assert [event(witness) for _ in range(2)] == [("connected", None), ("online", SN)]
    dock.drop()
    assert [event(witness) for _ in range(2)] == [("offline", SN), ("disconnected", None)]
    assert not online(stage)


@pytest.mark.parametrize("kind", ["requests", "services_reply", "drc/up"])
def test_what_is_no_telemetry_does_not(stage: Stage, kind: str) -> None:
    dock = stage.client("dock-a")
    dock.answers(publish(f"thing/product/{SN}/{kind}", b"{}", qos=1))
    assert not online(stage)


def test_a_topology_brings_dock_and_aircraft_online_and_takes_the_aircraft_off(stage: Stage, witness: Octets) -> None:
    dock = stage.client("dock-a")
    assert event(witness) == ("connected", None)
    for children, told in (((BIRD,), [("online", SN), ("online", BIRD)]), ((), [("offline", BIRD)])):
        dock.send(topology(SN, *children))
        assert next_message(dock).body["data"] == {"result": 0}
        assert [event(witness) for _ in told] == told
        assert online(stage, BIRD) is bool(children)
    assert online(stage)


def test_telemetry_names_the_aircraft_without_a_topology(stage: Stage, witness: Octets) -> None:
    """docs/protocol.md 2: it may come first after a restart."""
    dock = stage.client("dock-a")
    sub_device = {"device_sn": BIRD, "device_model_key": "0-91-0", "device_online_status": 1, "device_paired": 1}
    dock.send(publish(OSD, json.dumps({"data": {"sub_device": sub_device}}).encode()))
    told = {event(witness) for _ in range(3)}
    assert told == {("connected", None), ("online", SN), ("online", BIRD)}
    assert dock.answers(publish(BIRD_OSD, b'{"data":{}}', qos=1)) == puback()
    platform = stage.client("platform")
    hear(platform, BIRD_OSD)
    dock.send(publish(BIRD_OSD, b"{}"))
    assert next_message(platform).topic == BIRD_OSD


def test_a_publish_that_is_denied_says_nothing(stage: Stage) -> None:
    stage.client("dock-a")
    other = stage.client("dock-b")
    assert other.answers(publish(OSD, b'{"data":{}}', qos=1)) == puback()
    assert not online(stage)


def test_an_account_that_gets_its_sn_later_is_connected_from_then_on(stage: Stage) -> None:
    stage.account("newcomer", "dock")
    sn = "8UUXN7N00A00NE"
    dock = stage.client("newcomer")
    assert not connected(stage, sn)
    dock.answers(publish(f"sys/product/{sn}/status", b'{"method":"nothing"}', qos=1))
    assert connected(stage, sn)
    dock.close()
    until_gone(stage, sn)


def test_services_are_no_docks(stage: Stage) -> None:
    platform = stage.client("platform")
    platform.answers(publish(f"thing/product/{SN}/services", b"{}", qos=1))
    assert stage.gateway.ask(stage.gateway.runtime.presence.snapshot)["docks_connected"] == 0


def test_when_the_gateway_has_ended_nobody_is_there(stage: Stage) -> None:
    login = stage.logins["dock-a"]
    with served(stage.installation) as gateway, Octets(gateway.port()) as dock:
        dock.login("dock", login.account, login.password)
        assert dock.answers(publish(OSD, b'{"data":{}}', qos=1)) == puback()
        gateway.call(gateway.runtime.presence.flush())
        assert stage.installation.dockgate("dock", "show", SN)["online"] is True
    assert stage.installation.dockgate("dock", "show", SN)["online"] is False
