"""PROXY headers: a table of those that are understood, those that need more bytes, and those that end the connection."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.proxy_protocol import ProxyError, ProxyHeader, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, body: bytes, version: int = 2) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version << 4 | command, family, len(body)) + body


IPV4 = bytes((192, 0, 2, 7)) + bytes((198, 51, 100, 1)) + struct.pack("!HH", 4711, 8883)
IPV6 = bytes.fromhex("20010db8000000000000000000000007") + bytes(16) + struct.pack("!HH", 4711, 8883)

GOOD = {
    "v1-ipv4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n", "192.0.2.7", 4711),
    "v1-ipv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 8883\r\n", "2001:db8::7", 4711),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None, 0),
    "v1-unknown-with-more": (b"PROXY UNKNOWN ffff:f...f:ffff 1 2 3\r\n", None, 0),
    "v2-ipv4": (v2(1, 0x11, IPV4), "192.0.2.7", 4711),
    "v2-ipv6": (v2(1, 0x21, IPV6), "2001:db8::7", 4711),
    "v2-ipv4-with-tlv": (v2(1, 0x11, IPV4 + b"\x04\x00\x01\x00"), "192.0.2.7", 4711),
    "v2-local": (v2(0, 0x00, b""), None, 0),
    "v2-local-of-any-family": (v2(0, 0xFF, b"x"), None, 0),
    "v2-unspecified": (v2(1, 0x00, b""), None, 0),
    "v2-udp": (v2(1, 0x12, IPV4), None, 0),
    "v2-unix": (v2(1, 0x31, bytes(216)), None, 0),
}
BAD = {
    "mqtt": b"\x10\x10\x00\x04MQTT\x04\x02",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00",
    "http": b"GET / HTTP/1.1\r\n",
    "v1-no-address": b"PROXY TCP4 nobody 198.51.100.1 4711 8883\r\n",
    "v1-wrong-family": b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 8883\r\n",
    "v1-port": b"PROXY TCP4 192.0.2.7 198.51.100.1 70000 8883\r\n",
    "v1-too-few": b"PROXY TCP4 192.0.2.7\r\n",
    "v1-port-of-letters": b"PROXY TCP4 192.0.2.7 198.51.100.1 x 8883\r\n",
    "v1-port-with-a-zero-in-front": b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 8883\r\n",
    "v1-port-as-python-writes-it": b"PROXY TCP4 192.0.2.7 198.51.100.1 4_711 8883\r\n",
    "v1-port-with-a-sign": b"PROXY TCP4 192.0.2.7 198.51.100.1 +4711 8883\r\n",
    "v1-empty-port": b"PROXY TCP4 192.0.2.7 198.51.100.1  8883\r\n",
    "v1-port-of-the-gateway": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 70000\r\n",
    "v1-address-of-the-gateway": b"PROXY TCP4 192.0.2.7 2001:db8::1 4711 8883\r\n",
    "v1-zone": b"PROXY TCP6 fe80::7%eth0 fe80::1 4711 8883\r\n",
    "v1-not-ascii": b"PROXY TCP4 \xff 198.51.100.1 4711 8883\r\n",
    "v1-endless": b"PROXY " + b"x" * 200,
    "v2-version": v2(1, 0x11, IPV4, version=3),
    "v2-command": v2(2, 0x11, IPV4),
    "v2-ipv4-short": v2(1, 0x11, IPV4[:-1]),
    "v2-ipv4-nothing": v2(1, 0x11, b""),
    "v2-ipv6-short": v2(1, 0x21, IPV6[:-1]),
    "v2-ipv6-of-ipv4-size": v2(1, 0x21, IPV4),
    "v2-udp-short": v2(1, 0x12, IPV4[:-1]),
    "v2-unix-short": v2(1, 0x31, bytes(215)),
    "v2-unknown-family": v2(1, 0x41, bytes(216)),
    "v2-unknown-transport": v2(1, 0x13, IPV4),
    "v2-huge": SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 60_000),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_tells_the_address_and_its_own_length(name: str) -> None:
    data, address, port = GOOD[name]
    for rest in (b"", b"\x10\x0c"):
        assert parse(data + rest) == ProxyHeader(len(data), address, port)


@pytest.mark.parametrize("name", GOOD)
def test_a_part_of_a_header_asks_for_more(name: str) -> None:
    data = GOOD[name][0]
    assert all(parse(data[:size]) is None for size in range(1, len(data)))


@pytest.mark.parametrize("name", BAD)
def test_anything_else_ends_the_connection(name: str) -> None:
    with pytest.raises(ProxyError):
        parse(BAD[name])


@given(
    st.binary(min_size=1, max_size=300), st.sampled_from([b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0c"])
)
def test_any_bytes_are_a_header_need_more_or_end_it(data: bytes, start: bytes) -> None:
    try:
        header = parse(start + data)
    except ProxyError:
        return
    assert header is None or 0 < header.length <= len(start + data)
