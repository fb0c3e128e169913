"""MQTT 3.1.1 in WebSocket frames (MQTT 3.1.1, 6), through the client of the ``websockets`` library and through bare sockets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from tests.conftest import Gateway, Login

from . import octets
from .lasting import LastingInstallation, served, wait_until
from .octets import PINGREQ, PINGRESP, Octets, connack, packet, puback, publish, suback, subscribe, text

SN = "7CTDM7100BSOCK"
OSD = f"thing/product/{SN}/osd"


@dataclass(frozen=True)
class Place:
    gateway: Gateway
    dock: Login
    service: Login

    @property
    def port(self) -> int:
        return self.gateway.port("ws")

    def open(self) -> Connection:
        return connect(f"ws://127.0.0.1:{self.port}/", subprotocols=[Subprotocol("mqtt")], compression=None)

    def hello(self, client_id: str = "dock", *, will: tuple[str, bytes, int, bool] | None = None) -> bytes:
        return octets.connect(client_id, username=self.dock.account, password=self.dock.password, will=will)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    installation = LastingInstallation(tmp_path_factory.mktemp("ws") / "dockgate")
    dock = installation.account("dock-1", "dock", "--sn", SN)
    service = installation.account("platform", "service")
    installation.configure(lambda settings: settings["listeners"].update(ws={"type": "ws", "bind": "127.0.0.1:0"}))
    with served(installation) as gateway:
        yield Place(gateway, dock, service)


def read(client: Connection, size: int) -> bytes:
    """What comes in binary frames, however it is cut."""
    data = b""
    while len(data) < size:
        piece = client.recv(timeout=5)
        assert isinstance(piece, bytes)
        data += piece
    return data


def close_code(client: Connection, *sent: str | bytes | list[str]) -> int | None:
    """Send, and wait for the gateway to close; the code that it gives."""
    try:
        for each in sent:
            client.send(each)
        while True:
            client.recv(timeout=5)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None


def test_the_subprotocol_is_mqtt(place: Place) -> None:
    with place.open() as client:
        assert client.subprotocol == "mqtt"
        client.send(place.hello())
        assert read(client, 4) == connack(0)
    for offered in (None, [Subprotocol("chat")]):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{place.port}/", subprotocols=offered)
        assert refused.value.response.status_code == 400


def test_packets_may_be_cut_anywhere_into_frames(place: Place) -> None:
    """[MQTT-6.0.0-2]."""
    stream = place.hello() + publish(OSD, b"x" * 300, qos=1, packet_id=7) + PINGREQ
    expected = connack(0) + puback(7) + PINGRESP
    cuts = random.Random(7)
    for pieces in (1, 2, 5, 40, len(stream)):
        places = sorted(cuts.sample(range(1, len(stream)), pieces - 1))
        with place.open() as client:
            for start, end in zip([0, *places], [*places, len(stream)], strict=True):
                client.send(stream[start:end])
            assert read(client, len(expected)) == expected


def test_a_message_may_come_in_fragments(place: Place) -> None:
    with place.open() as client:
        hello = place.hello() + PINGREQ
        client.send([hello[:5], hello[5:9], b"", hello[9:]])
        assert read(client, 6) == connack(0) + PINGRESP


def test_text_ends_the_connection(place: Place) -> None:
    """[MQTT-6.0.0-1]."""
    with place.open() as client:
        assert close_code(client, "hello") == 1003
    with place.open() as client:
        client.send(place.hello())
        assert read(client, 4) == connack(0)
        assert close_code(client, ["text", "in fragments"]) == 1003
    wait_until(place.gateway, lambda: place.gateway.broker.metrics.connections.open == 0)


def test_a_frame_that_is_too_large_ends_the_connection(place: Place) -> None:
    with place.open() as client:
        client.send(place.hello())
        assert read(client, 4) == connack(0)
        assert close_code(client, b"\x00" * 3_000_000) in {1009, None}
    wait_until(place.gateway, lambda: place.gateway.broker.metrics.connections.open == 0)


def test_a_refused_login_is_told_before_the_close(place: Place) -> None:
    with place.open() as client:
        client.send(octets.connect("dock", username=place.dock.account, password="wrong"))
        assert read(client, 4) == connack(4)
        assert close_code(client) == 1000


def test_a_broken_packet_ends_the_connection(place: Place) -> None:
    with place.open() as client:
        client.send(place.hello())
        assert read(client, 4) == connack(0)
        assert close_code(client, b"\xf0\x00") == 1000


def test_messages_come_as_binary_frames_and_a_ping_of_the_frames_is_answered(place: Place) -> None:
    with place.open() as reader, Octets(place.gateway.port()) as sender:
        reader.send(octets.connect("reader", username=place.service.account, password=place.service.password))
        assert read(reader, 4) == connack(0)
        reader.send(subscribe((OSD, 0)))
        assert read(reader, 5) == suback(1, 0)
        assert reader.ping().wait(5)
        assert sender.login("dock", place.dock.account, place.dock.password) == connack(0)
        sender.send(publish(OSD, b"y" * 70_000))
        assert read(reader, 70_000 + 4 + len(text(OSD))) == packet(0x30, text(OSD) + b"y" * 70_000)


def test_who_closes_the_frames_without_disconnect_has_not_said_goodbye(place: Place) -> None:
    with Octets(place.gateway.port()) as reader:
        assert reader.login("reader", place.service.account, place.service.password) == connack(0)
        assert reader.answers(subscribe((OSD, 0))) == suback(1, 0)
        client = place.open()
        client.send(place.hello(will=(OSD, b"gone", 0, False)))
        assert read(client, 4) == connack(0)
        client.close()
        assert reader.packet() == packet(0x30, text(OSD) + b"gone")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 426 "),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 4"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", b""),
        (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 4, b""),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b""),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 1000 + b"\r\n", b""),
    ],
    ids=["a browser", "no host", "a form", "MQTT", "TLS", "a long line", "many headers"],
)
def test_what_is_no_websocket_is_refused(place: Place, sent: bytes, status: bytes) -> None:
    with Octets(place.port) as client:
        client.send(sent)
        if sent[:1] == b"\x10":
            client.send(b"\r\n\r\n")  # not before a whole line can it be told
        assert client.until_closed().startswith(status)
