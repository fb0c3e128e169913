"""Where MQTT 3.1.1 packets meet a limit: of filters, of open QoS 2 messages, of requests that wait, of what is read ahead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import Gateway, Installation, Login

from .lasting import served, wait_until
from .octets import (
    PINGREQ,
    PINGRESP,
    Octets,
    connack,
    packet,
    puback,
    pubcomp,
    publish,
    pubrec,
    pubrel,
    suback,
    subscribe,
    text,
    unsuback,
    unsubscribe,
)

SN = "7CTDM7100BLMTS"
OSD, REQUESTS = f"thing/product/{SN}/osd", f"thing/product/{SN}/requests"
Serve = Callable[[Installation], Gateway]


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def dock(installation: Installation) -> Login:
    return installation.account("dock-1", "dock", "--sn", SN)


@pytest.fixture
def service(installation: Installation) -> Login:
    return installation.account("platform", "service")


def limit(installation: Installation, **values: Any) -> None:
    installation.configure(lambda settings: settings["dockgate"].setdefault("limits", {}).update(values))


def logged_in(
    gateway: Gateway, clients: ExitStack, login: Login, client_id: str, *, present: bool = False, **options: Any
) -> Octets:
    client = clients.enter_context(Octets(gateway.port()))
    assert client.login(client_id, login.account, login.password, **options) == connack(0, present=present)
    return client


@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "one by one"])
def test_a_session_has_so_many_subscriptions_and_no_more(
    installation: Installation, serve: Serve, clients: ExitStack, service: Login, together: bool
) -> None:
    limit(installation, subscriptions=3)
    client = logged_in(serve(installation), clients, service, "service")
    wanted = [(f"thing/product/{number}/osd", 0) for number in range(5)]
    if together:
        assert client.answers(subscribe(*wanted)) == suback(1, 0, 0, 0, 0x80, 0x80)
    else:
        answers = [client.answers(subscribe(each)) for each in wanted]
        assert answers == [suback(1, code) for code in (0, 0, 0, 0x80, 0x80)]
    # one that is there is replaced, and one that is gone makes room
    assert client.answers(subscribe((wanted[0][0], 1), (wanted[4][0], 1))) == suback(1, 1, 0x80)
    assert client.answers(unsubscribe(wanted[1][0])) == unsuback()
    assert client.answers(subscribe(wanted[4])) == suback(1, 0)


def test_a_filter_in_one_packet_twice_counts_once(
    installation: Installation, serve: Serve, clients: ExitStack, service: Login
) -> None:
    limit(installation, subscriptions=2)
    client = logged_in(serve(installation), clients, service, "service")
    assert client.answers(subscribe((OSD, 0), (OSD, 1), ("#", 2), (OSD, 2))) == suback(1, 0, 1, 2, 2)


def test_unsubscribing_from_what_is_no_filter_leaves_the_subscriptions_alone(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    gateway = serve(installation)
    client = logged_in(gateway, clients, service, "service")
    assert client.answers(subscribe(("thing/#", 0), ("$share/g/sys/#", 0))) == suback(1, 0, 0)
    assert (
        client.answers(unsubscribe("thing/#/osd", "thing/#/#", "$share/g/sys/#/a", "$share/g", "$share")) == unsuback()
    )
    sender = logged_in(gateway, clients, dock, "dock")
    assert sender.answers(publish(OSD, b"x", qos=1)) == puback()
    assert client.answers() == packet(0x30, text(OSD) + b"x")
    assert gateway.ask(lambda: gateway.broker.delivery.router.count) == 2


@pytest.mark.parametrize("topic_filter", [OSD, "thing/product/+/osd", "thing/#", "#"])
def test_after_unsubscribing_nothing_comes_any_more(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login, topic_filter: str
) -> None:
    gateway = serve(installation)
    client = logged_in(gateway, clients, service, "service")
    sender = logged_in(gateway, clients, dock, "dock")
    for expected in (packet(0x30, text(OSD) + b"x"), b""):
        assert sender.answers(publish(OSD, b"x", qos=1)) == puback()
        assert client.answers(subscribe((topic_filter, 0)) if not expected else b"")[:0] == b""
        if expected:
            assert client.answers(unsubscribe(topic_filter)) == unsuback()


def test_many_qos_2_messages_at_once_are_taken(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    """MQTT 3.1.1 has no way to tell a client how many may be open: some libraries send all that they have."""
    gateway = serve(installation)
    reader = logged_in(gateway, clients, service, "service")
    assert reader.answers(subscribe((OSD, 0))) == suback(1, 0)
    sender = logged_in(gateway, clients, dock, "dock")
    numbers = range(1, 201)
    answers = sender.answers(*(publish(OSD, b"x", qos=2, packet_id=number) for number in numbers))
    assert answers == b"".join(pubrec(number) for number in numbers)
    assert sender.answers(*(pubrel(number) for number in numbers)) == b"".join(pubcomp(number) for number in numbers)
    assert reader.answers() == packet(0x30, text(OSD) + b"x") * 200


def test_a_reader_has_so_many_unacknowledged_messages_and_gets_the_next_for_each_that_it_acknowledges(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login, service: Login
) -> None:
    limit(installation, inflight=3)
    gateway = serve(installation)
    reader = logged_in(gateway, clients, service, "service")
    assert reader.answers(subscribe((OSD, 1))) == suback(1, 1)
    sender = logged_in(gateway, clients, dock, "dock")
    for number in range(1, 7):
        assert sender.answers(publish(OSD, b"%d" % number, qos=1)) == puback()

    def message(number: int) -> bytes:
        return packet(0x32, text(OSD) + bytes([0, number]) + b"%d" % number)

    assert reader.answers() == message(1) + message(2) + message(3)
    assert reader.answers(puback(2)) == message(4)
    assert reader.answers(puback(2)) == b""
    assert reader.answers(puback(1), puback(3)) == message(5) + message(6)


def requests(count: int) -> list[bytes]:
    data = {"config_type": "json", "config_scope": "product"}
    return [
        publish(
            REQUESTS,
            json.dumps({"tid": f"t-{number}", "bid": "b", "timestamp": 1, "method": "config", "data": data}).encode(),
        )
        for number in range(count)
    ]


def test_requests_that_wait_hold_their_connection_back_and_are_answered_in_order(
    installation: Installation, serve: Serve, clients: ExitStack, dock: Login
) -> None:
    limit(installation, requests_waiting=2)
    installation.license()
    gateway = serve(installation)
    client = logged_in(gateway, clients, dock, "dock")
    client.send(*requests(40), PINGREQ)
    answers = [client.packet() for _ in range(41)]
    assert answers.count(PINGRESP) == 1
    replies = [answer for answer in answers if answer != PINGRESP]
    tids = [json.loads(reply[reply.index(b"_reply") + 6 :])["tid"] for reply in replies]
    assert tids == [f"t-{number}" for number in range(40)]


@pytest.mark.parametrize("ending", ["the client hangs up", "the gateway stops"])
def test_requests_that_wait_when_it_ends_are_left_without_a_fuss(
    installation: Installation, dock: Login, ending: str
) -> None:
    installation.license()
    with served(installation) as gateway, ExitStack() as clients:
        client = logged_in(gateway, clients, dock, "dock")
        client.send(*requests(60))
        assert client.packet()[:1] == b"\x30"
        if ending == "the client hangs up":
            client.drop()
            wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 0)


def test_packets_before_the_login_is_decided_wait_and_are_then_handled_in_order(
    installation: Installation, serve: Serve, clients: ExitStack, service: Login, dock: Login
) -> None:
    gateway = serve(installation)
    reader = logged_in(gateway, clients, service, "service")
    assert reader.answers(subscribe((OSD, 0))) == suback(1, 0)
    client = clients.enter_context(Octets(gateway.port()))
    from tests.integration.octets import connect

    hello = connect("dock", username=dock.account, password=dock.password)
    count = 1000
    client.send(hello, *(publish(OSD, b"%d" % number) for number in range(count)), publish(OSD, b"end", qos=1))
    assert [client.packet(), client.packet()] == [connack(0), puback()]
    for number in range(count):
        assert reader.packet() == packet(0x30, text(OSD) + b"%d" % number)
