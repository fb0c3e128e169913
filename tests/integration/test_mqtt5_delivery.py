"""What MQTT 5 lets a subscriber and a publisher ask for, in bytes: options, identifiers, properties, expiry, limits, shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import permutations

import pytest

from tests.conftest import Gateway, Installation

from . import octets
from .lasting import wait_until
from .octets import DISCONNECT, Octets
from .octets_v5 import (
    AS_PUBLISHED,
    NO_LOCAL,
    NO_RETAINED,
    ONLY_IF_NEW,
    Octets5,
    content_type,
    correlation,
    disconnect,
    maximum_packet_size,
    message_expiry,
    payload_format,
    puback,
    pubcomp,
    publish,
    pubrec,
    pubrel,
    receive_maximum,
    response_topic,
    session_expiry,
    suback,
    subscribe,
    subscription_id,
    topic_alias,
    topic_alias_maximum,
    unsuback,
    unsubscribe,
    user_property,
    welcome,
)
from .open_doors import House, open_gateway, quiet


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with open_gateway(tmp_path_factory.mktemp("delivery") / "dockgate") as gateway:
        yield gateway


@pytest.fixture
def house(open_door: Gateway) -> Iterator[House]:
    with ExitStack() as opened:
        yield House(open_door, opened)


# -- subscription options (3.8.3.1)


def test_no_local_keeps_a_clients_own_messages_from_it_and_nobody_elses(house: House) -> None:
    one, other = house.five("one"), house.five("other")
    assert one.answers(subscribe(("local/a", 1 | NO_LOCAL))) == suback(1, 1)
    assert one.answers(publish("local/a", b"own", qos=1)) == puback()
    assert other.answers(publish("local/a", b"foreign", qos=1)) == puback()
    assert one.packet() == publish("local/a", b"foreign", qos=1)


def test_an_own_message_comes_by_the_filter_that_has_not_no_local(house: House) -> None:
    one = house.five("one")
    assert one.answers(
        subscribe(("loop/b", 2 | NO_LOCAL), each=(subscription_id(1),)),
        subscribe(("loop/+", 0), packet_id=2, each=(subscription_id(2),)),
    ) == suback(1, 2) + suback(2, 0)
    one.send(publish("loop/b", b"own"))
    assert one.packet() == publish("loop/b", b"own", subscription_id(2))


def test_no_local_is_for_retained_messages_too(house: House) -> None:
    one, other = house.five("one"), house.five("other")
    assert one.answers(publish("local/kept", b"own", qos=1, retain=True)) == puback()
    for client, expected in ((one, b""), (other, publish("local/kept", b"own", retain=True))):
        client.send(subscribe(("local/kept", NO_LOCAL)))
        assert client.packet() == suback(1, 0)
        assert (client.packet() if expected else b"") == expected
        assert quiet(client)


def test_retain_as_published(house: House) -> None:
    wanting, plain, old = house.five("wanting"), house.five("plain"), house.three("old")
    assert wanting.answers(subscribe(("rap/a", AS_PUBLISHED))) == suback(1, 0)
    assert plain.answers(subscribe(("rap/a", 0))) == suback(1, 0)
    assert old.answers(octets.subscribe(("rap/a", 0))) == octets.suback(1, 0)
    sender = house.five("sender")
    sender.send(publish("rap/a", b"1", retain=True), publish("rap/a", b"2"))
    assert wanting.packet() + wanting.packet() == publish("rap/a", b"1", retain=True) + publish("rap/a", b"2")
    assert plain.packet() + plain.packet() == publish("rap/a", b"1") + publish("rap/a", b"2")
    assert old.packet() + old.packet() == octets.publish("rap/a", b"1") + octets.publish("rap/a", b"2")


@pytest.mark.parametrize(
    ("handling", "times"), [(0, 2), (ONLY_IF_NEW, 1), (NO_RETAINED, 0)], ids=["always", "only if new", "never"]
)
def test_retain_handling(house: House, handling: int, times: int) -> None:
    """How often a retained message comes when one filter is subscribed to twice."""
    topic = f"handling/{handling}"
    client = house.five("client")
    assert client.answers(publish(topic, b"kept", qos=1, retain=True)) == puback()
    came = b""
    for _ in range(2):
        answer = client.answers(subscribe((topic, 1 | handling))) + client.answers() + client.answers()
        assert answer.count(suback(1, 1)) == 1
        came += answer.replace(suback(1, 1), b"")
    expected = [publish(topic, b"kept", qos=1, packet_id=number, retain=True) for number in (1, 2)]
    assert came == b"".join(expected[:times])


# -- subscription identifiers (3.8.2.1.2, 3.3.4)


def test_filters_that_overlap_give_one_message_with_all_their_identifiers(house: House) -> None:
    client = house.five("client")
    for number, (topic_filter, qos) in enumerate((("ids/a/b", 0), ("ids/+/b", 2), ("ids/#", 1)), start=1):
        assert client.answers(subscribe((topic_filter, qos), each=(subscription_id(number * 100),))) == suback(1, qos)
    client.send(publish("ids/a/b", b"x", qos=2, packet_id=9))
    came = {client.packet(), client.packet()}
    came.remove(pubrec(9))
    # in any order, and at the highest QoS of them
    assert came < {
        publish("ids/a/b", b"x", *(subscription_id(number) for number in order), qos=2)
        for order in permutations((100, 200, 300))
    }


def test_an_identifier_is_its_subscriptions_and_goes_with_it(house: House) -> None:
    client = house.five("client")
    assert client.answers(subscribe(("gone/a", 0), each=(subscription_id(268_435_455),))) == suback(1, 0)
    client.send(publish("gone/a", b"1"))
    assert client.packet() == publish("gone/a", b"1", subscription_id(268_435_455))
    assert client.answers(subscribe(("gone/a", 0))) == suback(1, 0)  # replaced by one without
    client.send(publish("gone/a", b"2"))
    assert client.packet() == publish("gone/a", b"2")


def test_a_retained_message_has_the_identifier_of_the_filter_that_asked(house: House) -> None:
    client = house.five("client")
    assert client.answers(publish("kept/id", b"x", qos=1, retain=True)) == puback()
    client.send(subscribe(("kept/#", 0), each=(subscription_id(5),)))
    assert client.packet() + client.packet() == suback(1, 0) + publish("kept/id", b"x", subscription_id(5), retain=True)


# -- properties that go with a message (3.3.2.3)

SAID = (
    payload_format(1),
    message_expiry(600),
    content_type("application/json"),
    response_topic("back/to/me"),
    correlation(b"\x00\xfe\xff"),
    user_property("a", "1"),
    user_property("", ""),
    user_property("a", "2"),
    user_property("a", "1"),
)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_they_arrive_as_they_were_sent_and_not_at_a_client_of_3_1_1(house: House, qos: int) -> None:
    new, old = house.five("new"), house.three("old")
    assert new.answers(subscribe(("said/+", qos))) == suback(1, qos)
    assert old.answers(octets.subscribe(("said/+", qos))) == octets.suback(1, qos)
    sender = house.five("sender")
    # an alias is between two neighbours only
    sender.answers(publish(f"said/{qos}", b"{}", *SAID[:5], topic_alias(3), *SAID[5:], qos=qos))
    assert new.packet() == publish(f"said/{qos}", b"{}", *SAID, qos=qos)
    assert old.packet() == octets.publish(f"said/{qos}", b"{}", qos=qos)


@pytest.mark.parametrize("each", [payload_format(0), content_type(""), correlation(b""), user_property("", "")])
def test_one_that_says_nothing_is_still_there(house: House, each: bytes) -> None:
    client = house.five("client")
    assert client.answers(subscribe(("nothing", 0))) == suback(1, 0)
    client.send(publish("nothing", b"", each))
    assert client.packet() == publish("nothing", b"", each)


def test_a_message_of_3_1_1_has_none(house: House) -> None:
    new, old = house.five("new"), house.three("old")
    assert new.answers(subscribe(("plain", 2))) == suback(1, 2)
    assert old.answers(octets.publish("plain", b"x", qos=2)) == octets.pubrec()
    assert new.packet() == publish("plain", b"x", qos=2)
    assert new.answers(pubrec()) == pubrel()
    assert new.answers(pubcomp()) == b""


# -- message expiry (3.3.2.3.3)


def left_of(packet: bytes, *, at_most: int) -> int:
    found = [seconds for seconds in range(at_most + 1) if message_expiry(seconds) in packet]
    assert len(found) == 1, packet
    return found[0]


def test_what_waits_loses_its_time_and_what_has_none_left_is_not_delivered(house: House) -> None:
    away = house.five("away", session_expiry(60))
    assert away.answers(subscribe(("expiry/#", 1))) == suback(1, 1)
    away.close()
    wait_until(house.gateway, lambda: not house.gateway.broker.table.get("away").connected)  # type: ignore[union-attr]
    sender = house.five("sender")
    for name, seconds in (("short", 1), ("long", 100), ("kept/short", 1), ("kept/long", 100)):
        retain = name.startswith("kept")
        told = message_expiry(seconds)
        assert sender.answers(publish(f"expiry/{name}", b"x", told, qos=1, retain=retain)) == puback()
    began = house.ask(lambda: house.gateway.broker.now)
    wait_until(house.gateway, lambda: house.gateway.broker.now > began + 2)
    away = house.five("away", session_expiry(60), clean=False, present=True)
    assert b"expiry/long" in (first := away.packet())
    assert b"expiry/kept/long" in (second := away.packet())
    assert 90 <= left_of(first, at_most=100) <= 98
    assert 90 <= left_of(second, at_most=100) <= 98
    assert quiet(away)
    fresh = house.five("fresh")
    fresh.send(subscribe(("expiry/kept/#", 0)))
    assert fresh.packet() == suback(1, 0)
    assert 90 <= left_of(fresh.packet(), at_most=100) <= 98
    assert quiet(fresh)


# -- receive maximum (4.9) and maximum packet size (3.1.2.11.4), both ways


def test_a_client_gets_no_more_at_a_time_than_it_takes(house: House) -> None:
    reader, sender = house.five("reader", receive_maximum(2)), house.five("sender")
    assert reader.answers(subscribe(("take/two", 2))) == suback(1, 2)
    for number, qos in enumerate((1, 2, 2, 1, 0), start=1):
        sender.answers(publish("take/two", b"%d" % number, qos=qos, packet_id=number))
    # QoS 0 is not counted
    assert reader.answers() == (
        publish("take/two", b"1", qos=1, packet_id=1)
        + publish("take/two", b"2", qos=2, packet_id=2)
        + publish("take/two", b"5")
    )
    assert reader.answers(pubrec(2)) == pubrel(2)  # not done yet
    assert reader.answers(puback(1)) == publish("take/two", b"3", qos=2, packet_id=3)
    assert reader.answers(pubrec(3, 0x97)) == publish("take/two", b"4", qos=1, packet_id=4)  # refused is done
    assert reader.answers(pubcomp(2), puback(4)) == b""


def test_a_client_may_have_so_many_qos_2_messages_open_and_no_more(house: House) -> None:
    client = house.five("client")
    for number in range(1, 33):
        assert client.answers(publish("open", b"", qos=2, packet_id=number)) == pubrec(number)
    assert client.answers(publish("open", b"", qos=1, packet_id=33)) == puback(33)  # acknowledged at once
    assert client.answers(pubrel(5), publish("open", b"", qos=2, packet_id=40)) == pubcomp(5) + pubrec(40)
    assert client.until_closed(publish("open", b"", qos=2, packet_id=41)) == disconnect(0x93)


def test_what_is_too_large_for_a_client_is_left_out_and_takes_no_place(house: House) -> None:
    reader, sender = house.five("reader", receive_maximum(1), maximum_packet_size(40)), house.five("sender")
    assert reader.answers(subscribe(("size/a", 1))) == suback(1, 1)
    fits = 40 - len(publish("size/a", b"", qos=1))
    for number, size in enumerate((fits + 1, fits, fits + 2, 1), start=1):
        assert sender.answers(publish("size/a", b"x" * size, qos=1, packet_id=number)) == puback(number)
    first = reader.packet()
    assert len(first) == 40
    assert reader.answers(puback(first[11])) == publish("size/a", b"x", qos=1, packet_id=4)


@pytest.mark.parametrize("asked", ["subscribe", "unsubscribe"])
def test_an_answer_that_would_be_too_large_is_the_end(house: House, asked: str) -> None:
    filters = [f"many/{number}" for number in range(40)]
    sent = subscribe(*((each, 0) for each in filters)) if asked == "subscribe" else unsubscribe(*filters)
    client = house.five("client", maximum_packet_size(44))
    assert client.until_closed(sent) == disconnect(0x95)
    client = house.five("client", maximum_packet_size(45))
    assert client.answers(sent) == (suback(1, *[0] * 40) if asked == "subscribe" else unsuback(1, *[0x11] * 40))


def test_a_packet_as_large_as_allowed_and_one_byte_more(house: House) -> None:
    client = house.five("client")
    payload = b"x" * (2 * 1024 * 1024 - len(publish("large", b"", qos=1)) - 2)
    assert len(publish("large", payload, qos=1)) == 2 * 1024 * 1024
    assert client.answers(publish("large", payload, qos=1)) == puback()
    assert client.until_closed(publish("large", payload + b"x", qos=1)) == disconnect(0x95)


# -- shared subscriptions (4.8.2)


def test_the_services_of_a_share_take_turns_and_the_others_get_everything(
    installation: Installation, serve: Callable[[Installation], Gateway]
) -> None:
    sn = "7CTDM7100BSHRD"
    osd, share = f"thing/product/{sn}/osd", "$share/workers/thing/product/+/osd"
    dock, service = installation.account("dock-1", "dock", "--sn", sn), installation.account("platform", "service")
    observer = installation.account("watcher", "observer")
    gateway = serve(installation)
    with ExitStack() as opened:

        def login(client_id: str, who: object = service, *each: bytes) -> Octets5:
            client = opened.enter_context(Octets5(gateway.port()))
            assert client.login(client_id, who.account, who.password, *each) == welcome()  # type: ignore[attr-defined]
            return client

        workers = [login("worker-1"), login("worker-2", service, session_expiry(60))]
        old = opened.enter_context(Octets(gateway.port()))
        assert old.login("worker-3", service.account, service.password) == octets.connack(0)
        for worker in workers:
            assert worker.answers(subscribe((share, 1), each=(subscription_id(7),))) == suback(1, 1)
        assert old.answers(octets.subscribe((share, 0))) == octets.suback(1, 0)
        alone = login("alone")
        assert alone.answers(subscribe((osd, 0))) == suback(1, 0)
        assert login("curious", observer).answers(subscribe((share, 0))) == suback(1, 0x87)
        sender = login("dock", dock)
        for number in range(6):
            assert sender.answers(publish(osd, b"%d" % number, qos=1)) == puback()
        for worker in workers:
            got = worker.packet() + worker.packet()
            assert got.count(osd.encode()) == got.count(subscription_id(7)) == 2
            assert worker.answers(puback(1), puback(2)) == b""
        assert len(old.answers()) == 2 * len(octets.publish(osd, b"0"))
        assert alone.answers() == b"".join(publish(osd, b"%d" % number) for number in range(6))
        # whoever is there takes it
        workers[0].drop()
        old.drop()
        wait_until(gateway, lambda: gateway.broker.delivery.router.count == 2)
        assert sender.answers(publish(osd, b"6", qos=1), publish(osd, b"7", qos=1)) == puback() * 2
        assert [workers[1].packet()[-1:], workers[1].packet()[-1:]] == [b"6", b"7"]
        assert workers[1].answers(unsubscribe(share), unsubscribe(share)) == unsuback(1, 0) + unsuback(1, 0x11)


def test_a_share_is_not_given_what_is_retained(house: House) -> None:
    client = house.five("client")
    assert client.answers(publish("share/kept", b"x", qos=1, retain=True)) == puback()
    assert client.answers(subscribe(("$share/g/share/kept", 0))) == suback(1, 0)
    assert quiet(client)


# -- both versions


def test_a_retained_message_of_one_version_for_the_other(house: House) -> None:
    new, old = house.five("new"), house.three("old")
    assert new.answers(publish("mixed/new", b"x", user_property("a", "b"), qos=1, retain=True)) == puback()
    assert old.answers(octets.publish("mixed/old", b"y", qos=1, retain=True)) == octets.puback()
    old.send(octets.subscribe(("mixed/new", 1)))
    assert old.packet() + old.packet() == octets.suback(1, 1) + octets.publish("mixed/new", b"x", qos=1, retain=True)
    new.send(subscribe(("mixed/old", 1)))
    assert new.packet() + new.packet() == suback(1, 1) + publish("mixed/old", b"y", qos=1, retain=True)


@pytest.mark.parametrize("first", ["3.1.1", "5"])
def test_a_session_begun_with_one_version_goes_on_with_the_other(house: House, first: str) -> None:
    sender, client_id = house.five("sender"), f"both-{first}"
    told = (message_expiry(600), user_property("a", "b"))
    if first == "5":
        client: Octets = house.five(client_id, session_expiry(60))
        assert client.answers(subscribe(("both", 1), each=(subscription_id(3),))) == suback(1, 1)
    else:
        client = house.three(client_id, clean=False)
        assert client.answers(octets.subscribe(("both", 1))) == octets.suback(1, 1)
    client.send(DISCONNECT)
    assert client.until_closed() == b""
    assert sender.answers(publish("both", b"x", *told, qos=1)) == puback()
    if first == "5":
        assert house.three(client_id, clean=False, present=True).packet() == octets.publish("both", b"x", qos=1)
    else:
        got = house.five(client_id, clean=False, present=True).packet()
        assert got == publish("both", b"x", *told, qos=1)


# -- topic aliases from the server (3.3.2.3.4)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_client_that_allows_it_hears_a_topic_once_and_then_its_number(house: House, qos: int) -> None:
    client, sender = house.five("client", topic_alias_maximum(1)), house.five("sender")
    assert client.answers(subscribe(("alias/#", qos), each=(subscription_id(4),))) == suback(1, qos)
    for number, (topic, said) in enumerate([("alias/a", "alias/a"), ("alias/a", ""), ("alias/b", "alias/b")], start=1):
        sender.answers(publish(topic, b"{}", content_type("x"), qos=qos))
        if qos == 2:
            sender.answers(pubrel())
        told = (subscription_id(4), topic_alias(1), content_type("x"))
        assert client.packet() == publish(said, b"{}", *told, qos=qos, packet_id=number)


def test_what_is_sent_again_on_another_connection_names_its_topic(house: House) -> None:
    away = house.five("away", session_expiry(60), topic_alias_maximum(5))
    assert away.answers(subscribe(("again/#", 1))) == suback(1, 1)
    sender = house.five("sender")
    sender.answers(publish("again/a", b"1", qos=1), publish("again/a", b"2", qos=1, packet_id=2))
    assert away.packet() == publish("again/a", b"1", topic_alias(1), qos=1)
    assert away.packet() == publish("", b"2", topic_alias(1), qos=1, packet_id=2)
    away.drop()
    back = house.five("away", session_expiry(60), topic_alias_maximum(5), clean=False, present=True)
    assert back.packet() == publish("again/a", b"1", topic_alias(1), qos=1, dup=True)
    assert back.packet() == publish("", b"2", topic_alias(1), qos=1, packet_id=2, dup=True)
    back.drop()
    plain = house.five("away", session_expiry(60), clean=False, present=True)
    assert plain.packet() == publish("again/a", b"1", qos=1, dup=True)
    assert plain.packet() == publish("again/a", b"2", qos=1, packet_id=2, dup=True)


def test_a_number_does_not_make_a_message_too_large(house: House) -> None:
    largest = 60
    client, sender = house.five("client", topic_alias_maximum(5), maximum_packet_size(largest)), house.five("sender")
    assert client.answers(subscribe(("large/#", 0))) == suback(1, 0)
    fits = bytes(largest - len(publish("large/a")))
    sender.answers(publish("large/a", fits), publish("large/a", fits + b"x"), publish("large/a", b"1"))
    assert client.packet() == publish("large/a", fits)
    assert client.packet() == publish("large/a", b"1", topic_alias(1))
