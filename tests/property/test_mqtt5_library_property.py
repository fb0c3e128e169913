"""MQTT 5 against another implementation: the ``mqtt5`` library, written in Rust by other people.

It is never given bytes that may be ill-formed UTF-8 inside: it panics on them (docs/decisions/0006-mqtt5-codec.md).
"""

from __future__ import annotations

import re
from typing import Any

import mqtt5
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.broker.codec import v5
from gateway.broker.codec.packets import Connack, MqttError, Packet, Properties, Reason
from tests.integration import octets_v5 as octets

from .mqtt5_library import (
    blobs,
    forwarded,
    members,
    messages,
    positive16,
    qualities,
    read,
    said,
    same,
    theirs,
    topics,
    uint16,
    uint32,
    words,
    written,
)

# -- what the library writes, we read


@given(found=written)
@settings(max_examples=400, deadline=None)
def test_what_the_library_writes_we_read(found: Any) -> None:
    same(read(found.write()), found)


# -- what we write, the library reads


@given(
    topic=topics,
    payload=blobs,
    qos=qualities,
    retain=st.booleans(),
    dup=st.booleans(),
    packet_id=positive16,
    message=messages,
    identifiers=st.lists(st.integers(1, 268_435_455), max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_a_publish_that_we_write_the_library_reads(
    topic: str,
    payload: bytes,
    qos: int,
    retain: bool,
    dup: bool,
    packet_id: int,
    message: dict[str, Any],
    identifiers: list[int],
) -> None:
    properties = Properties(
        message.get("payload_format_indicator"),
        message.get("message_expiry_interval"),
        message.get("content_type"),
        message.get("response_topic"),
        message.get("correlation_data"),
        tuple(message.get("user_properties", ())),
    )
    sent = v5.publish(
        topic.encode(), payload, qos=qos, retain=retain, dup=dup and qos > 0, packet_id=packet_id,
        properties=properties, subscription_ids=tuple(identifiers),
    )  # fmt: skip
    found = theirs(sent)
    assert (found.topic, found.payload, found.qos, found.retain) == (topic, payload, qos, retain)
    assert (found.duplicate, found.packet_id) == (dup and qos > 0, packet_id if qos else None)
    assert found.subscription_ids == identifiers
    assert said(found) == forwarded(properties)
    if not identifiers:
        same(read(sent), found)


@given(
    answer=st.builds(
        Connack,
        session_present=st.booleans(),
        reason=st.just(Reason.SUCCESS),
        reason_text=st.none() | words,
        session_expiry_s=st.none() | uint32,
        receive_maximum=positive16,
        maximum_packet_size=st.none() | st.integers(1, 0xFFFF_FFFF),
        assigned_client_id=st.none() | words,
        topic_alias_maximum=uint16,
        server_keepalive_s=st.none() | uint16,
        shared_subscriptions=st.booleans(),
    )
)
@settings(max_examples=300, deadline=None)
def test_a_connack_that_we_write_the_library_reads(answer: Connack) -> None:
    found = theirs(v5.connack(answer))
    assert (found.session_present, found.reason_code) == (answer.session_present, answer.reason)
    assert (found.reason_str, found.session_expiry_interval) == (answer.reason_text, answer.session_expiry_s)
    assert (found.receive_max, found.max_packet_size) == (answer.receive_maximum, answer.maximum_packet_size)
    assert (found.assigned_client_id, found.topic_alias_max) == (answer.assigned_client_id, answer.topic_alias_maximum)
    assert (found.server_keep_alive, found.shared_subscription_available) == (
        answer.server_keepalive_s,
        answer.shared_subscriptions,
    )


def _codes(theirs: type[Any]) -> st.SearchStrategy[Reason]:
    known = {int(code) for code in members(theirs)}
    return st.sampled_from([reason for reason in Reason if reason in known])


@given(packet_id=positive16, data=st.data(), why=st.none() | words)
@settings(max_examples=200, deadline=None)
def test_the_answers_that_we_write_the_library_reads(packet_id: int, data: st.DataObject, why: str | None) -> None:
    for write, codes in (
        (v5.puback, mqtt5.PubAckReasonCode),
        (v5.pubrec, mqtt5.PubRecReasonCode),
        (v5.pubrel, mqtt5.PubRelReasonCode),
        (v5.pubcomp, mqtt5.PubCompReasonCode),
    ):
        reason = data.draw(_codes(codes))
        found = theirs(write(packet_id, reason))
        assert (found.packet_id, found.reason_code) == (packet_id, reason)
        same(read(write(packet_id, reason)), found)
    granted = data.draw(st.lists(_codes(mqtt5.SubAckReasonCode), min_size=1, max_size=5))
    found = theirs(v5.suback(packet_id, granted))
    assert (found.packet_id, found.reason_codes) == (packet_id, granted)
    gone = data.draw(st.lists(_codes(mqtt5.UnsubAckReasonCode), min_size=1, max_size=5))
    found = theirs(v5.unsuback(packet_id, gone))
    assert (found.packet_id, found.reason_codes) == (packet_id, gone)
    end = data.draw(_codes(mqtt5.DisconnectReasonCode))
    found = theirs(v5.disconnect(end, why))
    assert (found.reason_code, found.reason_str) == (end, why)
    refusal = data.draw(_codes(mqtt5.ConnAckReasonCode))
    assert theirs(v5.connack(Connack(False, refusal))).reason_code == refusal


# -- good packets with a few bytes changed: both read the same, or both refuse, but for a list of differences

# Where the library takes what the specification forbids.
STRICTER = (
    r"a string holds U\+0000",
    "reserved connect flag|without a will|password without",  # of CONNECT
    "packet identifier 0",
    "reserved subscription options",
    "DUP with QoS 0",
    r"property \d+ can't be",  # a payload format of 2
    "wildcard|topic name is empty",  # of a response topic
    "no local on a shared",
    "without a filter",
    "property 11 does not belong here",  # a subscription identifier in a client's PUBLISH
    "authentication data without a method",
    # It takes a property that is longer than what the property length leaves for it.
    "cut off|longer than its packet|longer than needed|more than four bytes|does not belong here|twice",
)
# Where we take what nobody needs to mind: reasons of acknowledgements that the specification does not list; where an AUTH of
# no bytes is allowed (3.15.2.1), and where the topic is looked at together with what its alias stands for (broker/exchange.py).
KINDER = (r"Invalid \w+ReasonCode value", "Missing property length", "Topic alias must be set if topic is empty")

# Every byte below 128, so that every string in it is UTF-8 wherever it may be cut.
GOOD = (
    octets.connect(
        "id", octets.session_expiry(10), octets.receive_maximum(7), username="name", password="pwd",
        will=("t", b"pa", 1, True), will_properties=octets.properties(octets.will_delay(5), octets.message_expiry(6)),
    ),
    octets.connect("id", octets.authentication_method("m"), octets.authentication_data(b"d"), octets.user_property("a", "b")),
    octets.publish(
        "t", b"!", octets.payload_format(1), octets.message_expiry(60), octets.content_type("j"), octets.response_topic("r"),
        octets.correlation(b"\x00a"), octets.topic_alias(1), octets.user_property("a", "b"),
    ),
    octets.publish("t/u", b"!!", qos=1),
    octets.publish("t", b"x", octets.user_property("", ""), qos=2, dup=True, retain=True),
    octets.subscribe(("a/b", 1), ("/#", 0x2C), each=(octets.subscription_id(7), octets.user_property("a", "b"))),
    octets.unsubscribe("a", "b/+"),
    octets.puback(5),
    octets.puback(5, 0x10),
    octets.pubrec(5, 0, octets.reason_string("x")),
    octets.pubrel(5, 0),
    octets.pubcomp(5),
    octets.disconnect(4, octets.session_expiry(3)),
    octets.auth(0x18, octets.authentication_method("x"), octets.authentication_data(b"d")),
)  # fmt: skip
changes = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "set"]),
        st.integers(0, 126),
        st.sampled_from([0, 1, 2, 3]) | st.integers(0, 127),
    ),
    max_size=4,
)


def changed(good: bytes, how: list[tuple[str, int, int]]) -> bytes:
    body = bytearray(byte & 0x7F for byte in good[2:])
    for kind, place, byte in how:
        at = place % (len(body) + 1)
        if kind == "insert":
            body.insert(at, byte)
        elif at < len(body):
            body[at : at + 1] = b"" if kind == "delete" else bytes([byte])
    return bytes([good[0], min(len(body), 127)]) + bytes(body[:127])


@given(sent=st.builds(changed, st.sampled_from(GOOD), changes))
@example(octets.auth(0x18)[:1] + b"\x00")
@example(octets.connect("id").replace(b"MQTT\x05\x02", b"MQTT\x05\x03"))  # the reserved flag
@settings(max_examples=1500, deadline=None)
def test_both_read_the_same_or_both_refuse(sent: bytes) -> None:
    try:
        ours: Packet | MqttError = v5.decode(sent, 2)
    except MqttError as error:
        ours = error
    try:
        found = theirs(sent)
    except ValueError as error:
        is_known = isinstance(ours, MqttError) or any(re.match(known, str(error)) for known in KINDER)
        assert is_known, f"{ours!r}, and the library: {error}"  # noqa: PT017
        return
    if isinstance(ours, MqttError):
        assert any(re.search(known, str(ours)) for known in STRICTER), f"{ours}, and the library: {found!r}"
        # it would not write itself what it has read
        assert found.write() != sent or re.search(
            r"U\+0000|identifier 0|wildcard|empty|shared|11 does|can't be|DUP|filter", str(ours)
        )
        return
    same(ours, found)
