"""Docks ask and are answered, and nobody else hears it; however they repeat, hurry or garble what they say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from gateway.simulator import MODELS, DockProfile, SimulatedDock, Target, make_profile
from gateway.simulator.misbehave import GARBAGE
from gateway.topics import Kind, device_topic

from .town import BIRD_A, DOCK_A, Lines, Town, settle, until
from .wire import Wire

LICENSE_KEYS = (b"app_id", b"app_key", b"app_license")


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def town(installation: Any, serve: Any) -> Town:
    installation.license()
    return settle(installation, serve)


def profile_of(town: Town, name: str = "dock-a", sn: str = DOCK_A, bird: str | None = BIRD_A) -> DockProfile:
    profile = make_profile(
        MODELS["dock2"], account=name, password=town.passwords[name], organization_id=town.installation.organization_id,
        binding_code=town.installation.binding_code, sn=sn,
    )  # fmt: skip
    return replace(profile, aircraft_sn=bird)


def dock_of(town: Town, profile: DockProfile, *, client_id: str | None = None, protocol: int = 4) -> SimulatedDock:
    target = Target(town.gateway.host, town.gateway.port(), protocol=protocol)  # type: ignore[arg-type]
    dock = SimulatedDock(target, profile, client_id=client_id)
    dock.connect()
    dock.subscribe()
    return dock


def config(tid: str) -> bytes:
    data = {"config_type": "json", "config_scope": "product"}
    return json.dumps({"tid": tid, "bid": "b", "timestamp": 1, "method": "config", "data": data}).encode()


REPLY = f"{device_topic(DOCK_A, Kind.REQUESTS)}_reply"


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("protocol", [4, 5], ids=["3.1.1", "5"])
def test_a_license_goes_to_the_connection_that_asked(town: Town, keep: Any, qos: int, protocol: int) -> None:
    listeners = []
    for name in ("service-all", "service-a", "service-sys", "observer-a", "observer-all"):
        reader = keep(town.login(name, client_id=f"{name}-reads", version=protocol))
        reader.subscribe("#", "thing/product/#", "thing/product/+/+", qos=qos)
        assert min(reader.subscribe(REPLY, "$share/g/" + REPLY, qos=qos)) >= 0x80
        listeners.append(reader)
    # a second and a third connection of the dock's own account, as a DRC link is
    second = keep(town.login("dock-a", client_id="second", version=protocol))
    absent = town.login("dock-a", client_id="absent", version=protocol, clean=False, expiry_s=600)
    for own in (second, absent):
        assert own.subscribe(REPLY, qos=qos) == [qos]
    absent.drop()
    listeners.append(second)
    dock = keep(dock_of(town, profile_of(town), protocol=protocol))
    for number in range(3):
        asked = dock.send_raw(dock.requests_topic, config(f"c-{number}"), qos=qos)
        assert dock.reply(asked)["data"]["app_key"]
    # the gateway's fence: an event that all of them get, after the replies
    dock.send_raw(device_topic(DOCK_A, Kind.OSD), b"fence")
    for reader in listeners[:-1]:
        before = reader.receive_until(b"fence")
        assert not [got for got in before if any(key in got.payload for key in LICENSE_KEYS)]
        assert {got.topic for got in before} <= {f"dockgate/events/{DOCK_A}"}  # the request was not passed on either
    second.ping()
    assert not second.inbox
    back = keep(town.wire(version=protocol))
    assert back.login("absent", "dock-a", town.passwords["dock-a"], clean=False, expiry_s=600).present
    back.ping()
    assert not back.inbox
    assert dock.waiting(REPLY) == ()
    assert town.gateway.ask(lambda: len(town.gateway.broker.delivery.retained)) == 0


def test_an_answer_follows_its_own_session_only(town: Town, keep: Any) -> None:
    """A dock that hangs up before the answer: nobody else gets it, and the next connection under its id neither."""
    first = town.login("dock-a", client_id="link")
    first.subscribe(REPLY)
    first.send_publish(device_topic(DOCK_A, Kind.REQUESTS), config("c-1"), qos=0)
    first.drop()
    until(town.gateway, lambda: town.gateway.broker.table.get("link") is None)
    again = keep(town.login("dock-a", client_id="link"))
    again.subscribe(REPLY)
    again.ping()
    assert not again.inbox
    # a lasting session gets its answer when the dock is back
    lasting = town.login("dock-a", client_id="lasting", clean=False)
    lasting.subscribe(REPLY)
    lasting.send_publish(device_topic(DOCK_A, Kind.REQUESTS), config("c-2"), qos=0)
    lasting.drop()
    until(town.gateway, lambda: not town.gateway.broker.table.get("lasting").connected)
    back = keep(town.wire())
    assert back.login("lasting", "dock-a", town.passwords["dock-a"], clean=False).present
    assert json.loads(back.receive().payload)["tid"] == "c-2"


@pytest.mark.case(14)
@pytest.mark.case("C27")
def test_the_same_request_five_times_at_once_is_done_once(town: Town, keep: Any) -> None:
    installation = town.installation
    words = ("org", "code", "add", installation.organization_id, "--uses", "1")
    code = installation.dockgate(*words)["binding_code"]
    profile = replace(profile_of(town), binding_code=code)
    until(town.gateway, lambda: town.gateway.runtime.services.directory.code(code))
    links = [keep(dock_of(town, profile, client_id=f"link-{number}")) for number in range(3)]
    wish = {"organization_id": profile.organization_id, "device_binding_code": code, "device_callsign": "Dock",
            "sn": DOCK_A, "device_model_key": "3-2-0"}  # fmt: skip
    bind = {"bind_devices": [wish, {**wish, "sn": BIRD_A, "device_model_key": "0-91-1", "device_callsign": "Bird"}]}
    start = threading.Barrier(len(links))

    def ask(dock: SimulatedDock) -> list[dict[str, Any]]:
        start.wait(5)
        body = {"tid": "same", "bid": "b", "timestamp": 1, "method": "airport_organization_bind", "data": bind}
        asked = [dock.send(dock.requests_topic, body, qos=0) for _ in range(5)]
        return [dock.reply(each) for each in asked]

    with ThreadPoolExecutor(len(links)) as pool:
        replies = [reply["data"] for found in pool.map(ask, links) for reply in found]
    assert len(replies) == 15
    good = {"result": 0, "output": {"err_infos": [{"sn": DOCK_A, "err_code": 0}, {"sn": BIRD_A, "err_code": 0}]}}
    assert replies == [good] * 15
    listed = installation.dockgate("org", "code", "list", installation.organization_id)
    assert next(each for each in listed if each["binding_code"] == code)["uses_left"] == 0
    town.gateway.call(town.gateway.runtime.services.audit.close())
    bound = [
        (each["target"], each["outcome"]) for each in installation.dockgate("audit", "list") if each["action"] == "bind"
    ]
    assert sorted(bound) == [(BIRD_A, "ok"), (DOCK_A, "ok")]
    # an unusual tid is a tid all the same, and another question with the same tid another question
    status = links[0].request("airport_bind_status", {"devices": [{"sn": DOCK_A}]}, tid="same")
    assert status["data"]["output"]["bind_status"][0]["is_device_bind_organization"] is True


def test_pipelined_requests_are_answered_in_their_order(town: Town, keep: Any) -> None:
    dock = keep(town.login("dock-a"))
    dock.subscribe(REPLY)
    wish = {"organization_id": town.installation.organization_id, "device_binding_code": town.installation.binding_code,
            "device_callsign": "Dock", "sn": DOCK_A, "device_model_key": "3-2-0"}  # fmt: skip
    methods: list[tuple[str, Any]] = [
        ("airport_organization_bind", {"bind_devices": [wish]}),  # waits for the disk
        ("config", {}),  # does not
        ("airport_bind_status", {"devices": [{"sn": DOCK_A}]}),
        ("offline_map_get", None),
        ("no_such_method", {}),
    ]
    sent = []
    for number in range(200):
        method, data = methods[number % len(methods)]
        sent.append((f"t-{number}", method))
        body = {"tid": f"t-{number}", "bid": "b", "timestamp": 1, "method": method, "data": data}
        dock.send_publish(
            device_topic(DOCK_A, Kind.REQUESTS), json.dumps(body).encode(), qos=number % 2, packet_id=number + 1
        )
    replies = [json.loads(dock.receive().payload) for _ in sent]
    answered_here = [each for each in sent if each[1] != "no_such_method"]
    got = [(reply["tid"], reply["method"]) for reply in replies]
    assert [each for each in got if each[1] != "no_such_method"] == answered_here
    assert sorted(got) == sorted(sent)
    # what was bound by the first request is known to the status request behind it
    first_status = next(reply for reply in replies if reply["method"] == "airport_bind_status")
    assert first_status["data"]["output"]["bind_status"][0]["is_device_bind_organization"] is True


@pytest.mark.case(17)
@pytest.mark.parametrize(
    "topic_kind", [Kind.REQUESTS, Kind.STATUS, Kind.EVENTS, Kind.STATE, Kind.OSD], ids=lambda k: k.value
)
def test_garbage_moves_nothing(town: Town, keep: Any, topic_kind: Kind) -> None:
    dock = keep(dock_of(town, profile_of(town)))
    watcher = keep(town.login("service-a", client_id="watcher"))
    watcher.subscribe(device_topic(DOCK_A, topic_kind))
    topic = device_topic(DOCK_A, topic_kind)
    # "huge" is more than a packet may have, which ends the connection: see test_security_doors
    sent = [make()[:1_500_000] for make in GARBAGE.values()] * 3
    with Lines() as lines:
        for payload in sent:
            dock.publish(topic, payload)
        body = {"tid": "after", "bid": "b", "timestamp": 1, "method": "config", "data": {}}
        assert dock.reply(dock.send(dock.requests_topic, body))["data"]["app_id"] == "123456"
    unreadable = lines.found("cannot be read")
    assert len(unreadable) == (1 if topic_kind in {Kind.REQUESTS, Kind.STATUS} else 0)
    assert lines.found("(?i)traceback|unhandled|background task failed|could not be handled") == []
    assert not [record for record in lines.found("") if record.exc_info]
    if topic_kind in {Kind.EVENTS, Kind.STATE, Kind.OSD}:  # no business of ours: passed on as it is
        assert [watcher.receive().payload for _ in sent] == sent
    assert dock.is_open


@pytest.mark.case(4)
@pytest.mark.case("C3")
@pytest.mark.case("C31")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("protocol", [4, 5], ids=["3.1.1", "5"])
def test_telemetry_of_100_kilobytes_arrives_as_it_was(town: Town, keep: Any, qos: int, protocol: int) -> None:
    dock = keep(dock_of(town, profile_of(town), protocol=protocol))
    dock.update_topo()
    reader: Wire = keep(town.login("service-a", client_id="reads", version=protocol))
    reader.subscribe("thing/product/+/osd", "thing/product/+/state", "thing/product/+/events", qos=2)
    unknown = {"dongle_infos": [{"x": "y" * 100}] * 900, "wpmz_version": "1.9.9", "camera_watermark_settings": None}
    with Lines() as lines:
        for sn in (DOCK_A, BIRD_A):
            for kind in (Kind.OSD, Kind.STATE, Kind.EVENTS):
                payload = (
                    b' {"data" : ' + json.dumps(unknown).encode() + b',\n"gateway":"' + DOCK_A.encode() + b'" }\r\n'
                )
                dock.publish(device_topic(sn, kind), payload, qos=qos)
                got = reader.receive()
                assert (got.topic, got.payload, got.qos, got.retain) == (device_topic(sn, kind), payload, qos, False)
    assert lines.found("warning|error|cannot") == []


@pytest.mark.case("C28")
@pytest.mark.case("C29")
@pytest.mark.case("C30")
def test_what_wants_an_acknowledgement_gets_it_and_is_passed_on(town: Town, keep: Any) -> None:
    dock = keep(dock_of(town, profile_of(town)))
    dock.update_topo()
    dock.subscribe([device_topic(BIRD_A, Kind.STATE_REPLY), device_topic(BIRD_A, Kind.EVENTS_REPLY)])
    second = keep(town.login("dock-a", client_id="second"))
    second.subscribe(device_topic(DOCK_A, Kind.EVENTS_REPLY), device_topic(BIRD_A, Kind.STATE_REPLY))
    reader = keep(town.login("service-a", client_id="reads"))
    reader.subscribe("thing/product/+/+")
    asked = [
        dock.publish_event(tid="e-1"),
        dock.publish_state(tid="s-1"),  # the aircraft's
        dock.publish_state(sn=DOCK_A, tid="s-2"),
        dock.publish_state(tid="s-1"),  # sent again, same tid
        dock.publish_event("airsense_warning", data=[{"icao": "a"}], tid="e-2"),
    ]
    for each in asked:
        assert dock.reply(each)["data"] == {"result": 0}
    dock.publish_airsense(qos=1)  # wants none
    dock.publish_hms(qos=1)
    seen = [(got.topic, json.loads(got.payload)["tid"]) for got in (reader.receive() for _ in range(7))]
    assert [each[1] for each in seen[:5]] == ["e-1", "s-1", "s-2", "s-1", "e-2"]
    assert dock.waiting(device_topic(DOCK_A, Kind.EVENTS_REPLY)) == ()
    assert dock.waiting(device_topic(BIRD_A, Kind.EVENTS_REPLY)) == ()
    second.ping()
    assert not second.inbox  # an acknowledgement is for who asked for it
