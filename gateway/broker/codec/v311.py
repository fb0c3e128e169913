"""MQTT 3.1.1: one whole packet in, one record out, and back. Every rule that is checked names its statement of the specification.

Any bytes either become a record or raise ``MqttError``; nothing else leaves ``decode``.
"""

from __future__ import annotations

import struct

from .framing import length_of_length, variable_length
from .packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Properties,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Reason,
    Subscribe,
    Subscription,
    Unsubscribe,
    UnsupportedLevelError,
    Will,
)
from .strings import binary_at, malformed, packet_id_at, text_at

LEVEL = 4
PINGRESP = b"\xd0\x00"

_UINT16 = struct.Struct("!H")

# MQTT 3.1.1, 3.2.2.3; what has no number of its own there is "server unavailable".
_RETURN_CODES = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.NOT_AUTHORIZED: 5,
    Reason.BANNED: 5,
    Reason.BAD_AUTHENTICATION_METHOD: 5,
}


def protocol_level(packet: bytes, header: int) -> tuple[str, int]:
    """Name and level of a CONNECT of any version, read before a codec is chosen."""
    name, position = text_at(packet, header)
    if position >= len(packet):
        raise malformed("CONNECT ends before the protocol level")
    return name, packet[position]


def decode_connect(packet: bytes, header: int) -> Connect:
    if packet[0] != 0x10:
        raise malformed("reserved bits of CONNECT are set [MQTT-2.2.2-2]")
    name, position = text_at(packet, header)
    if position + 4 > len(packet):
        raise malformed("CONNECT is cut off")
    level, flags = packet[position], packet[position + 1]
    if name != "MQTT" or level != LEVEL:
        raise UnsupportedLevelError(name, level)
    keepalive_s: int = _UINT16.unpack_from(packet, position + 2)[0]
    position += 4
    if flags & 0x01:
        raise malformed("the reserved connect flag is set [MQTT-3.1.2-3]")
    client_id, position = text_at(packet, position)
    will = None
    if flags & 0x04:
        qos = flags >> 3 & 0x03
        if qos == 3:
            raise malformed("will QoS 3 [MQTT-3.1.2-14]")
        topic, position = text_at(packet, position)
        payload, position = binary_at(packet, position)
        will = Will(topic, payload, qos, bool(flags & 0x20))
    elif flags & 0x38:
        raise malformed("will QoS or retain without a will [MQTT-3.1.2-11]")
    username = password = None
    if flags & 0x80:
        username, position = text_at(packet, position)
    elif flags & 0x40:
        raise malformed("a password without a user name [MQTT-3.1.2-22]")
    if flags & 0x40:
        password, position = binary_at(packet, position)
    if position != len(packet):
        raise malformed("CONNECT is longer than its fields")
    return Connect(level, client_id, bool(flags & 0x02), keepalive_s, username, password, will)


def _decode_publish(packet: bytes, header: int) -> Publish:
    first = packet[0]
    qos = first >> 1 & 0x03
    if qos == 3:
        raise malformed("PUBLISH with QoS 3 [MQTT-3.3.1-4]")
    topic, position = text_at(packet, header)
    if not qos and first & 0x08:
        raise malformed("DUP with QoS 0 [MQTT-3.3.1-2]")
    if qos:
        packet_id = packet_id_at(packet, position)
        position += 2
        return Publish(topic, packet[position:], qos, bool(first & 0x01), bool(first & 0x08), packet_id)
    is_plain = first == 0x30 and header == 1 + length_of_length(len(packet) - header)
    return Publish(topic, packet[position:], retain=bool(first & 0x01), plain=packet if is_plain else None)


def _decode_subscribe(packet: bytes, header: int) -> Subscribe:
    packet_id = packet_id_at(packet, header)
    position = header + 2
    subscriptions = []
    while position < len(packet):
        topic_filter, position = text_at(packet, position)
        if position >= len(packet):
            raise malformed("SUBSCRIBE ends before a QoS")
        qos = packet[position]
        position += 1
        if qos > 2:
            raise malformed("SUBSCRIBE with a QoS above 2 [MQTT-3.8.3-4]")
        subscriptions.append(Subscription(topic_filter, qos))
    if not subscriptions:
        raise malformed("SUBSCRIBE without a filter [MQTT-3.8.3-3]")
    return Subscribe(packet_id, tuple(subscriptions))


def _decode_unsubscribe(packet: bytes, header: int) -> Unsubscribe:
    packet_id = packet_id_at(packet, header)
    position = header + 2
    filters = []
    while position < len(packet):
        topic_filter, position = text_at(packet, position)
        filters.append(topic_filter)
    if not filters:
        raise malformed("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]")
    return Unsubscribe(packet_id, tuple(filters))


def _identifier_only(packet: bytes, header: int) -> int:
    if len(packet) != header + 2:
        raise malformed("an acknowledgement of the wrong length")
    return packet_id_at(packet, header)


def _empty(packet: bytes, header: int) -> None:
    if len(packet) != header:
        raise malformed("a packet that has no body has one")


def decode(packet: bytes, header: int) -> Packet:
    """Read any packet that a client may send after CONNECT. The first byte's low bits are checked by being spelled out (2.2.2)."""
    first = packet[0]
    if first >> 4 == 3:
        return _decode_publish(packet, header)
    match first:
        case 0x10:
            return decode_connect(packet, header)
        case 0x40:
            return PubAck(_identifier_only(packet, header))
        case 0x50:
            return PubRec(_identifier_only(packet, header))
        case 0x62:
            return PubRel(_identifier_only(packet, header))
        case 0x70:
            return PubComp(_identifier_only(packet, header))
        case 0x82:
            return _decode_subscribe(packet, header)
        case 0xA2:
            return _decode_unsubscribe(packet, header)
        case 0xC0:
            _empty(packet, header)
            return PingReq()
        case 0xE0:
            _empty(packet, header)
            return Disconnect()
        case _:
            raise malformed(f"packet type {first >> 4} with flags {first & 0x0F:04b} is not one that a client sends")


def connack(answer: Connack) -> bytes:
    return bytes((0x20, 2, answer.session_present, _RETURN_CODES.get(answer.reason, 3)))


def publish(
    topic: bytes,
    payload: bytes,
    *,
    qos: int,
    retain: bool,
    dup: bool,
    packet_id: int,
    properties: Properties | None = None,  # noqa: ARG001 - the same call for both versions; 3.1.1 has none
    subscription_ids: tuple[int, ...] = (),  # noqa: ARG001
) -> bytes:
    first = 0x30 | dup << 3 | qos << 1 | retain
    size = 2 + len(topic) + len(payload)
    if qos:
        return b"".join(
            (
                bytes((first,)),
                variable_length(size + 2),
                _UINT16.pack(len(topic)),
                topic,
                _UINT16.pack(packet_id),
                payload,
            )
        )
    return b"".join((bytes((first,)), variable_length(size), _UINT16.pack(len(topic)), topic, payload))


def puback(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:  # noqa: ARG001 - 3.1.1 can't say no here
    return b"\x40\x02" + _UINT16.pack(packet_id)


def pubrec(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:  # noqa: ARG001
    return b"\x50\x02" + _UINT16.pack(packet_id)


def pubrel(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:  # noqa: ARG001
    return b"\x62\x02" + _UINT16.pack(packet_id)


def pubcomp(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:  # noqa: ARG001
    return b"\x70\x02" + _UINT16.pack(packet_id)


def suback(packet_id: int, reasons: list[Reason]) -> bytes:
    """3.9.3: 0, 1, 2 or 0x80."""
    codes = bytes(reason if reason <= 2 else 0x80 for reason in reasons)
    return b"\x90" + variable_length(2 + len(codes)) + _UINT16.pack(packet_id) + codes


def unsuback(packet_id: int, reasons: list[Reason]) -> bytes:  # noqa: ARG001
    return b"\xb0\x02" + _UINT16.pack(packet_id)


def disconnect(reason: Reason, text: str | None = None) -> bytes:  # noqa: ARG001 - 3.1.1 servers only close (3.14)
    return b""
