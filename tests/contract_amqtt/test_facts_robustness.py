"""How a released broker is brought down or locked up (docs/decisions/0001-own-connections.md), by number: not here."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.broker import connection as connection_module
from tests.conftest import Gateway, Installation, Login
from tests.integration.lasting import wait_until
from tests.integration.octets import (
    PINGREQ,
    PINGRESP,
    Octets,
    connack,
    connect,
    packet,
    puback,
    publish,
    suback,
    subscribe,
    text,
)

SN = "7CTDM7100BFACT"
OSD, SERVICES = f"thing/product/{SN}/osd", f"thing/product/{SN}/services"
Serve = Callable[[Installation], Gateway]


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def dock(installation: Installation) -> Login:
    return installation.account("dock-1", "dock", "--sn", SN)


@pytest.fixture
def service(installation: Installation) -> Login:
    return installation.account("platform", "service")


def limit(installation: Installation, section: str, **values: Any) -> None:
    installation.configure(lambda settings: settings["dockgate"].setdefault(section, {}).update(values))


def logged_in(gateway: Gateway, clients: ExitStack, login: Login, client_id: str, **options: Any) -> Octets:
    client = clients.enter_context(Octets(gateway.port()))
    assert client.login(client_id, login.account, login.password, **options) == connack(0)
    return client


# -- 12: time


def test_fact_12_a_connection_that_does_not_log_in_is_closed(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    def with_websocket(settings: dict[str, Any]) -> None:
        settings["dockgate"]["login"] = {"connect_timeout_s": 1}
        settings["listeners"]["ws"] = {"type": "ws", "bind": "127.0.0.1:0"}

    installation.configure(with_websocket)
    gateway = serve(installation)
    tls = ssl.create_default_context(cafile=installation.ca)
    begun = time.monotonic()
    silent = {name: clients.enter_context(Octets(gateway.port())) for name in ("nothing", "one byte", "half a CONNECT")}
    silent["one byte"].send(b"\x10")
    silent["half a CONNECT"].send(connect("dock", username=dock.account, password=dock.password)[:20])
    silent["no TLS handshake"] = clients.enter_context(Octets(gateway.port("tls")))
    silent["half a TLS handshake"] = clients.enter_context(Octets(gateway.port("tls")))
    silent["half a TLS handshake"].send(b"\x16\x03\x01\x02\x00\x01")
    silent["nothing after the TLS handshake"] = clients.enter_context(Octets(gateway.port("tls"), tls=tls))
    silent["no WebSocket handshake"] = clients.enter_context(Octets(gateway.port("ws")))
    silent["half a WebSocket handshake"] = clients.enter_context(Octets(gateway.port("ws")))
    silent["half a WebSocket handshake"].send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    honest = logged_in(gateway, clients, dock, "dock")
    assert {name: client.until_closed() for name, client in silent.items()} == dict.fromkeys(silent, b"")
    assert 0.9 < time.monotonic() - begun < 4
    assert honest.is_silent()


def _ends(client: Octets, sent: bytes) -> bool:
    """Send, and look for a moment whether the peer has closed."""
    try:
        client.send(sent)
        client.packet()
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    raise AssertionError("nothing should have been answered")


def test_fact_12_a_connection_that_says_something_now_and_then_is_closed_all_the_same(
    installation: Installation, serve: Serve, dock: Login
) -> None:
    limit(installation, "login", connect_timeout_s=0.5)
    gateway = serve(installation)
    begun = time.monotonic()
    with Octets(gateway.port()) as slow:
        slow.socket.settimeout(0.05)
        patience = iter(connect("x" * 200, username=dock.account, password=dock.password))
        while not _ends(slow, bytes([next(patience)])):
            continue
    assert time.monotonic() - begun < 3


def test_fact_12_a_silent_client_is_closed_after_one_and_a_half_of_its_keep_alive(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    gateway = serve(installation)
    reader = logged_in(gateway, clients, service, "reader")
    assert reader.answers(subscribe((OSD, 0))) == suback(1, 0)
    begun = time.monotonic()
    client = logged_in(gateway, clients, dock, "dock", keepalive=1, will=(OSD, b"gone", 0, False))
    assert reader.packet() == packet(0x30, text(OSD) + b"gone")
    assert 1.4 < time.monotonic() - begun < 3.5
    assert client.until_closed() == b""


def test_fact_12_a_keep_alive_of_none_or_too_long_is_held_to_the_longest(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    limit(installation, "limits", keepalive_max_s=1)
    gateway = serve(installation)
    quiet = [
        logged_in(gateway, clients, dock, f"dock {keepalive}", keepalive=keepalive) for keepalive in (0, 2, 65_535)
    ]
    begun = time.monotonic()
    assert [client.until_closed() for client in quiet] == [b""] * 3
    assert time.monotonic() - begun < 3.5


# -- 12: numbers


@pytest.mark.parametrize("room", ["of the gateway", "of the listener"])
def test_fact_12_silent_connections_do_not_keep_docks_out(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, room: str
) -> None:
    """Sixty sockets against room for fifty; who logs in displaces who does not."""
    if room == "of the gateway":
        limit(installation, "limits", connections=50)
    else:
        installation.configure(lambda settings: settings["listeners"]["plain"].update(max_connections=50))
    gateway = serve(installation)
    crowd = [clients.enter_context(Octets(gateway.port())) for _ in range(60)]
    client = logged_in(gateway, clients, dock, "dock")
    assert client.answers(publish(OSD, b"up", qos=1)) == puback()
    assert crowd[0].until_closed() == b""


def test_fact_12_room_for_those_who_have_not_logged_in_is_made_by_the_oldest(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    limit(installation, "limits", pending_connections=3)
    gateway = serve(installation)
    honest = logged_in(gateway, clients, dock, "before")
    crowd = [clients.enter_context(Octets(gateway.port())) for _ in range(8)]
    assert [client.until_closed() for client in crowd[:5]] == [b""] * 5
    wait_until(gateway, lambda: gateway.broker.metrics.connections.pending == 3)
    late = logged_in(gateway, clients, dock, "after")
    assert honest.is_silent()
    assert late.is_silent()
    assert crowd[5].until_closed() == b""
    for client in crowd[6:]:
        client.send(connect("x", username=dock.account, password=dock.password))
        assert client.packet() == connack(0)


def test_fact_12_logged_in_clients_are_not_displaced(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    limit(installation, "limits", connections=3)
    gateway = serve(installation)
    inside = [logged_in(gateway, clients, dock, f"dock {number}") for number in range(3)]
    for _ in range(5):
        assert clients.enter_context(Octets(gateway.port())).login("more", dock.account, dock.password) == connack(3)
    assert all(client.is_silent() for client in inside)
    inside.pop().close()
    wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 2)
    assert logged_in(gateway, clients, dock, "another").is_silent()


def test_a_listener_may_have_a_limit_of_its_own(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    installation.configure(lambda settings: settings["listeners"]["plain"].update(max_connections=2))
    gateway = serve(installation)
    inside = [logged_in(gateway, clients, dock, f"dock {number}") for number in range(2)]
    assert clients.enter_context(Octets(gateway.port())).login("more", dock.account, dock.password) == connack(3)
    tls = ssl.create_default_context(cafile=installation.ca)
    with Octets(gateway.port("tls"), tls=tls) as other_door:
        assert other_door.login("by TLS", dock.account, dock.password) == connack(0)
    inside.pop().close()
    wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 1)
    assert logged_in(gateway, clients, dock, "another").is_silent()


def test_one_account_and_one_address_may_have_so_many_connections(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    limit(installation, "limits", connections_per_account=2, connections_per_address=4)
    gateway = serve(installation)
    for number in range(2):
        logged_in(gateway, clients, dock, f"dock {number}")
    refused = clients.enter_context(Octets(gateway.port()))
    answer = refused.until_closed(connect("dock 3", username=dock.account, password=dock.password))
    assert answer == connack(3)
    # who takes over its own session is no connection more
    assert logged_in(gateway, clients, dock, "dock 1").is_silent()
    wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 2)
    for number in range(2):
        logged_in(gateway, clients, service, f"service {number}")
    assert clients.enter_context(Octets(gateway.port())).login("more", service.account, service.password) == connack(3)


# -- 13: sizes


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 200_000_000])
@pytest.mark.parametrize("is_logged_in", [True, False])
def test_fact_13_a_packet_over_the_limit_ends_its_connection_before_it_is_there(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, is_logged_in: bool, size: int
) -> None:
    limit(installation, "limits", packet_bytes=1024 * 1024)
    gateway = serve(installation)
    client = clients.enter_context(Octets(gateway.port()))
    if is_logged_in:
        assert client.login("dock", dock.account, dock.password) == connack(0)
    head = packet(0x30 if is_logged_in else 0x10, b"\x00" * size)[:5]
    assert client.until_closed(head) == b""
    assert logged_in(gateway, clients, dock, "another").is_silent()


def test_fact_13_a_packet_at_the_limit_is_taken(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    limit(installation, "limits", packet_bytes=1024 * 1024)
    gateway = serve(installation)
    reader = logged_in(gateway, clients, service, "reader")
    assert reader.answers(subscribe((OSD, 0))) == suback(1, 0)
    body = b"x" * (1024 * 1024 - 1 - 3 - len(text(OSD)))
    largest = publish(OSD, body)
    assert len(largest) == 1024 * 1024
    logged_in(gateway, clients, dock, "dock").send(largest)
    assert reader.packet() == largest


def test_fact_13_a_reader_that_is_merely_slow_loses_nothing(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    gateway = serve(installation)
    reader = logged_in(gateway, clients, service, "reader")
    assert reader.answers(subscribe((OSD, 0))) == suback(1, 0)
    sender = logged_in(gateway, clients, dock, "dock")
    body = b"x" * 50_000
    for _ in range(60):  # 3 MB; limits.outbound_bytes is 4 MiB
        sender.send(publish(OSD, body))
    assert sender.is_silent()
    for _ in range(60):
        assert reader.packet() == publish(OSD, body)


def test_fact_13_a_reader_that_does_not_read_costs_bounded_memory(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    limit(installation, "limits", outbound_bytes=256 * 1024)
    gateway = serve(installation)
    deaf = logged_in(gateway, clients, service, "deaf")
    assert deaf.answers(subscribe((OSD, 0))) == suback(1, 0)
    hearing = logged_in(gateway, clients, service, "hearing")
    assert hearing.answers(subscribe((OSD, 0))) == suback(1, 0)
    sender = logged_in(gateway, clients, dock, "dock")
    body = b"x" * 100_000
    for _ in range(150):  # 15 MB, more than the sockets' buffers hold
        sender.send(publish(OSD, body))
        assert hearing.packet() == publish(OSD, body)

    def outbound() -> int:
        link: Any = gateway.broker.sessions["deaf"][0].link
        return int(link.connection.outbound_bytes())

    assert gateway.ask(outbound) < 600_000
    assert gateway.ask(gateway.broker.metrics.messages.dropped.total) > 0


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_fact_13_what_a_closed_connection_has_not_read_is_given_up(
    installation: Installation,
    serve: Serve,
    clients: ExitStack,
    dock: Login,
    service: Login,
    listener: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its socket and its buffer would stay for as long as the peer keeps its window shut."""
    monkeypatch.setattr(connection_module, "_LINGER_S", 0.2)
    gateway = serve(installation)
    tls = ssl.create_default_context(cafile=installation.ca) if listener == "tls" else None
    deaf = clients.enter_context(Octets(gateway.port(listener), tls=tls))
    assert deaf.login("deaf", service.account, service.password, keepalive=1) == connack(0)
    assert deaf.answers(subscribe((OSD, 0))) == suback(1, 0)
    connection: Any = gateway.ask(lambda: gateway.broker.sessions["deaf"][0].link.connection)  # type: ignore[union-attr]
    sender = logged_in(gateway, clients, dock, "dock")
    for _ in range(80):  # 8 MB: more than the sockets' buffers hold, less than is kept for one client
        sender.send(publish(OSD, b"x" * 100_000))
    assert sender.is_silent()
    assert gateway.ask(connection.outbound_bytes) > 100_000
    wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 1)
    wait_until(gateway, lambda: connection.transport is None, timeout_s=3)


# -- 14: what is ill-formed (all of it: tests/integration/packets.py), and other versions


def test_fact_14_other_versions_are_answered(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    gateway = serve(installation)
    credentials = {"username": dock.account, "password": dock.password}
    for name, level in (("MQIsdp", 3), ("MQTT", 3), ("MQTT", 6)):
        client = clients.enter_context(Octets(gateway.port()))
        sent = connect("dock", **credentials, name=name, level=level)  # type: ignore[arg-type]
        assert client.until_closed(sent) == connack(1)
    client = clients.enter_context(Octets(gateway.port()))
    # MQTT 5: no properties between the keep alive and the client id
    body = text("MQTT") + b"\x05\xc2\x00\x3c\x00" + text("dock") + text(dock.account) + text(dock.password)
    client.send(packet(0x10, body))
    answer = client.packet()
    assert (answer[0], answer[2:4]) == (0x20, b"\x00\x00")
    client.send(PINGREQ)
    assert client.packet() == PINGRESP


# -- 16: a client that presents a certificate where none is asked for


def test_fact_16_a_client_certificate_is_not_refused_where_none_is_asked_for(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    gateway = serve(installation)
    tls = ssl.create_default_context(cafile=installation.ca)
    tls.load_cert_chain(installation.folder / "certs" / "server.pem", installation.folder / "certs" / "server.key")
    client = clients.enter_context(Octets(gateway.port("tls"), tls=tls))
    assert client.login("dock", dock.account, dock.password) == connack(0)


def test_a_port_that_is_in_use_ends_the_start(installation: Installation, serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        installation.configure(lambda settings: settings["listeners"]["plain"].update(bind=bind))
        with pytest.raises(Exception, match=r"plain.*can't listen"):
            serve(installation)
