"""Plugins that are wrong, late or stuck: a judge's failure is a no, an observer's failure is nobody's business."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.broker import hooks
from tests.conftest import Gateway, Installation
from tests.integration.lasting import served, wait_until
from tests.integration.octets import (
    DISCONNECT,
    Octets,
    connack,
    connect,
    packet,
    puback,
    publish,
    suback,
    subscribe,
    text,
)

from .conftest import StockGateway
from .zoo import Diary, RaisingObserver, SleepingJudge, StuckObserver

Write = Callable[..., None]
Serve = Callable[[Installation], Gateway]


@pytest.fixture
def gateway_with(installation: Installation, with_plugins: Write, serve: Serve) -> Callable[..., Gateway]:
    def start(*plugins: Any) -> Gateway:
        with_plugins(*plugins)
        return serve(installation)

    return start


def client_of(gateway: Gateway, client_id: str = "client", account: str = "alice") -> Octets:
    client = Octets(gateway.port())
    assert client.login(client_id, account, "secret") == connack(0)
    return client


# -- judges of logins


def test_a_judge_that_raises_refuses(gateway_with: Callable[..., Gateway]) -> None:
    gateway = gateway_with("zoo.Open", "zoo.RaisingJudge", "zoo.OpenTopics")
    with Octets(gateway.port()) as client:
        assert client.until_closed(connect("client", username="alice", password="secret")) == connack(5)


ANSWERS = [
    *itertools.product(["yes", "no", "none", "zero"], repeat=1),
    *itertools.product(["yes", "no", "none", "zero"], repeat=2),
]


@pytest.mark.parametrize("answers", ANSWERS, ids=" ".join)
def test_several_judges_are_added_up_as_amqtt_does_it(
    answers: tuple[str, ...], installation: Installation, with_plugins: Write
) -> None:
    judges = [
        (name, {"says": answer}) for name, answer in zip(("zoo.Verdict", "zoo.SecondVerdict"), answers, strict=False)
    ]
    with_plugins(*judges, "zoo.OpenTopics")
    accepted = []
    for kind in (Gateway, StockGateway):
        with served(installation, kind) as gateway, Octets(gateway.port()) as client:
            accepted.append(client.login("client", "alice", "secret") == connack(0))
    assert accepted[0] == accepted[1] == (set(answers) in ({"yes"}, {"yes", "none"}))


def test_without_a_judge_nobody_is_let_in(gateway_with: Callable[..., Gateway]) -> None:
    gateway = gateway_with("zoo.OpenTopics")
    with Octets(gateway.port()) as client:
        assert client.until_closed(connect("client", username="alice", password="secret")) == connack(5)


@pytest.fixture
def asleep() -> Iterator[list[Any]]:
    yield SleepingJudge.asleep
    SleepingJudge.asleep.clear()


def test_a_login_that_waits_holds_up_nobody(gateway_with: Callable[..., Gateway], asleep: list[Any]) -> None:
    gateway = gateway_with("zoo.SleepingJudge", "zoo.OpenTopics")
    with Octets(gateway.port()) as first, Octets(gateway.port()) as second:
        first.send(connect("first", username="alice", password="secret"))
        wait_until(gateway, lambda: len(asleep) == 1)
        second.send(connect("second", username="bob", password="secret"))
        wait_until(gateway, lambda: len(asleep) == 2)
        gateway.ask(asleep[1].set)
        assert second.packet() == connack(0)
        assert second.is_silent()
        # packets that follow a CONNECT wait for its answer
        first.send(subscribe(("a", 0)), publish("a", b"own"))
        assert second.is_silent()
        gateway.ask(asleep[0].set)
        assert [first.packet() for _ in range(3)] == [connack(0), suback(1, 0), packet(0x30, text("a") + b"own")]


def test_who_hangs_up_while_the_login_waits_leaves_nothing_behind(
    gateway_with: Callable[..., Gateway], asleep: list[Any]
) -> None:
    gateway = gateway_with("zoo.SleepingJudge", "zoo.OpenTopics", "zoo.Diary")
    impatient = Octets(gateway.port())
    impatient.send(connect("client", username="alice", password="secret", clean=False))
    wait_until(gateway, lambda: len(asleep) == 1)
    impatient.drop()
    wait_until(gateway, lambda: not list(gateway.broker.admission))
    gateway.ask(asleep[0].set)
    with Octets(gateway.port()) as client:
        client.send(connect("client", username="alice", password="secret", clean=False))
        wait_until(gateway, lambda: len(asleep) == 2)
        gateway.ask(asleep[1].set)
        assert client.packet() == connack(0, present=False)
        gateway.call(gateway.broker.hooks.settle())
    assert sum(name == "on_broker_client_connected" for name, _ in Diary.events) == 1


# -- judges of topics


@pytest.mark.parametrize("plugins", [("zoo.UndecidedTopics",), ()], ids=["undecided", "none at all"])
def test_topics_without_a_yes_are_refused(gateway_with: Callable[..., Gateway], plugins: tuple[str, ...]) -> None:
    gateway = gateway_with("zoo.Open", *plugins)
    with client_of(gateway) as client:
        assert client.answers(subscribe(("a", 1))) == suback(1, 0x80)
        assert client.answers(publish("a", b"x", qos=1)) == puback()


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
@pytest.mark.parametrize("action", ["publish", "subscribe", "receive"])
def test_a_topic_judge_that_raises_refuses_and_nothing_more(
    gateway_with: Callable[..., Gateway], action: str, order: int
) -> None:
    """Fact 10: amqtt's connection would die after the PUBACK."""
    gateway = gateway_with("zoo.Open", *["zoo.OpenTopics", ("zoo.RaisingTopics", {"at": action})][::order])
    with client_of(gateway) as client:
        granted = 0x80 if action == "subscribe" else 0
        assert client.answers(subscribe(("a", 0))) == suback(1, granted)
        assert client.answers(publish("a", b"x", qos=1)) == puback()


@pytest.mark.parametrize("beside", [(), ("broker_plugins.acl.TopicRulesPlugin",)], ids=["alone", "after ours"])
def test_judges_run_in_a_task_as_they_do_under_amqtt(
    gateway_with: Callable[..., Gateway], installation: Installation, beside: tuple[str, ...]
) -> None:
    """Time limits and most network libraries need one."""
    dock = installation.account("dock-1", "dock", "--sn", "7CTDM7100BTASK")
    login = "broker_plugins.auth.AccountAuthPlugin"
    gateway = gateway_with(*(login,) if beside else (), "zoo.PunctualJudge", *beside, "zoo.PunctualTopics")
    services = "thing/product/7CTDM7100BTASK/services"
    with Octets(gateway.port()) as client:
        assert client.login("client", dock.account, dock.password) == connack(0)
        assert client.answers(subscribe((services, 1))) == suback(1, 1)
        assert client.answers(publish("thing/product/7CTDM7100BTASK/osd", b"x", qos=1)) == puback()


# -- observers


def test_an_observer_that_raises_harms_nobody(gateway_with: Callable[..., Gateway]) -> None:
    gateway = gateway_with("zoo.Open", "zoo.OpenTopics", "zoo.RaisingObserver", "zoo.Diary")
    with client_of(gateway) as client:
        assert client.answers(subscribe(("a", 0))) == suback(1, 0)
        assert client.answers(publish("a", b"x", retain=True)) == packet(0x30, text("a") + b"x")
        client.close()
    wait_until(gateway, lambda: any(name == "on_broker_client_disconnected" for name, _ in Diary.events))
    assert {"intercept", "session_opened", "session_closed", "on_broker_post_start"} <= set(RaisingObserver.calls)
    raised = [name for name in RaisingObserver.calls if name.startswith("on_")]
    assert raised == [name for name, _ in Diary.events]


def test_an_observer_that_is_stuck_harms_no_client_and_not_the_end(
    installation: Installation, with_plugins: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_OBSERVER_S", 0.2)
    with_plugins("zoo.Open", "zoo.OpenTopics", "zoo.StuckObserver", "zoo.Diary")
    with served(installation) as gateway, client_of(gateway) as client:
        assert client.answers(subscribe(("a", 0))) == suback(1, 0)
        for number in range(3):
            expected = packet(0x30, text("a") + b"%d" % number)
            assert client.answers(publish("a", b"%d" % number)) == expected
        wait_until(gateway, lambda: sum(name == "on_broker_message_received" for name, _ in Diary.events) == 3)
    assert StuckObserver.stuck == ["client"] * 3
    assert [name for name, _ in Diary.events][-1] == "on_broker_post_shutdown"


def test_events_that_can_not_be_kept_are_lost_and_not_the_memory(
    installation: Installation, with_plugins: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_OBSERVER_S", 0.2)
    monkeypatch.setattr(hooks, "_EVENTS_WAITING", 5)
    with_plugins("zoo.Open", "zoo.OpenTopics", "zoo.StuckObserver")
    with served(installation) as gateway, client_of(gateway) as client:
        client.send(*(publish("a", b"x") for _ in range(50)))
        assert client.is_silent()
        assert gateway.ask(lambda: gateway.broker.hooks.lost_events) > 30
        assert client.until_closed(DISCONNECT) == b""
