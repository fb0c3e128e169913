"""Limits: what a client may do in a second, logins in turn, and a PROXY header that is believed from those who are trusted only."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import pytest

from gateway.broker.codec import v5, v311
from gateway.simulator import SimulatedDock, Target, TlsFiles, dock_model, make_profile


def connect_packet(login: Any, *, level: int = 4, client_id: str = "c") -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("!H", len(value)) + value.encode()

    properties = b"\x00" if level == 5 else b""
    body = text("MQTT") + bytes((level, 0xC2)) + struct.pack("!H", 60) + properties
    body += text(client_id) + text(login.account) + text(login.password)
    return b"\x10" + bytes((len(body),)) + body


def limit(installation: Any, **limits: int) -> None:
    installation.configure(lambda settings: settings["dockgate"].setdefault("limits", {}).update(limits))


def read_all(peer: socket.socket) -> bytes:
    """Until the end, polite or not: who closes with something unread resets."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := peer.recv(65_536):
            data += chunk
    return data


@pytest.mark.parametrize("level", [4, 5])
def test_more_messages_a_second_than_allowed_end_the_connection(installation: Any, serve: Any, level: int) -> None:
    limit(installation, messages_per_second=50)
    login = installation.account("dock-1", "dock", "--sn", "D1")
    gateway = serve(installation)
    codec = {4: v311, 5: v5}[level]
    osd = codec.publish(b"thing/product/D1/osd", b"{}", qos=0, retain=False, dup=False, packet_id=0)
    with socket.create_connection((gateway.host, gateway.port()), timeout=10) as peer:
        peer.sendall(connect_packet(login, level=level) + osd * 200)
        answer = read_all(peer)
    assert answer.startswith(b"\x20")
    # MQTT 5, 3.14.2.1: message rate too high; 3.1.1 can only close
    assert (b"\xe0\x02\x96\x00" in answer) is (level == 5)
    assert gateway.ask(lambda: gateway.runtime.services.metrics.messages.received) == 50


def test_more_bytes_a_second_than_allowed_end_the_connection(installation: Any, serve: Any) -> None:
    limit(installation, bytes_per_second=65_536)
    login = installation.account("dock-1", "dock", "--sn", "D1")
    gateway = serve(installation)
    with socket.create_connection((gateway.host, gateway.port()), timeout=10) as peer:
        peer.sendall(connect_packet(login))
        assert peer.recv(4) == b"\x20\x02\x00\x00"
        osd = v311.publish(b"thing/product/D1/osd", bytes(40_000), qos=0, retain=False, dup=False, packet_id=0)
        with pytest.raises(ConnectionError):
            peer.sendall(osd * 500)
    assert gateway.ask(lambda: gateway.runtime.services.metrics.connections.closed.get("message_rate_too_high")) == 1


def test_logins_that_come_too_fast_wait_for_their_turn(installation: Any, serve: Any) -> None:
    limit(installation, logins_per_second=5)
    login = installation.account("dock-1", "dock", "--sn", "D1")
    gateway = serve(installation)
    peers = [socket.create_connection((gateway.host, gateway.port()), timeout=10) for _ in range(12)]
    try:
        for number, peer in enumerate(peers):
            peer.sendall(connect_packet(login, client_id=f"c{number}"))
        assert [peer.recv(4) for peer in peers] == [b"\x20\x02\x00\x00"] * 12
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize(("level", "answer"), [(4, b"\x20\x02\x00\x03"), (5, b"\x20\x03\x00\x9f\x00")])
def test_a_login_whose_turn_does_not_come_is_told(installation: Any, serve: Any, level: int, answer: bytes) -> None:
    limit(installation, logins_per_second=1)
    installation.configure(lambda settings: settings["dockgate"]["login"].update(connect_timeout_s=1))
    login = installation.account("dock-1", "dock", "--sn", "D1")
    gateway = serve(installation)
    peers = [socket.create_connection((gateway.host, gateway.port()), timeout=10) for _ in range(8)]
    try:
        for number, peer in enumerate(peers):
            peer.sendall(connect_packet(login, level=level, client_id=f"c{number}"))
        answers = [peer.recv(len(answer)) for peer in peers]
        assert answer in answers
        assert answers[0] != answer
    finally:
        for peer in peers:
            peer.close()


# -- PROXY


@pytest.fixture
def proxied(installation: Any, serve: Any) -> Callable[[str], Any]:
    def start(trusted: str) -> Any:
        def behind(settings: dict[str, Any]) -> None:
            for listener in settings["listeners"].values():
                listener.update(proxy_protocol=True, trusted_proxies=[trusted])

        installation.configure(behind)
        installation.account("dock-1", "dock", "--sn", "D1")
        return serve(installation)

    return start


HEADER = b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 8883\r\n"


def address_of(gateway: Any, client_id: str) -> str:
    return str(gateway.ask(lambda: gateway.broker.table.get(client_id).remote_address))


def test_a_handshake_that_fails_behind_a_proxy_is_told_with_the_dock_s_address(installation: Any, proxied: Any) -> None:
    gateway = proxied("127.0.0.0/8")
    with socket.create_connection((gateway.host, gateway.port("tls")), timeout=10) as peer:
        peer.sendall(HEADER + b"GET / HTTP/1.1\r\n\r\n")
        while peer.recv(4096):
            continue
    gateway.call(gateway.runtime.services.audit.flush())
    (told,) = [entry for entry in installation.dockgate("audit", "list") if entry["action"] == "tls"]
    assert (told["target"], told["detail"]["address"], told["outcome"]) == ("203.0.113.9", "203.0.113.9", "refused")


def test_a_trusted_proxy_tells_the_address(installation: Any, proxied: Any) -> None:
    gateway = proxied("127.0.0.0/8")
    login = installation.account("dock-2", "dock", "--sn", "D2")
    with socket.create_connection((gateway.host, gateway.port()), timeout=10) as peer:
        for piece in (HEADER[:9], HEADER[9:], connect_packet(login)):
            peer.sendall(piece)
        assert peer.recv(4) == b"\x20\x02\x00\x00"
        assert address_of(gateway, "c") == "203.0.113.9"


def test_it_stands_before_the_tls_handshake(installation: Any, proxied: Any) -> None:
    gateway = proxied("127.0.0.1")
    login = installation.account("dock-2", "dock", "--sn", "D2")
    context = ssl.create_default_context(cafile=installation.ca)
    with socket.create_connection((gateway.host, gateway.port("tls")), timeout=10) as peer:
        peer.sendall(HEADER)
        with context.wrap_socket(peer, server_hostname="localhost") as tls:
            tls.sendall(connect_packet(login))
            assert tls.recv(4) == b"\x20\x02\x00\x00"
            assert address_of(gateway, "c") == "203.0.113.9"


@pytest.mark.parametrize("sent", [HEADER, b"\x10\x02ab"], ids=["header", "none"])
def test_who_is_not_trusted_is_closed(proxied: Any, sent: bytes) -> None:
    gateway = proxied("192.0.2.1")
    with socket.create_connection((gateway.host, gateway.port()), timeout=10) as peer:
        peer.sendall(sent)
        assert read_all(peer) == b""
    assert gateway.ask(lambda: gateway.runtime.services.metrics.connections.refused.get("proxy_header")) == 1


def test_case8_without_the_option_the_source_is_the_proxy(gateway: Any, installation: Any) -> None:
    login = installation.account("dock-2", "dock", "--sn", "D2")
    profile = make_profile(
        dock_model("dock2"),
        account=login.account,
        password=login.password,
        organization_id="",
        binding_code="",
        sn="D2",
    )
    with SimulatedDock(Target(gateway.host, gateway.port("tls"), tls=TlsFiles(ca=installation.ca)), profile) as dock:
        dock.connect()
        assert address_of(gateway, dock.client_id) == "127.0.0.1"
