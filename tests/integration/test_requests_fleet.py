"""Docks and aircraft over time: who is seen, online, bound and whose, as docks, services and operators get to see it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import DockgateError, RefusedError
from gateway.simulator import (
    MODELS,
    SimulatedDock,
    Target,
    TlsFiles,
    make_profile,
    number_profiles,
    run_dock,
    run_fleet,
)
from gateway.topics import Kind, device_topic, event_topic

from .process import Served, dockgate
from .test_requests import dock_of, profile_of
from .town import BIRD_A, BIRD_B, DOCK_A, DOCK_B, DOCK_NEW, RIVALS, Town, settle, until
from .wire import Wire

NEIGHBOUR = "7CTDM7100B00A2"


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def town(installation: Any, serve: Any) -> Town:
    installation.license()
    neighbour = installation.account("dock-a2", "dock", "--sn", NEIGHBOUR, "--org", installation.organization_id)
    free = installation.account("dock-free", "dock")
    made = settle(installation, serve)
    made.passwords.update({"dock-a2": neighbour.password, "dock-free": free.password})
    return made


def shown(town: Town, sn: str, **wanted: Any) -> dict[str, Any]:
    """``dock show``, once it says what is wanted: presence is written each second."""
    deadline = time.monotonic() + 5
    while True:
        found: dict[str, Any] = town.installation.dockgate("dock", "show", sn)
        if wanted.items() <= found.items():
            return found
        assert time.monotonic() < deadline, f"{found} never became {wanted}"


def events(reader: Wire, wanted: int) -> list[tuple[str, str]]:
    """The next events: what happened to which device."""
    found = []
    while len(found) < wanted:
        got = reader.receive()
        body = json.loads(got.payload)
        assert got.topic == event_topic(body["sn"])
        assert len(str(body["at"])) == 13
        found.append((body["event"], body.get("device_sn") or body["sn"]))
    return found


def may_speak_for(dock: SimulatedDock, reader: Wire, bird: str) -> bool:
    """Does what this dock says under an aircraft's SN get through?"""
    dock.publish(device_topic(bird, Kind.OSD), b"bird")
    dock.publish(device_topic(dock.profile.sn, Kind.OSD), b"fence")
    return b"bird" in [got.payload for got in reader.receive_until(b"fence")]


@pytest.mark.case(1)
@pytest.mark.case(10)
@pytest.mark.case("C1")
@pytest.mark.case("C2")
@pytest.mark.case("C38")
@pytest.mark.case("C46")
def test_a_dock_that_was_never_bound_is_seen(town: Town, keep: Any) -> None:
    profile = replace(profile_of(town, "dock-free", DOCK_NEW, BIRD_A), model=MODELS["unknown"])
    dock = keep(dock_of(town, profile))
    assert dock.update_topo()["data"] == {"result": 0}
    found = shown(town, DOCK_NEW, online=True)
    assert (found["bound"], found["organization_id"]) == (False, None)
    assert found["model_key"] == MODELS["unknown"].key
    assert found["first_seen"]
    assert found["last_seen"]
    assert [child["sn"] for child in found["children"] if child["online"]] == [BIRD_A]
    listed = town.installation.dockgate("dock", "list", "--unbound")
    assert DOCK_NEW in [each["sn"] for each in listed]
    # the aircraft leaves, the dock stays
    assert dock.update_topo(with_aircraft=False)["data"] == {"result": 0}
    shown(town, BIRD_A, online=False)
    assert shown(town, DOCK_NEW)["online"] is True
    # away, and back with nothing but its topology (cases 10)
    dock.drop()
    shown(town, DOCK_NEW, online=False)
    dock.connect()
    dock.subscribe()
    dock.update_topo()
    shown(town, DOCK_NEW, online=True)
    shown(town, BIRD_A, online=True)


def test_a_new_dock_is_told_of_before_what_it_asks(town: Town) -> None:
    """Its account gets its SN with its first packet, and the packet is no sooner answered than its connection is known."""
    assert run_dock(Target(town.gateway.host, town.gateway.port()), profile_of(town, "dock-free", DOCK_NEW)).ok
    deadline = time.monotonic() + 5
    told: list[str] = []
    while "disconnect" not in told:
        assert time.monotonic() < deadline, told
        told = [each["action"] for each in town.installation.dockgate("audit", "list", "--dock", DOCK_NEW)]
    assert told.index("connect") < told.index("config")
    (attempt,) = shown(town, DOCK_NEW)["attempts"]
    assert [step["step"] for step in attempt["steps"]][:2] == ["connect", "config"]


@pytest.mark.case("C43")
def test_a_dock_with_two_links_is_there_while_one_of_them_is(town: Town, keep: Any) -> None:
    dock = keep(dock_of(town, profile_of(town)))
    dock.update_topo()
    drc = keep(dock_of(town, profile_of(town), client_id=f"{DOCK_A}-1767225600000"))
    drc.publish(device_topic(DOCK_A, Kind.DRC_UP), b"{}")
    dock.close()
    presence = town.gateway.runtime.presence
    assert town.gateway.ask(lambda: presence.is_connected(DOCK_A))
    drc.close()
    until(town.gateway, lambda: not presence.is_connected(DOCK_A))


def test_a_service_is_told_what_happens_to_a_dock(town: Town, keep: Any) -> None:
    reader = keep(town.login("service-all"))
    reader.subscribe("dockgate/events/+")
    profile = profile_of(town)
    run = run_dock(Target(town.gateway.host, town.gateway.port()), profile)
    assert run.ok, run
    told = events(reader, 9)
    assert told == [
        ("connected", DOCK_A), ("license_served", DOCK_A), ("bound", DOCK_A), ("bound", BIRD_A),
        ("online", DOCK_A), ("online", BIRD_A), ("offline", BIRD_A), ("offline", DOCK_A), ("disconnected", DOCK_A),
    ]  # fmt: skip
    dockgate(town.installation.config_file, "dock", "unbind", DOCK_A, "--yes")
    assert sorted(events(reader, 2)) == [("unbound", BIRD_A), ("unbound", DOCK_A)]
    dock = keep(dock_of(town, profile))
    wrong = {"device_binding_code": "NO-SUCH-CODE", "organization_id": profile.organization_id}
    assert dock.request("airport_organization_get", wrong)["data"]["result"] == 210230
    wish = {**wrong, "device_callsign": "x", "sn": DOCK_A, "device_model_key": "3-2-0"}
    assert dock.request("airport_organization_bind", {"bind_devices": [wish]})["data"]["output"]["err_infos"][0][
        "err_code"
    ]
    assert events(reader, 3) == [("connected", DOCK_A), ("refused", DOCK_A), ("bind_refused", DOCK_A)]


@pytest.mark.case("C24")
@pytest.mark.case("C26")
def test_an_aircraft_is_learnt_from_telemetry_and_remembered(installation: Any, keep: Any) -> None:
    login = installation.account("dock-a", "dock", "--sn", DOCK_A)
    service = installation.account("service", "service")
    profile = make_profile(
        MODELS["dock3"], account="dock-a", password=login.password, organization_id="", binding_code="", sn=DOCK_A,
        aircraft_sn=BIRD_A,
    )  # fmt: skip

    def reader_of(gateway: Served) -> Wire:
        reader: Wire = keep(Wire(gateway.host, gateway.port()))
        assert reader.login("reads", "service", service.password).code == 0
        reader.subscribe("thing/product/+/osd", "thing/product/+/events", "dockgate/events/+")
        return reader

    with Served(installation.config_file).ready() as gateway:
        reader = reader_of(gateway)
        with SimulatedDock(Target(gateway.host, gateway.port()), profile) as dock:
            dock.connect()
            assert not may_speak_for(dock, reader, BIRD_A)
            dock.publish_osd(qos=1)  # names the aircraft; no update_topo at all
            deadline = time.monotonic() + 5
            while not may_speak_for(dock, reader, BIRD_A):
                assert time.monotonic() < deadline
            dock.publish_hms(qos=1)
            while reader.receive().topic != device_topic(BIRD_A, Kind.EVENTS):
                pass
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
    with Served(installation.config_file).ready() as gateway:  # after a restart it is known before anything is said
        reader = reader_of(gateway)
        with SimulatedDock(Target(gateway.host, gateway.port()), profile) as dock:
            dock.connect()
            assert may_speak_for(dock, reader, BIRD_A)


@pytest.mark.case("C45")
@pytest.mark.case("C25")
def test_an_aircraft_moves_within_its_organization_and_no_further(town: Town, keep: Any) -> None:
    reader = keep(town.login("service-all"))
    reader.subscribe("thing/product/+/osd")
    first = keep(dock_of(town, profile_of(town)))
    second = keep(dock_of(town, profile_of(town, "dock-a2", NEIGHBOUR)))
    rival = keep(dock_of(town, profile_of(town, "dock-b", DOCK_B)))
    free = keep(dock_of(town, profile_of(town, "dock-free", DOCK_NEW)))
    first.update_topo()
    first.subscribe([device_topic(BIRD_A, Kind.STATE_REPLY)])
    assert [may_speak_for(dock, reader, BIRD_A) for dock in (first, second, rival, free)] == [True, False, False, False]
    second.update_topo()  # it landed there
    assert [may_speak_for(dock, reader, BIRD_A) for dock in (first, second, rival, free)] == [False, True, False, False]
    assert shown(town, BIRD_A)["gateway_sn"] == NEIGHBOUR
    # the first one's subscription is a dead letter now
    speaker = keep(town.login("service-all", client_id="speaker"))
    speaker.publish(device_topic(BIRD_A, Kind.STATE_REPLY), b"for the second")
    speaker.publish(device_topic(DOCK_A, Kind.SERVICES), b"fence")
    assert first.expect(device_topic(DOCK_A, Kind.SERVICES)).payload == b"fence"
    assert first.waiting(device_topic(BIRD_A, Kind.STATE_REPLY)) == ()
    for thief in (rival, free):  # understood, and not believed
        assert thief.update_topo()["data"] == {"result": 0}
        thief.publish_osd(qos=1)
    assert [may_speak_for(dock, reader, BIRD_A) for dock in (first, second, rival, free)] == [False, True, False, False]
    town.gateway.call(town.gateway.runtime.services.audit.close())
    refused = {
        (each["actor"], each["target"])
        for each in town.installation.dockgate("audit", "list")
        if each["action"] == "attach"
    }
    assert refused == {("dock-b", BIRD_A), ("dock-free", BIRD_A)}
    # a dock is nobody's aircraft
    claim = {"sub_devices": [{"sn": DOCK_A, "domain": "0", "type": 91, "sub_type": 1}]}
    body = {"tid": "t", "bid": "b", "timestamp": 1, "method": "update_topo", "data": claim}
    assert rival.reply(rival.send(device_topic(DOCK_B, Kind.STATUS), body))["data"] == {"result": 0}
    assert not may_speak_for(rival, reader, DOCK_A)


@pytest.mark.case(11)
@pytest.mark.case(13)
@pytest.mark.case("C13")
def test_a_dock_belongs_to_one_organization_until_it_is_unbound(town: Town, keep: Any) -> None:
    file = town.installation.config_file
    rival_code = dockgate(file, "org", "code", "add", RIVALS)["binding_code"]
    dock = keep(dock_of(town, profile_of(town, "dock-free", DOCK_NEW, BIRD_B)))
    home = {"device_binding_code": town.installation.binding_code, "organization_id": town.installation.organization_id}
    away = {"device_binding_code": rival_code, "organization_id": RIVALS}

    def bind(words: dict[str, str]) -> list[int]:
        wishes = [
            {**words, "device_callsign": sn, "sn": sn, "device_model_key": key}
            for sn, key in ((DOCK_NEW, "3-1-0"), (BIRD_B, "0-67-1"))
        ]
        reply = dock.request("airport_organization_bind", {"bind_devices": wishes})
        assert reply["data"]["result"] == 0
        return [info["err_code"] for info in reply["data"]["output"]["err_infos"]]

    until(town.gateway, lambda: town.gateway.runtime.services.directory.code(rival_code))
    reader = keep(town.login("service-b"))
    reader.subscribe("#")
    assert bind(home) == [0, 0]
    assert bind(away) == [210232, 210232]
    assert bind({**home, "organization_id": RIVALS}) == [210230, 210230]
    assert DOCK_NEW not in [each["sn"] for each in dockgate(file, "dock", "list", "--org", RIVALS)]
    assert dockgate(file, "dock", "show", DOCK_NEW)["organization_id"] == town.installation.organization_id
    dock.publish_osd(qos=1)
    reader.ping()
    assert not reader.inbox  # it is none of the rivals'
    assert sorted(dockgate(file, "dock", "unbind", DOCK_NEW, "--yes")["unbound"]) == sorted([DOCK_NEW, BIRD_B])
    until(town.gateway, lambda: town.gateway.runtime.services.directory.organization_of(DOCK_NEW) is None, within_s=1)
    status = dock.request("airport_bind_status", {"devices": [{"sn": DOCK_NEW}]})["data"]["output"]["bind_status"][0]
    assert (status["is_device_bind_organization"], status["organization_id"]) == (False, "")
    assert bind(away) == [0, 0]
    dock.publish_osd(qos=1)
    assert reader.receive().topic in {event_topic(DOCK_NEW), device_topic(DOCK_NEW, Kind.OSD)}


@pytest.mark.case(2)
@pytest.mark.case("C5")
@pytest.mark.case("C12")
def test_a_wrong_code_is_refused_and_told(town: Town, keep: Any) -> None:
    dock = keep(dock_of(town, profile_of(town, "dock-free", DOCK_NEW)))
    data = {"device_binding_code": "nope", "organization_id": town.installation.organization_id}
    assert dock.request("airport_organization_get", data)["data"] == {"result": 210230, "output": {}}
    town.gateway.call(town.gateway.runtime.services.audit.close())
    entry = next(each for each in town.installation.dockgate("audit", "list") if each["action"] == "organization_get")
    assert (entry["target"], entry["detail"]["reason"]) == (DOCK_NEW, "code_unknown")
    assert town.installation.dockgate("org", "show", town.installation.organization_id)["id"]


@pytest.mark.case(33)
def test_a_locked_database_stops_nothing_that_is_known(town: Town, keep: Any) -> None:
    dock = keep(dock_of(town, profile_of(town)))
    dock.update_topo()
    other = sqlite3.connect(town.installation.folder / "dockgate.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert dock.request("config", {})["data"]["app_id"] == "123456"
        assert dock.request("airport_bind_status", {"devices": [{"sn": DOCK_A}]})["data"]["result"] == 0
        keep(dock_of(town, profile_of(town), client_id="second")).publish_osd()
        assert time.monotonic() - started < 1
        wish = {
            "device_binding_code": town.installation.binding_code,
            "organization_id": town.installation.organization_id,
            "sn": DOCK_A,
            "device_callsign": "",
            "device_model_key": "3-2-0",
        }
        body = {"tid": "b", "bid": "b", "method": "airport_organization_bind", "data": {"bind_devices": [wish]}}
        asked = dock.send(dock.requests_topic, body)
        with pytest.raises(DockgateError, match="nothing answered"):
            dock.reply(asked, timeout_s=0.5)
        other.execute("COMMIT")
    assert dock.reply(asked)["data"]["output"]["err_infos"] == [{"sn": DOCK_A, "err_code": 0}]


@pytest.mark.case(8)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_dock_behind_a_tcp_proxy_gets_in(town: Town, keep: Any, tls: bool) -> None:
    listener = keep(socket.create_server(("127.0.0.1", 0)))
    upstream = (town.gateway.host, town.gateway.port("tls" if tls else "plain"))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def proxy() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(upstream) as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()

    thread = threading.Thread(target=proxy, daemon=True)
    thread.start()
    target = Target(
        "localhost" if tls else "127.0.0.1", listener.getsockname()[1],
        tls=TlsFiles(ca=town.installation.ca) if tls else None,
    )  # fmt: skip
    assert run_dock(target, profile_of(town)).ok
    thread.join(5)


@pytest.mark.case("C50")
def test_many_docks_at_once(installation: Any, serve: Any) -> None:
    installation.license()
    passwords = {f"fleet-{number}": installation.account(f"fleet-{number}").password for number in range(1, 41)}
    gateway = serve(installation)
    template = make_profile(
        MODELS["dock2"], account="fleet-{n}", password="", organization_id=installation.organization_id,
        binding_code=installation.binding_code,
    )  # fmt: skip
    profiles = [replace(each, password=passwords[each.account]) for each in number_profiles(template, 40)]
    summary = run_fleet(Target(gateway.host, gateway.port()), profiles, concurrency=20)
    assert summary.failures == ()
    assert summary.ok == 40
    listed = installation.dockgate("dock", "list", "--org", installation.organization_id)
    assert {each["sn"]: [child["sn"] for child in each["children"]] for each in listed} == {
        each.sn: [each.aircraft_sn] for each in profiles
    }


def test_an_account_is_one_dock_s(town: Town, keep: Any) -> None:
    """The demo shares one account among all docks; here the second SN of an account is refused, and said so."""
    keep(dock_of(town, profile_of(town, "dock-free", DOCK_NEW)))
    other = SimulatedDock(
        Target(town.gateway.host, town.gateway.port()),
        profile_of(town, "dock-free", "9ZZZQ9SM00000X"),
        client_id="other",
    )
    with keep(other) as dock:
        dock.connect()
        with pytest.raises(RefusedError):
            dock.subscribe()
