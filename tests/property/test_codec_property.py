"""Any bytes, cut anywhere: packets come out or an MqttError, and nothing else; what one side writes the other reads."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.broker.codec import v5, v311
from gateway.broker.codec.framing import Framer, variable_length
from gateway.broker.codec.packets import (
    Connect,
    MqttError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Reason,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from tests.integration import octets

LIMIT = 4096

identifiers = st.integers(1, 65_535)
qualities = st.integers(0, 2)
# what a string of MQTT may hold (1.5.3)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
first_bytes = st.sampled_from([0x10, 0x30, 0x32, 0x34, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0])
topics = words.filter(lambda word: word and "+" not in word and "#" not in word)
# a packet whose frame is right and whose inside is anything
framed = st.builds(octets.packet, first_bytes, st.binary(max_size=60))
# strings with their lengths, so that the inside goes deeper
texts = st.one_of(st.binary(max_size=8), words).map(octets.text)
inside = st.lists(st.one_of(texts, st.binary(max_size=4)), max_size=5).map(b"".join)
heads = st.builds(
    lambda name, level, flags, keepalive: octets.text(name) + bytes([level, flags]) + keepalive,
    st.sampled_from(["MQTT", "MQIsdp", "MQTX"]),
    st.sampled_from([3, 4, 5, 6]),
    st.integers(0, 255),
    st.binary(min_size=2, max_size=2),
)
connects = st.builds(lambda head, rest: octets.packet(0x10, head + rest), heads, inside)
nearly = st.one_of(framed, connects, st.builds(octets.packet, first_bytes, inside))
streams = st.one_of(st.binary(max_size=200), st.lists(nearly, max_size=6).map(b"".join))


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """``data`` in pieces; some may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def fed(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[tuple[bytes, int]], Framer]:
    framer = Framer(limit)
    return [packet for piece in pieces for packet in framer.feed(piece)], framer


# -- nothing but packets and MqttError


@pytest.mark.parametrize("codec", [v311, v5], ids=["3.1.1", "5"])
@given(data=st.data(), stream=streams)
@example(data=None, stream=b"\x10\x00")
@settings(max_examples=400)
def test_any_bytes_become_packets_or_an_mqtt_error(
    codec: ModuleType, data: st.DataObject | None, stream: bytes
) -> None:
    pieces = [stream] if data is None else data.draw(cut(stream))
    packets, framer = fed(pieces)
    assert framer.error is None or isinstance(framer.error, MqttError)
    for packet, header in packets:
        for read in (codec.decode, v311.protocol_level, codec.decode_connect):
            try:
                read(packet, header)
            except MqttError as error:
                assert str(error)  # noqa: PT017
                assert isinstance(error.reason, Reason)  # noqa: PT017


# -- the framer


@given(data=st.data(), stream=streams)
@settings(max_examples=300)
def test_how_a_stream_is_cut_changes_nothing(data: st.DataObject, stream: bytes) -> None:
    whole, framer = fed([stream])
    pieces, other = fed(data.draw(cut(stream)))
    bytewise, last = fed([stream[index : index + 1] for index in range(len(stream))])
    assert whole == pieces == bytewise
    reasons = {None if each.error is None else each.error.reason for each in (framer, other, last)}
    assert len(reasons) == 1
    assert framer.buffered == other.buffered == last.buffered


@given(stream=streams)
@settings(max_examples=300)
def test_nothing_is_lost_made_up_or_put_in_another_order(stream: bytes) -> None:
    packets, framer = fed([stream])
    cut_out = b"".join(packet for packet, _ in packets)
    assert stream.startswith(cut_out)
    if framer.error is None:
        assert len(cut_out) + framer.buffered == len(stream)
    for packet, header in packets:
        # the header is the first byte and one to four bytes of length, that say what the rest has
        assert 2 <= header <= 5
        length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(packet[1:header]))
        assert len(packet) == header + length <= LIMIT
        assert all(byte & 0x80 for byte in packet[1 : header - 1])
        assert not packet[header - 1] & 0x80


@given(bodies=st.lists(st.binary(max_size=300), max_size=6), limit=st.integers(2, 320))
@settings(max_examples=200)
def test_the_first_packet_over_the_limit_is_the_end(bodies: list[bytes], limit: int) -> None:
    sent = [octets.packet(0x30, body) for body in bodies]
    good = 0
    while good < len(sent) and len(sent[good]) <= limit:
        good += 1
    packets, framer = fed([b"".join(sent)], limit)
    assert [packet for packet, _ in packets] == sent[:good]
    assert (framer.error is None) == (good == len(sent))
    if framer.error is not None:
        assert framer.error.reason is Reason.PACKET_TOO_LARGE
        assert framer.buffered == 0


@given(number=st.integers(0, 268_435_455))
@settings(max_examples=200)
def test_lengths_are_written_as_the_specification_does_it(number: int) -> None:
    assert variable_length(number) == octets.remaining_length(number)


@pytest.mark.timeout(8)
def test_a_large_packet_in_small_pieces_is_not_copied_for_each_of_them() -> None:
    """Anybody can send a CONNECT of the largest size byte by byte; copied for each byte, these would be 240 GB."""
    sent = octets.packet(0x10, b"\x00" * 700_000)
    packets, framer = fed([sent[index : index + 1] for index in range(len(sent))], limit=1_000_000)
    assert packets == [(sent, 4)]
    assert (framer.error, framer.buffered) == (None, 0)


# -- round trips


@given(
    topic=words,
    payload=st.binary(max_size=300),
    qos=qualities,
    retain=st.booleans(),
    dup=st.booleans(),
    packet_id=identifiers,
)
@settings(max_examples=200)
def test_publish(topic: str, payload: bytes, qos: int, retain: bool, dup: bool, packet_id: int) -> None:
    dup = dup and qos > 0
    said = v311.publish(topic.encode(), payload, qos=qos, retain=retain, dup=dup, packet_id=packet_id)
    assert said == octets.publish(topic, payload, qos=qos, retain=retain, dup=dup, packet_id=packet_id)
    ((packet, header),), framer = fed([said])
    assert framer.error is None
    assert v311.decode(packet, header) == Publish(topic, payload, qos, retain, dup, packet_id if qos else 0)


@given(packet_id=identifiers)
def test_acknowledgements(packet_id: int) -> None:
    for write, theirs, record in (
        (v311.puback, octets.puback, PubAck),
        (v311.pubrec, octets.pubrec, PubRec),
        (v311.pubrel, octets.pubrel, PubRel),
        (v311.pubcomp, octets.pubcomp, PubComp),
    ):
        assert write(packet_id) == theirs(packet_id)
        assert v311.decode(write(packet_id), 2) == record(packet_id)
    assert v311.unsuback(packet_id, []) == octets.unsuback(packet_id)


@given(packet_id=identifiers, filters=st.lists(st.tuples(words, qualities), min_size=1, max_size=5))
def test_subscribe_and_unsubscribe(packet_id: int, filters: list[tuple[str, int]]) -> None:
    ((packet, header),), _ = fed([octets.subscribe(*filters, packet_id=packet_id)])
    wanted = tuple(Subscription(topic_filter, qos) for topic_filter, qos in filters)
    assert v311.decode(packet, header) == Subscribe(packet_id, wanted)
    names = [name for name, _ in filters]
    ((packet, header),), _ = fed([octets.unsubscribe(*names, packet_id=packet_id)])
    assert v311.decode(packet, header) == Unsubscribe(packet_id, tuple(names))
    codes = [Reason(qos) for _, qos in filters]
    assert v311.suback(packet_id, codes) == octets.suback(packet_id, *codes)


@given(
    client_id=words,
    username=st.none() | words,
    password=st.none() | st.binary(max_size=30),
    clean=st.booleans(),
    keepalive=st.integers(0, 65_535),
    will=st.none() | st.tuples(topics, st.binary(max_size=30), qualities, st.booleans()),
)
@settings(max_examples=200)
def test_connect(
    client_id: str,
    username: str | None,
    password: bytes | None,
    clean: bool,
    keepalive: int,
    will: tuple[str, bytes, int, bool] | None,
) -> None:
    if username is None:
        password = None
    sent = octets.connect(client_id, username=username, password=password, clean=clean, keepalive=keepalive, will=will)
    ((packet, header),), _ = fed([sent])
    expected = Connect(4, client_id, clean, keepalive, username, password, None if will is None else Will(*will))
    assert v311.decode_connect(packet, header) == v311.decode(packet, header) == expected
    assert v311.protocol_level(packet, header) == ("MQTT", 4)
