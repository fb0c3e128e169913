"""Default deny, proved: whatever the plain rules do not name is refused, for each role, action and family of topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Action, Decision, Identity, Role
from gateway.policy import Reason, decide
from gateway.topics import Kind, is_valid_sn

from .slow_matcher import AIRCRAFT_DOWN, DOWN, UP, dock_topics, fill, pinnable, reader_allowed, slow_matches

DOCKS = ("D1", "D2")
AIRCRAFT = ("A1", "A2")
UNKNOWN = "X9"  # never in a fleet
SNS = (*DOCKS, *AIRCRAFT, UNKNOWN)
ORGANIZATIONS = ("north", "south")
# Levels of drawn topics. Each could be somebody's SN as well.
WORDS = ("thing", "sys", "product", "dockgate", "events", "osd", "services", "status", "drc", "up")


@dataclass(frozen=True)
class Fleet:
    gateways: Mapping[str, str] = field(default_factory=dict)
    organizations: Mapping[str, str] = field(default_factory=dict)

    def gateway_of(self, sn: str) -> str | None:
        return self.gateways.get(sn)

    def organization_of(self, sn: str) -> str | None:
        return self.organizations.get(sn)


fleets = st.builds(
    Fleet,
    gateways=st.fixed_dictionaries(
        {},
        optional={
            **{sn: st.just(sn) for sn in DOCKS},
            **{sn: st.sampled_from(DOCKS) for sn in AIRCRAFT},
        },
    ),
    organizations=st.fixed_dictionaries(
        {}, optional={sn: st.sampled_from(ORGANIZATIONS) for sn in (*DOCKS, *AIRCRAFT)}
    ),
)


def identity(
    role: Role, *, sn: str | None = None, organization: str | None = None, reads_sys: bool = False
) -> Identity:
    return Identity(
        account="someone", role=role, sn=sn, organization_id=organization, can_read_sys=reads_sys, version=1
    )


IDENTITIES = {
    Role.DOCK: [
        identity(Role.DOCK, sn=sn, organization=organization, reads_sys=reads_sys)
        for sn in (None, "D1", "D2", "A1", UNKNOWN)
        for organization in (None, "north")
        for reads_sys in (False, True)
    ],
    **{
        role: [
            identity(role, sn=sn, organization=organization, reads_sys=reads_sys)
            for sn in (None, "D1")
            for organization in (None, *ORGANIZATIONS)
            for reads_sys in (False, True)
        ]
        for role in (Role.SERVICE, Role.OBSERVER)
    },
}

FIXED_FLEETS = (
    Fleet(),
    Fleet({"D1": "D1", "A1": "D1"}, {"D1": "north", "A1": "north"}),
    Fleet(
        {"D1": "D1", "D2": "D2", "A1": "D1", "A2": "D2"}, {"D1": "north", "D2": "south", "A1": "north", "A2": "south"}
    ),
    Fleet({"D1": "D1", "D2": "D2", "A1": "D2", "A2": "D2"}, {"D2": "north", "A2": "north"}),
)

# {} is where an SN goes. All fifteen kinds stand under both prefixes: only one of the two is right for a kind.
FAMILIES: dict[str, tuple[str, ...]] = {
    **{f"thing {kind.value}": (f"thing/product/{{}}/{kind.value}",) for kind in Kind},
    **{f"sys {kind.value}": (f"sys/product/{{}}/{kind.value}",) for kind in Kind},
    "gateway events": ("dockgate/events/{}", "dockgate/events/{}/x", "dockgate/{}", "dockgate/events/"),
    "near misses": (
        "thing/product/{}/osd/",
        "/thing/product/{}/osd",
        "thing/product/{}/OSD",
        "thing/product/{}",
        "thing/product/{}/",
        "thing/products/{}/osd",
        "thing/product/{}/status/x",
        "thing/product/{}x/osd/y",
        "thing/product//osd",
        "thing/product/{}\n/osd",
        "thing/product/-{}/osd",
        "thing/product/{}/drc",
        "thing/product/{}/property",
        "thing/product/{}/services_reply_reply",
        "{}",
    ),
    "wildcards around an SN": (
        "thing/product/{}/#",
        "thing/product/{}/+",
        "thing/product/{}/+/+",
        "thing/product/{}/drc/+",
        "thing/product/{}/+/set",
        "thing/product/{}/+/set_reply",
        "+/product/{}/status",
        "+/+/{}/#",
        "sys/product/{}/+",
        "dockgate/+/{}",
        "+/+/{}",
        "+/+/{}/services",
    ),
    "wildcards for the SN": (
        "#",
        "+",
        "+/#",
        "/#",
        "thing/#",
        "thing/product/#",
        "thing/product/+/osd",
        "thing/product/+/services",
        "thing/product/+/requests_reply",
        "thing/product/+/+",
        "thing/product/+/+/set",
        "thing/product/+/#",
        "sys/product/+/status",
        "sys/product/+/status_reply",
        "dockgate/#",
        "dockgate/events/+",
        "dockgate/+",
        "+/+/+",
        "+/+/+/+/+",
        "+/+/+/+/+/+",
        "other/#",
    ),
    "broken wildcards": ("thing/product/{}/osd#", "thing/#/osd", "thing/product/{}+/osd", "##", "#/", "a+"),
    "shared": (
        "$share/g/thing/product/{}/osd",
        "$share/g/thing/product/{}/services",
        "$share/g/thing/product/+/osd",
        "$share/g/#",
        "$share/g/$SYS/#",
        "$share/g/$share/g/#",
        "$share/g/other",
        "$share/g/a#",
        "$share/g/",
        "$share/g",
        "$share//thing/product/{}/osd",
        "$share/+/thing/product/{}/osd",
        "$share/g#/thing/product/{}/osd",
        "$share/",
        "$share",
    ),
    "broker statistics": (
        "$SYS/#",
        "$SYS/broker/uptime",
        "$SYS/+/{}",
        "$SYS/a#",
        "$SYS/",
        "$SYS",
        "$SYSTEM/x",
        "$SYS/a\0",
    ),
    "other reserved": ("$", "$/#", "$queue/thing/product/{}/osd", "$dollar/{}", "$thing/product/{}/osd", "$share2/g/#"),
    "foreign": ("other", "other/{}/osd", "a/b", "/", "//", "thing", "thing/product", "sys/product/{}/network/probe"),
    "no text of MQTT": ("", "\0", "thing/product/{}/osd\0", "thing/product/{}\ud800/osd", "x" * 65_536, "ö" * 32_768),
}


def expected(who: Identity, action: Action, topic: str, fleet: Fleet) -> tuple[bool, str | None]:
    if any(0xD800 <= ord(character) <= 0xDFFF for character in topic) or len(topic) > 32_000:
        return False, None
    if who.role is Role.DOCK:
        if who.sn is None:
            return False, pinnable(action, (*SNS, *WORDS), fleet.gateways).get(topic)
        return topic in dock_topics(action, who.sn, fleet.gateways), None
    allowed = reader_allowed(
        action,
        topic,
        service=who.role is Role.SERVICE,
        organization=who.organization_id,
        reads_sys=who.can_read_sys,
        sns=(*SNS, *WORDS),
        organizations=fleet.organizations,
    )
    return allowed, None


def check(who: Identity, action: Action, topic: str, fleet: Fleet) -> Decision:
    decision = decide(who, action, topic, fleet)
    assert (decision.allow, decision.pin_sn) == expected(who, action, topic, fleet), (
        who,
        action,
        topic,
        fleet,
        decision,
    )
    assert (decision.reason == Reason.PIN_REQUIRED) == (decision.pin_sn is not None)
    return decision


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_every_family_of_topics_is_refused_but_for_what_the_plain_rules_name(role: Role, action: Action) -> None:
    granted: Counter[str] = Counter()
    for (family, patterns), fleet, who in product(FAMILIES.items(), FIXED_FLEETS, IDENTITIES[role]):
        for topic in {pattern.format(sn) for pattern in patterns for sn in ("D1", "A1", UNKNOWN)}:
            granted[family] += check(who, action, topic, fleet).allow
    kinds = {
        f"{pattern.split('/')[0]} {pattern.split('{}/')[1]}" for pattern in (DOWN if is_down(role, action) else UP)
    }
    readers_extra = {"gateway events"}
    shared_extra = {"broker statistics"} if role is Role.SERVICE else set()
    filters_extra = {"wildcards around an SN", "wildcards for the SN"}
    named = {
        (Role.DOCK, Action.PUBLISH): kinds,
        (Role.DOCK, Action.SUBSCRIBE): kinds,
        (Role.DOCK, Action.RECEIVE): kinds,
        (Role.SERVICE, Action.PUBLISH): kinds,
        (Role.SERVICE, Action.SUBSCRIBE): kinds | readers_extra | shared_extra | filters_extra | {"shared"},
        (Role.SERVICE, Action.RECEIVE): kinds | readers_extra | shared_extra,
        (Role.OBSERVER, Action.PUBLISH): set(),
        (Role.OBSERVER, Action.SUBSCRIBE): kinds | readers_extra | filters_extra,
        (Role.OBSERVER, Action.RECEIVE): kinds | readers_extra,
    }[role, action]
    assert {family for family, count in granted.items() if count} == named


def is_down(role: Role, action: Action) -> bool:
    return (role is Role.DOCK) != (action is Action.PUBLISH)


drawn_patterns = st.sampled_from(sorted(FAMILIES)).flatmap(lambda family: st.sampled_from(FAMILIES[family]))
drawn_levels = st.lists(st.sampled_from((*WORDS, "+", "#", "", "$SYS", *SNS)), min_size=1, max_size=5).map("/".join)
drawn_topics = st.one_of(
    st.builds(str.format, drawn_patterns, st.sampled_from(SNS)),
    st.builds(str.format, drawn_patterns, st.sampled_from(SNS)),
    drawn_levels,
)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_drawn_worlds_agree_with_the_plain_rules(role: Role, action: Action) -> None:
    @settings(max_examples=250, deadline=None)
    @given(st.sampled_from(IDENTITIES[role]), drawn_topics, fleets)
    def agree(who: Identity, topic: str, fleet: Fleet) -> None:
        check(who, action, topic, fleet)

    agree()


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([who for whos in IDENTITIES.values() for who in whos]),
    st.sampled_from(Action),
    st.text(alphabet=st.characters(exclude_categories=()), max_size=40)
    | st.text(alphabet="thingsyproduct/+#$\0\ud800D1", max_size=40),
    fleets,
)
def test_any_text_gets_a_decision(who: Identity, action: Action, topic: str, fleet: Fleet) -> None:
    decision = decide(who, action, topic, fleet)
    assert isinstance(decision, Decision)
    assert decision.reason in set(Reason)


EVERY_TOPIC = sorted(
    fill((*UP, *DOWN, "dockgate/events/{}"), SNS) | {"$SYS/broker/uptime", "other", "thing/product/D1", "$SYS", "/"}
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(IDENTITIES[Role.DOCK]), drawn_topics, fleets)
def test_a_granted_filter_of_a_dock_matches_only_what_the_dock_may_receive(
    who: Identity, topic_filter: str, fleet: Fleet
) -> None:
    if decide(who, Action.SUBSCRIBE, topic_filter, fleet).allow:
        caught = [topic for topic in {*EVERY_TOPIC, topic_filter} if slow_matches(topic_filter, topic)]
        assert caught == [topic_filter]
        assert decide(who, Action.RECEIVE, topic_filter, fleet).allow


@pytest.mark.parametrize("fleet", FIXED_FLEETS, ids=range(len(FIXED_FLEETS)))
def test_every_filter_that_a_dock_is_granted_is_one_topic_it_may_receive(fleet: Fleet) -> None:
    filters = {pattern.format(sn) for patterns in FAMILIES.values() for pattern in patterns for sn in SNS}
    for who in IDENTITIES[Role.DOCK]:
        granted = {topic_filter for topic_filter in filters if decide(who, Action.SUBSCRIBE, topic_filter, fleet).allow}
        receivable = {topic for topic in EVERY_TOPIC if decide(who, Action.RECEIVE, topic, fleet).allow}
        assert granted == receivable
        assert all(slow_matches(one, other) == (one == other) for one in granted for other in EVERY_TOPIC)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(DOCKS), st.sampled_from(EVERY_TOPIC), fleets)
def test_no_topic_of_another_dock_is_ever_a_docks(own: str, topic: str, fleet: Fleet) -> None:
    other = next(sn for sn in DOCKS if sn != own)
    who = identity(Role.DOCK, sn=own)
    mentions_other = f"/{other}/" in topic or topic.endswith(f"/{other}")
    others_aircraft = [sn for sn in AIRCRAFT if fleet.gateway_of(sn) == other and f"/{sn}/" in topic]
    if mentions_other or others_aircraft:
        assert not any(decide(who, action, topic, fleet).allow for action in Action)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*IDENTITIES[Role.SERVICE], *IDENTITIES[Role.OBSERVER]]), st.sampled_from(EVERY_TOPIC), fleets)
def test_a_reader_may_subscribe_to_whatever_it_may_receive_and_never_to_replies(
    who: Identity, topic: str, fleet: Fleet
) -> None:
    if decide(who, Action.RECEIVE, topic, fleet).allow:
        assert decide(who, Action.SUBSCRIBE, topic, fleet).allow
    if topic in fill(DOWN, SNS):
        assert not decide(who, Action.RECEIVE, topic, fleet).allow
        assert not decide(who, Action.SUBSCRIBE, topic, fleet).allow


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Action), drawn_topics, fleets)
def test_pinning_asks_for_an_sn_that_is_in_the_topic_and_then_grants_it(
    action: Action, topic: str, fleet: Fleet
) -> None:
    decision = decide(identity(Role.DOCK), action, topic, fleet)
    assert not decision.allow
    if decision.pin_sn is not None:
        assert is_valid_sn(decision.pin_sn)
        assert f"/{decision.pin_sn}/" in topic
        assert fleet.gateway_of(decision.pin_sn) in (None, decision.pin_sn)
        assert decide(identity(Role.DOCK, sn=decision.pin_sn), action, topic, fleet).allow


def test_the_plain_rules_give_an_aircraft_less_than_a_dock() -> None:
    assert set(AIRCRAFT_DOWN) < set(DOWN)
