"""Rows of the table of attacks: reading, writing, keeping and leaving behind what is another's, by topics and filters."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.topics import Kind, device_topic, event_topic

from . import octets, octets_v5
from .attack_kinds import (
    NOBODYS,
    OWN_OSD,
    OWN_REPLY,
    REFUSED,
    THEIR_REPLY,
    THEIRS,
    Attack,
    bytes_of,
    erases,
    published,
    reads,
    wills,
    writes,
)
from .attack_stage import (
    BIRD_C,
    DOCK_C,
    MARK,
    SHARE,
    Recorded,
    Stage,
)
from .town import (
    BIRD_A,
    BIRD_B,
    DOCK_A,
    DOCK_B,
    DOWN,
    UP,
    topics_of,
)
from .wire import Will, connect_packet

# -- reading


def reading() -> Iterator[Attack]:
    for who, sn, bird in (("of another organization", DOCK_B, BIRD_B), ("of its own organization", DOCK_C, BIRD_C)):
        yield reads(f"all topics of a dock {who}", *topics_of(sn, tuple(Kind)))
        yield reads(f"all topics of an aircraft {who}", *topics_of(bird, tuple(Kind)))
    yield reads("everything", "#", "+/#", "+/+/+/+", "thing/#", "thing/product/#", "sys/#", "+/product/#", "/#", "+")
    yield reads(
        "every dock by a wildcard",
        *(f"{'sys' if 'status' in kind.value else 'thing'}/product/+/{kind.value}" for kind in Kind),
    )
    yield reads(
        "a dock by wildcards around it",
        f"+/product/{DOCK_B}/osd",
        f"thing/+/{DOCK_B}/#",
        f"thing/product/{DOCK_B}/+",
        f"thing/product/{DOCK_B}/#",
        f"+/+/{DOCK_B}/+",
    )
    yield reads(
        "its own topics by a wildcard that reaches further",
        f"thing/product/{DOCK_A}/#",
        f"thing/product/{DOCK_A}/+",
        f"+/+/{DOCK_A}/+",
    )
    yield reads("upwards, as a platform does", *topics_of(DOCK_A, UP), *topics_of(BIRD_A, UP))
    yield reads("what is told of docks", "dockgate/events/+", "dockgate/#", event_topic(DOCK_B), event_topic(DOCK_A))
    yield reads(
        "the broker's own topics", "$SYS/#", "$SYS/broker/clients/total", "$SYS/+/+", "$dockgate/#", "$#", "$+/#"
    )
    yield reads(
        "a share of its own",
        f"$share/mine/{THEIRS}",
        "$share/mine/#",
        f"$share/mine/{OWN_REPLY}",
        "$share/mine/thing/product/+/osd",
    )
    yield reads(
        "the victims' share", f"$share/{SHARE}/thing/product/+/osd", f"$share/{SHARE}/#", f"$share/{SHARE}/{OWN_OSD}"
    )
    yield reads(
        "shares in disguise", "$SHARE/workers/#", "$share/$share/workers/#", "$queue/#", "$share/workers/$share/x/#"
    )
    yield reads("at QoS 2", *topics_of(DOCK_B, tuple(Kind)), qos=2)
    yield reads("at QoS 0", *topics_of(DOCK_B, tuple(Kind)), qos=0)
    yield reads("names that look alike", *(topic.format(DOCK_B) for topic in LOOK_ALIKE))
    yield reads(
        "before it has an SN, whose is taken",
        f"{device_topic(DOCK_B, Kind.REQUESTS)}_reply",
        *topics_of(DOCK_B, DOWN),
        by="dock-new",
    )
    yield reads("before it has an SN, as an aircraft", *topics_of(BIRD_B, DOWN), by="dock-new")
    yield reads(
        "before it has an SN, by wildcards",
        "#",
        "thing/product/+/requests_reply",
        "thing/product/+/services",
        "$share/g/thing/product/+/services",
        by="dock-new",
    )
    yield Attack("read: hidden among what it may", _among)
    yield Attack("read: by a filter that is taken back and asked for again", _again)
    yield Attack("read: with the options of MQTT 5", _options, (5,))
    yield Attack("read: with the subscription identifier of another", _identifier, (5,))
    yield Attack("read: a thousand filters", _thousand)
    yield Attack("read: what is retained", _retained)


LOOK_ALIKE = (
    "thing/product/{}\N{ZERO WIDTH SPACE}/osd",
    "thing\N{FULLWIDTH SOLIDUS}product/{}/osd",
    "Thing/Product/{}/osd",
    "thing/product/{}/OSD",
    "thing//product/{}/osd",
    "thing/product/./{}/osd",
    "thing/product/x/../{}/osd",
    "thing/product/{}/osd/",
    "/thing/product/{}/osd",
    "thing/product/{} /osd",
    "thing/product/%37CTDM7100B000B/osd",
    "thing/product/{}/property/set/x",
    "thing/product/{}/property",
    "sys/product/{}/osd",
    "thing/product/{}/status",
    "\ufeffthing/product/{}/osd",
)


def _among(stage: Stage) -> None:
    actor = stage.attacker()
    own = device_topic(DOCK_A, Kind.SERVICES)
    codes = actor.subscribe(own, THEIRS, OWN_REPLY, "#", THEIR_REPLY, own)
    assert [code in REFUSED for code in codes] == [False, True, False, True, True, False]


def _again(stage: Stage) -> None:
    actor = stage.attacker()
    for _ in range(3):
        assert actor.subscribe(THEIRS)[0] in REFUSED
        actor.send(octets.unsubscribe(THEIRS) if stage.version == 4 else octets_v5.unsubscribe(THEIRS))
    assert actor.is_open()
    assert stage.ask(lambda: dict(stage.session("attacker").subscriptions)) == {}


def _options(stage: Stage) -> None:
    actor = stage.attacker()
    for option in (octets_v5.NO_LOCAL, octets_v5.AS_PUBLISHED, octets_v5.ONLY_IF_NEW, octets_v5.NO_RETAINED):
        actor.send(octets_v5.subscribe((THEIRS, 1 | option), ("#", 1 | option), packet_id=9))
        assert actor.is_open()
    assert stage.ask(lambda: dict(stage.session("attacker").subscriptions)) == {}


def _identifier(stage: Stage) -> None:
    actor = stage.attacker()
    own = device_topic(DOCK_A, Kind.SERVICES)
    for topic in (own, THEIRS, "#"):
        actor.send(octets_v5.subscribe((topic, 1), packet_id=9, each=(octets_v5.subscription_id(1),)))
    assert actor.is_open()
    assert stage.ask(lambda: set(stage.session("attacker").subscriptions)) == {own}


def _thousand(stage: Stage) -> None:
    actor = stage.attacker()
    codes = actor.subscribe(*(f"thing/product/{DOCK_B}/{number}" for number in range(500)), *["#"] * 500)
    assert set(codes) <= set(REFUSED)


def _retained(stage: Stage) -> None:
    """There are retained messages of the victims; they come to nobody who could not have had them when they were new."""
    actor = stage.attacker()
    actor.subscribe("#", THEIRS, device_topic(DOCK_B, Kind.STATE), *topics_of(DOCK_A, DOWN))
    actor.ping()
    assert list(actor.inbox) == []


# -- writing


def writing() -> Iterator[Attack]:
    for who, sn, bird in (("of another organization", DOCK_B, BIRD_B), ("of its own organization", DOCK_C, BIRD_C)):
        yield writes(f"as a dock {who}", *topics_of(sn, UP))
        yield writes(f"to a dock {who}", *topics_of(sn, DOWN))
        yield writes(f"as and to an aircraft {who}", *topics_of(bird, tuple(Kind)))
    yield writes("to itself, as a platform", *topics_of(DOCK_A, DOWN), *topics_of(BIRD_A, DOWN))
    yield writes(
        "as its aircraft, what only docks say",
        *topics_of(BIRD_A, (Kind.REQUESTS, Kind.STATUS, Kind.SERVICES_REPLY, Kind.DRC_UP)),
    )
    yield writes("what the gateway tells", event_topic(DOCK_A), event_topic(DOCK_B), "dockgate/events", "dockgate/x")
    yield writes("the broker's own topics", "$SYS/broker/version", "$SYS/x", f"$share/{SHARE}/{OWN_OSD}", "$dockgate/x")
    yield writes("topics of nobody", "random", f"thing/product/{NOBODYS}/osd", "thing/product/osd", "a/b/c/d")
    yield writes("names that look alike", *(topic.format(DOCK_B) for topic in LOOK_ALIKE))
    yield writes(
        "before it has an SN, whose is taken",
        *topics_of(DOCK_B, (Kind.REQUESTS, Kind.STATUS, Kind.OSD, Kind.EVENTS)),
        by="dock-new",
    )
    yield writes("before it has an SN, as an aircraft", *topics_of(BIRD_B, UP), by="dock-new")
    yield writes("a second SN", *topics_of(NOBODYS, tuple(Kind)))
    yield erases("taking the victims' away", THEIRS, device_topic(DOCK_B, Kind.STATE), device_topic(DOCK_C, Kind.STATE))
    yield bytes_of("an empty topic", lambda stage: published(stage, ""), closes=True)
    yield bytes_of("a wildcard as topic", lambda stage: published(stage, "thing/product/+/osd"), closes=True)
    yield bytes_of("a topic with a zero in it", lambda stage: published(stage, f"{OWN_OSD}\0{DOCK_B}"), closes=True)
    yield Attack("write: by a topic alias that changes sides", _alias, (5,))
    yield Attack("write: by an alias whose topic was refused", _refused_alias, (5,))
    yield bytes_of(
        "an alias that nobody has set",
        lambda _: octets_v5.publish("", MARK, octets_v5.topic_alias(9)),
        closes=True,
        versions=(5,),
    )
    yield bytes_of(
        "alias 0", lambda _: octets_v5.publish(THEIRS, MARK, octets_v5.topic_alias(0)), closes=True, versions=(5,)
    )
    yield bytes_of(
        "an alias beyond the maximum",
        lambda _: octets_v5.publish(THEIRS, MARK, octets_v5.topic_alias(60_000)),
        closes=True,
        versions=(5,),
    )
    yield bytes_of(
        "a subscription identifier in a message",
        lambda _: octets_v5.publish(OWN_OSD, MARK, octets_v5.subscription_id(1)),
        closes=True,
        versions=(5,),
    )


def _alias(stage: Stage) -> None:
    actor = stage.attacker()
    alias = octets_v5.topic_alias(1)
    for topic in (OWN_OSD, "", THEIRS, "", device_topic(DOCK_B, Kind.OSD), "", OWN_OSD, "", THEIR_REPLY, ""):
        actor.send(octets_v5.publish(topic, MARK, alias, qos=1, packet_id=3))
    assert actor.is_open()
    reasons = [part[2] if len(part) > 2 else 0 for part in _acknowledgements(actor, 0x40)]
    assert reasons == [0, 0, 0x87, 0x87, 0x87, 0x87, 0, 0, 0x87, 0x87]


def _acknowledgements(actor: Recorded, first: int) -> list[bytes]:
    return [content for head, content in actor.packets if head == first]


def _refused_alias(stage: Stage) -> None:
    actor = stage.attacker()
    actor.send(
        octets_v5.publish(THEIRS, MARK, octets_v5.topic_alias(2), qos=1, packet_id=1)
        + octets_v5.publish("", MARK, octets_v5.topic_alias(2), qos=2, packet_id=2, retain=True)
    )
    assert actor.is_open()
    assert _acknowledgements(actor, 0x40)[0][2] == 0x87
    assert _acknowledgements(actor, 0x50)[0][2] == 0x87


# -- wills


def last_words() -> Iterator[Attack]:
    foreign = (
        THEIRS,
        device_topic(DOCK_B, Kind.OSD),
        device_topic(DOCK_C, Kind.SERVICES),
        event_topic(DOCK_A),
        "$SYS/x",
        device_topic(DOCK_A, Kind.SERVICES),
    )
    yield wills("on others' topics", *foreign)
    yield wills("on others' topics, retained", THEIRS, device_topic(DOCK_B, Kind.OSD), retain=True)
    yield wills("on others' topics, later", THEIRS, device_topic(DOCK_B, Kind.OSD), delay_s=1)
    yield wills("on others' topics, after an hour", THEIRS, retain=True, delay_s=3600)
    yield Attack("will: a wildcard", _wild_will)
    yield Attack("will: of an account without an SN", _new_will)


def _wild_will(stage: Stage) -> None:
    actor = stage.knock()
    actor.send(
        connect_packet(
            "dying-wild",
            "dock-a",
            stage.town.passwords["dock-a"],
            version=stage.version,
            will=Will("thing/product/+/services", MARK),
        )
    )
    assert actor.wait_closed(5)
    assert stage.ask(lambda: stage.session("dying-wild")) is None


def _new_will(stage: Stage) -> None:
    for topic in (THEIRS, device_topic(DOCK_B, Kind.OSD), device_topic(DOCK_B, Kind.REQUESTS)):
        actor = stage.attacker("dock-new", client_id="dying-new", will=Will(topic, MARK))
        assert stage.ask(lambda: stage.session("dying-new").will) is None
        actor.send(b"\x00\x00")
        assert actor.wait_closed(5)
