"""What a released broker does wrong at the login and with sessions, by number (docs/decisions/0001): not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Gateway, Installation, Login
from tests.integration.lasting import CopiedInstallation, LastingInstallation, wait_until
from tests.integration.octets import Octets, connack, connect, packet, puback, publish, pubrec, suback, subscribe, text

from .zoo import SleepingJudge, SleepingTopics

SN, OTHER_SN = "7CTDM7100BFACT", "7CTDM7100BELSE"
OSD, SERVICES = f"thing/product/{SN}/osd", f"thing/product/{SN}/services"


WRONG = "wrong"


@dataclass
class World:
    """A dock, another one, and a service that may see both; clients are closed at the end."""

    gateway: Gateway
    dock: Login
    other: Login
    service: Login
    clients: ExitStack

    def socket(self) -> Octets:
        return self.clients.enter_context(Octets(self.gateway.port()))

    def client(self, client_id: str, login: Login, *, present: bool = False, **options: Any) -> Octets:
        client = self.socket()
        assert client.login(client_id, login.account, login.password, **options) == connack(0, present=present)
        return client

    def reader(self, *filters: str, qos: int = 0) -> Octets:
        """A service that has subscribed."""
        client = self.client("reader", self.service)
        assert client.answers(subscribe(*((each, qos) for each in filters))) == suback(1, *[qos] * len(filters))
        return client

    def refused(self, sent: bytes, code: int) -> None:
        assert self.socket().until_closed(sent) == connack(code)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[LastingInstallation, Login, Login, Login]:
    """The installation that each test gets a copy of, and its accounts."""
    installation = LastingInstallation(tmp_path_factory.mktemp("town") / "dockgate")
    dock = installation.account("dock-1", "dock", "--sn", SN)
    other = installation.account("dock-2", "dock", "--sn", OTHER_SN)
    return installation, dock, other, installation.account("platform", "service")


@pytest.fixture
def world(
    town: tuple[LastingInstallation, Login, Login, Login], tmp_path: Path, serve: Callable[[Installation], Gateway]
) -> Iterator[World]:
    with ExitStack() as clients:
        yield World(serve(CopiedInstallation(town[0], tmp_path / "town")), *town[1:], clients)


def attack(login: Login, *, clean: bool, password: str = WRONG) -> bytes:
    """Another's client id and name, a wrong password, and a will."""
    return connect("dock", username=login.account, password=password, clean=clean, will=(OSD, b"forged", 1, True))


# -- 1: a CONNECT with a dock's client id and a wrong password


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("stranger", [True, False], ids=["another account", "the same account"])
def test_fact_01_a_wrong_password_changes_nothing_for_who_is_connected(
    world: World, clean: bool, stranger: bool
) -> None:
    dock = world.client("dock", world.dock, clean=False, will=(OSD, b"own will", 0, False))
    assert dock.answers(subscribe((SERVICES, 1))) == suback(1, 1)
    world.refused(attack(world.other if stranger else world.dock, clean=clean), 4)
    # it still hears what it subscribed to, and may do what it could
    platform = world.reader(OSD)
    assert platform.answers(publish(SERVICES, b"fly", qos=1)) == puback()
    assert dock.packet() == packet(0x32, text(SERVICES) + b"\x00\x01" + b"fly")
    assert dock.answers(publish(OSD, b"up", qos=1)) == puback()
    assert platform.answers() == packet(0x30, text(OSD) + b"up")
    # and its will is its own
    dock.drop()
    assert platform.packet() == packet(0x30, text(OSD) + b"own will")


@pytest.mark.parametrize("clean", [True, False])
def test_fact_01_a_wrong_password_changes_nothing_for_who_is_away(world: World, clean: bool) -> None:
    dock = world.client("dock", world.dock, clean=False)
    assert dock.answers(subscribe((SERVICES, 1))) == suback(1, 1)
    dock.close()
    world.refused(attack(world.dock, clean=clean), 4)
    platform = world.client("platform", world.service)
    assert platform.answers(publish(SERVICES, b"fly", qos=1)) == puback()
    world.refused(attack(world.other, clean=clean), 4)
    dock = world.client("dock", world.dock, clean=False, present=True)
    assert dock.packet() == packet(0x32, text(SERVICES) + b"\x00\x01" + b"fly")


# -- 2: acting under a name that is still being verified


def test_fact_02_nobody_acts_under_a_name_that_is_still_being_verified(
    installation: Installation, with_plugins: Callable[..., None], serve: Callable[[Installation], Gateway]
) -> None:
    rules = {"admin": ["#"], "plain": ["own"]}
    with_plugins(
        "zoo.SleepingJudge", ("zoo.FullAcl", {"publish_acl": rules, "subscribe_acl": rules, "receive_acl": rules})
    )
    gateway = serve(installation)
    asleep = SleepingJudge.asleep
    with Octets(gateway.port()) as plain, Octets(gateway.port()) as admin, Octets(gateway.port()) as claimed:
        for client, client_id, account in ((plain, "id", "plain"), (admin, "other id", "admin")):
            client.send(connect(client_id, username=account, password="x"))
            wait_until(gateway, lambda: asleep)
            gateway.ask(asleep.pop().set)
            assert client.packet() == connack(0)
        assert admin.answers(subscribe(("#", 0))) == suback(1, 0)
        claimed.send(connect("id", username="admin", password="x"))
        wait_until(gateway, lambda: asleep)
        assert plain.answers(subscribe(("secret", 0), ("own", 0))) == suback(1, 0x80, 0)
        assert plain.answers(publish("secret", b"forged", qos=1)) == puback()
        assert admin.is_silent()
        # it turns out to be the admin: then, and only then, the client id is contested
        gateway.ask(asleep.pop().set)
        assert claimed.packet() == connack(2)
        assert plain.is_silent()


def test_fact_02_who_is_disabled_while_the_login_is_being_decided_does_not_get_in(
    installation: Installation, with_plugins: Callable[..., None], serve: Callable[[Installation], Gateway]
) -> None:
    dock = installation.account("dock-1", "dock", "--sn", SN)
    with_plugins("broker_plugins.auth.AccountAuthPlugin", "zoo.SleepingTopics")
    gateway = serve(installation)
    asleep = SleepingTopics.asleep
    with Octets(gateway.port()) as client:
        client.send(connect("dock", username=dock.account, password=dock.password, will=(OSD, b"gone", 0, False)))
        wait_until(gateway, lambda: asleep)
        installation.dockgate("account", "disable", "dock-1")
        directory = gateway.runtime.services.directory
        wait_until(gateway, lambda: not directory.account("dock-1").enabled)  # type: ignore[union-attr]
        gateway.ask(asleep.pop().set)
        assert client.until_closed() == connack(5)
    assert gateway.ask(lambda: len(gateway.broker.table)) == 0


# -- 3: the will of a connection that was never authenticated


@pytest.mark.parametrize("password", ["wrong", ""])
def test_fact_03_a_connection_that_was_refused_has_no_will(world: World, password: str) -> None:
    platform = world.reader(OSD, qos=1)
    world.refused(attack(world.dock, clean=True, password=password), 4)
    unfinished = world.socket()
    unfinished.send(attack(world.dock, clean=True)[:-1])
    unfinished.drop()
    world.client("dock", world.dock, will=(OSD, b"honest", 1, False)).drop()
    assert platform.packet() == packet(0x32, text(OSD) + b"\x00\x01" + b"honest")
    assert platform.is_silent()
    assert world.client("late reader", world.service).answers(subscribe((OSD, 1))) == suback(1, 1)


# -- 4: another account with the same client id


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("connected", [True, False])
def test_fact_04_another_account_with_the_same_client_id_gets_nothing(
    world: World, clean: bool, connected: bool
) -> None:
    dock = world.client("dock", world.dock, clean=False)
    assert dock.answers(subscribe((SERVICES, 1))) == suback(1, 1)
    if not connected:
        dock.close()
        platform = world.client("platform", world.service)
        assert platform.answers(publish(SERVICES, b"fly", qos=1)) == puback()
    world.refused(connect("dock", username=world.other.account, password=world.other.password, clean=clean), 2)
    if connected:
        assert dock.is_silent()
    else:
        dock = world.client("dock", world.dock, clean=False, present=True)
        assert dock.packet() == packet(0x32, text(SERVICES) + b"\x00\x01" + b"fly")


def test_fact_04_a_client_id_is_free_again_when_its_session_is_over(world: World) -> None:
    first = world.client("shared", world.dock, clean=True)
    first.close()
    wait_until(world.gateway, lambda: not len(world.gateway.broker.table))
    second = world.client("shared", world.other, clean=False)
    assert second.is_silent()


# -- 5: take-over


@pytest.mark.parametrize("before", [True, False], ids=["clean", "lasting"])
@pytest.mark.parametrize("after", [True, False], ids=["then clean", "then lasting"])
def test_fact_05_a_take_over_closes_the_old_connection(world: World, before: bool, after: bool) -> None:
    old = world.client("dock", world.dock, clean=before)
    assert old.answers(subscribe((SERVICES, 1))) == suback(1, 1)
    lasts = not before and not after
    new = world.client("dock", world.dock, clean=after, present=lasts)
    assert old.until_closed() == b""
    platform = world.client("platform", world.service)
    assert platform.answers(publish(SERVICES, b"fly", qos=1)) == puback()
    assert new.answers() == (packet(0x32, text(SERVICES) + b"\x00\x01" + b"fly") if lasts else b"")
    assert world.gateway.ask(lambda: world.gateway.broker.metrics.connections.open) == 2


def test_fact_05_a_take_over_sends_the_old_connections_will_and_keeps_the_new_ones(world: World) -> None:
    platform = world.reader(OSD)
    world.client("dock", world.dock, will=(OSD, b"old", 0, False))
    new = world.client("dock", world.dock, will=(OSD, b"new", 0, False))
    assert platform.packet() == packet(0x30, text(OSD) + b"old")
    assert new.is_silent()
    assert platform.is_silent()
    new.drop()
    assert platform.packet() == packet(0x30, text(OSD) + b"new")


def test_fact_05_the_old_connection_has_no_say_any_more(world: World) -> None:
    """What it had sent before is judged and passed on; what it sends after is not read."""
    platform = world.reader(OSD)
    old = world.client("dock", world.dock, clean=False)
    world.client("dock", world.dock, clean=False, present=True)
    assert old.until_closed(publish(OSD, b"late")) == b""
    assert platform.is_silent()


# -- 6: who was refused is in no table


def test_fact_06_who_was_refused_is_in_no_table(world: World) -> None:
    for sent in (
        attack(world.dock, clean=False),
        connect("dock", username="nobody", password="x", clean=False),
        connect("dock", clean=False),
    ):
        world.refused(sent, 4)
    broker = world.gateway.broker
    assert world.gateway.ask(lambda: (broker.sessions, broker.subscriptions, len(broker.table))) == ({}, {}, 0)
    client = world.client("dock", world.dock, clean=False, present=False)
    assert world.gateway.ask(lambda: list(broker.sessions)) == ["dock"]
    client.close()


# -- 13: messages that are not acknowledged


def test_fact_13_what_was_not_acknowledged_is_sent_again_in_order_with_dup(world: World) -> None:
    dock = world.client("dock", world.dock, clean=False)
    assert dock.answers(subscribe((SERVICES, 2))) == suback(1, 2)
    platform = world.client("platform", world.service)
    for number, qos in enumerate((1, 2, 1), start=1):
        platform.send(publish(SERVICES, b"%d" % number, qos=qos, packet_id=number))
    assert platform.answers() == puback(1) + pubrec(2) + puback(3)
    sent = [(0x32, 1), (0x34, 2), (0x32, 3)]
    for first, number in sent:
        assert dock.packet() == packet(first, text(SERVICES) + bytes([0, number]) + b"%d" % number)
    dock.drop()
    wait_until(world.gateway, lambda: world.gateway.broker.metrics.connections.open == 1)
    again = world.client("dock", world.dock, clean=False, present=True)
    for first, number in sent:
        assert again.packet() == packet(first | 0x08, text(SERVICES) + bytes([0, number]) + b"%d" % number)


# -- what an account can heap up


def test_an_account_keeps_no_more_sessions_than_it_may_have_connections(
    installation: Installation, serve: Callable[[Installation], Gateway]
) -> None:
    """Each waits a day with its queue; with a new client id each time one account could fill the memory."""
    installation.configure(lambda settings: settings["dockgate"].update(limits={"connections_per_account": 3}))
    dock = installation.account("dock-1", "dock", "--sn", SN)
    other = installation.account("dock-2", "dock", "--sn", OTHER_SN)
    gateway = serve(installation)

    def visit(client_id: str, login: Login, *, present: bool = False) -> None:
        with Octets(gateway.port()) as client:
            assert client.login(client_id, login.account, login.password, clean=False) == connack(0, present=present)
            assert client.answers(subscribe((f"thing/product/{SN}/services", 1)))[-1] in {1, 0x80}
            client.close()
        wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 0)

    visit("other", other)
    for number in range(6):
        visit(f"dock {number}", dock)
    assert gateway.ask(lambda: len(gateway.broker.table)) == 4
    assert gateway.ask(lambda: gateway.broker.delivery.router.count) == 3
    for number in (5, 4, 3):
        visit(f"dock {number}", dock, present=True)
    visit("other", other, present=True)
    # who has been there again is the last to go
    visit("dock 6", dock)
    visit("dock 5", dock)
    visit("dock 3", dock, present=True)
