"""Numbers for topics, as one client of MQTT 5 reads them: every packet gives it the topic that was meant, whatever the order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.aliases import MOST, Aliases
from gateway.broker.codec import v5
from gateway.broker.codec.packets import Properties, Publish

FIELDS = {"qos": 0, "retain": False, "dup": False, "packet_id": 0}


def said(aliases: Aliases, topic: str, payload: bytes = b"{}") -> tuple[str, int | None]:
    """The topic and the number of the packet."""
    packet = aliases.publish(topic.encode(), payload, **FIELDS)  # type: ignore[arg-type]
    read = v5.decode(packet, 2)
    assert isinstance(read, Publish)
    assert read.payload == payload
    return read.topic, read.topic_alias


def test_a_topic_is_named_once_and_then_called_by_its_number() -> None:
    aliases = Aliases(2, None)
    assert said(aliases, "first") == ("first", 1)
    assert said(aliases, "other") == ("other", 2)
    assert said(aliases, "first") == ("", 1)
    assert said(aliases, "other") == ("", 2)


def test_the_topic_unused_for_the_longest_time_loses_its_number() -> None:
    aliases = Aliases(2, None)
    for topic in ("first", "other", "first"):
        said(aliases, topic)
    assert said(aliases, "third") == ("third", 2)
    assert said(aliases, "first") == ("", 1)
    assert said(aliases, "other") == ("other", 2)


def test_one_number_is_enough() -> None:
    aliases = Aliases(1, None)
    assert [said(aliases, topic) for topic in ("first", "first", "other", "first")] == [
        ("first", 1), ("", 1), ("other", 1), ("first", 1),
    ]  # fmt: skip


def test_however_many_the_client_allows_not_more_than_so_many_are_kept() -> None:
    aliases = Aliases(65_535, None)
    numbers = [said(aliases, f"topic/{index}")[1] for index in range(2 * MOST)]
    assert numbers == [*range(1, MOST + 1), *range(1, MOST + 1)]


@pytest.mark.parametrize("topic", ["a", "abcd"])
def test_a_short_topic_is_shorter_than_its_number(topic: str) -> None:
    aliases = Aliases(2, None)
    assert said(aliases, topic) == said(aliases, topic) == (topic, None)


def test_a_number_that_makes_the_packet_too_large_is_not_given() -> None:
    fits = len(v5.publish(b"topic", b"{}", **FIELDS))  # type: ignore[arg-type]
    aliases = Aliases(2, fits)
    assert said(aliases, "topic") == said(aliases, "topic") == ("topic", None)
    assert said(aliases, "topic", b"") == ("topic", None)
    roomy = Aliases(2, fits + 3)
    assert said(roomy, "topic") == ("topic", 1)


def test_a_packet_that_can_not_be_sent_leaves_the_numbers_as_they_were() -> None:
    aliases = Aliases(1, 20)
    assert said(aliases, "first") == ("first", 1)
    assert len(aliases.publish(b"other", bytes(30), **FIELDS)) > 20  # type: ignore[arg-type]
    assert said(aliases, "first") == ("", 1)
    assert len(aliases.publish(b"first", bytes(30), **FIELDS)) > 20  # type: ignore[arg-type]
    assert said(aliases, "first") == ("", 1)


def test_everything_else_of_the_packet_is_as_without_numbers() -> None:
    fields = {
        "qos": 2, "retain": True, "dup": True, "packet_id": 7, "properties": Properties(content_type="x", message_expiry_s=3),
    }  # fmt: skip
    aliases = Aliases(3, None)
    for topic in ("topic", ""):
        packet = aliases.publish(b"topic", b"!", subscription_ids=(1, 9), **fields)  # type: ignore[arg-type]
        expected = v5.publish(topic.encode(), b"!", subscription_ids=(1, 9), topic_alias=1, **fields)  # type: ignore[arg-type]
        assert packet == expected


@given(st.lists(st.sampled_from([f"topic/{index}" for index in range(6)]), max_size=40), st.integers(1, 8))
def test_who_keeps_the_numbers_reads_what_was_meant(topics: list[str], maximum: int) -> None:
    aliases, kept = Aliases(maximum, None), dict[int, str]()
    for topic in topics:
        named, number = said(aliases, topic)
        assert number is not None
        assert 1 <= number <= maximum
        if named:
            kept[number] = named
        assert kept[number] == topic
