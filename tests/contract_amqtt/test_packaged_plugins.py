"""amqtt's own plugins in our broker: what an operator who knows amqtt may put into broker.yaml."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amqtt.plugins.sys.broker import BrokerSysPlugin
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tests.conftest import Gateway, Installation
from tests.integration.octets import Octets, connack, connect, packet, puback, publish, suback, subscribe, text

FILE_AUTH = "amqtt.plugins.authentication.FileAuthPlugin"
ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"
ACL = "amqtt.plugins.topic_checking.TopicAccessControlListPlugin"
TABOO = "amqtt.plugins.topic_checking.TopicTabooPlugin"
EVENT_LOGGER = "amqtt.plugins.logging_amqtt.EventLoggerPlugin"
PACKET_LOGGER = "amqtt.plugins.logging_amqtt.PacketLoggerPlugin"
SYS = "amqtt.plugins.sys.broker.BrokerSysPlugin"


@pytest.fixture
def gateway_with(
    installation: Installation, with_plugins: Callable[..., None], serve: Callable[[Installation], Gateway]
) -> Callable[..., Gateway]:
    def start(*plugins: Any) -> Gateway:
        with_plugins(*plugins)
        return serve(installation)

    return start


def client_of(gateway: Gateway, account: str = "alice", password: str | None = None) -> Octets:
    client = Octets(gateway.port())
    assert client.login(f"client of {account}", account, password or "secret") == connack(0)
    return client


def test_a_password_file(gateway_with: Callable[..., Gateway], tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    file.write_text(f"# accounts\nalice:{cheap.hash('secret')}\n")
    gateway = gateway_with((FILE_AUTH, {"password_file": str(file)}), "zoo.OpenTopics")
    with client_of(gateway) as client:
        assert client.is_silent()
    for login in (
        connect("c", username="alice", password="wrong"),
        connect("c", username="bob", password="secret"),
        connect("c"),
    ):
        with Octets(gateway.port()) as client:
            assert client.until_closed(login) == connack(5)


@pytest.mark.parametrize("allowed", [True, False])
def test_the_anonymous_plugin(gateway_with: Callable[..., Gateway], allowed: bool) -> None:
    gateway = gateway_with((ANONYMOUS, {"allow_anonymous": allowed}), "zoo.OpenTopics")
    with Octets(gateway.port()) as client:
        client.send(connect("nobody"))
        assert client.packet() == connack(0 if allowed else 5)
    with client_of(gateway) as client:
        assert client.is_silent()


def test_a_list_of_topics_for_each_user(gateway_with: Callable[..., Gateway]) -> None:
    rules = {
        "publish_acl": {"alice": ["house/#"]},
        "subscribe_acl": {"alice": ["house/+"], "bob": ["house/#", "garden/#"]},
        "receive_acl": {"bob": ["house/kitchen"]},
    }
    gateway = gateway_with("zoo.Open", ("zoo.FullAcl", rules))
    with client_of(gateway) as alice, client_of(gateway, "bob") as bob:
        assert alice.answers(subscribe(("house/kitchen", 0), ("garden/pond", 0))) == suback(1, 0, 0x80)
        assert bob.answers(subscribe(("house/#", 1), ("attic", 0))) == suback(1, 1, 0x80)
        for topic in ("house/kitchen", "house/cellar", "garden/pond"):
            assert alice.answers(publish(topic, b"x", qos=1)) == puback()
        assert bob.answers() == packet(0x32, text("house/kitchen") + b"\x00\x01" + b"x")
        assert bob.answers(publish("house/kitchen", b"y", qos=1)) == puback()
        assert alice.is_silent()


def test_retained_and_shared_messages_under_a_rule_that_has_to_be_awaited(gateway_with: Callable[..., Gateway]) -> None:
    rules = {
        "publish_acl": {"alice": ["#"]},
        "subscribe_acl": {"bob": ["#", "$share/g/#"]},
        "receive_acl": {"bob": ["house/kitchen"]},
    }
    gateway = gateway_with("zoo.Open", ("zoo.FullAcl", rules))
    with client_of(gateway) as alice, client_of(gateway, "bob") as bob:
        for topic in ("house/kitchen", "house/cellar"):
            assert alice.answers(publish(topic, b"kept", qos=1, retain=True)) == puback()
        bob.send(subscribe(("house/#", 0)))
        assert bob.packet() == suback(1, 0)
        assert bob.packet() == packet(0x31, text("house/kitchen") + b"kept")
        assert bob.is_silent()
    with client_of(gateway) as alice, client_of(gateway, "bob") as bob:
        assert bob.answers(subscribe(("$share/g/house/+", 0))) == suback(1, 0)
        for topic in ("house/cellar", "house/kitchen"):
            assert alice.answers(publish(topic, b"shared", qos=1)) == puback()
        assert bob.answers() == packet(0x30, text("house/kitchen") + b"shared")


def test_forbidden_topics(gateway_with: Callable[..., Gateway]) -> None:
    gateway = gateway_with("zoo.Open", TABOO)
    with client_of(gateway) as client:
        assert client.answers(subscribe(("top-secret", 0), ("public", 0))) == suback(1, 0x80, 0)
        client.send(publish("top-secret", b"x"), publish("public", b"y"))
        assert client.packet() == packet(0x30, text("public") + b"y")


@pytest.mark.filterwarnings("ignore:The 'acl' option is deprecated:DeprecationWarning")
@pytest.mark.parametrize("last", [ACL, TABOO])
def test_beside_our_own_rules_a_foreign_one_can_only_take_away(
    gateway_with: Callable[..., Gateway], installation: Installation, last: str
) -> None:
    sn = "7CTDM7100BPACK"
    dock = installation.account("dock-1", "dock", "--sn", sn)
    services = f"thing/product/{sn}/services"
    options = {"publish_acl": {"dock-1": ["#"]}, "acl": {"dock-1": ["#"]}} if last == ACL else {}
    gateway = gateway_with(
        "broker_plugins.auth.AccountAuthPlugin", "broker_plugins.acl.TopicRulesPlugin", (last, options)
    )
    with client_of(gateway, dock.account, dock.password) as client:
        assert client.answers(subscribe((services, 0), ("public", 0))) == suback(1, 0, 0x80)


def test_statistics(gateway_with: Callable[..., Gateway]) -> None:
    gateway = gateway_with("zoo.Open", "zoo.OpenTopics", (SYS, {"sys_interval": 3600}))
    with client_of(gateway) as client:
        assert client.answers(publish("kept", b"x", qos=1, retain=True)) == puback()
        client.send(subscribe(("$SYS/#", 0), ("#", 0)))
        assert client.packet() == suback(1, 0, 0)
        retained = {client.packet() for _ in range(2)}
        assert packet(0x31, text("$SYS/broker/version") + b"aMQTT version 0.12.1") in retained
        assert packet(0x31, text("kept") + b"x") in retained
        plugin = gateway.broker.plugins_manager.get_plugin("BrokerSysPlugin")
        assert isinstance(plugin, BrokerSysPlugin)
        gateway.ask(plugin.broadcast_dollar_sys_topics)
        told = {}
        while "cpu/maximum" not in told:
            published = client.packet()[2:]
            size = int.from_bytes(published[:2], "big")
            told[published[2 : 2 + size].decode().removeprefix("$SYS/broker/")] = published[2 + size :]
    assert told["clients/connected"] == b"1"
    assert told["messages/subscriptions/count"] == b"2"
    assert told["messages/retained/count"] == b"2"


def test_loggers(
    gateway_with: Callable[..., Gateway], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "amqtt.broker.plugins")
    gateway = gateway_with("zoo.Open", "zoo.OpenTopics", EVENT_LOGGER, PACKET_LOGGER)
    with client_of(gateway) as client:
        assert client.answers(subscribe(("a", 0))) == suback(1, 0)
    gateway.call(gateway.broker.hooks.settle())
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("amqtt.broker.plugins")]
    assert "### 'on_broker_client_connected' EVENT FIRED ###" in lines
    assert "### 'on_broker_client_subscribed' EVENT FIRED ###" in lines
