"""Who is there: sessions that open and close and what they publish -> ``gateway.presence``; topology in telemetry -> dispatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqtt.plugins.base import BasePlugin

from broker_plugins.context import broker_of, identity_of, runtime_of
from gateway.broker.session import CLOSED
from gateway.model import Role
from gateway.topics import Kind, parse_device_topic

if TYPE_CHECKING:
    from amqtt.contexts import BaseContext
    from amqtt.session import IncomingApplicationMessage, Session

_TELEMETRY = frozenset({Kind.OSD, Kind.STATE, Kind.EVENTS})


class PresencePlugin(BasePlugin["BaseContext"]):
    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        runtime = runtime_of(context)
        self._broker = broker_of(context)
        self._presence = runtime.presence
        self._dispatcher = runtime.dispatcher
        if not getattr(self._broker, "calls_interceptors", False):
            self._listen_to_events()

    def session_opened(self, *, session: Session) -> None:
        identity = identity_of(session)
        if identity is not None:
            self._presence.connected(identity, id(session), session.remote_address or "")

    def session_closed(self, *, session: Session) -> None:
        self._presence.disconnected(id(session), reason=str(session.attributes.get(CLOSED, "")))

    def intercept(self, *, session: Session, message: IncomingApplicationMessage) -> None:
        identity = identity_of(session)
        if identity is None or identity.role is not Role.DOCK:
            return
        device = parse_device_topic(message.topic)
        if device is None:
            return
        if device.kind in _TELEMETRY:
            self._presence.telemetry(device.sn)
            if device.kind is Kind.OSD:
                self._dispatcher.observe(identity, message.topic, bytes(message.data))
        else:
            self._presence.seen(device.sn)

    # -- a stock amqtt broker

    def _listen_to_events(self) -> None:
        """Amqtt's plugin manager looks for methods of these names; our broker need not tell of what it asks directly."""
        self.on_broker_client_connected = self._connected
        self.on_broker_client_disconnected = self._disconnected
        self.on_broker_message_broadcast = self._published

    async def _connected(self, *, client_id: str, client_session: Session) -> None:  # noqa: ARG002
        self.session_opened(session=client_session)

    async def _disconnected(self, *, client_id: str, client_session: Session) -> None:  # noqa: ARG002
        self.session_closed(session=client_session)

    async def _published(self, *, client_id: str, message: IncomingApplicationMessage) -> None:
        session = self._broker.sessions.get(client_id, (None, None))[0]
        if session is not None:
            self.intercept(session=session, message=message)
