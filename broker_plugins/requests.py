"""The interceptor: a dock's accepted publish -> ``gateway.dispatch`` -> the reply to that session and to nobody else.

Our broker calls ``intercept`` and sends what it returns. Under a stock amqtt broker the same plugin listens to the event that
comes after the topic rules, and sends through that session's handler; there a request is passed on too, which amqtt can't stop.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from amqtt.plugins.base import BasePlugin

from broker_plugins.context import broker_of, identity_of, runtime_of
from gateway.model import Outcome, OutgoingMessage, Role
from gateway.topics import Kind, parse_device_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from amqtt.contexts import BaseContext
    from amqtt.session import IncomingApplicationMessage, Session


_OF_DOCKS = frozenset({Kind.REQUESTS, Kind.STATUS, Kind.EVENTS, Kind.STATE})
_OF_SERVICES = frozenset({Kind.REQUESTS_REPLY})


class DockRequestsPlugin(BasePlugin["BaseContext"]):
    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._broker = broker_of(context)
        self._dispatcher = runtime_of(context).dispatcher
        self._ours = getattr(self._broker, "calls_interceptors", False)
        if not self._ours:
            # amqtt's plugin manager looks for a method of this name; our broker calls ``intercept``
            self.on_broker_message_broadcast = self._published

    @staticmethod
    def wants(*, session: Session, topic: str) -> bool:
        """Telemetry, most of what docks say, is none of it."""
        identity, device = identity_of(session), parse_device_topic(topic)
        if identity is None or device is None:
            return False
        return device.kind in (_OF_SERVICES if identity.role is Role.SERVICE else _OF_DOCKS)

    def intercept(self, *, session: Session, message: IncomingApplicationMessage) -> Outcome | None:
        identity = identity_of(session)
        if identity is None:
            return None
        if identity.role is Role.SERVICE:
            is_too_late = self._dispatcher.platform_answered(message.topic, bytes(message.data))
            return Outcome(route=False) if is_too_late else None
        return self._dispatcher.intercept(
            identity,
            message.topic,
            bytes(message.data),
            platform_listens=self._listens,
            reply_later=self._reply_later(session),
        )

    def _reply_later(self, session: Session) -> Callable[[OutgoingMessage], None]:
        """How to send to the session that asked, if it is still there by then."""
        if self._ours:
            return session.reply  # type: ignore[attr-defined, no-any-return] # gateway.broker.session.Session
        return partial(self._send_stock_soon, session)

    def _listens(self, topic: str) -> bool:
        return bool(self._broker.listens(topic, _can_answer)) if self._ours else False

    # -- a stock amqtt broker

    async def _published(self, *, client_id: str, message: IncomingApplicationMessage) -> None:
        session: Session | None = self._broker.sessions.get(client_id, (None, None))[0]
        if session is None:
            return
        outcome = self.intercept(session=session, message=message)
        if outcome is not None and outcome.work is not None:
            outcome = await outcome.work
        for reply in outcome.replies if outcome is not None else ():
            await self._send_stock(session, reply)

    def _send_stock_soon(self, session: Session, message: OutgoingMessage) -> None:
        runtime_of(self.context).services.tasks.spawn(self._send_stock(session, message), name="reply")

    async def _send_stock(self, session: Session, message: OutgoingMessage) -> None:
        handler: Any = self._broker.sessions.get(session.client_id, (None, None))[1]
        if handler is not None:
            await handler.mqtt_publish(message.topic, message.payload, 0, retain=False)


def _can_answer(session: Session) -> bool:
    """An observer hears a request too, but a dock would wait for it in vain."""
    identity = identity_of(session)
    return identity is not None and identity.role is Role.SERVICE
