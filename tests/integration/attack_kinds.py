"""Kinds of attacks with a login: what is tried comes in, a row that tries it on the stage and sees it refused goes out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.broker.codec.packets import Reason
from gateway.topics import Kind, device_topic

from . import octets, octets_v5
from .attack_doors import PLAIN
from .attack_stage import (
    MARK,
    Stage,
)
from .town import DOCK_A, DOCK_B
from .wire import Will

OWN_OSD, OWN_REQUESTS, OWN_EVENTS = (device_topic(DOCK_A, kind) for kind in (Kind.OSD, Kind.REQUESTS, Kind.EVENTS))
OWN_REPLY = f"{OWN_REQUESTS}_reply"
OWN_STATUS = device_topic(DOCK_A, Kind.STATUS)
THEIRS = device_topic(DOCK_B, Kind.SERVICES)
THEIR_REPLY = device_topic(DOCK_B, Kind.REQUESTS_REPLY)
REFUSED = (0x80, 0x87, 0x8F)
NOBODYS = "9ZZZQ9SM00NONE"


@dataclass(frozen=True)
class Attack:
    """``run`` plays it on the stage, and fails where it was not refused as it should have been. ``doors``: where it is tried."""

    name: str
    run: Callable[[Stage], None]
    versions: tuple[int, ...] = (4, 5)
    doors: tuple[str, ...] = (PLAIN,)


# -- kinds of rows


def reads(name: str, *filters: str, by: str = "dock-a", qos: int = 1) -> Attack:
    def run(stage: Stage) -> None:
        actor = stage.attacker(by)
        codes = actor.subscribe(*filters, qos=qos)
        assert set(codes) <= set(REFUSED), dict(zip(filters, codes, strict=True))

    return Attack(f"read: {name}", run)


def writes(name: str, *topics: str, by: str = "dock-a") -> Attack:
    """At each QoS, to be kept and not to be kept."""

    def run(stage: Stage) -> None:
        actor = stage.attacker(by)
        for topic in topics:
            for qos in (0, 1, 2):
                for retain in (False, True):
                    reason = actor.publish(topic, MARK, qos=qos, retain=retain)
                    assert reason == (0x87 if qos and stage.version == 5 else 0), topic

    return Attack(f"write: {name}", run)


def erases(name: str, *topics: str) -> Attack:
    """An empty retained message is how one takes a retained message away."""

    def run(stage: Stage) -> None:
        actor = stage.attacker()
        for topic in topics:
            actor.publish(topic, b"", retain=True)

    return Attack(f"retained: {name}", run)


def wills(name: str, *topics: str, retain: bool = False, delay_s: int | None = None) -> Attack:
    def run(stage: Stage) -> None:
        for topic in topics:
            for end in ("drop", "keep alive over", "take-over", "protocol error"):
                _die(stage, topic, retain, delay_s, end)

    return Attack(f"will: {name}", run, (5,) if delay_s is not None else (4, 5))


def _die(stage: Stage, topic: str, retain: bool, delay_s: int | None, end: str) -> None:
    password = stage.town.passwords["dock-a"]
    actor = stage.knock()
    if delay_s is None:
        will = Will(topic, MARK, retain=retain)
        assert actor.login("dying", "dock-a", password, will=will, clean=True).code == 0
    else:
        actor.send(
            octets_v5.connect(
                "dying",
                octets_v5.session_expiry(3600),
                username="dock-a",
                password=password,
                will=(topic, MARK, 1, retain),
                will_properties=octets_v5.properties(octets_v5.will_delay(delay_s)),
            )
        )
        actor.ping()
    # it is not even kept, so that no way to die can bring it about
    assert stage.ask(lambda: stage.session("dying").will) is None
    if end == "protocol error":
        actor.send(b"\x00\x00")
        assert actor.wait_closed(5)
    elif end == "take-over":
        # with a clean start, which ends the session, so that a will with a delay would be due as well
        stage.attacker(client_id="dying").disconnect()
        assert actor.wait_closed(5)
    elif end == "keep alive over":
        stage.gateway.call(_expire(stage))
        assert actor.wait_closed(5)
    else:
        actor.drop()


async def _expire(stage: Stage) -> None:
    """What the broker does to a connection whose time is over."""
    stage.session("dying").link.connection.close(Reason.KEEP_ALIVE_TIMEOUT)


def asks(
    name: str,
    payload: Callable[[Stage], bytes],
    check: Callable[[dict[str, Any]], object],
    *,
    topic: str = OWN_REQUESTS,
) -> Attack:
    """A request on the attacker's own topic that is about others. ``check`` looks at the reply's ``data``."""

    def run(stage: Stage) -> None:
        actor = stage.attacker()
        assert actor.subscribe(f"{topic}_reply") == [1]
        actor.publish(topic, payload(stage))
        reply = actor.receive()
        assert reply.topic == f"{topic}_reply"
        assert check(json.loads(reply.payload)["data"]), reply.payload

    return Attack(f"request: {name}", run)


def bytes_of(
    name: str, said: Callable[[Stage], bytes], *, closes: bool = False, versions: tuple[int, ...] = (4, 5)
) -> Attack:
    """Packets as no ordinary client sends them. ``closes``: the attacker's connection ends, and no other."""

    def run(stage: Stage) -> None:
        actor = stage.attacker()
        with contextlib.suppress(ConnectionError) if closes else contextlib.nullcontext():
            actor.send(said(stage))  # who is put out in the middle of it is put out
        assert actor.wait_closed(5) if closes else actor.is_open()

    return Attack(f"packets: {name}", run, versions)


def published(stage: Stage, topic: str, payload: bytes = MARK, **options: Any) -> bytes:
    said = (
        octets.publish(topic, payload, **options)
        if stage.version == 4
        else octets_v5.publish(topic, payload, **options)
    )
    return bytes(said)
