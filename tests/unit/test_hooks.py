"""The wall between broker and plugins: who is asked, in which order, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from amqtt.contexts import Action as AmqttAction
from amqtt.contexts import BaseContext
from amqtt.events import BrokerEvents
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin

from gateway.broker import hooks as hooks_module
from gateway.broker.hooks import Hooks
from gateway.broker.message import Message
from gateway.broker.session import Session
from gateway.model import Action, Outcome
from gateway.tasks import Tasks

from .recording_link import session_of

Asked = list[tuple[Any, ...]]
CONTEXT = BaseContext()
CONTEXT.config = {"auth": {"x": 1}, "topic-check": {"x": 1}}


class Auth(BaseAuthPlugin):
    def __init__(self, asked: Asked, answer: Any) -> None:
        super().__init__(CONTEXT)
        self.asked, self.answer = asked, answer

    async def authenticate(self, *, session: Any) -> bool | None:
        self.asked.append((self.answer, session))
        if isinstance(self.answer, Exception):
            raise self.answer
        return cast("bool | None", self.answer)


class Topics(BaseTopicPlugin):
    def __init__(self, asked: Asked, answer: Any) -> None:
        super().__init__(CONTEXT)
        self.asked, self.answer = asked, answer

    async def topic_filtering(
        self, *, session: Any = None, topic: str | None = None, action: AmqttAction | None = None
    ) -> bool | None:
        self.asked.append((self.answer, session, topic, action))
        if isinstance(self.answer, Exception):
            raise self.answer
        return cast("bool | None", self.answer)


class QuickTopics(Topics):
    """Has the answer at once."""

    def topic_filtering_now(self, *, session: Session, topic: str, action: Action) -> bool | None:
        self.asked.append((self.answer, session, topic, action))
        if isinstance(self.answer, Exception):
            raise self.answer
        return cast("bool | None", self.answer)


class Listener(BasePlugin[BaseContext]):
    def __init__(self, heard: Asked, name: str = "", answer: Any = None) -> None:
        super().__init__(CONTEXT)
        self.heard, self.name, self.answer = heard, name, answer

    async def on_broker_client_subscribed(self, *, client_id: str, topic: str, qos: int) -> None:
        await asyncio.sleep(0)
        self.heard.append((self.name, client_id, topic, qos))
        if isinstance(self.answer, Exception):
            raise self.answer

    def intercept(self, *, session: Session, message: Message) -> Outcome | None:
        self.heard.append((self.name, session, message))
        if isinstance(self.answer, Exception):
            raise self.answer
        return cast("Outcome | None", self.answer)

    def session_opened(self, *, session: Session) -> None:
        self.heard.append((self.name, "opened", session))
        if isinstance(self.answer, Exception):
            raise self.answer

    def session_closed(self, *, session: Session) -> None:
        self.heard.append((self.name, "closed", session))
        if isinstance(self.answer, Exception):
            raise self.answer


SESSION = session_of()[0]
FAULT = RuntimeError("a plugin's fault")


def with_hooks(plugins: list[BasePlugin[Any]], work: Callable[[Hooks], Awaitable[Any]]) -> Any:
    async def scenario() -> Any:
        tasks = Tasks()
        try:
            return await work(Hooks(cast("Any", SimpleNamespace(plugins=plugins)), tasks))
        finally:
            await tasks.close()

    return asyncio.run(scenario())


# -- logins


@pytest.mark.parametrize(
    ("answers", "accepted", "asked"),
    [
        ([], False, 0),
        ([True], True, 1),
        ([False], False, 1),
        ([None], False, 1),
        ([None, None], False, 2),
        ([None, True], True, 2),
        ([True, None], True, 2),
        ([True, True], True, 2),
        ([True, False], False, 2),
        ([False, True], False, 1),
        ([True, 0], False, 2),
        ([0, True], False, 1),
        ([FAULT, True], False, 1),
        ([True, FAULT], False, 2),
        ([None, FAULT], False, 2),
    ],
    ids=str,
)
def test_a_login_needs_a_yes_and_no_no(answers: list[Any], accepted: bool, asked: int) -> None:
    calls: Asked = []
    plugins: list[BasePlugin[Any]] = [Auth(calls, answer) for answer in answers]
    assert with_hooks(plugins, lambda hooks: hooks.authenticate(SESSION)) is accepted
    assert calls == [(answer, SESSION) for answer in answers[:asked]]


# -- topics


@pytest.mark.parametrize(
    ("answers", "now"),
    [
        ([], False),
        ([True], True),
        ([False], False),
        ([None], None),
        ([True, None], None),
        ([None, False], False),
        ([False, None], False),
        ([FAULT], False),
        ([None, FAULT], False),
        ([True, True], True),
        ([True, 0], False),
    ],
    ids=str,
)
def test_what_is_known_at_once(answers: list[Any], now: bool | None) -> None:
    plugins: list[BasePlugin[Any]] = [QuickTopics([], answer) for answer in answers]

    async def ask(hooks: Hooks) -> bool | None:
        return hooks.allowed_now(SESSION, "a", Action.PUBLISH)

    assert with_hooks(plugins, ask) is now


def test_a_plugin_of_amqtts_own_kind_has_to_be_awaited() -> None:
    async def ask(hooks: Hooks) -> bool | None:
        return hooks.allowed_now(SESSION, "a", Action.PUBLISH)

    assert with_hooks([Topics([], answer=True)], ask) is None
    assert with_hooks([QuickTopics([], answer=True), Topics([], answer=True)], ask) is None
    assert with_hooks([Topics([], answer=True), QuickTopics([], answer=False)], ask) is False


@pytest.mark.parametrize(
    ("answers", "allowed"),
    [
        ([], False),
        ([True], True),
        ([None], False),
        ([False], False),
        ([True, True], True),
        ([True, None], False),
        ([FAULT, True], False),
    ],
    ids=str,
)
@pytest.mark.parametrize("action", Action)
def test_a_topic_needs_the_yes_of_all(answers: list[Any], allowed: bool, action: Action) -> None:
    calls: Asked = []
    plugins: list[BasePlugin[Any]] = [Topics(calls, answer) for answer in answers]
    assert with_hooks(plugins, lambda hooks: hooks.allowed(SESSION, "a/b", action)) is allowed
    for call, answer in zip(calls, answers, strict=False):
        assert call == (answer, SESSION, "a/b", AmqttAction(action.value))
        assert type(call[3]) is AmqttAction


# -- interceptors and observers of sessions


def test_what_interceptors_answer_is_collected_in_their_order() -> None:
    heard: Asked = []
    message = Message("t", b"")
    answers: list[Any] = [Outcome(route=False), None, FAULT, Outcome(route=True)]
    plugins: list[BasePlugin[Any]] = [Listener(heard, str(index), answer) for index, answer in enumerate(answers)]

    async def offer(hooks: Hooks) -> list[Outcome]:
        return hooks.intercept(hooks.intercepts_of(SESSION, "t"), SESSION, message)

    assert with_hooks(plugins, offer) == [answers[0], answers[3]]
    assert heard == [(str(index), SESSION, message) for index in range(4)]


def test_each_plugin_is_told_of_a_session_though_another_fails() -> None:
    heard: Asked = []

    async def tell(hooks: Hooks) -> None:
        hooks.opened(SESSION)
        hooks.closed(SESSION)

    with_hooks([Listener(heard, "a", FAULT), Listener(heard, "b")], tell)
    assert heard == [(name, what, SESSION) for what in ("opened", "closed") for name in ("a", "b")]


def test_plugins_that_only_judge_are_not_told_of_messages() -> None:
    async def offer(hooks: Hooks) -> list[Outcome]:
        hooks.opened(SESSION)
        return hooks.intercept(hooks.intercepts_of(SESSION, "t"), SESSION, Message("t", b""))

    assert with_hooks([Auth([], answer=True), Topics([], answer=True)], offer) == []


# -- events


def subscribed(hooks: Hooks, number: int) -> None:
    hooks.fire(BrokerEvents.CLIENT_SUBSCRIBED, client_id="c", topic="t", qos=number)


def test_only_events_that_somebody_hears_are_fired() -> None:
    async def ask(hooks: Hooks) -> list[BrokerEvents]:
        hooks.fire(BrokerEvents.MESSAGE_RECEIVED, nobody="minds")
        return [event for event in BrokerEvents if hooks.listens(event)]

    assert with_hooks([Auth([], answer=True), Listener([])], ask) == [BrokerEvents.CLIENT_SUBSCRIBED]


class Lines(logging.Handler):
    """What the wall writes, however the tests before have left the rest of logging."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.levels.append(record.levelno)


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    hooks_module._log.addHandler(handler)
    yield handler
    hooks_module._log.removeHandler(handler)


def test_events_arrive_in_order_at_each_plugin_in_turn_though_one_fails(lines: Lines) -> None:
    heard: Asked = []

    async def fire(hooks: Hooks) -> None:
        for number in range(5):
            subscribed(hooks, number)
        assert heard == []  # firing does not wait
        await hooks.settle()

    with_hooks([Listener(heard, "a", FAULT), Listener(heard, "b")], fire)
    assert heard == [(name, "c", "t", number) for number in range(5) for name in ("a", "b")]
    assert lines.levels == [logging.ERROR] * 5


def test_settling_without_an_event_is_nothing() -> None:
    with_hooks([Listener([])], lambda hooks: hooks.settle())


def test_settling_waits_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks_module, "_OBSERVER_S", 0.02)

    class Stuck(BasePlugin[BaseContext]):
        async def on_broker_client_subscribed(self, **_: Any) -> None:
            await asyncio.Event().wait()

    async def fire(hooks: Hooks) -> None:
        for number in range(1000):
            subscribed(hooks, number)
        async with asyncio.timeout(2):
            await hooks.settle()

    with_hooks([Stuck(CONTEXT)], fire)
