"""Default deny, end to end: what an account may not publish nobody sees, what it may not receive does not reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.topics import Kind, device_topic, event_topic

from .town import (
    AIRCRAFT_DOWN,
    AIRCRAFT_UP,
    BIRD_A,
    BIRD_B,
    DOCK_A,
    DOCK_B,
    DOCK_NEW,
    DOWN,
    UP,
    Town,
    settle,
    topics_of,
    until,
)
from .wire import Will, Wire, payloads, topics

pytestmark = [pytest.mark.case("C24"), pytest.mark.case("C25"), pytest.mark.case("C26")]

NOBODY = "9ZZZQ9SM00NONE"
STRAYS = (
    "random/topic", "osd", "thing/product", f"thing/product/{DOCK_A}", f"thing/product/{DOCK_A}/osd/more",
    f"thing/product//{DOCK_A}/osd", f"thing/product/{DOCK_A}/osd/", f"/thing/product/{DOCK_A}/osd",
    f"thing/product/{DOCK_A}/status", f"sys/product/{DOCK_A}/osd", f"Thing/product/{DOCK_A}/osd",
    f"thing/product/{DOCK_A.lower()}/osd", f"thing/product/{DOCK_A} /osd", "dockgate/events", event_topic(DOCK_A),
    event_topic(DOCK_B), "$SYS/broker/uptime", "$SYS/x", "$share/g/thing/product/x/osd", "$dockgate/x",
    "x/" * 14 + "x", "x/" * 20 + "x", "y" * 2000, "dock\N{LATIN SMALL LETTER U WITH DIAERESIS}/x",
)  # fmt: skip
SNS = (DOCK_A, BIRD_A, DOCK_B, BIRD_B, NOBODY)
EVERYTHING = (*(topic for sn in SNS for topic in topics_of(sn, tuple(Kind))), *STRAYS)

A_DOCK_UP = {*topics_of(DOCK_A, UP), *topics_of(BIRD_A, AIRCRAFT_UP)}
A_DOWN = {*topics_of(DOCK_A, DOWN), *topics_of(BIRD_A, DOWN)}
B_DOWN = {*topics_of(DOCK_B, DOWN), *topics_of(BIRD_B, DOWN)}
MAY_PUBLISH = {
    "dock-a": A_DOCK_UP,
    "dock-new": set(),
    "service-a": A_DOWN,
    "service-b": B_DOWN,
    "service-all": {*A_DOWN, *B_DOWN, *topics_of(NOBODY, DOWN)},
    "service-sys": {*A_DOWN, *B_DOWN, *topics_of(NOBODY, DOWN)},
    "observer-a": set(),
    "observer-all": set(),
}


@pytest.fixture
def town(installation: Any, serve: Any) -> Town:
    return settle(installation, serve)


@pytest.fixture
def keep() -> Iterator[Callable[[Wire], Wire]]:
    """Close these connections at the end."""
    with ExitStack() as stack:
        yield stack.enter_context


def dock_filters(sn: str, bird: str) -> list[str]:
    return [*topics_of(sn, DOWN), *topics_of(bird, AIRCRAFT_DOWN)]


def peopled(town: Town, keep: Callable[[Wire], Wire]) -> tuple[Wire, Wire]:
    """Both docks with their aircraft, listening to all that they may."""
    docks = []
    for name, sn, bird in (("dock-a", DOCK_A, BIRD_A), ("dock-b", DOCK_B, BIRD_B)):
        dock = keep(town.login(name, client_id=f"the-{name}"))
        town.aircraft(dock, sn, bird)
        assert set(dock.subscribe(*dock_filters(sn, bird))) == {1}
        docks.append(dock)
    return docks[0], docks[1]


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
@pytest.mark.parametrize("name", MAY_PUBLISH)
def test_what_an_account_may_not_publish_nobody_sees(town: Town, keep: Any, name: str, version: int) -> None:
    dock_a, dock_b = peopled(town, keep)
    watcher = keep(town.login("service-sys", client_id="watcher"))
    assert watcher.subscribe("#", "$SYS/#") == [1, 1]
    speaker = keep(town.login("service-all", client_id="speaker"))
    actor = keep(town.login(name, client_id="actor", version=version))
    allowed = MAY_PUBLISH[name]
    # an SN that nobody has would become that of the account without one: see below
    for topic in EVERYTHING if name != "dock-new" else [topic for topic in EVERYTHING if NOBODY not in topic]:
        payload = topic.encode() if topic not in allowed else b'{"tid":"%s"}' % topic.encode()
        code = actor.publish(topic, payload, retain=topic not in allowed)
        if version == 5:
            is_long = len(topic) > 1024 or topic.count("/") >= 16
            assert code == (0 if topic in allowed else 0x90 if is_long else 0x87), topic
    actor.ping()  # still connected
    # What comes after all of that, on the ways it would have taken.
    dock_b.publish(device_topic(DOCK_B, Kind.OSD), b"fence")
    speaker.publish(device_topic(DOCK_A, Kind.SERVICES), b"fence")
    speaker.publish(device_topic(DOCK_B, Kind.SERVICES), b"fence")
    seen = {got.topic for got in watcher.receive_until(b"fence") if not got.topic.startswith("dockgate/events/")}
    assert seen == allowed & A_DOCK_UP
    assert set(topics(dock_a.receive_until(b"fence"))) == allowed & set(dock_filters(DOCK_A, BIRD_A))
    assert set(topics(dock_b.receive_until(b"fence"))) == allowed & set(dock_filters(DOCK_B, BIRD_B))
    # Nothing of it was kept either.
    late = keep(town.login("service-sys", client_id="late"))
    late.subscribe("#")
    late.ping()
    assert topics(late.inbox) == []
    assert town.gateway.ask(lambda: len(town.gateway.broker.delivery.retained)) == 0


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_a_topic_that_is_none_ends_the_connection(town: Town, keep: Any, version: int) -> None:
    for topic in ("", "thing/product/+/osd", "#", "thing/\0/x"):
        actor = keep(town.login("service-all", client_id="actor", version=version))
        actor.send_publish(topic, b"x", qos=1, packet_id=7)
        assert actor.wait_closed(2)


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_a_dock_without_sn_gets_the_one_that_is_free(town: Town, keep: Any, version: int) -> None:
    peopled(town, keep)
    actor = keep(town.login("dock-new", version=version))
    requests = device_topic(DOCK_NEW, Kind.REQUESTS)
    # taken, an aircraft, not telling: none of them becomes its SN
    assert [code >= 0x80 for code in actor.subscribe(f"{device_topic(DOCK_A, Kind.REQUESTS)}_reply",
                                                     device_topic(BIRD_A, Kind.SERVICES),
                                                     device_topic(DOCK_NEW, Kind.STATE_REPLY))] == [True] * 3  # fmt: skip
    assert town.installation.dockgate("account", "show", "dock-new")["sn"] is None
    assert actor.subscribe(f"{requests}_reply") == [1]
    assert town.installation.dockgate("account", "show", "dock-new")["sn"] == DOCK_NEW
    # and from now on it has that one and no other
    other = device_topic(NOBODY, Kind.REQUESTS)
    assert actor.subscribe(f"{other}_reply", f"{requests}_reply") == ([0x80, 1] if version == 4 else [0x87, 1])
    second = keep(town.login("dock-new", client_id="second", version=version))
    assert second.subscribe(f"{other}_reply")[0] >= 0x80


SHARED = "$share/g/thing/product/+/osd"
READER_YES = (
    "#", "+/#", "thing/#", "thing/product/#", "thing/product/+/osd", "thing/product/+/requests", "sys/product/+/status",
    "thing/product/+/drc/up", f"thing/product/{DOCK_A}/#", f"thing/product/{NOBODY}/osd", "dockgate/events/+",
    "dockgate/#", f"sys/product/{DOCK_A}/#", "+/product/+/osd", "thing/+/+/+/up",
)  # fmt: skip
READER_NO = (
    *topics_of(DOCK_A, DOWN), "thing/product/+/requests_reply", "thing/product/+/services", "thing/product/+/drc/down",
    "sys/product/+/status_reply", "other/#", "$SYS", "$dockgate/#", "thing/product/+/+/+/+", "$share/g/$SYS/#",
)  # fmt: skip
DOCK_NO = (
    "#", "+", "+/#", "thing/#", "thing/product/#", "thing/product/+/services", f"thing/product/{DOCK_A}/#",
    f"thing/product/{DOCK_A}/+", f"+/product/{DOCK_A}/services", f"$share/g/thing/product/{DOCK_A}/services",
    f"$share/g/thing/product/{DOCK_A}/requests_reply", "$SYS/#", "$SYS/broker/uptime", "dockgate/events/+",
    event_topic(DOCK_A), *topics_of(DOCK_A, UP), *topics_of(BIRD_A, UP), *topics_of(DOCK_B, tuple(Kind)),
    *topics_of(BIRD_B, tuple(Kind)), *topics_of(NOBODY, tuple(Kind)), "random/topic",
    *topics_of(BIRD_A, tuple(kind for kind in DOWN if kind not in AIRCRAFT_DOWN)),
)  # fmt: skip
INVALID = ("", "a/#/b", "a+", "a/b#", "$share/g", "$share//a", "$share/+/a")
SUBSCRIPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "dock-a": (tuple(dock_filters(DOCK_A, BIRD_A)), DOCK_NO),
    "service-a": (
        (*READER_YES, *topics_of(DOCK_A, UP), *topics_of(BIRD_A, UP), SHARED),
        (*READER_NO, *topics_of(DOCK_B, UP), *topics_of(BIRD_B, UP), f"thing/product/{DOCK_B}/#", "$SYS/#",
         f"$share/g/thing/product/{DOCK_B}/osd", event_topic(DOCK_B), "$SYS/broker/uptime"),
    ),
    "service-all": ((*READER_YES, SHARED, event_topic(DOCK_B)), (*READER_NO, "$SYS/#", "$SYS/broker/uptime")),
    "service-sys": ((*READER_YES, SHARED, "$SYS/#", "$SYS/broker/uptime"), READER_NO[:-1]),
    "observer-a": (READER_YES, (*READER_NO, SHARED, "$SYS/#", *topics_of(DOCK_B, UP), event_topic(DOCK_B))),
    "observer-all": ((*READER_YES, event_topic(DOCK_B)), (*READER_NO, SHARED, "$SYS/#")),
}  # fmt: skip


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_a_filter_is_refused_for_itself_alone(town: Town, keep: Any, name: str, version: int) -> None:
    peopled(town, keep)
    granted, refused = SUBSCRIPTIONS[name]
    actor = keep(town.login(name, client_id="actor", version=version))
    mixed = [filter_ for pair in zip(granted, refused, strict=False) for filter_ in pair]
    mixed += [*granted[len(mixed) // 2 :], *refused[len(mixed) // 2 :]]
    codes = dict(zip(mixed, actor.subscribe(*mixed, qos=2), strict=True))
    no = 0x87 if version == 5 else 0x80
    assert codes == {**dict.fromkeys(granted, 2), **dict.fromkeys(refused, no)}
    invalid = actor.subscribe(*INVALID, granted[0])
    assert all(code >= 0x80 for code in invalid[:-1])
    assert invalid[-1] == 1
    actor.ping()


SCOPES = {
    "service-a": (DOCK_A, BIRD_A),
    "service-b": (DOCK_B, BIRD_B),
    "service-all": (DOCK_A, BIRD_A, DOCK_B, BIRD_B),
    "service-sys": (DOCK_A, BIRD_A, DOCK_B, BIRD_B),
    "observer-a": (DOCK_A, BIRD_A),
    "observer-all": (DOCK_A, BIRD_A, DOCK_B, BIRD_B),
}


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_a_reader_receives_its_organization_and_no_reply(town: Town, keep: Any, version: int) -> None:
    dock_a, dock_b = peopled(town, keep)
    readers = {name: keep(town.login(name, client_id=f"{name}-reads", version=version)) for name in SCOPES}
    for reader in readers.values():
        assert reader.subscribe("#", "thing/product/+/+", "thing/#") == [1, 1, 1]
    for dock, sn, bird in ((dock_a, DOCK_A, BIRD_A), (dock_b, DOCK_B, BIRD_B)):
        for topic in (*topics_of(sn, UP), *topics_of(bird, AIRCRAFT_UP)):
            dock.publish(topic, b'{"tid":"1","need_reply":1}')
    speaker = keep(town.login("service-all", client_id="speaker"))
    for topic in (*A_DOWN, *B_DOWN):
        speaker.publish(topic, b"down")
    for dock, sn in ((dock_a, DOCK_A), (dock_b, DOCK_B)):
        dock.publish(device_topic(sn, Kind.OSD), b"fence")
    for name, reader in readers.items():
        mine = SCOPES[name]
        expected = {
            topic
            for sn, bird in ((DOCK_A, BIRD_A), (DOCK_B, BIRD_B))
            if sn in mine
            for topic in (*topics_of(sn, UP), *topics_of(bird, AIRCRAFT_UP))
        }
        got = reader.receive_until(b"fence")
        if len(mine) == 4:
            got += reader.receive_until(b"fence")
        events = [each for each in got if each.topic.startswith("dockgate/events/")]
        assert {each.topic for each in got if each not in events} == expected, name
        assert {each.topic for each in events} <= {event_topic(sn) for sn in mine}
        # overlapping filters bring it once
        assert len([each for each in got if each.topic == device_topic(mine[0], Kind.OSD)]) == 1


def test_retained_messages_stay_in_their_organization(town: Town, keep: Any) -> None:
    dock_a, dock_b = peopled(town, keep)
    dock_a.publish(device_topic(DOCK_A, Kind.STATE), b"a", retain=True)
    dock_a.publish(device_topic(BIRD_A, Kind.OSD), b"aa", retain=True)
    dock_b.publish(device_topic(DOCK_B, Kind.STATE), b"b", retain=True)
    speaker = keep(town.login("service-all", client_id="speaker"))
    speaker.publish(device_topic(DOCK_B, Kind.SERVICES), b"for b", retain=True)
    for name, expected in (
        ("service-a", {b"a", b"aa"}),
        ("service-b", {b"b"}),
        ("observer-a", {b"a", b"aa"}),
        ("observer-all", {b"a", b"aa", b"b"}),
    ):
        late = keep(town.login(name))
        late.ping()
        assert not late.inbox  # nothing without asking
        late.subscribe("#")
        late.ping()
        assert set(payloads(late.inbox)) == expected
        assert all(got.retain for got in late.inbox)
    again = keep(town.login("dock-b", client_id="again"))
    again.subscribe(device_topic(DOCK_B, Kind.SERVICES))
    assert again.receive().payload == b"for b"


FOREIGN_WILLS = (
    device_topic(DOCK_B, Kind.OSD), device_topic(DOCK_B, Kind.SERVICES), device_topic(BIRD_B, Kind.EVENTS),
    device_topic(DOCK_A, Kind.SERVICES), event_topic(DOCK_A), event_topic(DOCK_B), "$SYS/broker/uptime", "random/topic",
    device_topic(NOBODY, Kind.REQUESTS),
)  # fmt: skip


@pytest.mark.case(24)
@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
@pytest.mark.parametrize("retain", [False, True], ids=["", "retained"])
def test_a_will_on_a_foreign_topic_is_never_delivered(town: Town, keep: Any, version: int, retain: bool) -> None:
    _, dock_b = peopled(town, keep)
    watcher = keep(town.login("service-sys", client_id="watcher"))
    watcher.subscribe("#", "$SYS/#")
    own = device_topic(DOCK_A, Kind.EVENTS)
    for topic in (*FOREIGN_WILLS, own):
        dying = town.login(
            "dock-a", client_id="dying", version=version, will=Will(topic, b"will of dock-a", retain=retain)
        )
        dying.drop()
        until(town.gateway, lambda: town.gateway.broker.table.get("dying") is None)
    got = watcher.receive_until(b"will of dock-a")  # the one that was allowed came, and before it nothing
    assert {each.topic for each in got} <= {event_topic(DOCK_A), event_topic(DOCK_B)}
    assert b"will of dock-a" not in payloads(got)
    speaker = keep(town.login("service-all", client_id="speaker"))
    speaker.publish(device_topic(DOCK_B, Kind.SERVICES), b"fence")
    assert dock_b.receive_until(b"fence") == []
    late = keep(town.login("service-sys", client_id="late"))
    late.subscribe("#", "$SYS/#")
    late.ping()
    assert topics(late.inbox) == ([own] if retain else [])


def test_an_observer_and_a_service_have_no_will_upwards(town: Town, keep: Any) -> None:
    dock_a, _ = peopled(town, keep)
    watcher = keep(town.login("service-all", client_id="watcher"))
    watcher.subscribe("#")
    for name, topic in (
        ("observer-all", device_topic(DOCK_A, Kind.SERVICES)),
        ("observer-all", device_topic(DOCK_A, Kind.OSD)),
        ("service-b", device_topic(DOCK_A, Kind.SERVICES)),
        ("service-all", device_topic(DOCK_A, Kind.OSD)),
        ("service-a", device_topic(DOCK_A, Kind.SERVICES)),  # the one that it may
    ):
        town.login(name, client_id="dying", will=Will(topic, name.encode())).drop()
        until(town.gateway, lambda: town.gateway.broker.table.get("dying") is None)
    assert dock_a.receive_until(b"service-a") == []
    dock_a.publish(device_topic(DOCK_A, Kind.OSD), b"fence")
    assert {got.topic for got in watcher.receive_until(b"fence")} <= {event_topic(DOCK_A), event_topic(DOCK_B)}
