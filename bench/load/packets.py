"""MQTT 3.1.1 as a dock speaks it, packed by hand: text and bytes in, packets out, and back. No socket, no state.

Nothing of this is shared with the server's codec, so that a mistake there cannot agree with itself; and it costs a fraction of
what a client library does, so that the generator is not what is measured.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

CONNACK, PUBLISH, SUBACK = 2, 3, 9
DISCONNECT = b"\xe0\x00"
REFUSED_FILTER = 0x80

# Clean session, user name, password (3.1.2.3)
_FLAGS = 0xC2
_LEVEL = b"\x00\x04MQTT\x04"


def remaining_length(length: int) -> bytes:
    """2.2.3: seven bits a byte, the lowest first."""
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | 0x80 if length else low)
        if not length:
            return bytes(out)


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def connect(client_id: str, username: str, password: str, keepalive_s: int) -> bytes:
    body = _LEVEL + struct.pack("!BH", _FLAGS, keepalive_s) + text(client_id) + text(username) + text(password)
    return b"\x10" + remaining_length(len(body)) + body


def subscribe(topic_filter: str) -> bytes:
    """At QoS 0, with packet identifier 1."""
    body = b"\x00\x01" + text(topic_filter) + b"\x00"
    return b"\x82" + remaining_length(len(body)) + body


def publish_head(topic: str, payload_bytes: int) -> bytes:
    """All of a QoS 0 PUBLISH but its payload."""
    head = text(topic)
    return b"\x30" + remaining_length(len(head) + payload_bytes) + head


def split(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The whole packets in ``data``, each as (first byte, where its body begins, where it ends)."""
    at, size = 0, len(data)
    while size - at >= 2:
        length, shift, body = 0, 0, at + 1
        while body < size:
            byte = data[body]
            body += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            return
        end = body + length
        if end > size:
            return
        yield data[at], body, end
        at = end
