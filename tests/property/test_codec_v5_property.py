"""MQTT 5 against any bytes: packets come out or an MqttError, and nothing else, however they are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.codec import v5
from gateway.broker.codec.framing import Framer
from gateway.broker.codec.packets import MqttError, Reason
from tests.integration import octets_v5 as octets
from tests.integration.octets import packet, text

uint16 = st.integers(0, 65_535)
uint32 = st.integers(0, 0xFFFF_FFFF)
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
firsts = st.sampled_from(
    [0x10, 0x30, 0x31, 0x32, 0x34, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0]
) | st.integers(0, 255)
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
        for start, end in pairwise(pieces):
            for whole, header in framer.feed(stream[start:end]):
                try:
                    outcome.append(v5.decode(whole, header))
                except MqttError as error:
                    assert isinstance(error.reason, Reason)  # noqa: PT017
                    outcome.append((error.reason, str(error)))
        outcomes.append((outcome, framer.error and framer.error.reason))
    assert outcomes[0] == outcomes[1]
