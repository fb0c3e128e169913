"""MQTT topics and filters, and the topics of docks among them. Text comes in; verdicts, parts and texts go out.

The only place that splits on "/". It must never raise for any text, and never know who may do what (policy.py does).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final


class Kind(StrEnum):
    """The last part of a dock's topic, behind the SN (docs/protocol.md 2)."""

    OSD = "osd"
    STATE = "state"
    STATE_REPLY = "state_reply"
    EVENTS = "events"
    EVENTS_REPLY = "events_reply"
    REQUESTS = "requests"
    REQUESTS_REPLY = "requests_reply"
    SERVICES = "services"
    SERVICES_REPLY = "services_reply"
    PROPERTY_SET = "property/set"
    PROPERTY_SET_REPLY = "property/set_reply"
    DRC_UP = "drc/up"
    DRC_DOWN = "drc/down"
    STATUS = "status"
    STATUS_REPLY = "status_reply"


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """``thing/product/{sn}/{kind}``, or ``sys/product/{sn}/{kind}`` for the two status kinds."""

    sn: str
    kind: Kind


# From the device to the cloud, and from the cloud to the device (docs/protocol.md 2). Every kind is in exactly one.
UP_KINDS: Final = frozenset(
    {
        Kind.OSD,
        Kind.STATE,
        Kind.EVENTS,
        Kind.REQUESTS,
        Kind.SERVICES_REPLY,
        Kind.PROPERTY_SET_REPLY,
        Kind.DRC_UP,
        Kind.STATUS,
    }
)
DOWN_KINDS: Final = frozenset(Kind) - UP_KINDS

# What a dock uses under its own SN and so says who it is. osd, state, events and state_reply also occur under an
# aircraft's SN, and may come first after a restart (docs/protocol.md 2), so they tell nothing about the gateway.
GATEWAY_ONLY: Final = frozenset(Kind) - {Kind.OSD, Kind.STATE, Kind.EVENTS, Kind.STATE_REPLY}

SHARE_PREFIX: Final = "$share/"

_SYS_KINDS: Final = frozenset({Kind.STATUS, Kind.STATUS_REPLY})
_KINDS: Final = {("sys" if kind in _SYS_KINDS else "thing", kind.value): kind for kind in Kind}
_SN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
EVENT_ROOT: Final = "dockgate"
_EVENTS: Final = f"{EVENT_ROOT}/events/"
_LONGEST_DEVICE_TOPIC: Final = len("thing/product/") + 64 + len("/") + max(len(kind) for kind in Kind)
# What 2,000 docks with an aircraft each publish on: 8 + 3 topics. Beyond it a topic costs 0.8 microseconds, not more.
_PARSED_TOPICS: Final = 32_768
_MAX_BYTES: Final = 65_535  # MQTT 3.1.1 and 5, section 1.5: a text has a two-byte length


def is_valid_sn(text: str) -> bool:
    """Docks have 14 letters and digits, aircraft 20; others pass too, but nothing that could change a topic's shape."""
    return _SN.fullmatch(text) is not None


def parse_device_topic(topic: str) -> DeviceTopic | None:
    """None unless ``topic`` is exactly a dock's topic: one of the kinds, under its own prefix, with a valid SN."""
    # Before the cache, or it would keep 64 kB texts that anybody may send.
    if len(topic) > _LONGEST_DEVICE_TOPIC:
        return None
    return _parse(topic)


@lru_cache(maxsize=_PARSED_TOPICS)
def _parse(topic: str) -> DeviceTopic | None:
    parts = topic.split("/", 3)
    if len(parts) != 4 or parts[1] != "product":
        return None
    kind = _KINDS.get((parts[0], parts[3]))
    if kind is None or not is_valid_sn(parts[2]):
        return None
    return DeviceTopic(parts[2], kind)


def device_topic(sn: str, kind: Kind) -> str:
    """``sn`` is taken as it is: hand over one that ``is_valid_sn`` accepted."""
    return f"{'sys' if kind in _SYS_KINDS else 'thing'}/product/{sn}/{kind.value}"


def reply_topic(topic: str) -> str:
    """The request's topic + ``_reply``, byte for byte."""
    return topic + "_reply"


def event_topic(sn: str) -> str:
    """Where the gateway tells services and observers what happened to a dock. ``sn`` is taken as it is."""
    return _EVENTS + sn


def parse_event_topic(topic: str) -> str | None:
    """The dock's SN, or None unless ``topic`` is exactly ``dockgate/events/{gateway_sn}``."""
    if not topic.startswith(_EVENTS):
        return None
    sn = topic[len(_EVENTS) :]
    return sn if is_valid_sn(sn) else None


def levels(topic: str) -> tuple[str, ...]:
    """The levels of a topic or a filter; an empty level is a level (MQTT 4.7.1.1)."""
    return tuple(topic.split("/"))


def is_valid_topic(topic: str) -> bool:
    """MQTT 4.7.3 and 1.5: 1 to 65,535 bytes, no NUL, no surrogate; and 4.7.1: no wildcard."""
    return _is_mqtt_text(topic) and "+" not in topic and "#" not in topic


def is_valid_filter(topic_filter: str) -> bool:
    """MQTT 4.7.1 and 4.7.3: ``#`` is the whole last level, ``+`` a whole level. ``$share`` is not looked into."""
    if not _is_mqtt_text(topic_filter):
        return False
    if "+" not in topic_filter and "#" not in topic_filter:
        return True
    *inner, last = topic_filter.split("/")
    return all(level == "+" or _is_literal(level) for level in inner) and (last in ("+", "#") or _is_literal(last))


def _is_literal(level: str) -> bool:
    return "+" not in level and "#" not in level


def _is_mqtt_text(text: str) -> bool:
    if not 0 < len(text) <= _MAX_BYTES or "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        return len(text.encode()) <= _MAX_BYTES
    except UnicodeEncodeError:  # a surrogate
        return False


def split_share(topic_filter: str) -> tuple[str, str] | None:
    """``$share/{group}/{filter}`` as (group, filter), or None unless both are well-formed (MQTT 5, 4.8.2)."""
    parts = topic_filter.split("/", 2)
    if len(parts) != 3 or parts[0] != "$share":
        return None
    _, group, inner = parts
    if not group or "+" in group or "#" in group or not is_valid_filter(inner):
        return None
    return group, inner


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a valid filter matches a valid topic (MQTT 4.7; a leading wildcard meets no ``$`` topic, 4.7.2)."""
    if topic.startswith("$") and topic_filter.startswith(("+", "#")):
        return False
    wanted = topic_filter.split("/")
    given = topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True  # the parent level included: "a/#" matches "a"
        if index == len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


def intersects(filter_a: str, filter_b: str) -> bool:
    """Whether some topic is matched by both valid filters. The length limit of a topic is left out of it."""
    a = filter_a.split("/")
    b = filter_b.split("/")
    if (a[0] in ("+", "#") and b[0].startswith("$")) or (b[0] in ("+", "#") and a[0].startswith("$")):
        return False
    # Both match the empty text alone, and that is no topic (MQTT 4.7.3).
    if {filter_a, filter_b} == {"+", "/#"}:
        return False
    for one, other in zip(a, b, strict=False):
        if "#" in (one, other):
            return True
        if one != other and "+" not in (one, other):
            return False
    if len(a) == len(b):
        return True
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return len(longer) == len(shorter) + 1 and longer[-1] == "#"
