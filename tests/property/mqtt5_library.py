"""The ``mqtt5`` library as a witness: packets of its own making, and whether it has read what our codec has.

It is never given bytes that may be ill-formed UTF-8 inside: it panics on them (docs/decisions/0006-mqtt5-codec.md).
"""

from __future__ import annotations

from typing import Any

import mqtt5
from hypothesis import strategies as st

from gateway.broker.codec import v5
from gateway.broker.codec.framing import Framer
from gateway.broker.codec.packets import (
    Auth,
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
    Subscribe,
    Unsubscribe,
    Will,
)

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
            assert (ours.client_id, ours.clean_start, ours.keepalive_s) == (
                found.client_id,
                found.clean_start,
                found.keep_alive,
            )
            assert (ours.username, ours.password) == (found.username, found.password)
            assert ours.session_expiry_s == found.session_expiry_interval
            assert (ours.receive_maximum, ours.topic_alias_maximum) == (found.receive_max, found.topic_alias_max)
            assert ours.maximum_packet_size == found.max_packet_size
            assert ours.authentication_method == found.authentication_method
            assert ours.request_problem_information == found.request_problem_info
            assert ours.user_properties == tuple(found.user_properties)
            same_will(ours.will, found.will)
        case Publish():
            assert (ours.topic, ours.payload, ours.qos, ours.retain) == (
                found.topic,
                found.payload,
                found.qos,
                found.retain,
            )
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
        assert (ours.topic, ours.payload, ours.qos, ours.retain) == (
            found.topic,
            found.payload or b"",
            found.qos,
            found.retain,
        )
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
