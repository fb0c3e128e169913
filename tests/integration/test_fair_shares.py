"""What one client may take from the others: turns to log in, retained messages, answers that nobody reads. A share, never all."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.broker.message import Message
from gateway.topics import Kind, device_topic

from .town import DOCK_A, Town, settle, topics_of, until
from .wire import Wire, _text, connect_packet, number, packet

SERVICES = topics_of(DOCK_A, (Kind.SERVICES, Kind.PROPERTY_SET, Kind.EVENTS_REPLY))
QUOTA_EXCEEDED, SERVER_BUSY, TOPIC_NAME_INVALID, TOO_FAST = 0x97, 0x89, 0x90, 0x96


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


def town_with(installation: Any, serve: Any, *names: str, **limits: Any) -> Town:
    installation.configure(lambda settings: settings["dockgate"]["limits"].update(limits))
    return settle(installation, serve, *names)


def publish_v5(wire: Wire, topic: str, payload: bytes, properties: bytes = b"") -> int:
    """At QoS 1, retained; the reason of the acknowledgement."""
    packet_id = wire._id()
    body = _text(topic) + struct.pack(">H", packet_id) + number(len(properties)) + properties
    wire.send(packet(0x33, body + payload))
    answer = wire._wait(4, "PUBACK", packet_id)
    return answer[2] if len(answer) > 2 else 0


def retained(town: Town) -> set[str]:
    return {message.topic for message in town.gateway.ask(lambda: list(town.gateway.broker.delivery.retained))}


# -- turns to log in


def test_who_has_gone_does_not_keep_his_turn(installation: Any, serve: Any) -> None:
    town = town_with(installation, serve, "dock-a", logins_per_second=10)
    admission = town.gateway.broker.admission
    for index in range(100):
        with town.wire() as gone:
            gone.send(connect_packet(f"gone-{index}", "nobody", "nothing"))
    until(town.gateway, lambda: not list(admission))
    began = time.monotonic()
    with town.wire(source="127.0.0.9") as dock:
        assert dock.login("a", "dock-a", town.passwords["dock-a"]).code == 0
    assert time.monotonic() - began < 5  # a hundred turns take ten seconds
    refused = town.gateway.ask(lambda: town.gateway.runtime.services.metrics.logins.refused.values)
    assert sum(refused.values()) < 50  # no password of those who have gone was checked


def test_a_crowd_makes_only_itself_wait(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "dock-a", logins_per_second=10)
    for index in range(80):
        keep(town.wire(source="127.0.0.8")).send(connect_packet(f"crowd-{index}", "nobody", "nothing"))
    began = time.monotonic()
    with town.wire(source="127.0.0.9") as dock:
        assert dock.login("a", "dock-a", town.passwords["dock-a"]).code == 0
    assert time.monotonic() - began < 4  # it has every second turn, and there are eighty before it


# -- over a limit


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"connections": 1}, SERVER_BUSY), ({"connections_per_address": 1}, QUOTA_EXCEEDED)],
    ids=["in all", "of an address"],
)
@pytest.mark.parametrize("version", [4, 5])
def test_who_finds_no_room_is_told(
    installation: Any, serve: Any, keep: Any, limits: dict[str, int], reason: int, version: int
) -> None:
    town = town_with(installation, serve, "dock-a", **limits)
    inside = keep(town.login("dock-a"))
    checked = town.gateway.runtime.services.metrics.logins
    before = town.gateway.ask(lambda: (checked.accepted, sum(checked.refused.values.values())))
    with town.wire(version=version) as outside:
        assert outside.login("more", "dock-a", town.passwords["dock-a"]).code == (reason if version == 5 else 3)
        assert outside.wait_closed(5)
    inside.ping()
    assert town.gateway.ask(lambda: (checked.accepted, sum(checked.refused.values.values()))) == before


def test_those_who_are_to_be_told_take_no_room(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "dock-a", connections=1)
    inside = keep(town.login("dock-a"))
    silent = [keep(town.wire()) for _ in range(100)]
    until(town.gateway, lambda: len(town.gateway.broker.admission._turned_away) == 64)
    assert all(each.wait_closed(5) for each in silent[:36])
    inside.ping()
    inside.disconnect()
    until(town.gateway, lambda: not list(town.gateway.broker.admission))
    keep(town.login("dock-a")).ping()


def test_what_asks_for_work_counts_as_messages_do(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "dock-a", messages_per_second=100)
    for flood in (b"\xc0\0" * 1000, packet(0x82, b"\0\1\0" + (_text("a/b") + b"\1") * 200)):
        busy = keep(town.login("dock-a", version=5))
        with contextlib.suppress(ConnectionError):
            busy.send(flood)
        assert busy.wait_closed(5)
        assert busy.goodbye == TOO_FAST


@pytest.mark.parametrize("topic", ["thing/" + "x" * 1100, "/".join("x" * 30)], ids=["long", "deep"])
def test_a_topic_over_the_limits_is_called_so(installation: Any, serve: Any, keep: Any, topic: str) -> None:
    town = town_with(installation, serve, "dock-a")
    assert keep(town.login("dock-a", version=5)).publish(topic, b"x") == TOPIC_NAME_INVALID
    denied = town.gateway.ask(lambda: dict(town.gateway.broker.metrics.messages.denied.values))
    assert denied == {("publish", "topic_limit"): 1}


# -- answers that nobody reads


def test_pings_of_a_websocket_that_reads_nothing_take_no_memory(installation: Any, serve: Any) -> None:
    installation.configure(lambda settings: settings["listeners"].update(web={"type": "ws", "bind": "127.0.0.1:0"}))
    town = settle(installation, serve, "dock-a")
    key = base64.b64encode(b"0" * 16)
    with socket.create_connection((town.gateway.host, town.gateway.port("web")), 5) as stranger:
        stranger.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + key
            + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        )  # fmt: skip
        assert stranger.recv(4096).startswith(b"HTTP/1.1 101")
        ping = b"\x89\xfd\0\0\0\0" + b"p" * 125
        with pytest.raises(ConnectionError):
            stranger.sendall(ping * 400_000)
    until(town.gateway, lambda: not list(town.gateway.broker.admission))


# -- retained messages


def test_a_reader_gets_all_that_is_retained_however_much_it_is(installation: Any, serve: Any, keep: Any) -> None:
    """More than its queue and its window have room for, and more than is kept unsent for it."""
    town = town_with(installation, serve, "service-all", offline_messages=10, outbound_bytes=64 * 1024)
    wanted = {device_topic(f"7CTDM71000{index:04}", Kind.OSD) for index in range(400)}
    put_away(town, wanted, 2000)
    for qos in (0, 1, 2):
        reader = keep(town.login("service-all", client_id=f"reader-{qos}"))
        assert reader.subscribe("thing/product/+/osd", qos=qos) == [qos]
        assert {reader.receive().topic for _ in wanted} == wanted
        reader.ping()
        assert not reader.inbox


def put_away(town: Town, topics: set[str], size: int) -> None:
    """As a fleet would: no single client may retain so many."""

    def work() -> None:
        for topic in topics:
            town.gateway.broker.delivery.retain(Message(topic, b"x" * size, qos=2, retain=True), None)

    town.gateway.ask(work)


def test_who_does_not_read_keeps_nothing_going_when_he_leaves(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "service-all", outbound_bytes=64 * 1024)
    put_away(town, {device_topic(f"7CTDM71000{index:04}", Kind.OSD) for index in range(100)}, 200_000)
    before = len(town.gateway.runtime.services.tasks)
    deaf = keep(town.login("service-all"))
    deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.send(packet(0x82, b"\0\1" + _text("thing/product/+/osd") + b"\0"))
    until(town.gateway, lambda: len(town.gateway.runtime.services.tasks) > before)
    deaf.drop()
    until(town.gateway, lambda: len(town.gateway.runtime.services.tasks) <= before)


def test_an_account_leaves_room_for_the_next(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "service-all", "service-a", "service-sys", retained_messages=4)
    first, second = (keep(town.login(name, version=5)) for name in ("service-all", "service-sys"))
    codes = [publish_v5(first, topic, b"x") for topic in SERVICES]
    assert codes == [0, 0, QUOTA_EXCEEDED]
    assert publish_v5(second, device_topic("OTHER1", Kind.SERVICES), b"x") == 0
    assert publish_v5(second, device_topic("OTHER2", Kind.SERVICES), b"x") == QUOTA_EXCEEDED
    assert publish_v5(first, SERVICES[0], b"changed") == 0  # what it has may be renewed
    assert publish_v5(first, SERVICES[1], b"") == 0  # and given back
    assert publish_v5(first, SERVICES[2], b"x") == 0
    assert retained(town) == {SERVICES[0], SERVICES[2], device_topic("OTHER1", Kind.SERVICES)}


def test_what_is_not_kept_is_not_taken_and_what_was_there_is_gone(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "service-all", "dock-a", retained_bytes=10_000)
    reader = keep(town.login("dock-a"))
    assert reader.subscribe(SERVICES[0]) == [1]
    writer = keep(town.login("service-all", version=5))
    assert publish_v5(writer, SERVICES[0], b"small") == 0
    assert publish_v5(writer, SERVICES[0], b"x" * 6000) == QUOTA_EXCEEDED
    assert retained(town) == set()
    assert writer.publish(SERVICES[0], b"fence") == 0
    assert [got.payload for got in reader.receive_until(b"fence")] == [b"small"]
    # 3.1.1 has no way to refuse: it is at least delivered
    keep(town.login("service-all", client_id="old")).publish(SERVICES[0], b"y" * 6000, retain=True)
    assert reader.receive().payload == b"y" * 6000
    assert retained(town) == set()


def test_properties_count(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "service-all", retained_bytes=100_000)
    writer = keep(town.login("service-all", version=5))
    long = b"\x26" + _text("k") + _text("v" * 60_000)
    assert publish_v5(writer, SERVICES[0], b"x", long) == QUOTA_EXCEEDED
    assert publish_v5(writer, SERVICES[0], b"x", long[:1] + _text("k") + _text("v" * 40_000)) == 0
    assert town.gateway.ask(lambda: town.gateway.broker.delivery.retained.size) > 40_000


def test_what_has_expired_takes_no_room(installation: Any, serve: Any, keep: Any) -> None:
    town = town_with(installation, serve, "service-all", retained_messages=2)
    writer = keep(town.login("service-all", version=5))
    assert publish_v5(writer, SERVICES[0], b"x", b"\x02" + struct.pack(">I", 1)) == 0
    assert publish_v5(writer, SERVICES[1], b"x") == QUOTA_EXCEEDED
    until(town.gateway, lambda: not len(town.gateway.broker.delivery.retained))
    assert publish_v5(writer, SERVICES[1], b"x") == 0
