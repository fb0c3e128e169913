"""Plugins for tests, loaded by their dotted names as broker.yaml would: one that writes everything down, and bad ones."""
# ruff: noqa: ARG002 - the signatures are amqtt's

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from amqtt.contexts import Action, BaseContext
from amqtt.events import BrokerEvents
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.plugins.topic_checking import TopicAccessControlListPlugin
from amqtt.session import Session


class Diary(BasePlugin[BaseContext]):
    """Keeps each event with its keyword arguments."""

    events: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name.startswith("on_broker_"):
            raise AttributeError(name)

        async def note(**arguments: Any) -> None:
            self.events.append((name, arguments))

        return note


class Greeting(BasePlugin[BaseContext]):
    made: ClassVar[list[Greeting]] = []

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.closed = 0
        self.made.append(self)

    async def close(self) -> None:
        self.closed += 1

    @dataclass
    class Config:
        word: str
        times: int = 1
        names: list[str] = field(default_factory=list)


class Mute(BasePlugin[BaseContext]):
    """Without a Config of its own."""


class NotConfigurable(BasePlugin[BaseContext]):
    Config = int  # type: ignore[assignment]


class Explosive(BasePlugin[BaseContext]):
    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        raise RuntimeError("no")


class Stranger:
    """Not a plugin of amqtt's."""


class HastyJudge(BaseAuthPlugin):
    def authenticate(self, *, session: Session) -> bool | None:  # type: ignore[override]
        return True


class HastyTopics(BaseTopicPlugin):
    def topic_filtering(  # type: ignore[override]
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        return True


class HastyObserver(BasePlugin[BaseContext]):
    def on_broker_client_connected(self, *, client_id: str, client_session: Session) -> None:
        return


class Open(BaseAuthPlugin):
    """Lets everybody in."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return True


class Verdict(BaseAuthPlugin):
    """Says what its configuration says; None is no opinion."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return {"yes": True, "no": False, "none": None, "zero": 0}[self.config.says]  # type: ignore[return-value]

    @dataclass
    class Config:
        says: str = "none"


class SecondVerdict(Verdict):
    """A second opinion."""


class PunctualJudge(BaseAuthPlugin):
    """Asks somebody else and does not wait for ever, as those do that ask over the network."""

    async def authenticate(self, *, session: Session) -> bool | None:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return asyncio.current_task() is not None


class RaisingJudge(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        raise RuntimeError("a judge's fault")


class SleepingJudge(BaseAuthPlugin):
    """Answers when it is woken."""

    asleep: ClassVar[list[asyncio.Event]] = []

    async def authenticate(self, *, session: Session) -> bool | None:
        woken = asyncio.Event()
        self.asleep.append(woken)
        await woken.wait()
        return True


class OpenTopics(BaseTopicPlugin):
    """Allows everything, and has to be awaited for it."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        await asyncio.sleep(0)
        return True


class SleepingTopics(BaseTopicPlugin):
    """Allows a publish when it is woken."""

    asleep: ClassVar[list[asyncio.Event]] = []

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        woken = asyncio.Event()
        self.asleep.append(woken)
        await woken.wait()
        return True


class PunctualTopics(BaseTopicPlugin):
    """Does not wait for ever either."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return asyncio.current_task() is not None


class RaisingTopics(BaseTopicPlugin):
    """Raises for one action."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if action is not None and action.value == self.config.at:
            raise RuntimeError("a judge's fault")
        return True

    @dataclass
    class Config:
        at: str = "publish"


class UndecidedTopics(BaseTopicPlugin):
    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        return None


class RaisingObserver(BasePlugin[BaseContext]):
    """Raises at each event, and wherever else the broker calls a plugin."""

    calls: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name.startswith("on_broker_"):
            raise AttributeError(name)

        async def fail(**arguments: Any) -> None:
            self.calls.append(name)
            raise RuntimeError("an observer's fault")

        return fail

    def intercept(self, *, session: Session, message: Any) -> None:
        self.calls.append("intercept")
        raise RuntimeError("an interceptor's fault")

    def session_opened(self, *, session: Session) -> None:
        self.calls.append("session_opened")
        raise RuntimeError("an observer's fault")

    def session_closed(self, *, session: Session) -> None:
        self.calls.append("session_closed")
        raise RuntimeError("an observer's fault")


class SlowObserver(BasePlugin[BaseContext]):
    """Takes longer for the first events than for the last."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.turns = 20

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        self.turns -= 1
        for _ in range(self.turns):
            await asyncio.sleep(0)


class StuckObserver(BasePlugin[BaseContext]):
    """Never comes back from the first message it is told of."""

    stuck: ClassVar[list[str]] = []

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        self.stuck.append(client_id)
        await asyncio.Event().wait()


class FullAcl(TopicAccessControlListPlugin):
    """amqtt's list, with those of its options that its own Config leaves out."""

    @dataclass
    class Config:
        publish_acl: dict[str, list[str]] = field(default_factory=dict)
        subscribe_acl: dict[str, list[str]] = field(default_factory=dict)
        receive_acl: dict[str, list[str]] = field(default_factory=dict)


def forget() -> None:
    """Before each test."""
    notes: list[Any]
    for notes in (
        Diary.events,
        Greeting.made,
        SleepingJudge.asleep,
        SleepingTopics.asleep,
        RaisingObserver.calls,
        StuckObserver.stuck,
    ):
        notes.clear()


EVENTS = tuple(f"on_{event}" for event in BrokerEvents)


def accepts(method: Callable[..., Any], *names: str) -> bool:
    """Whether it can be called with exactly these keyword arguments."""
    try:
        inspect.signature(method).bind(**dict.fromkeys(names))
    except TypeError:
        return False
    return True
