"""Topic rules: the wire obeys ``gateway.policy``, and an account without an SN is pinned by what it does first."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from amqtt.contexts import Action as AmqttAction

from gateway.broker.session import IDENTITY
from gateway.model import Action
from gateway.policy import decide
from gateway.topics import DOWN_KINDS, UP_KINDS, Kind, device_topic, event_topic
from tests.integration.lasting import wait_until
from tests.integration.octets import Octets, puback, publish, suback, subscribe

from .stage import BIRD, OTHER_SN, SN, Stage, hear, next_message, topology

TOPICS = [device_topic(sn, kind) for sn, kind in product((SN, OTHER_SN, BIRD), Kind)] + [
    event_topic(SN),
    "elsewhere",
    "$SYS/broker/version",
    "thing/product/+/osd",
    "thing/product/+/services",
    "thing/#",
    "#",
    "$share/g/thing/product/+/osd",
    f"$share/g/{device_topic(SN, Kind.SERVICES)}",
]


def plugin_of(stage: Stage) -> Any:
    return stage.gateway.broker.plugins_manager.get_plugin("TopicRulesPlugin")


def with_a_bird(stage: Stage) -> Octets:
    """Dock A, that has told of its aircraft."""
    dock = stage.client("dock-a")
    dock.send(topology(SN, BIRD))
    assert next_message(dock).topic == f"sys/product/{SN}/status_reply"
    return dock


@pytest.mark.parametrize("account", ["dock-a", "dock-b", "platform", "observer"])
def test_what_the_policy_decides_is_what_happens_on_the_wire(stage: Stage, account: str) -> None:
    stage.account("observer", "observer")
    with_a_bird(stage).close()
    client = stage.client(account, "subject")
    gateway = stage.gateway
    identity = gateway.ask(lambda: gateway.broker.sessions["subject"][0].attributes[IDENTITY])
    directory = gateway.runtime.services.directory
    for topic in TOPICS:
        allowed = gateway.ask(lambda topic=topic: decide(identity, Action.SUBSCRIBE, topic, directory).allow)  # type: ignore[misc]
        assert client.answers(subscribe((topic, 0))) == suback(1, 0 if allowed else 0x80), topic
    publishable = [topic for topic in TOPICS if "+" not in topic and "#" not in topic]
    denied = gateway.broker.metrics.messages.denied
    for topic in publishable:
        decision = gateway.ask(lambda topic=topic: decide(identity, Action.PUBLISH, topic, directory).allow)  # type: ignore[misc]
        before = gateway.ask(denied.total)
        client.send(publish(topic, b"{}", qos=1))
        while client.packet() != puback():
            continue  # what it hears of itself
        assert (gateway.ask(denied.total) == before) is decision, topic


@pytest.mark.parametrize("missing", ["session", "topic", "action", "identity"])
def test_the_answer_is_always_yes_or_no(stage: Stage, missing: str) -> None:
    """amqtt reads None from a topic plugin as it likes."""
    stage.client("dock-a", "subject")
    gateway = stage.gateway
    session = gateway.ask(lambda: gateway.broker.sessions["subject"][0])
    arguments: dict[str, Any] = {
        "session": session,
        "topic": device_topic(SN, Kind.OSD),
        "action": AmqttAction.PUBLISH,
    }
    plugin = plugin_of(stage)
    assert gateway.call(plugin.topic_filtering(**arguments)) is True
    if missing == "identity":
        gateway.ask(lambda: session.attributes.pop(IDENTITY))
    else:
        arguments[missing] = None
    assert gateway.call(plugin.topic_filtering(**arguments)) is False


# -- pinning


@pytest.fixture
def newcomer(stage: Stage) -> str:
    """An account without an SN."""
    stage.account("newcomer", "dock")
    return "newcomer"


NEW_SN = "8UUXN7N00A00NE"


def sn_of(stage: Stage, account: str) -> str | None:
    directory = stage.gateway.runtime.services.directory
    found = stage.gateway.ask(lambda: directory.account(account))
    assert found is not None
    return found.sn


PINNING_UP = [Kind.STATUS, Kind.REQUESTS, Kind.SERVICES_REPLY, Kind.PROPERTY_SET_REPLY, Kind.DRC_UP]


@pytest.mark.parametrize("kind", sorted(UP_KINDS))
def test_the_first_publish_that_shows_its_sn_pins_an_account(stage: Stage, newcomer: str, kind: Kind) -> None:
    client = stage.client(newcomer)
    client.send(publish(device_topic(NEW_SN, kind), b"{}", qos=1))
    while client.packet() != puback():
        continue
    assert sn_of(stage, newcomer) == (NEW_SN if kind in PINNING_UP else None)
    identity = stage.gateway.ask(lambda: stage.gateway.broker.sessions[newcomer][0].attributes[IDENTITY])
    assert identity.sn == sn_of(stage, newcomer)


@pytest.mark.parametrize("kind", sorted(DOWN_KINDS))
def test_the_first_subscription_that_shows_its_sn_pins_an_account(stage: Stage, newcomer: str, kind: Kind) -> None:
    client = stage.client(newcomer)
    pins = kind is not Kind.STATE_REPLY
    assert client.answers(subscribe((device_topic(NEW_SN, kind), 0))) == suback(1, 0 if pins else 0x80)
    assert sn_of(stage, newcomer) == (NEW_SN if pins else None)


def test_a_pinned_account_is_that_dock_from_then_on(stage: Stage, newcomer: str) -> None:
    client = stage.client(newcomer)
    services = device_topic(NEW_SN, Kind.SERVICES)
    wanted = ((services, 0), (device_topic(OTHER_SN, Kind.SERVICES), 0), (device_topic("OTHER", Kind.SERVICES), 0))
    assert client.answers(subscribe(*wanted)) == suback(1, 0, 0x80, 0x80)
    platform = stage.client("platform")
    hear(platform, "thing/product/+/osd")
    client.send(publish(device_topic("OTHER", Kind.OSD), b"not mine"), publish(device_topic(NEW_SN, Kind.OSD), b"mine"))
    assert next_message(platform).payload == b"mine"
    assert platform.answers(publish(services, b"fly", qos=1)) == puback()
    assert next_message(client).payload == b"fly"
    assert sn_of(stage, newcomer) == NEW_SN


@pytest.mark.parametrize("taken", [SN, BIRD])
def test_nobody_is_pinned_to_what_is_anothers(stage: Stage, newcomer: str, taken: str) -> None:
    with_a_bird(stage)
    client = stage.client(newcomer)
    assert client.answers(subscribe((device_topic(taken, Kind.SERVICES), 0))) == suback(1, 0x80)
    assert client.answers(publish(device_topic(taken, Kind.STATUS), b"{}", qos=1)) == puback()
    assert sn_of(stage, newcomer) is None


def test_two_connections_of_one_account_are_one_dock(stage: Stage, newcomer: str) -> None:
    """Each packet is handled in the order of its connection, whatever the other does meanwhile."""
    one, other = stage.client(newcomer, "one"), stage.client(newcomer, "other")
    filters = [(device_topic(sn, Kind.SERVICES), 0) for sn in (NEW_SN, "8UUXN7N00A00N2")]
    one.send(subscribe(*filters))
    other.send(subscribe(*reversed(filters)))
    answers = {one.packet(), other.packet()}
    pinned = sn_of(stage, newcomer)
    if pinned == NEW_SN:
        assert answers == {suback(1, 0, 0x80), suback(1, 0x80, 0)}
    else:
        assert answers == {suback(1, 0x80, 0), suback(1, 0, 0x80)}
    # and both may now do what that dock may
    for client in (one, other):
        assert client.answers(subscribe((device_topic(pinned or "", Kind.DRC_DOWN), 1))) == suback(1, 1)


def test_a_will_pins_as_any_other_publish(stage: Stage, newcomer: str) -> None:
    client = stage.client(newcomer, will=(device_topic(NEW_SN, Kind.STATUS), b"gone", 0, False))
    assert sn_of(stage, newcomer) == NEW_SN
    platform = stage.client("platform")
    hear(platform, device_topic(NEW_SN, Kind.STATUS))
    client.drop()
    assert next_message(platform).payload == b"gone"


def test_an_operators_change_is_obeyed_by_who_is_connected(stage: Stage) -> None:
    client = stage.client("dock-a", clean=False)
    stage.installation.dockgate("account", "disable", "dock-a")
    assert client.until_closed() == b""
    wait_until(stage.gateway, lambda: not len(stage.gateway.broker.table))
    stage.installation.dockgate("account", "enable", "dock-a")
    directory = stage.gateway.runtime.services.directory
    wait_until(stage.gateway, lambda: directory.account("dock-a").enabled)  # type: ignore[union-attr]
    assert stage.client("dock-a", clean=False, present=False).is_silent()
