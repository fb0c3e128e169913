"""MQTT 5 sessions, wills and ends, in bytes: how long a session lasts, when a will is published, and what a client is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Gateway, Installation

from . import octets
from .lasting import LastingInstallation, served, wait_until
from .octets import DISCONNECT, PINGREQ
from .octets_v5 import (
    Octets5,
    connack,
    content_type,
    disconnect,
    message_expiry,
    properties,
    puback,
    pubcomp,
    publish,
    pubrec,
    pubrel,
    receive_maximum,
    session_expiry,
    suback,
    subscribe,
    user_property,
    welcome,
    will_delay,
)
from .open_doors import House, open_gateway, quiet

DAY = 86_400
LONG = session_expiry(600)


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with open_gateway(tmp_path_factory.mktemp("sessions") / "dockgate") as gateway:
        yield gateway


@pytest.fixture
def house(open_door: Gateway) -> Iterator[House]:
    with ExitStack() as opened:
        yield House(open_door, opened)


def away(house: House, client_id: str) -> None:
    """Wait until the gateway has noticed that the client has gone."""
    table = house.gateway.broker.table
    wait_until(house.gateway, lambda: (session := table.get(client_id)) is None or not session.connected)


def later(house: House, seconds: float) -> None:
    """What the gateway does when so much time has gone by."""
    broker = house.gateway.broker
    house.ask(lambda: broker.table.tick(house.gateway.loop.time() + seconds))


# -- how long a session lasts (3.1.2.11.2, 3.14.2.2.2)

ENDS = {
    "no expiry: with the connection": ((), DISCONNECT, 0, False),
    "expiry 0: with the connection": ((session_expiry(0),), DISCONNECT, 0, False),
    "it lasts": ((session_expiry(100),), DISCONNECT, 99, True),
    "and then it is over": ((session_expiry(100),), DISCONNECT, 101, False),
    "it lasts without a DISCONNECT": ((session_expiry(100),), b"", 99, True),
    "DISCONNECT ends it": ((session_expiry(100),), disconnect(0, session_expiry(0)), 0, False),
    "DISCONNECT shortens it": ((session_expiry(100),), disconnect(0, session_expiry(10)), 11, False),
    "DISCONNECT prolongs it": ((session_expiry(100),), disconnect(0, session_expiry(1000)), 999, True),
    "no longer than allowed": ((session_expiry(0xFFFF_FFFF),), DISCONNECT, DAY + 1, False),
    "DISCONNECT prolongs it no longer than allowed": (
        (session_expiry(100),), disconnect(0, session_expiry(0xFFFF_FFFF)), DAY + 1, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_how_long_a_session_lasts(house: House, name: str) -> None:
    asked, goodbye, seconds, lasts = ENDS[name]
    client = house.knock()
    client.login("lasting", "anybody", "x", *asked)
    assert client.answers(subscribe(("lasting/a", 1))) == suback(1, 1)
    client.send(goodbye)
    client.drop()
    away(house, "lasting")
    assert house.five("sender").answers(publish("lasting/a", b"x", qos=1)) == puback()
    later(house, seconds)
    client = house.five("lasting", clean=False, present=lasts)
    assert client.answers() == (publish("lasting/a", b"x", qos=1) if lasts else b"")


def test_a_clean_start_begins_anew(house: House) -> None:
    client = house.five("anew", LONG)
    assert client.answers(subscribe(("anew/a", 1))) == suback(1, 1)
    client.drop()
    away(house, "anew")
    assert house.five("sender").answers(publish("anew/a", b"x", qos=1)) == puback()
    client = house.five("anew", LONG)
    assert quiet(client)
    assert house.five("sender").answers(publish("anew/a", b"y", qos=1)) == puback()
    assert quiet(client)


def test_a_client_without_an_identifier_is_given_one_that_it_can_come_back_with(house: House) -> None:
    client = house.knock()
    answer = client.login("", "anybody", "x", LONG, clean=False)
    start = answer.index(b"\x12") + 3
    client_id = answer[start : start + answer[start - 1]].decode()
    assert answer == welcome(client_id=client_id)
    assert len(client_id) > 30
    assert house.knock().login("", "anybody", "x") != answer
    client.drop()
    away(house, client_id)
    house.five(client_id, LONG, clean=False, present=True)


def test_an_identifier_belongs_to_the_account_that_uses_it(house: House) -> None:
    house.five("mine", LONG)
    stranger = house.knock()
    sent = octets.packet(
        0x10, octets.text("MQTT") + b"\x05\xc0\x00\x3c\x00" + b"".join(map(octets.text, ("mine", "eve", "x")))
    )
    assert stranger.until_closed(sent) == connack(0x85)


# -- what was under way (4.4)


def test_a_client_that_takes_fewer_at_a_time_now_gets_what_was_under_way_in_so_many(house: House) -> None:
    client, sender = house.five("fewer", LONG), house.five("sender")
    assert client.answers(subscribe(("fewer/a", 2))) == suback(1, 2)
    for number, qos in enumerate((1, 2, 1, 1), start=1):
        sender.answers(publish("fewer/a", b"%d" % number, qos=qos, packet_id=number))
    assert len(client.answers()) == 4 * len(publish("fewer/a", b"1", qos=1))
    assert client.answers(pubrec(2)) == pubrel(2)
    client.drop()
    away(house, "fewer")
    for number, qos in ((5, 1), (6, 0)):
        sender.answers(publish("fewer/a", b"%d" % number, qos=qos, packet_id=number))
    client = house.five("fewer", LONG, receive_maximum(2), clean=False, present=True)

    def message(number: int, *, dup: bool) -> bytes:
        return publish("fewer/a", b"%d" % number, qos=1, packet_id=number, dup=dup)

    assert client.answers() == message(1, dup=True) + pubrel(2) + publish("fewer/a", b"6")
    assert client.answers(puback(1)) == message(3, dup=True)
    assert client.answers(pubcomp(2)) == message(4, dup=True)
    assert client.answers(puback(4)) == message(5, dup=False)
    assert client.answers(puback(3), puback(5)) == b""


def test_a_qos_2_message_that_was_taken_is_not_taken_again_on_the_next_connection(house: House) -> None:
    reader, sender = house.five("reader"), house.five("twice", LONG)
    assert reader.answers(subscribe(("twice/a", 0))) == suback(1, 0)
    assert sender.answers(publish("twice/a", b"x", qos=2)) == pubrec()
    sender.drop()
    away(house, "twice")
    sender = house.five("twice", LONG, clean=False, present=True)
    assert sender.answers(publish("twice/a", b"x", qos=2, dup=True)) == pubrec()
    assert sender.answers(pubrel(), pubrel()) == pubcomp() + pubcomp(1, 0x92)
    assert reader.answers() == publish("twice/a", b"x")


# -- wills (3.1.2.5, 3.1.3.2)

WILL = ("will/a", b"gone", 1, False)
GONE = publish("will/a", b"gone", qos=1)


def witness(house: House) -> Octets5:
    client = house.five("witness")
    assert client.answers(subscribe(("will/#", 1))) == suback(1, 1)
    return client


@pytest.mark.parametrize(
    ("goodbye", "published"),
    [
        (DISCONNECT, False),
        (disconnect(0x00), False),
        (disconnect(0x04), True),
        (disconnect(0x80), True),
        (b"", True),
        (b"\xf1\x00", True),
        (disconnect(0, session_expiry(1)), True),
    ],
    ids=[
        "DISCONNECT",
        "normal",
        "with the will",
        "unspecified error",
        "none",
        "a malformed packet",
        "a protocol error",
    ],
)
def test_which_ends_publish_the_will(house: House, goodbye: bytes, published: bool) -> None:
    """All but a normal disconnection [MQTT-3.1.2-8]."""
    client = witness(house)
    dying = house.five("dying", will=WILL)
    dying.send(goodbye)
    dying.drop()
    away(house, "dying")
    if published:
        assert client.packet() == GONE
    assert quiet(client)


def test_a_will_has_its_properties_and_its_delay_is_not_one_of_them(house: House) -> None:
    client = witness(house)
    told = (message_expiry(600), content_type("text"), user_property("a", "b"))
    house.five("dying", will=("will/b", b"", 2, False), will_properties=properties(will_delay(0), *told)).drop()
    assert client.packet() == publish("will/b", b"", *told, qos=1)


def test_a_delayed_will_comes_when_its_time_has_come(house: House) -> None:
    client = witness(house)
    house.five("dying", LONG, will=WILL, will_properties=properties(will_delay(1))).drop()
    away(house, "dying")
    assert client.answers() == b""
    assert client.packet() == GONE
    later(house, 500)
    assert quiet(client)


def test_a_delayed_will_comes_no_later_than_the_end_of_its_session(house: House) -> None:
    client = witness(house)
    house.five("dying", session_expiry(10), will=WILL, will_properties=properties(will_delay(100))).drop()
    away(house, "dying")
    later(house, 9)
    assert quiet(client)
    later(house, 11)
    assert client.packet() == GONE
    assert house.ask(lambda: house.gateway.broker.table.get("dying")) is None


def test_without_a_session_that_lasts_a_delay_is_none(house: House) -> None:
    client = witness(house)
    house.five("dying", will=WILL, will_properties=properties(will_delay(100))).drop()
    assert client.packet() == GONE


def test_a_client_that_comes_back_in_time_takes_its_will_back(house: House) -> None:
    client = witness(house)
    house.five("dying", LONG, will=WILL, will_properties=properties(will_delay(50))).drop()
    away(house, "dying")
    back = house.five("dying", LONG, clean=False, present=True)
    later(house, 599)
    assert quiet(client)
    back.drop()
    away(house, "dying")
    later(house, 599)
    assert quiet(client)


def test_a_client_that_begins_anew_has_ended_its_session_and_with_it_the_delay(house: House) -> None:
    client = witness(house)
    house.five("dying", LONG, will=WILL, will_properties=properties(will_delay(50))).drop()
    away(house, "dying")
    house.five("dying", LONG)
    assert client.packet() == GONE


@pytest.mark.parametrize(("delay_s", "published"), [(0, True), (50, False)])
def test_a_take_over_publishes_a_will_that_has_no_delay(house: House, delay_s: int, published: bool) -> None:
    """3.1.4, note on [MQTT-3.1.4-3]."""
    client = witness(house)
    old = house.five("dying", LONG, will=WILL, will_properties=properties(will_delay(delay_s)))
    house.five("dying", LONG, clean=False, present=True)
    assert old.until_closed() == disconnect(0x8E)
    if published:
        assert client.packet() == GONE
    assert quiet(client)


# -- what a client is told at the end (3.14)


@pytest.mark.parametrize("by", ["5", "3.1.1"])
def test_who_is_taken_over_is_told(house: House, by: str) -> None:
    old = house.five("taken", LONG)
    _ = house.five("taken", LONG) if by == "5" else house.three("taken")
    assert old.until_closed() == disconnect(0x8E)


def test_a_client_of_3_1_1_that_is_taken_over_is_only_closed(house: House) -> None:
    old = house.three("taken-of-3", clean=False)
    house.five("taken-of-3", clean=False, present=True)
    assert old.until_closed() == b""


def test_who_is_silent_for_too_long_is_told(house: House) -> None:
    client = house.five("silent", keepalive=1)
    assert client.answers(PINGREQ) == octets.PINGRESP
    assert client.until_closed() == disconnect(0x8D)


def test_all_are_told_that_the_gateway_stops(installation: Installation) -> None:
    service = installation.account("platform", "service")
    with ExitStack() as opened:
        with served(installation) as gateway:
            client = opened.enter_context(Octets5(gateway.port()))
            assert client.login("told", service.account, service.password, LONG) == welcome()
        assert client.until_closed() == disconnect(0x8B)


Change = Callable[[LastingInstallation], object]
CHANGES: dict[str, Change] = {
    "disabled": lambda installation: installation.dockgate("account", "disable", "platform"),
    "deleted": lambda installation: installation.dockgate("account", "delete", "platform"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_who_may_no_longer_log_in_is_told(
    installation: LastingInstallation, serve: Callable[[Installation], Gateway], name: str
) -> None:
    service = installation.account("platform", "service")
    gateway = serve(installation)
    with Octets5(gateway.port()) as client:
        assert client.login("told", service.account, service.password, LONG) == welcome()
        CHANGES[name](installation)
        assert client.until_closed() == disconnect(0x98)
    assert gateway.ask(lambda: gateway.broker.table.get("told")) is None


def test_who_has_too_many_connections_is_told(
    installation: Installation, serve: Callable[[Installation], Gateway]
) -> None:
    service = installation.account("platform", "service")
    installation.configure(lambda settings: settings["dockgate"].update(limits={"connections_per_account": 1}))
    gateway = serve(installation)
    with Octets5(gateway.port()) as one, Octets5(gateway.port()) as other:
        assert one.login("one", service.account, service.password) == welcome()
        assert other.login("other", service.account, service.password) == connack(0x97)
        assert other.until_closed() == b""
