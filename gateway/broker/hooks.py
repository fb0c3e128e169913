"""The wall between the broker and its plugins: amqtt's plugin API in, plain answers out.

Judges (``authenticate``, ``topic_filtering``) that raise deny. Observers (``on_broker_…``) that raise are logged, and the rest
go on; they are called one after another, in the order of the events. With no judge the answer is no.

Beside amqtt's own API a plugin may offer, all synchronous and quick:

- ``topic_filtering_now(session, topic, action) -> bool | None``: the answer if it is known at once, None to be asked the usual way;
- ``rules_version() -> int``: while it is the same, so are the answers of ``topic_filtering_now`` to one session;
- ``intercept(session, message) -> Outcome | None``: an accepted publish; may answer it, keep it from subscribers, or both;
- ``wants(session, topic) -> bool``: whether ``intercept`` is to be called for that topic, the same for one login at all times;
- ``session_opened(session)`` and ``session_closed(session)``: told before any message of that session, and after the last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from amqtt.contexts import Action as AmqttAction
from amqtt.events import BrokerEvents
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin

from gateway.model import Action, Outcome

if TYPE_CHECKING:
    from amqtt.plugins.manager import PluginManager

    from gateway.tasks import Tasks

    from .message import Message
    from .session import Session

_log = logging.getLogger(__name__)

# An observer that can't keep up loses events, and says so, before the broker loses memory.
_EVENTS_WAITING = 10_000
# What an observer gets for one event; one that does not come back must hold up neither the others nor the end.
_OBSERVER_S = 5.0

_ACTIONS = {
    Action.PUBLISH: AmqttAction.PUBLISH,
    Action.SUBSCRIBE: AmqttAction.SUBSCRIBE,
    Action.RECEIVE: AmqttAction.RECEIVE,
}


@runtime_checkable
class Interceptor(Protocol):
    def intercept(self, *, session: Session, message: Message) -> Outcome | None: ...


@runtime_checkable
class SessionObserver(Protocol):
    def session_opened(self, *, session: Session) -> None: ...

    def session_closed(self, *, session: Session) -> None: ...


Now = Callable[..., bool | None]
Intercept = Callable[..., Outcome | None]


async def _in_a_task(plugin: BasePlugin[Any]) -> None:
    """Amqtt calls its plugins in tasks, and time limits and network libraries need one. Those that say ``begins_at_once``
    do without until their first wait: then a packet that needs no wait is handled without one (``gateway.tasks.begin``).
    """
    if not getattr(plugin, "begins_at_once", False):
        await asyncio.sleep(0)


def _name_of(intercept: Intercept) -> str:
    return type(getattr(intercept, "__self__", intercept)).__name__


class Hooks:
    def __init__(self, manager: PluginManager[Any], tasks: Tasks) -> None:
        self._plugins = list(manager.plugins)
        self._auth = [plugin for plugin in self._plugins if isinstance(plugin, BaseAuthPlugin)]
        self._topic = [plugin for plugin in self._plugins if isinstance(plugin, BaseTopicPlugin)]
        self._now = [cast("Now | None", getattr(plugin, "topic_filtering_now", None)) for plugin in self._topic]
        versions = [cast("Callable[[], int] | None", getattr(plugin, "rules_version", None)) for plugin in self._topic]
        self._versions = [version for version in versions if version is not None]
        self._may_remember = bool(versions) and None not in versions
        self._interceptors = [plugin for plugin in self._plugins if isinstance(plugin, Interceptor)]
        self._session_observers = [plugin for plugin in self._plugins if isinstance(plugin, SessionObserver)]
        self._events: asyncio.Queue[tuple[BrokerEvents, dict[str, Any]]] = asyncio.Queue(_EVENTS_WAITING)
        self._heard = {
            event for event in BrokerEvents if any(hasattr(plugin, f"on_{event}") for plugin in self._plugins)
        }
        self._tasks = tasks
        self._pump: asyncio.Task[Any] | None = None
        self.lost_events = 0

    # -- judges

    def rules_version(self) -> int | None:
        """While it is the same, so are the answers of ``allowed_now`` to one session and topic. None: that can't be said."""
        if not self._may_remember:
            return None
        versions = self._versions
        return versions[0]() if len(versions) == 1 else sum(version() for version in versions)

    async def authenticate(self, session: Session) -> bool:
        """Amqtt's rule: every plugin that has an opinion says yes, and at least one has one."""
        accepted = False
        for plugin in self._auth:
            try:
                await _in_a_task(plugin)
                answer = await plugin.authenticate(session=session)
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a login plugin failed: the login is refused", extra={"plugin": type(plugin).__name__})
                return False
            if answer is None:
                continue
            if not answer:
                return False
            accepted = True
        return accepted

    def allowed_now(self, session: Session, topic: str, action: Action) -> bool | None:
        """None: one of the plugins has to be awaited."""
        if not self._topic:
            return False
        undecided = False
        for plugin, now in zip(self._topic, self._now, strict=True):
            if now is None:
                undecided = True
                continue
            try:
                answer = now(session=session, topic=topic, action=action)
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a topic plugin failed: denied", extra={"plugin": type(plugin).__name__})
                return False
            if answer is None:
                undecided = True
            elif not answer:
                return False
        return None if undecided else True

    async def allowed(self, session: Session, topic: str, action: Action) -> bool:
        for plugin in self._topic:
            try:
                await _in_a_task(plugin)
                answer = await plugin.topic_filtering(session=session, topic=topic, action=_ACTIONS[action])
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a topic plugin failed: denied", extra={"plugin": type(plugin).__name__})
                return False
            if not answer:
                return False
        return bool(self._topic)

    # -- interceptors

    def intercepts_of(self, session: Session, topic: str) -> tuple[Intercept, ...]:
        """The ``intercept`` of each plugin that wants what this session publishes there."""
        return tuple(plugin.intercept for plugin in self._interceptors if self._wants(plugin, session, topic))

    @staticmethod
    def _wants(plugin: Interceptor, session: Session, topic: str) -> bool:
        asked = cast("Callable[..., bool] | None", getattr(plugin, "wants", None))
        try:
            return asked is None or asked(session=session, topic=topic)
        except Exception:  # noqa: BLE001 - the wall
            _log.exception("a plugin failed: it gets the message", extra={"plugin": type(plugin).__name__})
            return True

    @staticmethod
    def intercept(intercepts: tuple[Intercept, ...], session: Session, message: Message) -> list[Outcome]:
        outcomes = []
        for intercept in intercepts:
            try:
                outcome = intercept(session=session, message=message)
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a plugin failed on a message", extra={"plugin": _name_of(intercept)})
                continue
            if outcome is not None:
                outcomes.append(outcome)
        return outcomes

    def opened(self, session: Session) -> None:
        for plugin in self._session_observers:
            try:
                plugin.session_opened(session=session)
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a plugin failed", extra={"plugin": type(plugin).__name__})

    def closed(self, session: Session) -> None:
        for plugin in self._session_observers:
            try:
                plugin.session_closed(session=session)
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a plugin failed", extra={"plugin": type(plugin).__name__})

    # -- observers

    def listens(self, event: BrokerEvents) -> bool:
        return event in self._heard

    def fire(self, event: BrokerEvents, **arguments: Any) -> None:  # noqa: ANN401 - each event has its own
        """Tell the observers soon, in order; never waits."""
        if event not in self._heard:
            return
        if self._pump is None:
            self._pump = self._tasks.spawn(self._pump_events(), name="plugin events")
        try:
            self._events.put_nowait((event, arguments))
        except asyncio.QueueFull:
            self.lost_events += 1
            if self.lost_events == 1:
                _log.error("plugins are too slow for their events: some are lost")

    async def fire_and_wait(self, event: BrokerEvents, **arguments: Any) -> None:  # noqa: ANN401 - each event has its own
        for plugin in self._plugins:
            observer = cast("Callable[..., Awaitable[None]] | None", getattr(plugin, f"on_{event}", None))
            if observer is None:
                continue
            try:
                async with asyncio.timeout(_OBSERVER_S):
                    await observer(**arguments)
            except Exception:  # noqa: BLE001 - the wall
                _log.exception("a plugin failed on an event", extra={"plugin": type(plugin).__name__, "event": event})

    async def _pump_events(self) -> None:
        while True:
            event, arguments = await self._events.get()
            await self.fire_and_wait(event, **arguments)
            self._events.task_done()

    async def settle(self) -> None:
        """Let what has been fired arrive, as far as that can be waited for."""
        if self._pump is None:
            return
        try:
            async with asyncio.timeout(_OBSERVER_S):
                await self._events.join()
        except TimeoutError:
            _log.error("plugins do not come back from their events: no longer waited for")
