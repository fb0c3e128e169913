"""What a released broker does wrong with retained messages, wills and topic rules (docs/decisions/0001-own-connections.md):
not here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Gateway, Installation, Login
from tests.integration.lasting import CopiedInstallation, LastingInstallation, wait_until
from tests.integration.octets import (
    Octets,
    connack,
    packet,
    puback,
    publish,
    pubrec,
    pubrel,
    suback,
    subscribe,
    text,
    unsubscribe,
)

SN, OTHER_SN = "7CTDM7100BFACT", "7CTDM7100BELSE"
OSD, OTHER_OSD = f"thing/product/{SN}/osd", f"thing/product/{OTHER_SN}/osd"
SERVICES, OTHER_SERVICES = f"thing/product/{SN}/services", f"thing/product/{OTHER_SN}/services"
EVERY_OSD = "thing/product/+/osd"


@dataclass
class World:
    """Two docks of two organizations, a service and an observer for each, and a service for all."""

    installation: Installation
    gateway: Gateway
    logins: dict[str, Login]
    clients: ExitStack

    def client(self, account: str, client_id: str | None = None, *, present: bool = False, **options: Any) -> Octets:
        client = self.clients.enter_context(Octets(self.gateway.port()))
        login = self.logins[account]
        answer = client.login(client_id or account, login.account, login.password, **options)
        assert answer == connack(0, present=present)
        return client

    def reader(self, account: str, topic_filter: str, qos: int = 0, **options: Any) -> Octets:
        client = self.client(account, **options)
        client.send(subscribe((topic_filter, qos)))
        assert client.packet() == suback(1, qos)
        return client


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[LastingInstallation, dict[str, Login]]:
    """The installation that each test gets a copy of, and its accounts."""
    installation = LastingInstallation(tmp_path_factory.mktemp("town") / "dockgate")
    installation.license()
    mine = installation.organization_id
    yours = installation.dockgate("org", "add", "Quarry team")["id"]
    logins = {}
    for name, role, options in (
        ("dock-a", "dock", ("--sn", SN, "--org", mine)),
        ("dock-b", "dock", ("--sn", OTHER_SN, "--org", yours)),
        ("service", "service", ("--org", mine)),
        ("other service", "service", ("--org", yours)),
        ("platform", "service", ()),
        ("observer", "observer", ("--org", mine)),
    ):
        logins[name] = installation.account(name.replace(" ", "-"), role, *options)
    return installation, logins


@pytest.fixture
def world(
    town: tuple[LastingInstallation, dict[str, Login]], tmp_path: Path, serve: Callable[[Installation], Gateway]
) -> Iterator[World]:
    installation = CopiedInstallation(town[0], tmp_path / "town")
    with ExitStack() as clients:
        yield World(installation, serve(installation), town[1], clients)


# -- 7: retained messages


def test_fact_07_retained_messages_are_sent_to_who_subscribes_and_to_nobody_else(world: World) -> None:
    dock = world.client("dock-a")
    assert dock.answers(publish(OSD, b"kept", qos=1, retain=True)) == puback()
    subscribed = world.reader("platform", EVERY_OSD)
    assert subscribed.packet() == packet(0x31, text(OSD) + b"kept")
    for account in ("platform", "service", "observer", "other service", "dock-b"):
        assert world.client(account, f"newcomer {account}").is_silent()
    assert subscribed.is_silent()


def test_fact_07_retained_messages_are_not_sent_again_to_who_comes_back(world: World) -> None:
    dock = world.client("dock-a")
    assert dock.answers(publish(OSD, b"kept", qos=1, retain=True)) == puback()
    reader = world.reader("platform", EVERY_OSD, 1, clean=False)
    assert reader.packet() == packet(0x33, text(OSD) + b"\x00\x01kept")
    assert reader.answers(puback(1)) == b""
    reader.close()
    assert world.client("platform", clean=False, present=True).is_silent()


def test_fact_07_retained_messages_are_judged_for_who_gets_them(world: World) -> None:
    for dock, topic in (("dock-a", OSD), ("dock-b", OTHER_OSD)):
        assert world.client(dock).answers(publish(topic, b"kept", qos=1, retain=True)) == puback()
    for account, topics in (
        ("service", {OSD}),
        ("observer", {OSD}),
        ("other service", {OTHER_OSD}),
        ("platform", {OSD, OTHER_OSD}),
    ):
        reader = world.reader(account, "thing/product/#")
        got = {reader.packet() for _ in topics}
        assert got == {packet(0x31, text(topic) + b"kept") for topic in topics}
        assert reader.is_silent()


def test_fact_07_a_publish_that_is_not_allowed_is_not_retained_and_clears_nothing(world: World) -> None:
    assert world.client("dock-a").answers(publish(OSD, b"kept", qos=1, retain=True)) == puback()
    for payload in (b"forged", b""):
        for account in ("dock-b", "observer", "service"):
            client = world.client(account)
            assert client.answers(publish(OSD, payload, qos=1, retain=True)) == puback()
            client.close()
    reader = world.reader("platform", "thing/#")
    assert reader.packet() == packet(0x31, text(OSD) + b"kept")
    assert reader.is_silent()


def test_retained_messages_live_until_they_are_cleared(world: World) -> None:
    dock = world.client("dock-a")
    before = world.reader("platform", OSD)
    dock.send(publish(OSD, b"1", retain=True), publish(OSD, b"2", retain=True), publish(OSD, b"live"))
    # to who is there already they come as any other message [MQTT-3.3.1-9]
    for payload in (b"1", b"2", b"live"):
        assert before.packet() == packet(0x30, text(OSD) + payload)
    reader = world.reader("service", OSD)
    assert reader.packet() == packet(0x31, text(OSD) + b"2")
    # a subscription that is made again gets them again [MQTT-3.8.4-3]
    reader.send(subscribe((OSD, 1), packet_id=2))
    assert reader.packet() == suback(2, 1)
    assert reader.packet() == packet(0x31, text(OSD) + b"2")
    dock.send(publish(OSD, b"", retain=True))
    assert before.packet() == packet(0x30, text(OSD))
    assert world.reader("observer", OSD).is_silent()


# -- 8: wills


@pytest.mark.parametrize("topic", [OTHER_OSD, SERVICES, "$SYS/broker/version", "elsewhere"])
def test_fact_08_a_will_on_a_topic_that_is_not_allowed_is_neither_delivered_nor_retained(
    world: World, topic: str
) -> None:
    everything = world.reader("platform", "#")
    sys_reader = world.client("dock-a", "ear of the victim")
    assert sys_reader.answers(subscribe((SERVICES, 0))) == suback(1, 0)
    attacker = world.client("dock-a", "attacker", will=(topic, b"forged", 1, True))
    honest = world.client("dock-a", "honest", will=(OSD, b"honest", 0, False))
    attacker.drop()
    wait_until(world.gateway, lambda: world.gateway.broker.table.get("attacker") is None)
    honest.drop()
    assert _without_events(everything) == packet(0x30, text(OSD) + b"honest")
    assert sys_reader.is_silent()
    assert len(world.gateway.broker.delivery.retained) == 0


def _without_events(client: Octets) -> bytes:
    """The next message that is not one of the gateway's own."""
    while True:
        got = client.packet()
        if b"dockgate/events/" not in got[:24]:
            return got


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_will_that_is_allowed_is_delivered_as_any_other_message(world: World, qos: int, retain: bool) -> None:
    reader = world.reader("platform", OSD, 2)
    world.client("dock-a", will=(OSD, b"gone", qos, retain)).drop()
    identifier = b"\x00\x01" if qos else b""
    assert reader.packet() == packet(0x30 | qos << 1, text(OSD) + identifier + b"gone")
    late = world.reader("service", OSD, 2)
    if retain:
        assert late.packet() == packet(0x31 | qos << 1, text(OSD) + identifier + b"gone")
    assert late.is_silent()


def test_a_client_that_says_goodbye_has_no_will(world: World) -> None:
    reader = world.reader("platform", OSD)
    polite = world.client("dock-a", "polite", will=(OSD, b"unwanted", 0, True))
    polite.close()
    wait_until(world.gateway, lambda: world.gateway.broker.table.get("polite") is None)
    world.client("dock-a", "rude", will=(OSD, b"wanted", 0, False)).drop()
    assert reader.packet() == packet(0x30, text(OSD) + b"wanted")


def test_fact_08_a_will_is_judged_once_more_when_it_is_due(world: World) -> None:
    """The account was disabled meanwhile."""
    reader = world.reader("platform", EVERY_OSD)
    dock = world.client("dock-a", will=(OSD, b"of a disabled account", 0, True))
    world.installation.dockgate("account", "disable", "dock-a")
    assert dock.until_closed() == b""
    world.client("dock-b", will=(OTHER_OSD, b"honest", 0, False)).drop()
    assert reader.packet() == packet(0x30, text(OTHER_OSD) + b"honest")
    assert len(world.gateway.broker.delivery.retained) == 0


@pytest.mark.parametrize("topic", ["$SYS/broker/version", "$share/g/a"])
def test_fact_08_no_plugin_can_allow_a_will_on_a_topic_of_the_server(
    installation: Installation, with_plugins: Callable[..., None], serve: Callable[[Installation], Gateway], topic: str
) -> None:
    with_plugins("zoo.Open", "zoo.OpenTopics")
    gateway = serve(installation)
    with Octets(gateway.port()) as reader, Octets(gateway.port()) as honest:
        assert reader.login("reader", "bob", "x") == connack(0)
        assert reader.answers(subscribe(("#", 0), ("$SYS/#", 0))) == suback(1, 0, 0)
        assert honest.login("honest", "alice", "x", will=("a", b"honest", 0, False)) == connack(0)
        with Octets(gateway.port()) as client:
            assert client.login("attacker", "alice", "x", will=(topic, b"forged", 0, True)) == connack(0)
        wait_until(gateway, lambda: gateway.broker.table.get("attacker") is None)
        honest.drop()
        assert reader.packet() == packet(0x30, text("a") + b"honest")
        assert len(gateway.broker.delivery.retained) == 0


# -- 9 and 11: publishes that are denied


def config_request(sn: str) -> bytes:
    data = {"config_type": "json", "config_scope": "product"}
    asked = {"tid": "t", "bid": "b", "timestamp": 1, "method": "config", "data": data}
    return publish(f"thing/product/{sn}/requests", json.dumps(asked).encode(), qos=1)


def test_fact_09_a_publish_that_is_denied_is_not_answered(world: World) -> None:
    """The answer would hold the license."""
    dock = world.client("dock-a")
    assert dock.answers(subscribe((f"thing/product/{SN}/requests_reply", 1))) == suback(1, 1)
    for account in ("dock-b", "service", "observer", "platform"):
        stranger = world.client(account)
        assert stranger.answers(config_request(SN)) == puback()
        assert stranger.is_silent()
    assert dock.is_silent()
    assert world.gateway.ask(world.gateway.runtime.services.metrics.requests.answered.total) == 0
    # the same bytes from the dock itself are
    dock.send(config_request(SN))
    assert any(b"app_license" in dock.packet() for _ in range(2))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_fact_11_a_publish_that_is_denied_is_acknowledged_and_reaches_nobody(world: World, qos: int) -> None:
    reader = world.reader("platform", "thing/#", 2)
    dock = world.client("dock-a")
    for topic in (OTHER_OSD, SERVICES, "thing/elsewhere"):
        answer = [b"", puback(), pubrec()][qos]
        assert dock.answers(publish(topic, b"forged", qos=qos)) == answer
        dock.answers(pubrel())
    assert reader.is_silent()


def test_fact_11_shared_subscriptions_deliver_each_message_to_one_of_their_members(world: World) -> None:
    shared = f"$share/workers/{EVERY_OSD}"
    members = [world.client("platform", f"worker {number}") for number in range(3)]
    for member in members:
        assert member.answers(subscribe((shared, 1))) == suback(1, 1)
    ordinary = world.reader("service", EVERY_OSD)
    dock = world.client("dock-a")
    for number in range(6):
        dock.send(publish(OSD, b"%d" % number))
    assert dock.is_silent()
    assert ordinary.answers() == b"".join(packet(0x30, text(OSD) + b"%d" % number) for number in range(6))
    shares = [member.answers() for member in members]
    assert [share.count(text(OSD)) for share in shares] == [2, 2, 2]
    assert sorted(share[position] for share in shares for position in _ends(share)) == list(b"012345")


def _ends(packets: bytes) -> list[int]:
    size = len(packet(0x30, text(OSD) + b"0"))
    return [position - 1 for position in range(size, len(packets) + 1, size)]


def test_a_share_is_judged_for_each_member_and_passes_over_who_is_away(world: World) -> None:
    shared = f"$share/workers/{EVERY_OSD}"
    away = world.client("platform", "away", clean=False)
    assert away.answers(subscribe((shared, 1))) == suback(1, 1)
    away.close()
    wait_until(world.gateway, lambda: world.gateway.broker.metrics.connections.open == 0)
    stranger, member = world.reader("other service", shared), world.reader("service", shared)
    dock = world.client("dock-a")
    for number in range(4):
        dock.send(publish(OSD, b"%d" % number))
    assert dock.is_silent()
    assert stranger.is_silent()
    assert member.answers() == b"".join(packet(0x30, text(OSD) + b"%d" % number) for number in range(4))
    # nobody is left who is there: it waits for who comes back
    assert member.answers(unsubscribe(shared, packet_id=9))[:1] == b"\xb0"
    assert dock.answers(publish(OSD, b"5", qos=1)) == puback()
    assert world.client("platform", "away", clean=False, present=True).packet()[:1] == b"\x32"


def test_fact_11_a_share_that_is_ill_formed_is_refused(world: World) -> None:
    malformed = ["$share/g", "$share//a", "$share/+/a", "$share/g/", "$share/g/a#", "$share", "$share/"]
    for account in ("platform", "dock-a", "observer"):
        answer = world.client(account).answers(subscribe(*((each, 0) for each in malformed)))
        assert answer == suback(1, *[0x80] * len(malformed))


# -- 17: the lower of two QoS


@pytest.mark.parametrize("subscribed", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_fact_17_a_message_has_the_lower_of_the_two_qos(world: World, published: int, subscribed: int) -> None:
    reader = world.reader("platform", OSD, subscribed)
    dock = world.client("dock-a")
    dock.answers(publish(OSD, b"x", qos=published))
    qos = min(published, subscribed)
    assert reader.packet() == packet(0x30 | qos << 1, text(OSD) + (b"\x00\x01" if qos else b"") + b"x")


def test_overlapping_filters_deliver_once_at_their_highest_qos(world: World) -> None:
    reader = world.client("platform")
    wanted = subscribe((OSD, 0), (EVERY_OSD, 2), ("thing/#", 1))
    assert reader.answers(wanted) == suback(1, 0, 2, 1)
    assert world.client("dock-a").answers(publish(OSD, b"x", qos=2)) == pubrec()
    assert reader.answers() == packet(0x34, text(OSD) + b"\x00\x01x")
