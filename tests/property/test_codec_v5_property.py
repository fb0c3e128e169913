"""MQTT 5 against any bytes, and against another implementation: the ``mqtt5`` library, written in Rust by other people.

It is never given bytes that may be ill-formed UTF-8 inside: it panics on them (docs/decisions/0006-mqtt5-codec.md).
"""

from __future__ import annotations

import re
from typing import Any

import mqtt5
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.broker.codec import v5
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
    Unsubscribe,
    Will,
)

from ..integration import octets_v5 as octets
from ..integration.octets import packet, text

uint16 = st.integers(0, 65_535)
positive16 = st.integers(1, 65_535)
uint32 = st.integers(0, 0xFFFF_FFFF)
qualities = st.integers(0, 2)
words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
topics = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0+#"), min_size=1, max_size=20)
patterns = topics | st.sampled_from(["#", "+", "a/+/b", "/#", "+/#", "$share/g/a/+", "$SYS/#"])
pairs = st.lists(st.tuples(words, words), max_size=3)
blobs = st.binary(max_size=40)


def members(kind: Any) -> list[Any]:
    """Those of an enumeration of the library, by number; it is none of Python's."""
    return sorted((getattr(kind, name) for name in dir(kind) if name.isupper()), key=int)


QOS, HANDLINGS = members(mqtt5.QoS), members(mqtt5.RetainHandling)


def read(sent: bytes) -> Packet:
    ((whole, header),) = Framer(1_000_000).feed(sent)
    return v5.decode(whole, header)


def theirs(sent: bytes) -> Any:
    found, size = mqtt5.read(memoryview(sent))
    assert size == len(sent)
    return found


# -- any bytes

anything = st.binary(max_size=12).map(text)  # a string with the right length, and anything in it
each_property = st.one_of(
    st.builds(octets.payload_format, st.integers(0, 3)),
    st.builds(octets.message_expiry, uint32),
    st.builds(octets.response_topic, st.binary(max_size=6)),
    st.builds(octets.subscription_id, st.integers(0, 268_435_455)),
    st.builds(octets.session_expiry, uint32),
    st.builds(octets.will_delay, uint32),
    st.builds(octets.receive_maximum, uint16),
    st.builds(octets.topic_alias, uint16),
    st.builds(octets.maximum_packet_size, uint32),
    st.builds(octets.user_property, st.binary(max_size=6), st.binary(max_size=6)),
    st.builds(lambda number, rest: bytes([number]) + rest, st.integers(0, 255), anything | st.binary(max_size=5)),
)
told = st.lists(each_property, max_size=4).map(lambda each: octets.properties(*each)) | st.binary(max_size=6)
inside = st.lists(st.one_of(anything, told, st.binary(max_size=3)), max_size=6).map(b"".join)
heads = st.builds(
    lambda flags, keepalive: text("MQTT") + bytes([5, flags]) + keepalive,
    st.integers(0, 255),
    st.binary(min_size=2, max_size=2),
)
firsts = st.sampled_from([0x10, 0x30, 0x31, 0x32, 0x34, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0]) | st.integers(
    0, 255
)
nearly = st.one_of(
    st.builds(lambda head, rest: packet(0x10, head + rest), heads, inside),
    st.builds(lambda first, start, rest: packet(first, start + rest), firsts, st.binary(max_size=4), inside),
)


@given(stream=st.lists(nearly, max_size=5).map(b"".join) | st.binary(max_size=100), data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_bytes_in_any_pieces_become_packets_or_an_mqtt_error(stream: bytes, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    outcomes = []
    for pieces in ([0, len(stream)], [0, *places, len(stream)]):
        framer = Framer(4096)
        outcome: list[object] = []
        for start, end in zip(pieces, pieces[1:], strict=False):
            for whole, header in framer.feed(stream[start:end]):
                try:
                    outcome.append(v5.decode(whole, header))
                except MqttError as error:
                    assert isinstance(error.reason, Reason)  # noqa: PT017
                    outcome.append((error.reason, str(error)))
        outcomes.append((outcome, framer.error and framer.error.reason))
    assert outcomes[0] == outcomes[1]


# -- what the library writes, we read


def said(found: Any) -> Properties:
    """The properties that go on with a message, as the library has them; it does not tell 0 from none."""
    return Properties(
        found.payload_format_indicator or None,
        found.message_expiry_interval,
        found.content_type,
        found.response_topic,
        found.correlation_data,
        tuple(found.user_properties),
    )


def forwarded(properties: Properties | None) -> Properties:
    if properties is None:
        return Properties()
    return Properties(
        properties.payload_format_indicator or None,
        properties.message_expiry_s,
        properties.content_type,
        properties.response_topic,
        properties.correlation_data,
        properties.user_properties,
    )


def same(ours: Packet, found: Any) -> None:
    """Both have read the same."""
    name = type(found).__name__.removesuffix("Packet")
    assert type(ours).__name__.lower() == name.lower()
    match ours:
        case Connect():
            assert (ours.client_id, ours.clean_start, ours.keepalive_s) == (found.client_id, found.clean_start, found.keep_alive)
            assert (ours.username, ours.password) == (found.username, found.password)
            assert ours.session_expiry_s == found.session_expiry_interval
            assert (ours.receive_maximum, ours.topic_alias_maximum) == (found.receive_max, found.topic_alias_max)
            assert ours.maximum_packet_size == found.max_packet_size
            assert ours.authentication_method == found.authentication_method
            assert ours.request_problem_information == found.request_problem_info
            assert ours.user_properties == tuple(found.user_properties)
            same_will(ours.will, found.will)
        case Publish():
            assert (ours.topic, ours.payload, ours.qos, ours.retain) == (found.topic, found.payload, found.qos, found.retain)
            assert (ours.dup, ours.packet_id or None) == (found.duplicate, found.packet_id)
            assert ours.topic_alias == found.topic_alias
            assert forwarded(ours.properties) == said(found)
        case PubAck() | PubRec() | PubRel() | PubComp():
            assert (ours.packet_id, ours.reason) == (found.packet_id, found.reason_code)
        case Subscribe():
            assert ours.packet_id == found.packet_id
            assert [
                (each.filter, each.qos, each.no_local, each.retain_as_published, each.retain_handling, each.identifier)
                for each in ours.subscriptions
            ] == [
                (
                    each.pattern, each.max_qos, each.no_local, each.retain_as_published, each.retain_handling,
                    found.subscription_id,
                )
                for each in found.topic_filters
            ]  # fmt: skip
        case Unsubscribe():
            assert (ours.packet_id, list(ours.filters)) == (found.packet_id, found.patterns)
        case Disconnect():
            assert (ours.reason, ours.session_expiry_s) == (found.reason_code, found.session_expiry_interval)
        case Auth():
            assert ours.reason == found.reason_code
        case PingReq():
            pass


def same_will(ours: Will | None, found: Any) -> None:
    assert (ours is None) == (found is None)
    if ours is not None:
        assert (ours.topic, ours.payload, ours.qos, ours.retain) == (found.topic, found.payload or b"", found.qos, found.retain)
        assert ours.delay_s == found.will_delay_interval
        assert forwarded(ours.properties) == said(found)


messages = st.fixed_dictionaries(
    {},
    optional={
        "payload_format_indicator": st.integers(0, 1),
        "message_expiry_interval": uint32,
        "content_type": words,
        "response_topic": topics,
        "correlation_data": blobs,
        "user_properties": pairs,
    },
)
wills = st.builds(
    lambda topic, payload, qos, retain, delay, message: mqtt5.Will(
        topic, payload=payload, qos=QOS[qos], retain=retain, will_delay_interval=delay, **message
    ),
    topics, blobs, qualities, st.booleans(), uint32, messages,
)  # fmt: skip
connects = st.builds(
    lambda client_id, options: mqtt5.ConnectPacket(client_id, **options),
    words,
    st.fixed_dictionaries(
        {},
        optional={
            "username": words,
            "password": blobs,
            "clean_start": st.booleans(),
            "will": wills,
            "keep_alive": uint16,
            "session_expiry_interval": uint32,
            "authentication_method": words,
            "request_problem_info": st.booleans(),
            "request_response_info": st.booleans(),
            "receive_max": positive16,
            "topic_alias_max": uint16,
            "max_packet_size": st.integers(1, 0xFFFF_FFFF),
            "user_properties": pairs,
        },
    ),
)
publishes = st.builds(
    lambda topic, payload, qos, packet_id, retain, dup, alias, message: mqtt5.PublishPacket(
        topic,
        payload,
        qos=QOS[qos],
        packet_id=packet_id if qos else None,
        retain=retain,
        duplicate=dup and qos > 0,
        topic_alias=alias,
        **message,
    ),
    topics, blobs, qualities, positive16, st.booleans(), st.booleans(), st.none() | positive16, messages,
)  # fmt: skip


def _acknowledgements(kind: type[Any], reasons: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda packet_id, reason, why, each: kind(packet_id, reason_code=reason, reason_str=why, user_properties=each),
        positive16,
        st.sampled_from(members(reasons)),
        st.none() | words,
        pairs,
    )


acknowledgements = st.one_of(
    _acknowledgements(mqtt5.PubAckPacket, mqtt5.PubAckReasonCode),
    _acknowledgements(mqtt5.PubRecPacket, mqtt5.PubRecReasonCode),
    _acknowledgements(mqtt5.PubRelPacket, mqtt5.PubRelReasonCode),
    _acknowledgements(mqtt5.PubCompPacket, mqtt5.PubCompReasonCode),
)
filters = st.builds(
    lambda pattern, qos, no_local, as_published, handling: mqtt5.TopicFilter(
        pattern,
        max_qos=QOS[qos],
        no_local=no_local and not pattern.startswith("$share/"),
        retain_as_published=as_published,
        retain_handling=HANDLINGS[handling],
    ),
    patterns, qualities, st.booleans(), st.booleans(), qualities,
)  # fmt: skip
subscribes = st.builds(
    lambda packet_id, wanted, identifier, each: mqtt5.SubscribePacket(
        packet_id, wanted, subscription_id=identifier, user_properties=each
    ),
    positive16, st.lists(filters, min_size=1, max_size=4), st.none() | st.integers(1, 268_435_455), pairs,
)  # fmt: skip
unsubscribes = st.builds(
    lambda packet_id, gone, each: mqtt5.UnsubscribePacket(packet_id, gone, user_properties=each),
    positive16, st.lists(patterns, min_size=1, max_size=4), pairs,
)  # fmt: skip
ends = st.builds(
    lambda reason, expiry, why, each: mqtt5.DisconnectPacket(
        reason_code=reason, session_expiry_interval=expiry, reason_str=why, user_properties=each
    ),
    st.sampled_from(members(mqtt5.DisconnectReasonCode)), st.none() | uint32, st.none() | words, pairs,
)  # fmt: skip
auths = st.builds(
    lambda reason, method, data: mqtt5.AuthPacket(reason_code=reason, authentication_method=method, authentication_data=data),
    st.sampled_from(members(mqtt5.AuthReasonCode)), st.none() | words, st.none() | blobs,
)  # fmt: skip
written = st.one_of(
    connects, publishes, acknowledgements, subscribes, unsubscribes, ends, auths, st.just(mqtt5.PingReqPacket())
)


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
    topic: str, payload: bytes, qos: int, retain: bool, dup: bool, packet_id: int, message: dict[str, Any], identifiers: list[int]
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
    st.tuples(st.sampled_from(["insert", "delete", "set"]), st.integers(0, 126), st.sampled_from([0, 1, 2, 3]) | st.integers(0, 127)),
    max_size=4,
)


def changed(good: bytes, how: list[tuple[str, int, int]]) -> bytes:
    body = bytearray(byte & 0x7F for byte in good[2:])
    for kind, place, byte in how:
        place = place % (len(body) + 1)
        if kind == "insert":
            body.insert(place, byte)
        elif place < len(body):
            body[place : place + 1] = b"" if kind == "delete" else bytes([byte])
    return bytes([good[0], min(len(body), 127)]) + bytes(body[:127])


@given(sent=st.builds(changed, st.sampled_from(GOOD), changes))
@example(octets.auth(0x18)[:1] + b"\x00")
@settings(max_examples=1500, deadline=None)
def test_both_read_the_same_or_both_refuse(sent: bytes) -> None:
    try:
        ours: Packet | MqttError = v5.decode(sent, 2)
    except MqttError as error:
        ours = error
    try:
        found = theirs(sent)
    except ValueError as error:
        if not isinstance(ours, MqttError):
            assert any(re.match(known, str(error)) for known in KINDER), f"{ours!r}, and the library: {error}"
        return
    if isinstance(ours, MqttError):
        assert any(re.search(known, str(ours)) for known in STRICTER), f"{ours}, and the library: {found!r}"
        # it would not write itself what it has read
        assert found.write() != sent or re.search(r"U\+0000|identifier 0|wildcard|empty|shared|11 does|can't be|DUP|filter", str(ours))
        return
    same(ours, found)
