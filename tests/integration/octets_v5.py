"""MQTT 5 in bytes: packets and properties spelled out from the specification, and a client made of them.

Like ``octets``, it knows nothing of the gateway's own codec.
"""

from __future__ import annotations

from typing import Any

from .octets import Octets, packet, remaining_length, text

# -- properties (2.2.2.2), each as it stands on the wire


def _byte(number: int, value: int) -> bytes:
    return bytes([number, value])


def _two(number: int, value: int) -> bytes:
    return bytes([number]) + value.to_bytes(2, "big")


def _four(number: int, value: int) -> bytes:
    return bytes([number]) + value.to_bytes(4, "big")


def payload_format(value: int) -> bytes:
    return _byte(0x01, value)


def message_expiry(seconds: int) -> bytes:
    return _four(0x02, seconds)


def content_type(value: str | bytes) -> bytes:
    return b"\x03" + text(value)


def response_topic(value: str | bytes) -> bytes:
    return b"\x08" + text(value)


def correlation(value: bytes) -> bytes:
    return b"\x09" + text(value)


def subscription_id(number: int) -> bytes:
    return b"\x0b" + remaining_length(number)


def session_expiry(seconds: int) -> bytes:
    return _four(0x11, seconds)


def assigned_client_id(value: str) -> bytes:
    return b"\x12" + text(value)


def server_keepalive(seconds: int) -> bytes:
    return _two(0x13, seconds)


def authentication_method(value: str) -> bytes:
    return b"\x15" + text(value)


def authentication_data(value: bytes) -> bytes:
    return b"\x16" + text(value)


def request_problem_information(value: int) -> bytes:
    return _byte(0x17, value)


def will_delay(seconds: int) -> bytes:
    return _four(0x18, seconds)


def request_response_information(value: int) -> bytes:
    return _byte(0x19, value)


def reason_string(value: str) -> bytes:
    return b"\x1f" + text(value)


def receive_maximum(value: int) -> bytes:
    return _two(0x21, value)


def topic_alias_maximum(value: int) -> bytes:
    return _two(0x22, value)


def topic_alias(value: int) -> bytes:
    return _two(0x23, value)


def user_property(name: str | bytes, value: str | bytes) -> bytes:
    return b"\x26" + text(name) + text(value)


def maximum_packet_size(value: int) -> bytes:
    return _four(0x27, value)


def properties(*each: bytes) -> bytes:
    """With their length in front."""
    body = b"".join(each)
    return remaining_length(len(body)) + body


# -- packets


def connect(
    client_id: str | bytes = "wire",
    *each: bytes,
    username: str | bytes | None = None,
    password: str | bytes | None = None,
    clean: bool = True,
    keepalive: int = 60,
    will: tuple[str | bytes, bytes, int, bool] | None = None,
    will_properties: bytes = b"\x00",
    raw_properties: bytes | None = None,
    flags: int = 0,
    first: int = 0x10,
    name: str = "MQTT",
    level: int = 5,
    tail: bytes = b"",
) -> bytes:
    """``each``: properties. ``flags`` are set beside those that the rest asks for."""
    flags |= 0x02 if clean else 0
    body = text(client_id)
    if will is not None:
        topic, payload, qos, retain = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        body += will_properties + text(topic) + text(payload)
    if username is not None:
        flags |= 0x80
        body += text(username)
    if password is not None:
        flags |= 0x40
        body += text(password)
    told = properties(*each) if raw_properties is None else raw_properties
    return packet(first, text(name) + bytes([level, flags]) + keepalive.to_bytes(2, "big") + told + body + tail)


def connack(reason: int = 0, *each: bytes, present: bool = False) -> bytes:
    return packet(0x20, bytes([present, reason]) + properties(*each))


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    *each: bytes,
    qos: int = 0,
    packet_id: int = 1,
    retain: bool = False,
    dup: bool = False,
) -> bytes:
    first = 0x30 | (0x08 if dup else 0) | qos << 1 | (0x01 if retain else 0)
    identifier = packet_id.to_bytes(2, "big") if qos else b""
    return packet(first, text(topic) + identifier + properties(*each) + payload)


def _acknowledgement(first: int, packet_id: int, reason: int, each: tuple[bytes, ...]) -> bytes:
    """3.4.2.1: what need not be said is left out."""
    body = packet_id.to_bytes(2, "big")
    if reason or each:
        body += bytes([reason])
    return packet(first, body + (properties(*each) if each else b""))


def puback(packet_id: int = 1, reason: int = 0, *each: bytes) -> bytes:
    return _acknowledgement(0x40, packet_id, reason, each)


def pubrec(packet_id: int = 1, reason: int = 0, *each: bytes) -> bytes:
    return _acknowledgement(0x50, packet_id, reason, each)


def pubrel(packet_id: int = 1, reason: int = 0, *each: bytes) -> bytes:
    return _acknowledgement(0x62, packet_id, reason, each)


def pubcomp(packet_id: int = 1, reason: int = 0, *each: bytes) -> bytes:
    return _acknowledgement(0x70, packet_id, reason, each)


NO_LOCAL, AS_PUBLISHED = 0x04, 0x08
ONLY_IF_NEW, NO_RETAINED = 0x10, 0x20  # retain handling 1 and 2 (3.8.3.1)


def subscribe(*filters: tuple[str | bytes, int], packet_id: int = 1, each: tuple[bytes, ...] = ()) -> bytes:
    """The options of each filter as the byte they are."""
    wanted = b"".join(text(topic_filter) + bytes([options]) for topic_filter, options in filters)
    return packet(0x82, packet_id.to_bytes(2, "big") + properties(*each) + wanted)


def suback(packet_id: int = 1, *codes: int) -> bytes:
    return packet(0x90, packet_id.to_bytes(2, "big") + b"\x00" + bytes(codes))


def unsubscribe(*filters: str | bytes, packet_id: int = 1, each: tuple[bytes, ...] = ()) -> bytes:
    return packet(0xA2, packet_id.to_bytes(2, "big") + properties(*each) + b"".join(text(name) for name in filters))


def unsuback(packet_id: int = 1, *codes: int) -> bytes:
    return packet(0xB0, packet_id.to_bytes(2, "big") + b"\x00" + bytes(codes))


def disconnect(reason: int = 0, *each: bytes) -> bytes:
    return packet(0xE0, bytes([reason]) + properties(*each))


def auth(reason: int = 0x18, *each: bytes) -> bytes:
    return packet(0xF0, bytes([reason]) + properties(*each))


def welcome(*first: bytes, present: bool = False, client_id: str | None = None, keepalive: int | None = None) -> bytes:
    """CONNACK of a gateway whose limits are those of a new installation; ``first``: what stands before them."""
    return connack(
        0,
        *first,
        receive_maximum(32),
        maximum_packet_size(2 * 1024 * 1024),
        *([] if client_id is None else [assigned_client_id(client_id)]),
        topic_alias_maximum(32),
        *([] if keepalive is None else [server_keepalive(keepalive)]),
        present=present,
    )


_LAST = unsubscribe("nothing of that name", packet_id=0xFFFE)
_LAST_ANSWER = unsuback(0xFFFE, 0x11)


class Octets5(Octets):
    """One connection that speaks MQTT 5."""

    def answers(self, *packets: bytes, bytewise: bool = False) -> bytes:
        """Send; everything that has come until a last packet is answered."""
        self.send(*packets, _LAST, bytewise=bytewise)
        answers = b""
        while (answer := self.packet()) != _LAST_ANSWER:
            answers += answer
        return answers

    def login(self, client_id: str, account: str, password: str, *each: bytes, **options: Any) -> bytes:
        """Send CONNECT; returns the answer, which has to be a CONNACK."""
        self.send(connect(client_id, *each, username=account, password=password, **options))
        answer = self.packet()
        assert answer[:1] == b"\x20", answer
        return answer
