"""The data types both versions share (MQTT 3.1.1, 1.5; MQTT 5, 1.5): what is cut off or ill-formed raises ``MqttError``."""

from __future__ import annotations

import struct

from .packets import MqttError, Reason

_UINT16 = struct.Struct("!H")


def malformed(text: str) -> MqttError:
    return MqttError(Reason.MALFORMED_PACKET, text)


def text_at(data: bytes, position: int) -> tuple[str, int]:
    """A UTF-8 string: well-formed, no surrogates, no U+0000. Returns it and the position after it."""
    # binary_at, spelled out: a packet may consist of a hundred thousand strings
    start = position + 2
    if start > len(data):
        raise malformed("a length is cut off")
    end = start + (data[position] << 8 | data[position + 1])
    if end > len(data):
        raise malformed("a string is longer than its packet")
    try:
        text = data[start:end].decode()
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8 [MQTT-1.5.3-1]") from None
    if "\x00" in text:
        raise malformed("a string holds U+0000 [MQTT-1.5.3-2]")
    return text, end


def check_topic(topic: str) -> None:
    """The name of a topic is not empty, and has no wildcards (4.7.1, 4.7.3)."""
    if not topic:
        raise MqttError(Reason.PROTOCOL_ERROR, "a topic name is empty [MQTT-4.7.3-1]")
    if "+" in topic or "#" in topic:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic name holds a wildcard [MQTT-4.7.1-1]")


def binary_at(data: bytes, position: int) -> tuple[bytes, int]:
    """Two bytes of length and that many bytes."""
    start = position + 2
    if start > len(data):
        raise malformed("a length is cut off")
    end = start + _UINT16.unpack_from(data, position)[0]
    if end > len(data):
        raise malformed("a string is longer than its packet")
    return data[start:end], end


def uint16_at(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise malformed("a number is cut off")
    number: int = _UINT16.unpack_from(data, position)[0]
    return number


def packet_id_at(data: bytes, position: int) -> int:
    number = uint16_at(data, position)
    if number == 0:
        raise malformed("packet identifier 0 [MQTT-2.3.1-1]")
    return number
