"""Topics of docks, and MQTT's own examples for filters."""

from __future__ import annotations

import pytest

from gateway import topics
from gateway.topics import DOWN_KINDS, GATEWAY_ONLY, UP_KINDS, DeviceTopic, Kind

DOCK = "7CTDM7100BXXXX"

DEVICE_TOPICS = {
    f"thing/product/{DOCK}/osd": Kind.OSD,
    f"thing/product/{DOCK}/state": Kind.STATE,
    f"thing/product/{DOCK}/state_reply": Kind.STATE_REPLY,
    f"thing/product/{DOCK}/events": Kind.EVENTS,
    f"thing/product/{DOCK}/events_reply": Kind.EVENTS_REPLY,
    f"thing/product/{DOCK}/requests": Kind.REQUESTS,
    f"thing/product/{DOCK}/requests_reply": Kind.REQUESTS_REPLY,
    f"thing/product/{DOCK}/services": Kind.SERVICES,
    f"thing/product/{DOCK}/services_reply": Kind.SERVICES_REPLY,
    f"thing/product/{DOCK}/property/set": Kind.PROPERTY_SET,
    f"thing/product/{DOCK}/property/set_reply": Kind.PROPERTY_SET_REPLY,
    f"thing/product/{DOCK}/drc/up": Kind.DRC_UP,
    f"thing/product/{DOCK}/drc/down": Kind.DRC_DOWN,
    f"sys/product/{DOCK}/status": Kind.STATUS,
    f"sys/product/{DOCK}/status_reply": Kind.STATUS_REPLY,
}


@pytest.mark.parametrize(("topic", "kind"), DEVICE_TOPICS.items())
def test_each_topic_of_the_protocol_is_read_and_built(topic: str, kind: Kind) -> None:
    assert topics.parse_device_topic(topic) == DeviceTopic(DOCK, kind)
    assert topics.device_topic(DOCK, kind) == topic


def test_the_table_has_every_kind() -> None:
    assert set(DEVICE_TOPICS.values()) == set(Kind)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "thing",
        f"thing/product/{DOCK}",
        f"thing/product/{DOCK}/",
        f"thing/product/{DOCK}/osd/",
        f"/thing/product/{DOCK}/osd",
        f"thing/product/{DOCK}/OSD",
        f"thing/product/{DOCK}/osd\n",
        f"thing/product/{DOCK}\n/osd",
        f"thing/product/{DOCK}/status",
        f"sys/product/{DOCK}/osd",
        f"thing/products/{DOCK}/osd",
        f"thing/product/{DOCK}/property",
        f"thing/product/{DOCK}/drc",
        f"sys/product/{DOCK}/network/probe",
        "thing/product//osd",
        "thing/product/+/osd",
        "thing/product/#",
        f"thing/product/{DOCK}/+",
        f"thing/product/{DOCK}/#",
        "thing/product/-leading/osd",
        "thing/product/_leading/osd",
        "thing/product/Ä1/osd",
        "thing/product/" + "x" * 65 + "/osd",
        "thing/product/\ud800/osd",
    ],
)
def test_what_is_no_device_topic(topic: str) -> None:
    assert topics.parse_device_topic(topic) is None


def test_the_longest_device_topic_is_read() -> None:
    sn = "x" * 64
    assert topics.parse_device_topic(f"thing/product/{sn}/property/set_reply") == DeviceTopic(
        sn, Kind.PROPERTY_SET_REPLY
    )


def test_up_and_down_share_all_kinds_between_them() -> None:
    assert set(Kind) == UP_KINDS | DOWN_KINDS
    assert not UP_KINDS & DOWN_KINDS
    assert {
        Kind.OSD,
        Kind.STATE,
        Kind.EVENTS,
        Kind.REQUESTS,
        Kind.SERVICES_REPLY,
        Kind.PROPERTY_SET_REPLY,
        Kind.DRC_UP,
        Kind.STATUS,
    } == UP_KINDS


def test_what_aircraft_send_too_says_nothing_about_a_gateway() -> None:
    assert set(Kind) - GATEWAY_ONLY == {Kind.OSD, Kind.STATE, Kind.EVENTS, Kind.STATE_REPLY}


@pytest.mark.parametrize("sn", ["7CTDM7100BXXXX", "1581F5BKXXXXXXXXXXXX", "a", "0", "sim-dock_01", "x" * 64])
def test_serial_numbers(sn: str) -> None:
    assert topics.is_valid_sn(sn)


@pytest.mark.parametrize("sn", ["", "-a", "_a", "a/b", "a+", "#", "a b", "a\n", "a\0", "x" * 65, "é", "\u0663"])
def test_what_is_no_serial_number(sn: str) -> None:
    assert not topics.is_valid_sn(sn)


@pytest.mark.parametrize("topic", [f"thing/product/{DOCK}/requests", "sys/product/A/status", "ö/", ""])
def test_a_reply_goes_to_the_topic_with_reply_behind_it(topic: str) -> None:
    assert topics.reply_topic(topic) == topic + "_reply"


def test_event_topics_are_built_and_read() -> None:
    assert topics.event_topic(DOCK) == f"dockgate/events/{DOCK}"
    assert topics.parse_event_topic(f"dockgate/events/{DOCK}") == DOCK


@pytest.mark.parametrize(
    "topic", ["dockgate/events/", "dockgate/events", "dockgate/events/+", "dockgate/events/a/b", "x"]
)
def test_what_is_no_event_topic(topic: str) -> None:
    assert topics.parse_event_topic(topic) is None


@pytest.mark.parametrize(
    ("topic", "parts"), [("a", ("a",)), ("/", ("", "")), ("a//b/", ("a", "", "b", "")), ("#", ("#",))]
)
def test_levels(topic: str, parts: tuple[str, ...]) -> None:
    assert topics.levels(topic) == parts


@pytest.mark.parametrize(
    "text", ["a", "/", " ", "$SYS/x", "ö" * 32_767, "a" * 65_535, "thing/product/x/osd", "\U0001f681"]
)
def test_valid_topics_are_valid_filters(text: str) -> None:
    assert topics.is_valid_topic(text)
    assert topics.is_valid_filter(text)


@pytest.mark.parametrize("text", ["", "a\0b", "a" * 65_536, "ö" * 32_768, "a\ud800", "\udfff/#", "+/" + "ö" * 32_767])
def test_what_mqtt_lets_nobody_say(text: str) -> None:
    assert not topics.is_valid_topic(text)
    assert not topics.is_valid_filter(text)


# MQTT 3.1.1 and 5, 4.7.1.2 and 4.7.1.3
@pytest.mark.parametrize(
    "text", ["#", "sport/tennis/#", "+", "+/tennis/#", "sport/+/player1", "/+", "/#", "+/+", "//+"]
)
def test_filters_that_the_specification_calls_valid(text: str) -> None:
    assert topics.is_valid_filter(text)
    assert not topics.is_valid_topic(text)


@pytest.mark.parametrize(
    "text", ["sport/tennis#", "sport/tennis/#/ranking", "sport+", "##", "#/", "+a/b", "a/++", "a/+#"]
)
def test_filters_that_the_specification_calls_invalid(text: str) -> None:
    assert not topics.is_valid_filter(text)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("ACCOUNTS", "Accounts", False),
        ("a", "a", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_the_examples_of_the_specification(topic_filter: str, topic: str, *, expected: bool) -> None:
    assert topics.matches(topic_filter, topic) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("thing/product/+/osd", "thing/product/A/#", True),
        ("thing/product/+/osd", "thing/product/A/services", False),
        ("thing/product/+/property/set_reply", "thing/product/+/+", False),
        ("a/#", "a", True),
        ("a/b/#", "a", False),
        ("a/+", "a/#", True),
        ("#", "a/b/c", True),
        ("#", "$SYS/#", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/+", True),
        ("#", "#", True),
        ("+", "/#", False),  # only the empty text would match both, and that is no topic
        ("+/+", "/#", True),
    ],
)
def test_which_filters_have_a_topic_in_common(one: str, other: str, *, expected: bool) -> None:
    assert topics.intersects(one, other) is expected
    assert topics.intersects(other, one) is expected


@pytest.mark.parametrize(
    ("topic_filter", "parts"),
    [
        ("$share/g/a", ("g", "a")),
        ("$share/g/a/+/#", ("g", "a/+/#")),
        ("$share/g//", ("g", "/")),
        ("$share/g/", None),
        ("$share/g", None),
        ("$share//a", None),
        ("$share/+/a", None),
        ("$share/g#/a", None),
        ("$share/g/a#", None),
        ("share/g/a", None),
        ("", None),
    ],
)
def test_shared_filters_are_taken_apart(topic_filter: str, parts: tuple[str, str] | None) -> None:
    assert topics.split_share(topic_filter) == parts
