"""MQTT 3.1.1 packets as bytes and as records: tables of both, and the cases of the wire that the codec alone decides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.broker.codec import v311
from gateway.broker.codec.framing import Framer, variable_length
from gateway.broker.codec.packets import (
    Connack,
    Connect,
    Disconnect,
    MqttError,
    Packet,
    PingReq,
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
from tests.integration.packets import AFTER_THE_LOGIN, FIRST_PACKETS, Case

LIMIT = 2 * 1024 * 1024


def decoded(sent: bytes) -> list[Packet]:
    """Everything in ``sent``. Raises what is wrong with it."""
    framer = Framer(LIMIT)
    packets = [v311.decode(packet, header) for packet, header in framer.feed(sent)]
    if framer.error is not None:
        raise framer.error
    return packets


GOOD: dict[str, tuple[str, Packet]] = {
    "the least CONNECT": (
        "10 0c 0004 4d515454 04 02 0000 0000",
        Connect(4, "", True, 0, None, None),
    ),
    "a full CONNECT": (
        "10 20 0004 4d515454 04 f6 003c 0002 6964 0001 74 0002 7061 0004 6e616d65 0003 707764",
        Connect(4, "id", True, 60, "name", b"pwd", Will("t", b"pa", 2, True)),
    ),
    "CONNECT with a will and no name": (
        "10 11 0004 4d515454 04 04 0000 0000 0001 74 0000",
        Connect(4, "", False, 0, None, None, Will("t", b"", 0, False)),
    ),
    "PUBLISH": ("30 05 0001 74 6869", Publish("t", b"hi")),
    "PUBLISH without a payload": ("30 03 0001 74", Publish("t", b"")),
    "PUBLISH QoS 1, retained": ("33 07 0001 74 000a 6869", Publish("t", b"hi", 1, True, False, 10)),
    "PUBLISH QoS 2 again": ("3c 06 0001 74 ffff 21", Publish("t", b"!", 2, False, True, 65_535)),
    "PUBLISH QoS 1 without a payload": ("32 05 0001 74 0001", Publish("t", b"", 1, False, False, 1)),
    "PUBACK": ("40 02 0102", PubAck(258)),
    "PUBREC": ("50 02 0001", PubRec(1)),
    "PUBREL": ("62 02 ffff", PubRel(65_535)),
    "PUBCOMP": ("70 02 0003", PubComp(3)),
    "SUBSCRIBE": (
        "82 0d 0001 0003 612f62 01 0002 2f23 00",
        Subscribe(1, (Subscription("a/b", 1), Subscription("/#", 0))),
    ),
    "UNSUBSCRIBE": ("a2 0b 0007 0003 612f62 0002 2f2b", Unsubscribe(7, ("a/b", "/+"))),
    "PINGREQ": ("c0 00", PingReq()),
    "DISCONNECT": ("e0 00", Disconnect()),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_packet_is_read(name: str) -> None:
    sent, expected = GOOD[name]
    assert decoded(bytes.fromhex(sent)) == [expected]


@pytest.mark.parametrize("name", GOOD)
def test_every_beginning_of_a_packet_is_none(name: str) -> None:
    sent = bytes.fromhex(GOOD[name][0])
    for size in range(len(sent)):
        assert decoded(sent[:size]) == []


@pytest.mark.parametrize("name", GOOD)
def test_a_packet_that_is_cut_short_is_read_as_nothing_else_or_refused(name: str) -> None:
    """The length says one byte less, the body has one byte less."""
    sent, expected = GOOD[name]
    whole = bytes.fromhex(sent)
    if whole[1] == 0:
        return
    shorter = bytes([whole[0], whole[1] - 1]) + whole[2:-1]
    try:
        (packet,) = decoded(shorter)
    except MqttError as error:
        assert error.reason is Reason.MALFORMED_PACKET  # noqa: PT017
    else:
        assert isinstance(packet, Publish)
        assert isinstance(expected, Publish)
        assert packet.payload == expected.payload[:-1]


# Right as packets, and refused for what they mean; who notices that is not the wire's business.
BY_MEANING = {
    "an empty will topic [MQTT-4.7.3-1]",
    "+ in the will topic [MQTT-4.7.1-1]",
    "# in the will topic",
    "DISCONNECT",
    "DISCONNECT and more: not read",
    "a second CONNECT [MQTT-3.1.0-2]",
    "an empty topic [MQTT-4.7.3-1]",
    "+ in the topic [MQTT-3.3.2-2]",
    "# in the topic",
    "# inside a level of the topic",
}


@pytest.mark.parametrize("case", AFTER_THE_LOGIN, ids=lambda case: case.name)
def test_the_cases_of_the_wire(case: Case) -> None:
    if case.name in BY_MEANING:
        with suppress(MqttError):
            assert decoded(case.sent)
    elif case.closes:
        with pytest.raises(MqttError):
            decoded(case.sent)
    else:
        assert decoded(case.sent)


@pytest.mark.parametrize(
    "case", [case for case in FIRST_PACKETS if case.sent[:1] == b"\x10"], ids=lambda case: case.name
)
def test_the_connects_of_the_wire(case: Case) -> None:
    if case.answer == v311.connack(Connack(False, Reason.UNSUPPORTED_PROTOCOL_VERSION)):
        with pytest.raises(UnsupportedLevelError):
            decoded(case.sent)
    elif case.name in BY_MEANING:
        with suppress(MqttError):
            assert decoded(case.sent)
    elif case.closes and not case.answer:
        with pytest.raises(MqttError):
            decoded(case.sent)
    else:
        assert isinstance(decoded(case.sent)[0], Connect)


@pytest.mark.parametrize(
    ("sent", "name", "level"),
    [
        ("10 0c 0004 4d515454 04 02 0000 0000", "MQTT", 4),
        ("10 0d 0004 4d515454 05 02 0000 00 0000", "MQTT", 5),
        ("10 0e 0006 4d5149736470 03 02 0000 0000", "MQIsdp", 3),
        ("10 07 0004 4d515454 ff", "MQTT", 255),
    ],
)
def test_name_and_level_are_read_before_a_codec_is_chosen(sent: str, name: str, level: int) -> None:
    assert v311.protocol_level(bytes.fromhex(sent), 2) == (name, level)


@pytest.mark.parametrize("sent", ["10 00", "10 01 00", "10 06 0004 4d515454", "10 05 00ff 4d5154", "10 03 0001 ff"])
def test_name_and_level_that_are_not_there(sent: str) -> None:
    with pytest.raises(MqttError):
        v311.protocol_level(bytes.fromhex(sent), 2)


# -- what the gateway says

SAID: dict[str, tuple[Callable[[], bytes], str]] = {
    "CONNACK": (lambda: v311.connack(Connack(False, Reason.SUCCESS)), "20 02 00 00"),
    "CONNACK, session present": (lambda: v311.connack(Connack(True, Reason.SUCCESS)), "20 02 01 00"),
    "PUBLISH": (lambda: published(qos=0), "30 05 0001 74 6869"),
    "PUBLISH, retained": (lambda: published(qos=0, retain=True), "31 05 0001 74 6869"),
    "PUBLISH QoS 1": (lambda: published(qos=1), "32 07 0001 74 0102 6869"),
    "PUBLISH QoS 2 again": (lambda: published(qos=2, dup=True), "3c 07 0001 74 0102 6869"),
    "PUBACK": (lambda: v311.puback(258), "40 02 0102"),
    "PUBACK of a refused message": (lambda: v311.puback(258, Reason.NOT_AUTHORIZED), "40 02 0102"),
    "PUBREC": (lambda: v311.pubrec(258, Reason.NOT_AUTHORIZED), "50 02 0102"),
    "PUBREL": (lambda: v311.pubrel(258), "62 02 0102"),
    "PUBCOMP": (lambda: v311.pubcomp(258, Reason.PACKET_IDENTIFIER_NOT_FOUND), "70 02 0102"),
    "SUBACK": (
        lambda: v311.suback(1, [Reason.SUCCESS, Reason.GRANTED_QOS_1, Reason.GRANTED_QOS_2, Reason.QUOTA_EXCEEDED]),
        "90 06 0001 00 01 02 80",
    ),
    "UNSUBACK": (lambda: v311.unsuback(1, [Reason.NO_SUBSCRIPTION_EXISTED]), "b0 02 0001"),
    "PINGRESP": (lambda: v311.PINGRESP, "d0 00"),
    "DISCONNECT, which a server of 3.1.1 does not have": (lambda: v311.disconnect(Reason.SERVER_SHUTTING_DOWN), ""),
}


def published(*, qos: int, retain: bool = False, dup: bool = False) -> bytes:
    return v311.publish(b"t", b"hi", qos=qos, retain=retain, dup=dup, packet_id=258)


@pytest.mark.parametrize("name", SAID)
def test_a_packet_is_written(name: str) -> None:
    write, expected = SAID[name]
    assert write() == bytes.fromhex(expected)


def test_a_suback_of_many_filters_has_a_longer_length() -> None:
    assert v311.suback(1, [Reason.SUCCESS] * 200) == b"\x90\xca\x01\x00\x01" + b"\x00" * 200


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason >= 0x80], ids=lambda reason: reason.name)
def test_every_refusal_has_a_return_code_of_3_1_1(reason: Reason) -> None:
    """3.2.2.3 knows five; what is none of them must still be a refusal."""
    code = v311.connack(Connack(False, reason))[3]
    expected = {
        Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
        Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
        Reason.BAD_USER_NAME_OR_PASSWORD: 4,
        Reason.NOT_AUTHORIZED: 5,
        Reason.BANNED: 5,
        Reason.BAD_AUTHENTICATION_METHOD: 5,
    }
    assert code == expected.get(reason, 3)


# -- lengths


@pytest.mark.parametrize(
    ("number", "encoded"),
    [  # table 2.4
        (0, "00"),
        (127, "7f"),
        (128, "80 01"),
        (16_383, "ff 7f"),
        (16_384, "80 80 01"),
        (2_097_151, "ff ff 7f"),
        (2_097_152, "80 80 80 01"),
        (268_435_455, "ff ff ff 7f"),
    ],
)
def test_the_table_of_remaining_lengths(number: int, encoded: str) -> None:
    assert variable_length(number) == bytes.fromhex(encoded)


def test_a_packet_may_be_as_large_as_the_limit_and_not_a_byte_larger() -> None:
    body = b"\x00" * (1024 - 3)
    head = b"\x30" + variable_length(len(body))
    framer = Framer(1024)
    assert framer.feed(head + body) == [(head + body, 3)]
    assert framer.feed(b"\x30" + variable_length(len(body) + 1)) == []
    assert framer.error is not None
    assert framer.error.reason is Reason.PACKET_TOO_LARGE
    assert framer.buffered == 0


def test_after_an_error_nothing_is_read_or_kept() -> None:
    framer = Framer(1024)
    assert [packet for packet, _ in framer.feed(b"\xc0\x00\xc0\xff\xff\xff\xff\x01\xc0\x00")] == [b"\xc0\x00"]
    assert framer.error is not None
    error = framer.error
    assert framer.feed(b"\xc0\x00") == []
    assert framer.error is error
    assert framer.buffered == 0
