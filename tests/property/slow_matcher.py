"""MQTT's filter rules and dockgate's topic rules once more, as plain as they can be put, to hold the fast ones against.

Nothing here may import gateway.topics or gateway.policy, nor be quick: a rule is one line, a wildcard one recursive
step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product


def slow_matches(topic_filter: str, topic: str) -> bool:
    """MQTT 4.7, for a valid filter and a valid topic."""
    if topic[0] == "$" and topic_filter[0] in "+#":  # 4.7.2
        return False
    return _levels_match(topic_filter.split("/"), topic.split("/"))


def _levels_match(wanted: list[str], given: list[str]) -> bool:
    if wanted == ["#"]:  # 4.7.1.2: "represents the parent and any number of child levels"
        return True
    if not wanted or not given:
        return not wanted and not given
    first_fits = wanted[0] in ("+", given[0])  # 4.7.1.3
    return first_fits and _levels_match(wanted[1:], given[1:])


def slow_valid_filter(text: str) -> bool:
    """MQTT 4.7.1 and 4.7.3, character by character; for short texts without surrogates."""
    if text == "" or "\0" in text:
        return False
    for index, character in enumerate(text):
        alone = (index == 0 or text[index - 1] == "/") and (index + 1 == len(text) or text[index + 1] == "/")
        if character in "+#" and not alone:
            return False
        if character == "#" and index + 1 != len(text):
            return False
    return True


def all_topics(alphabet: Iterable[str], max_levels: int) -> Iterator[str]:
    """Each topic of up to ``max_levels`` levels out of ``alphabet``; the empty text is no topic (4.7.3)."""
    words = list(alphabet)
    for count in range(1, max_levels + 1):
        for parts in product(words, repeat=count):
            topic = "/".join(parts)
            if topic:
                yield topic


# --- the rules of the roles: dock-protocol 2 and the interfaces, written out as lists of topics ----------------------

UP = (
    "sys/product/{}/status",
    "thing/product/{}/osd",
    "thing/product/{}/state",
    "thing/product/{}/events",
    "thing/product/{}/requests",
    "thing/product/{}/services_reply",
    "thing/product/{}/property/set_reply",
    "thing/product/{}/drc/up",
)
DOWN = (
    "sys/product/{}/status_reply",
    "thing/product/{}/services",
    "thing/product/{}/events_reply",
    "thing/product/{}/requests_reply",
    "thing/product/{}/property/set",
    "thing/product/{}/drc/down",
    "thing/product/{}/state_reply",
)
AIRCRAFT_UP = ("thing/product/{}/osd", "thing/product/{}/state", "thing/product/{}/events")
AIRCRAFT_DOWN = (
    "thing/product/{}/state_reply",
    "thing/product/{}/events_reply",
    "thing/product/{}/services",
    "thing/product/{}/property/set",
)
PINNING_UP = (
    "sys/product/{}/status",
    "thing/product/{}/requests",
    "thing/product/{}/services_reply",
    "thing/product/{}/property/set_reply",
    "thing/product/{}/drc/up",
)
PINNING_DOWN = (
    "sys/product/{}/status_reply",
    "thing/product/{}/services",
    "thing/product/{}/events_reply",
    "thing/product/{}/requests_reply",
    "thing/product/{}/property/set",
    "thing/product/{}/drc/down",
)
EVENT = "dockgate/events/{}"


def fill(patterns: Iterable[str], sns: Iterable[str]) -> set[str]:
    return {pattern.format(sn) for sn in sns for pattern in patterns}


def dock_topics(action: str, own: str, gateways: Mapping[str, str]) -> set[str]:
    """Every topic that a dock with the SN ``own`` may use for ``action``; ``gateways`` maps an SN to its dock."""
    aircraft = [sn for sn, gateway in gateways.items() if gateway == own and sn != own]
    if action == "publish":
        return fill(UP, [own]) | fill(AIRCRAFT_UP, aircraft)
    return fill(DOWN, [own]) | fill(AIRCRAFT_DOWN, aircraft)


def pinnable(action: str, sns: Iterable[str], gateways: Mapping[str, str]) -> dict[str, str]:
    """Topic -> the SN that an account without one is to be pinned to when it asks for that topic."""
    patterns = {"publish": PINNING_UP, "subscribe": PINNING_DOWN, "receive": ()}[action]
    return {pattern.format(sn): sn for sn in sns for pattern in patterns if gateways.get(sn, sn) == sn}


def reader_allowed(
    action: str,
    topic: str,
    *,
    service: bool,
    organization: str | None,
    reads_sys: bool,
    sns: Iterable[str],
    organizations: Mapping[str, str],
) -> bool:
    """A service's or observer's right, for topics and filters over the SNs ``sns`` (known and unknown ones)."""
    mine = [sn for sn in sns if organization is None or organizations.get(sn) == organization]
    not_anothers = [sn for sn in sns if organization is None or organizations.get(sn) in (None, organization)]
    if action == "publish":
        return service and topic in fill(DOWN, mine)
    if action == "receive":
        statistics = service and reads_sys and topic.startswith("$SYS/") and "+" not in topic and "#" not in topic
        return topic in fill((*UP, EVENT), mine) or (statistics and "\0" not in topic)
    if topic.startswith("$share/"):
        parts = topic.split("/", 2)
        if not service or len(parts) < 3 or parts[1] == "" or "+" in parts[1] or "#" in parts[1]:
            return False
        topic = parts[2]
    if not slow_valid_filter(topic):
        return False
    if topic.startswith("$SYS/"):
        return service and reads_sys
    return any(slow_matches(topic, readable) for readable in fill((*UP, EVENT), not_anothers))
