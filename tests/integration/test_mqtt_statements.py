"""Statements of both specifications that no other test shows (docs/mqtt-conformance.md), in bytes or on a session of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.broker.codec.packets import Subscription
from gateway.broker.router import Router
from tests.conftest import Gateway
from tests.unit.recording_link import Released, Sent, message, session_of

from . import octets
from .lasting import wait_until
from .octets_v5 import (
    puback,
    pubcomp,
    publish,
    pubrec,
    pubrel,
    session_expiry,
    suback,
    subscribe,
    unsuback,
    unsubscribe,
)
from .open_doors import CLOSED, House, open_gateway, quiet


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with open_gateway(tmp_path_factory.mktemp("statements") / "dockgate") as gateway:
        yield gateway


@pytest.fixture
def house(open_door: Gateway) -> Iterator[House]:
    with ExitStack() as opened:
        yield House(open_door, opened)


def test_a_dup_is_between_two_neighbours(house: House) -> None:
    """[MQTT-3.3.1-3]"""
    new, old, sender = house.five("new"), house.three("old"), house.five("sender")
    assert new.answers(subscribe(("dup", 1))) == suback(1, 1)
    assert old.answers(octets.subscribe(("dup", 1))) == octets.suback(1, 1)
    assert sender.answers(publish("dup", b"x", qos=1, dup=True)) == puback()
    assert new.packet() == publish("dup", b"x", qos=1)
    assert old.packet() == octets.publish("dup", b"x", qos=1)


def test_after_pubcomp_the_identifier_is_a_new_messages(house: House) -> None:
    """MQTT 5 [MQTT-4.3.3-12]; MQTT 3.1.1 [MQTT-4.3.3-2]"""
    reader, new, old = house.five("reader"), house.five("new"), house.three("old")
    assert reader.answers(subscribe(("twice", 0))) == suback(1, 0)
    for number in range(2):
        said = b"%d" % number
        assert new.answers(publish("twice", said, qos=2), pubrel()) == pubrec() + pubcomp()
        assert old.answers(octets.publish("twice", said, qos=2), octets.pubrel()) == octets.pubrec() + octets.pubcomp()
        assert reader.packet() + reader.packet() == 2 * publish("twice", said)
    assert quiet(reader)


def test_what_is_under_way_is_finished_after_unsubscribing(house: House) -> None:
    """[MQTT-3.10.4-3]"""
    reader, sender = house.five("reader", session_expiry(60)), house.five("sender")
    assert reader.answers(subscribe(("on its way", 2))) == suback(1, 2)
    assert sender.answers(publish("on its way", b"x", qos=2), pubrel()) == pubrec() + pubcomp()
    assert reader.packet() == publish("on its way", b"x", qos=2)
    assert reader.answers(unsubscribe("on its way")) == unsuback(1, 0)
    reader.drop()
    back = house.five("reader", session_expiry(60), clean=False, present=True)
    assert back.packet() == publish("on its way", b"x", qos=2, dup=True)
    assert back.answers(pubrec()) == pubrel()
    assert back.answers(pubcomp()) == b""


def test_a_retained_will_is_retained(house: House) -> None:
    """[MQTT-3.1.2-15]"""
    reader = house.five("reader")
    assert reader.answers(subscribe(("last/words", 0))) == suback(1, 0)
    house.five("leaves", will=("last/words", b"bye", 0, True)).drop()
    assert reader.packet() == publish("last/words", b"bye")
    late = house.five("late")
    late.send(subscribe(("last/words", 0)))
    assert late.packet() + late.packet() == suback(1, 0) + publish("last/words", b"bye", retain=True)


def test_what_a_member_of_a_share_has_under_way_stays_with_it(house: House) -> None:
    """MQTT 5 [MQTT-4.8.2-4] and [MQTT-4.8.2-5]"""
    one, sender = house.five("one", session_expiry(60)), house.five("sender")
    assert one.answers(subscribe(("$share/s/work", 2))) == suback(1, 2)
    assert sender.answers(publish("work", b"x", qos=2), pubrel()) == pubrec() + pubcomp()
    assert one.packet() == publish("work", b"x", qos=2)
    other = house.five("other")
    assert other.answers(subscribe(("$share/s/work", 2))) == suback(1, 2)
    one.drop()
    wait_until(house.gateway, lambda: not house.gateway.broker.table.get("one").connected)  # type: ignore[union-attr]
    assert quiet(other)
    back = house.five("one", session_expiry(60), clean=False, present=True)
    assert back.packet() == publish("work", b"x", qos=2, dup=True)
    back.drop()
    assert house.five("one").answers() == b""  # a clean start: its session is over, and the message with it
    assert quiet(other)


def test_what_has_been_sent_once_does_not_expire() -> None:
    """MQTT 5 [MQTT-4.3.3-7] and [MQTT-4.3.3-13]"""
    now = 1000.0
    session, link, _ = session_of()
    session.deliver(message(0, expires_at=now + 1), qos=2)
    assert link.taken() == [Sent(b"0", 2, 1)]
    session.resume(now + 5)
    assert link.taken() == [Sent(b"0", 2, 1, dup=True)]
    assert session.pubrec(1, failed=False, now=now + 6)
    session.resume(now + 7)
    assert link.taken() == [Released(1)]
    session.pubcomp(1, now + 8)
    assert not session.inflight_out


@pytest.mark.parametrize(
    ("named", "looked_for"),
    [("caf\u00e9", "cafe\u0301"), ("A", "a"), ("a//b", "a/b"), ("/a", "a"), ("a/", "a"), (" a", "a"), ("\ufeffa", "a")],
)
def test_a_topic_is_its_bytes_and_nothing_is_normalized(named: str, looked_for: str) -> None:
    """[MQTT-4.7.3-4]"""
    router: Router[str] = Router()
    router.subscribe("who", Subscription(looked_for, 0))
    assert router.match(named) == []
    assert len(router.match(looked_for)) == 1


def test_a_plugin_that_refuses_without_a_reason_is_not_said_to_have_one(house: House) -> None:
    """MQTT 5, 3.9.3: 0x80 where no other code applies; those of our own rules are in the packet tables."""
    client = house.five("client")
    assert client.answers(subscribe(("open", 1), (CLOSED, 1), ("open/too", 2))) == suback(1, 1, 0x80, 2)
