"""MQTT 5 packets as bytes and as records: tables of both, and the cases of the wire that the codec alone decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.broker.codec import properties, v5
from gateway.broker.codec.framing import Framer
from gateway.broker.codec.packets import (
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
from gateway.broker.codec.properties import Id
from tests.integration.packets_v5 import AFTER_THE_LOGIN, FIRST_PACKETS, Case

LIMIT = 2 * 1024 * 1024


def decoded(sent: bytes) -> list[Packet]:
    """Everything in ``sent``. Raises what is wrong with it."""
    framer = Framer(LIMIT)
    packets = [v5.decode(packet, header) for packet, header in framer.feed(sent)]
    if framer.error is not None:
        raise framer.error
    return packets


GOOD: dict[str, tuple[str, Packet]] = {
    "the least CONNECT": (
        "10 0d 0004 4d515454 05 02 0000 00 0000",
        Connect(5, "", True, 0, None, None, session_expiry_s=0),
    ),
    "a password and no user name": (
        "10 10 0004 4d515454 05 40 0000 00 0000 0001 70",
        Connect(5, "", False, 0, None, b"p", session_expiry_s=0),
    ),
    "a full CONNECT": (
        (
            "10 4e 0004 4d515454 05 ee 003c"
            " 22 11 0000000a 21 0007 27 00001000 22 0003 19 01 17 00 26 0001 61 0001 62 26 0001 61 0001 63"
            " 0002 6964 0a 18 00000005 02 00000006 0001 74 0002 7061 0004 6e616d65 0003 707764"
        ),
        Connect(
            5, "id", True, 60, "name", b"pwd",
            Will("t", b"pa", 1, True, Properties(message_expiry_s=6), 5),
            session_expiry_s=10, receive_maximum=7, maximum_packet_size=4096, topic_alias_maximum=3,
            request_problem_information=False, user_properties=(("a", "b"), ("a", "c")),
        ),
    ),
    "CONNECT with an authentication method": (
        "10 15 0004 4d515454 05 02 0000 08 15 0001 58 16 0001 00 0000",
        Connect(5, "", True, 0, None, None, session_expiry_s=0, authentication_method="X"),
    ),
    "PUBLISH": ("30 06 0001 74 00 6869", Publish("t", b"hi")),
    "PUBLISH without a payload": ("30 04 0001 74 00", Publish("t", b"")),
    "PUBLISH QoS 1, retained": ("33 08 0001 74 000a 00 6869", Publish("t", b"hi", 1, True, False, 10)),
    "PUBLISH QoS 2 again": ("3c 07 0001 74 ffff 00 21", Publish("t", b"!", 2, False, True, 65_535)),
    "PUBLISH by an alias": ("30 06 0000 03 23 0020", Publish("", b"", topic_alias=32)),
    "PUBLISH with every property": (
        (
            "30 28 0001 74 23 01 01 02 0000003c 03 0001 6a 08 0001 72 09 0002 00ff 23 0001"
            " 26 0001 61 0001 62 26 0000 0000 21"
        ),
        Publish(
            "t", b"!", topic_alias=1,
            properties=Properties(1, 60, "j", "r", b"\x00\xff", (("a", "b"), ("", ""))),
        ),
    ),
    "PUBLISH with a payload format of 0": ("30 06 0001 74 02 01 00", Publish("t", b"", properties=Properties(0))),
    "PUBACK": ("40 02 0102", PubAck(258)),
    "PUBACK with a reason": ("40 03 0102 10", PubAck(258, 0x10)),
    "PUBACK with properties": ("40 0a 0102 87 06 1f 0003 6e6f70", PubAck(258, 0x87)),
    "PUBREC": ("50 04 0001 80 00", PubRec(1, 0x80)),
    "PUBREL": ("62 02 ffff", PubRel(65_535)),
    "PUBREL with a reason": ("62 03 0001 92", PubRel(1, 0x92)),
    "PUBCOMP": ("70 03 0003 92", PubComp(3, 0x92)),
    "SUBSCRIBE": (
        "82 10 0001 02 0b 7f 0003 612f62 01 0002 2f23 2c",
        Subscribe(1, (Subscription("a/b", 1, identifier=127), Subscription("/#", 0, True, True, 2, 127))),
    ),
    "SUBSCRIBE with the largest identifier": (
        "82 0c 0001 05 0b ffffff7f 0001 61 12",
        Subscribe(1, (Subscription("a", 2, retain_handling=1, identifier=268_435_455),)),
    ),
    "UNSUBSCRIBE": ("a2 0c 0007 00 0003 612f62 0002 2f2b", Unsubscribe(7, ("a/b", "/+"))),
    "PINGREQ": ("c0 00", PingReq()),
    "DISCONNECT": ("e0 00", Disconnect()),
    "DISCONNECT with a reason": ("e0 01 04", Disconnect(4)),
    "DISCONNECT with properties": ("e0 0b 00 09 11 00000005 1f 0001 61", Disconnect(0, 5)),
    "AUTH": ("f0 00", Auth()),
    "AUTH with properties": ("f0 06 18 04 15 0001 58", Auth(0x18)),
}  # fmt: skip


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
def test_a_packet_that_is_cut_short_is_read_as_less_or_refused(name: str) -> None:
    """The length says so many bytes less, the body has so many bytes less."""
    sent, expected = GOOD[name]
    whole = bytes.fromhex(sent)
    for missing in range(1, whole[1] + 1):
        shorter = bytes([whole[0], whole[1] - missing]) + whole[2:-missing]
        try:
            (packet,) = decoded(shorter)
        except MqttError as error:
            assert error.reason in {Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR}  # noqa: PT017
        else:
            assert type(packet) is type(expected)
            assert packet != expected or not isinstance(packet, Connect | Subscribe | Unsubscribe)


@pytest.mark.parametrize("name", GOOD)
def test_a_packet_with_a_byte_behind_its_fields_is_refused_unless_it_is_payload(name: str) -> None:
    sent, expected = GOOD[name]
    whole = bytes.fromhex(sent)
    longer = bytes([whole[0], whole[1] + 1]) + whole[2:] + b"\x00"
    if isinstance(expected, Publish):
        (packet,) = decoded(longer)
        assert isinstance(packet, Publish)
        assert packet.payload == expected.payload + b"\x00"
    elif longer[1] <= 4 and whole[0] in (0x40, 0x50, 0x62, 0x70, 0xE0, 0xF0):
        decoded(longer)  # what had been left out: a reason, or no properties
    else:
        with pytest.raises(MqttError):
            decoded(longer)


@pytest.mark.parametrize("name", GOOD)
def test_a_length_of_more_bytes_than_needed_is_refused(name: str) -> None:
    whole = bytes.fromhex(GOOD[name][0])
    with pytest.raises(MqttError):
        decoded(bytes([whole[0], whole[1] | 0x80, 0]) + whole[2:])


# Right as packets, and refused for what they mean.
BY_MEANING = {
    "DISCONNECT",
    "DISCONNECT with a reason",
    "DISCONNECT with the will",
    "DISCONNECT with properties",
    "DISCONNECT with session expiry 0",
    "DISCONNECT that prolongs a session that ends (3.14.2.2.2)",
    "AUTH without an authentication method (4.12.1)",
    "an alias above the highest",
    "an alias of nothing",
    "an empty topic and no alias (3.3.2.1)",
    "+ in the topic [MQTT-3.3.2-2]",
    "# in the topic by its alias",
}


@pytest.mark.parametrize("case", AFTER_THE_LOGIN, ids=lambda case: case.name)
def test_the_cases_of_the_wire(case: Case) -> None:
    if case.name.startswith("a second CONNECT"):
        return  # never decoded (broker/exchange.py)
    if case.closes and case.name not in BY_MEANING:
        with pytest.raises(MqttError) as caught:
            decoded(case.sent)
        assert case.answer.endswith(v5.disconnect(caught.value.reason))
    else:
        assert decoded(case.sent)


@pytest.mark.parametrize(
    "case", [case for case in FIRST_PACKETS if case.sent[:1] == b"\x10"], ids=lambda case: case.name
)
def test_the_connects_of_the_wire(case: Case) -> None:
    if case.answer[:2] == b"\x20\x02":
        with pytest.raises(UnsupportedLevelError):
            decoded(case.sent)
    elif case.answer[3:4] in (b"\x81", b"\x82") and "will topic" not in case.name:
        with pytest.raises(MqttError) as caught:
            decoded(case.sent)
        assert caught.value.reason == case.answer[3]
    else:
        assert isinstance(decoded(case.sent)[0], Connect)


def test_connects_of_other_versions_are_left_to_others() -> None:
    for sent in ("10 0c 0004 4d515454 04 02 0000 0000", "10 0d 0004 4d515454 06 02 0000 00 0000"):
        with pytest.raises(UnsupportedLevelError) as caught:
            v5.decode_connect(bytes.fromhex(sent), 2)
        assert caught.value.level == bytes.fromhex(sent)[8]


# -- properties

# 2.2.2.2, table 2-4: by which packets of a client each may be carried, and one value of it on the wire.
CARRIED = {
    0x01: ("00", {"PUBLISH", "WILL"}),
    0x02: ("00000001", {"PUBLISH", "WILL"}),
    0x03: ("0001 61", {"PUBLISH", "WILL"}),
    0x08: ("0001 61", {"PUBLISH", "WILL"}),
    0x09: ("0001 61", {"PUBLISH", "WILL"}),
    0x0B: ("01", {"SUBSCRIBE"}),
    0x11: ("00000001", {"CONNECT", "DISCONNECT"}),
    0x12: ("0001 61", set()),
    0x13: ("0001", set()),
    0x15: ("0001 61", {"CONNECT", "AUTH"}),
    0x16: ("0001 61", {"CONNECT", "AUTH"}),
    0x17: ("00", {"CONNECT"}),
    0x18: ("00000001", {"WILL"}),
    0x19: ("00", {"CONNECT"}),
    0x1A: ("0001 61", set()),
    0x1C: ("0001 61", set()),
    0x1F: ("0001 61", {"ACKNOWLEDGEMENT", "DISCONNECT", "AUTH"}),
    0x21: ("0001", {"CONNECT"}),
    0x22: ("0001", {"CONNECT"}),
    0x23: ("0001", {"PUBLISH"}),
    0x24: ("00", set()),
    0x25: ("00", set()),
    0x26: (
        "0001 61 0001 62",
        {"CONNECT", "PUBLISH", "WILL", "ACKNOWLEDGEMENT", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "AUTH"},
    ),
    0x27: ("00000001", {"CONNECT"}),
    0x28: ("00", set()),
    0x29: ("00", set()),
    0x2A: ("00", set()),
}
CARRIERS = ("CONNECT", "PUBLISH", "WILL", "ACKNOWLEDGEMENT", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "AUTH")


@pytest.mark.parametrize("carrier", CARRIERS)
def test_which_packets_may_carry_which_property(carrier: str) -> None:
    allowed = getattr(properties, carrier)
    for number in range(0x100):
        value, carriers = CARRIED.get(number, ("00", set()))
        body = (bytes([number]) if number < 0x80 else bytes([number, 0x01])) + bytes.fromhex(value)
        if carrier in carriers:
            values, end = properties.read(bytes([len(body)]) + body, 0, allowed)
            assert (list(values), end) == ([number], len(body) + 1)
        else:
            with pytest.raises(MqttError) as caught:
                properties.read(bytes([len(body)]) + body, 0, allowed)
            assert caught.value.reason is Reason.MALFORMED_PACKET


@pytest.mark.parametrize("number", [number for number, (_, carriers) in CARRIED.items() if carriers], ids=hex)
def test_only_user_properties_may_stand_there_twice(number: int) -> None:
    value, carriers = CARRIED[number]
    body = (bytes([number]) + bytes.fromhex(value)) * 2
    sent, allowed = bytes([len(body)]) + body, getattr(properties, min(carriers))
    if number == Id.USER_PROPERTY:
        assert properties.read(sent, 0, allowed)[0] == {number: (("a", "b"), ("a", "b"))}
        return
    with pytest.raises(MqttError) as caught:
        properties.read(sent, 0, allowed)
    assert caught.value.reason is Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455])
def test_variable_byte_integers(number: int) -> None:
    encoded = v5.variable_length(number)
    assert properties.variable_at(encoded, 0) == (number, len(encoded))
    for size in range(len(encoded)):
        with pytest.raises(MqttError):
            properties.variable_at(encoded[:size], 0)


@pytest.mark.parametrize("sent", ["8000", "818000", "ffff8000", "ffffffff00", "ffffffff7f", "8080808000"])
def test_variable_byte_integers_that_are_none(sent: str) -> None:
    with pytest.raises(MqttError):
        properties.variable_at(bytes.fromhex(sent), 0)


# -- what the gateway says


def published(
    *, qos: int = 0, retain: bool = False, dup: bool = False, said: Properties | None = None, ids: tuple[int, ...] = ()
) -> bytes:
    return v5.publish(
        b"t", b"hi", qos=qos, retain=retain, dup=dup, packet_id=258, properties=said, subscription_ids=ids
    )


SAID: dict[str, tuple[Callable[[], bytes], str]] = {
    "CONNACK": (lambda: v5.connack(Connack(False, Reason.SUCCESS)), "20 03 00 00 00"),
    "CONNACK, refused": (
        lambda: v5.connack(Connack(False, Reason.BAD_USER_NAME_OR_PASSWORD, maximum_packet_size=9)), "20 03 00 86 00",
    ),
    "CONNACK with everything": (
        lambda: v5.connack(
            Connack(
                True, Reason.SUCCESS, reason_text="no", session_expiry_s=1, receive_maximum=2, maximum_packet_size=3,
                assigned_client_id="x", topic_alias_maximum=4, server_keepalive_s=5, shared_subscriptions=False,
            )
        ),
        "20 21 01 00 1e 11 00000001 21 0002 27 00000003 12 0001 78 22 0004 1f 0002 6e6f 2a 00 13 0005",
    ),
    "PUBLISH": (published, "30 06 0001 74 00 6869"),
    "PUBLISH, retained": (lambda: published(retain=True), "31 06 0001 74 00 6869"),
    "PUBLISH QoS 2 again": (lambda: published(qos=2, dup=True), "3c 08 0001 74 0102 00 6869"),
    "PUBLISH without anything in its properties": (lambda: published(said=Properties()), "30 06 0001 74 00 6869"),
    "PUBLISH with everything": (
        lambda: published(said=Properties(0, 60, "j", "r", b"\xff", (("a", "b"),)), ids=(1, 200)),
        "30 25 0001 74 1f 0b 01 0b c801 01 00 02 0000003c 03 0001 6a 08 0001 72 09 0001 ff 26 0001 61 0001 62 6869",
    ),
    "PUBACK": (lambda: v5.puback(258), "40 02 0102"),
    "PUBACK of a refused message": (lambda: v5.puback(258, Reason.NOT_AUTHORIZED), "40 03 0102 87"),
    "PUBREC of a refused message": (lambda: v5.pubrec(258, Reason.NOT_AUTHORIZED), "50 03 0102 87"),
    "PUBREL": (lambda: v5.pubrel(258), "62 02 0102"),
    "PUBCOMP": (lambda: v5.pubcomp(258, Reason.PACKET_IDENTIFIER_NOT_FOUND), "70 03 0102 92"),
    "SUBACK": (
        lambda: v5.suback(1, [Reason.SUCCESS, Reason.GRANTED_QOS_1, Reason.GRANTED_QOS_2, Reason.QUOTA_EXCEEDED]),
        "90 07 0001 00 00 01 02 97",
    ),
    "UNSUBACK": (
        lambda: v5.unsuback(1, [Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED]), "b0 05 0001 00 00 11",
    ),
    "DISCONNECT": (lambda: v5.disconnect(Reason.SERVER_SHUTTING_DOWN), "e0 02 8b 00"),
    "DISCONNECT with a text": (lambda: v5.disconnect(Reason.PROTOCOL_ERROR, "no"), "e0 07 82 05 1f 0002 6e6f"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_a_packet_is_written(name: str) -> None:
    write, expected = SAID[name]
    assert write().hex() == bytes.fromhex(expected).hex()
