"""MQTT 5: one whole packet in, one record out, and back. Every rule that is checked names its section or statement.

Any bytes either become a record or raise ``MqttError``; nothing else leaves ``decode``. The ``mqtt5`` library, written in
Rust, was meant for this and panics on ill-formed UTF-8 (docs/decisions/0006-mqtt5-codec.md); the tests hold both together.
"""

from __future__ import annotations

import struct
from typing import Any

from . import properties
from .framing import variable_length
from .packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    MqttError,
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
from .properties import Id
from .strings import binary_at, malformed, packet_id_at, text_at, uint16_at

LEVEL = 5

_UINT16 = struct.Struct("!H")


def _forwarded(values: dict[int, Any]) -> Properties | None:
    """What goes on with the message, unchanged (3.3.2.3)."""
    if not values or values.keys() <= {Id.TOPIC_ALIAS}:
        return None
    return Properties(
        payload_format_indicator=values.get(Id.PAYLOAD_FORMAT_INDICATOR),
        message_expiry_s=values.get(Id.MESSAGE_EXPIRY_INTERVAL),
        content_type=values.get(Id.CONTENT_TYPE),
        response_topic=values.get(Id.RESPONSE_TOPIC),
        correlation_data=values.get(Id.CORRELATION_DATA),
        user_properties=values.get(Id.USER_PROPERTY, ()),
    )


def _check_length(packet: bytes, header: int) -> None:
    if header > 2 and packet[header - 1] == 0:
        raise malformed("the remaining length is longer than needed [MQTT-1.5.5-1]")


def decode_connect(packet: bytes, header: int) -> Connect:
    _check_length(packet, header)
    if packet[0] != 0x10:
        raise malformed("reserved bits of CONNECT are set [MQTT-2.1.3-1]")
    name, position = text_at(packet, header)
    if position + 4 > len(packet):
        raise malformed("CONNECT is cut off")
    level, flags = packet[position], packet[position + 1]
    if name != "MQTT" or level != LEVEL:
        raise UnsupportedLevelError(name, level)
    keepalive_s = uint16_at(packet, position + 2)
    if flags & 0x01:
        raise malformed("the reserved connect flag is set [MQTT-3.1.2-3]")
    values, position = properties.read(packet, position + 4, properties.CONNECT)
    if Id.AUTHENTICATION_DATA in values and Id.AUTHENTICATION_METHOD not in values:
        raise MqttError(Reason.PROTOCOL_ERROR, "authentication data without a method (3.1.2.11.10)")
    client_id, position = text_at(packet, position)
    will = None
    if flags & 0x04:
        will, position = _will_at(packet, position, flags)
    elif flags & 0x38:
        raise malformed("will QoS or retain without a will [MQTT-3.1.2-11]")
    username = password = None
    if flags & 0x80:
        username, position = text_at(packet, position)
    if flags & 0x40:
        password, position = binary_at(packet, position)
    if position != len(packet):
        raise malformed("CONNECT is longer than its fields")
    return Connect(
        level,
        client_id,
        bool(flags & 0x02),
        keepalive_s,
        username,
        password,
        will,
        session_expiry_s=values.get(Id.SESSION_EXPIRY_INTERVAL, 0),
        receive_maximum=values.get(Id.RECEIVE_MAXIMUM, 65_535),
        maximum_packet_size=values.get(Id.MAXIMUM_PACKET_SIZE),
        topic_alias_maximum=values.get(Id.TOPIC_ALIAS_MAXIMUM, 0),
        authentication_method=values.get(Id.AUTHENTICATION_METHOD),
        request_problem_information=bool(values.get(Id.REQUEST_PROBLEM_INFORMATION, 1)),
        user_properties=values.get(Id.USER_PROPERTY, ()),
    )


def _will_at(packet: bytes, position: int, flags: int) -> tuple[Will, int]:
    qos = flags >> 3 & 0x03
    if qos == 3:
        raise malformed("will QoS 3 [MQTT-3.1.2-12]")
    values, position = properties.read(packet, position, properties.WILL)
    topic, position = text_at(packet, position)
    payload, position = binary_at(packet, position)
    delay_s = values.get(Id.WILL_DELAY_INTERVAL, 0)
    kept = {number: value for number, value in values.items() if number != Id.WILL_DELAY_INTERVAL}
    return Will(topic, payload, qos, bool(flags & 0x20), _forwarded(kept), delay_s), position


def _decode_publish(packet: bytes, header: int) -> Publish:
    first = packet[0]
    qos = first >> 1 & 0x03
    if qos == 3:
        raise malformed("PUBLISH with QoS 3 [MQTT-3.3.1-4]")
    topic, position = text_at(packet, header)
    packet_id = 0
    if qos:
        packet_id = packet_id_at(packet, position)
        position += 2
    elif first & 0x08:
        raise malformed("DUP with QoS 0 [MQTT-3.3.1-2]")
    values, position = properties.read(packet, position, properties.PUBLISH)
    return Publish(
        topic,
        packet[position:],
        qos,
        bool(first & 0x01),
        bool(first & 0x08),
        packet_id,
        _forwarded(values) if values else None,
        values.get(Id.TOPIC_ALIAS) if values else None,
    )


def _acknowledged(packet: bytes, header: int) -> tuple[int, int]:
    """Identifier and reason; both reason and properties may be left out (3.4.2.1)."""
    packet_id = packet_id_at(packet, header)
    position = header + 2
    if position == len(packet):
        return packet_id, 0
    reason = packet[position]
    if position + 1 < len(packet):
        _, position = properties.read(packet, position + 1, properties.ACKNOWLEDGEMENT)
        if position != len(packet):
            raise malformed("an acknowledgement is longer than its fields")
    return packet_id, reason


def _decode_subscribe(packet: bytes, header: int) -> Subscribe:
    packet_id = packet_id_at(packet, header)
    values, position = properties.read(packet, header + 2, properties.SUBSCRIBE)
    identifier = values.get(Id.SUBSCRIPTION_IDENTIFIER)
    subscriptions = []
    while position < len(packet):
        topic_filter, position = text_at(packet, position)
        if position >= len(packet):
            raise malformed("SUBSCRIBE ends before its options")
        options = packet[position]
        position += 1
        qos, handling = options & 0x03, options >> 4 & 0x03
        if options & 0xC0:
            raise malformed("reserved subscription options are set [MQTT-3.8.3-5]")
        if qos == 3 or handling == 3:
            raise MqttError(Reason.PROTOCOL_ERROR, "QoS 3 or retain handling 3 (3.8.3.1)")
        no_local = bool(options & 0x04)
        if no_local and topic_filter.startswith("$share/"):
            raise MqttError(Reason.PROTOCOL_ERROR, "no local on a shared subscription [MQTT-3.8.3-4]")
        subscriptions.append(Subscription(topic_filter, qos, no_local, bool(options & 0x08), handling, identifier))
    if not subscriptions:
        raise MqttError(Reason.PROTOCOL_ERROR, "SUBSCRIBE without a filter [MQTT-3.8.3-2]")
    return Subscribe(packet_id, tuple(subscriptions))


def _decode_unsubscribe(packet: bytes, header: int) -> Unsubscribe:
    packet_id = packet_id_at(packet, header)
    _, position = properties.read(packet, header + 2, properties.UNSUBSCRIBE)
    filters = []
    while position < len(packet):
        topic_filter, position = text_at(packet, position)
        filters.append(topic_filter)
    if not filters:
        raise MqttError(Reason.PROTOCOL_ERROR, "UNSUBSCRIBE without a filter [MQTT-3.10.3-2]")
    return Unsubscribe(packet_id, tuple(filters))


def _reason_and_properties(packet: bytes, header: int, allowed: frozenset[Id]) -> tuple[int, dict[int, Any]]:
    """DISCONNECT and AUTH: everything may be left out (3.14.2.1, 3.15.2.1)."""
    if len(packet) == header:
        return 0, {}
    reason, position = packet[header], header + 1
    values: dict[int, Any] = {}
    if position < len(packet):
        values, position = properties.read(packet, position, allowed)
        if position != len(packet):
            raise malformed("a packet is longer than its fields")
    return reason, values


def decode(packet: bytes, header: int) -> Packet:
    """Read any packet that a client may send. The first byte's low bits are checked by being spelled out (2.1.3)."""
    _check_length(packet, header)
    first = packet[0]
    if first >> 4 == 3:
        return _decode_publish(packet, header)
    match first:
        case 0x10:
            return decode_connect(packet, header)
        case 0x40:
            return PubAck(*_acknowledged(packet, header))
        case 0x50:
            return PubRec(*_acknowledged(packet, header))
        case 0x62:
            return PubRel(*_acknowledged(packet, header))
        case 0x70:
            return PubComp(*_acknowledged(packet, header))
        case 0x82:
            return _decode_subscribe(packet, header)
        case 0xA2:
            return _decode_unsubscribe(packet, header)
        case 0xC0:
            if len(packet) != header:
                raise malformed("PINGREQ with a body")
            return PingReq()
        case 0xE0:
            reason, values = _reason_and_properties(packet, header, properties.DISCONNECT)
            return Disconnect(reason, values.get(Id.SESSION_EXPIRY_INTERVAL))
        case 0xF0:
            reason, _ = _reason_and_properties(packet, header, properties.AUTH)
            return Auth(reason)
        case _:
            raise malformed(f"packet type {first >> 4} with flags {first & 0x0F:04b} is not one that a client sends")


def _packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((first,)) + variable_length(len(body)) + body


def connack(answer: Connack) -> bytes:
    """What is as the specification has it by default is left out (3.2.2.3)."""
    accepted = answer.reason == Reason.SUCCESS
    told = properties.write(
        (
            (Id.SESSION_EXPIRY_INTERVAL, answer.session_expiry_s),
            (Id.RECEIVE_MAXIMUM, answer.receive_maximum if accepted and answer.receive_maximum < 65_535 else None),
            (Id.MAXIMUM_PACKET_SIZE, answer.maximum_packet_size if accepted else None),
            (Id.ASSIGNED_CLIENT_IDENTIFIER, answer.assigned_client_id),
            (Id.TOPIC_ALIAS_MAXIMUM, answer.topic_alias_maximum or None),
            (Id.REASON_STRING, answer.reason_text),
            (Id.SHARED_SUBSCRIPTION_AVAILABLE, None if answer.shared_subscriptions else 0),
            (Id.SERVER_KEEP_ALIVE, answer.server_keepalive_s),
        )
    )
    return _packet(0x20, bytes((answer.session_present, answer.reason)), told)


def publish(
    topic: bytes,
    payload: bytes,
    *,
    qos: int,
    retain: bool,
    dup: bool,
    packet_id: int,
    properties: Properties | None = None,
    subscription_ids: tuple[int, ...] = (),
    topic_alias: int = 0,
) -> bytes:
    """``properties.message_expiry_s`` is what is left of it (3.3.2.3.3). ``topic_alias`` 0: none, and 0 can't be one."""
    is_bare = properties is None and not subscription_ids and not topic_alias
    told = b"\x00" if is_bare else _told(properties, subscription_ids, topic_alias)
    return _packet(
        0x30 | dup << 3 | qos << 1 | retain,
        _UINT16.pack(len(topic)),
        topic,
        _UINT16.pack(packet_id) if qos else b"",
        told,
        payload,
    )


def _told(message: Properties | None, subscription_ids: tuple[int, ...], topic_alias: int) -> bytes:
    values: list[tuple[Id, Any]] = [(Id.SUBSCRIPTION_IDENTIFIER, number) for number in subscription_ids]
    if topic_alias:
        values.append((Id.TOPIC_ALIAS, topic_alias))
    if message is not None:
        values += (
            (Id.PAYLOAD_FORMAT_INDICATOR, message.payload_format_indicator),
            (Id.MESSAGE_EXPIRY_INTERVAL, message.message_expiry_s),
            (Id.CONTENT_TYPE, message.content_type),
            (Id.RESPONSE_TOPIC, message.response_topic),
            (Id.CORRELATION_DATA, message.correlation_data),
            (Id.USER_PROPERTY, message.user_properties or None),
        )
    return properties.write(values)


def _acknowledgement(first: int, packet_id: int, reason: Reason) -> bytes:
    if reason == Reason.SUCCESS:
        return bytes((first, 2)) + _UINT16.pack(packet_id)
    return bytes((first, 3)) + _UINT16.pack(packet_id) + bytes((reason,))


def puback(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:
    return _acknowledgement(0x40, packet_id, reason)


def pubrec(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:
    return _acknowledgement(0x50, packet_id, reason)


def pubrel(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:
    return _acknowledgement(0x62, packet_id, reason)


def pubcomp(packet_id: int, reason: Reason = Reason.SUCCESS) -> bytes:
    return _acknowledgement(0x70, packet_id, reason)


def suback(packet_id: int, reasons: list[Reason]) -> bytes:
    return _packet(0x90, _UINT16.pack(packet_id), b"\x00", bytes(reasons))


def unsuback(packet_id: int, reasons: list[Reason]) -> bytes:
    return _packet(0xB0, _UINT16.pack(packet_id), b"\x00", bytes(reasons))


def disconnect(reason: Reason, text: str | None = None) -> bytes:
    return _packet(0xE0, bytes((reason,)), properties.write(((Id.REASON_STRING, text),)))
