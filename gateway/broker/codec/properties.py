"""MQTT 5 properties (2.2.2): a table of what there is, one reader and one writer. Bytes become a dict or raise ``MqttError``."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from .framing import variable_length
from .packets import MqttError, Reason
from .strings import binary_at, check_topic, malformed, text_at, uint16_at

_UINT16 = struct.Struct("!H")
_UINT32 = struct.Struct("!I")


class Id(IntEnum):
    """2.2.2.2; the names are the specification's."""

    PAYLOAD_FORMAT_INDICATOR = 0x01
    MESSAGE_EXPIRY_INTERVAL = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY_INTERVAL = 0x11
    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY_INTERVAL = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A


class _Kind(IntEnum):
    BYTE = 1
    UINT16 = 2
    UINT32 = 3
    VARIABLE = 4
    TEXT = 5
    BINARY = 6
    PAIR = 7


_KINDS = {
    Id.PAYLOAD_FORMAT_INDICATOR: _Kind.BYTE,
    Id.MESSAGE_EXPIRY_INTERVAL: _Kind.UINT32,
    Id.CONTENT_TYPE: _Kind.TEXT,
    Id.RESPONSE_TOPIC: _Kind.TEXT,
    Id.CORRELATION_DATA: _Kind.BINARY,
    Id.SUBSCRIPTION_IDENTIFIER: _Kind.VARIABLE,
    Id.SESSION_EXPIRY_INTERVAL: _Kind.UINT32,
    Id.ASSIGNED_CLIENT_IDENTIFIER: _Kind.TEXT,
    Id.SERVER_KEEP_ALIVE: _Kind.UINT16,
    Id.AUTHENTICATION_METHOD: _Kind.TEXT,
    Id.AUTHENTICATION_DATA: _Kind.BINARY,
    Id.REQUEST_PROBLEM_INFORMATION: _Kind.BYTE,
    Id.WILL_DELAY_INTERVAL: _Kind.UINT32,
    Id.REQUEST_RESPONSE_INFORMATION: _Kind.BYTE,
    Id.REASON_STRING: _Kind.TEXT,
    Id.RECEIVE_MAXIMUM: _Kind.UINT16,
    Id.TOPIC_ALIAS_MAXIMUM: _Kind.UINT16,
    Id.TOPIC_ALIAS: _Kind.UINT16,
    Id.USER_PROPERTY: _Kind.PAIR,
    Id.MAXIMUM_PACKET_SIZE: _Kind.UINT32,
    Id.SHARED_SUBSCRIPTION_AVAILABLE: _Kind.BYTE,
}

# Where a value of 0 is a protocol error (3.1.2.11.3, 3.1.2.11.4, 3.3.2.3.4, 3.8.2.1.2).
_NOT_ZERO = frozenset({Id.RECEIVE_MAXIMUM, Id.MAXIMUM_PACKET_SIZE, Id.TOPIC_ALIAS, Id.SUBSCRIPTION_IDENTIFIER})
_ZERO_OR_ONE = frozenset({Id.PAYLOAD_FORMAT_INDICATOR, Id.REQUEST_PROBLEM_INFORMATION, Id.REQUEST_RESPONSE_INFORMATION})

# Which of them each packet of a client may carry (table 2-4).
PUBLISH = frozenset(
    {
        Id.PAYLOAD_FORMAT_INDICATOR,
        Id.MESSAGE_EXPIRY_INTERVAL,
        Id.CONTENT_TYPE,
        Id.RESPONSE_TOPIC,
        Id.CORRELATION_DATA,
        Id.TOPIC_ALIAS,
        Id.USER_PROPERTY,
    }
)
WILL = (PUBLISH - {Id.TOPIC_ALIAS}) | {Id.WILL_DELAY_INTERVAL}
CONNECT = frozenset(
    {
        Id.SESSION_EXPIRY_INTERVAL,
        Id.AUTHENTICATION_METHOD,
        Id.AUTHENTICATION_DATA,
        Id.REQUEST_PROBLEM_INFORMATION,
        Id.REQUEST_RESPONSE_INFORMATION,
        Id.RECEIVE_MAXIMUM,
        Id.TOPIC_ALIAS_MAXIMUM,
        Id.MAXIMUM_PACKET_SIZE,
        Id.USER_PROPERTY,
    }
)
ACKNOWLEDGEMENT = frozenset({Id.REASON_STRING, Id.USER_PROPERTY})
SUBSCRIBE = frozenset({Id.SUBSCRIPTION_IDENTIFIER, Id.USER_PROPERTY})
UNSUBSCRIBE = frozenset({Id.USER_PROPERTY})
DISCONNECT = frozenset({Id.SESSION_EXPIRY_INTERVAL, Id.REASON_STRING, Id.USER_PROPERTY})
AUTH = frozenset({Id.AUTHENTICATION_METHOD, Id.AUTHENTICATION_DATA, Id.REASON_STRING, Id.USER_PROPERTY})

_USER_PROPERTY = int(Id.USER_PROPERTY)  # allowed in every packet of a client that has properties
_NONE: dict[int, Any] = {}


def variable_at(data: bytes, position: int) -> tuple[int, int]:
    """Read a variable byte integer (1.5.5): at most four bytes, and no longer than needed."""
    number = 0
    for length in range(1, 5):
        if position >= len(data):
            raise malformed("a variable byte integer is cut off")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << 7 * (length - 1)
        if byte < 0x80:
            if length > 1 and byte == 0:
                raise malformed("a variable byte integer is longer than needed [MQTT-1.5.5-1]")
            return number, position
    raise malformed("a variable byte integer has more than four bytes [MQTT-1.5.5-1]")


def read(data: bytes, position: int, allowed: frozenset[Id]) -> tuple[dict[int, Any], int]:
    """Properties at ``position`` by identifier, and the position after them; user properties as a tuple of pairs."""
    if position < len(data) and data[position] == 0:
        return _NONE, position + 1
    length, position = variable_at(data, position)
    end = position + length
    if end > len(data):
        raise malformed("properties are longer than their packet")
    values: dict[int, Any] = {}
    pairs: list[tuple[str, str]] = []
    inside = data[:end]
    while position < end:
        if inside[position] == _USER_PROPERTY:  # there may be any number of these
            name, position = text_at(inside, position + 1)
            text, position = text_at(inside, position)
            pairs.append((name, text))
            continue
        number, position = variable_at(inside, position)
        if number not in allowed:
            raise malformed(f"property {number} does not belong here")
        if number in values:
            raise MqttError(Reason.PROTOCOL_ERROR, f"property {number} stands there twice")
        value, position = _value_at(inside, position, _KINDS[Id(number)])
        if (value == 0 and number in _NOT_ZERO) or (number in _ZERO_OR_ONE and value > 1):
            raise MqttError(Reason.PROTOCOL_ERROR, f"property {number} can't be {value}")
        if number == Id.RESPONSE_TOPIC:
            check_topic(value)  # [MQTT-3.3.2-14]
        values[number] = value
    if pairs:
        values[Id.USER_PROPERTY] = tuple(pairs)
    return values, position


def _value_at(data: bytes, position: int, kind: _Kind) -> tuple[Any, int]:
    match kind:
        case _Kind.TEXT:
            return text_at(data, position)
        case _Kind.BINARY:
            return binary_at(data, position)
        case _Kind.UINT16:
            return uint16_at(data, position), position + 2
        case _Kind.VARIABLE:
            return variable_at(data, position)
        case _Kind.UINT32:
            if position + 4 > len(data):
                raise malformed("a property is cut off")
            return _UINT32.unpack_from(data, position)[0], position + 4
        case _:
            if position >= len(data):
                raise malformed("a property is cut off")
            return data[position], position + 1


def write(values: Iterable[tuple[Id, Any]]) -> bytes:
    """Length and properties; a value of None is left out; ``USER_PROPERTY`` takes a tuple of pairs."""
    parts = []
    for number, value in values:
        if value is None:
            continue
        head = bytes((number,))
        match _KINDS[number]:
            case _Kind.TEXT:
                parts.append(head + _sized(value.encode()))
            case _Kind.BINARY:
                parts.append(head + _sized(value))
            case _Kind.UINT16:
                parts.append(head + _UINT16.pack(value))
            case _Kind.UINT32:
                parts.append(head + _UINT32.pack(value))
            case _Kind.VARIABLE:
                parts.append(head + variable_length(value))
            case _Kind.PAIR:
                parts.extend(head + _sized(name.encode()) + _sized(text.encode()) for name, text in value)
            case _:
                parts.append(head + bytes((value,)))
    body = b"".join(parts)
    return variable_length(len(body)) + body


def _sized(data: bytes) -> bytes:
    return _UINT16.pack(len(data)) + data
