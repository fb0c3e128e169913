"""The broker: amqtt's configuration, plugin manager and plugin API around connections, sessions and routing of our own.

A message comes in judged and goes out judged: nothing is delivered, retained or kept that the topic rules have not allowed, for
publisher and for receiver. Nothing here waits for the disk, and nothing per message grows with the number of connections.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.contexts import BrokerConfig
from amqtt.events import BrokerEvents

from gateway import logs
from gateway.model import Action, Role
from gateway.topics import EVENT_ROOT, parse_device_topic

from .admission import Admission
from .codec.packets import Connect, Properties, Reason, Will
from .delivery import Delivery, Undecided, as_amqtt_has_it
from .hooks import Hooks
from .listeners import Listeners
from .message import Message
from .session import CLOSED, DENIED, REFUSAL, Session, SessionLimits
from .sessions import Sessions

if TYPE_CHECKING:
    from gateway.config import Config, LimitSettings
    from gateway.contacts import Filter
    from gateway.directory import Unbound
    from gateway.metrics import Metrics
    from gateway.runtime import Runtime

    from .connection import Connection
    from .exchange import Exchange

_log = logging.getLogger(__name__)

# How often time limits are looked at; rates are counted over it.
_TICK_S = 1.0
_REFUSED_LINE_S = 60.0

_REFUSALS = {
    Reason.CLIENT_IDENTIFIER_NOT_VALID: "the client id belongs to a session of another account",
    Reason.NOT_AUTHORIZED: "the account has just been changed or disabled",
    Reason.QUOTA_EXCEEDED: "too many connections of one account (limits.connections_per_account)",
}


class GatewayBroker(Broker):
    """``Broker`` for plugins and configuration; its sockets, sessions and subscriptions are not amqtt's."""

    # Read by our plugins: this broker calls ``intercept`` itself.
    calls_interceptors = True

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self.runtime = runtime
        self.settings = config
        self.limits: LimitSettings = config.dockgate.limits
        self.metrics: Metrics = runtime.services.metrics
        self.tasks = runtime.services.tasks
        # Seconds of the loop's clock, moved on by the ticker: cheap to read for each packet.
        self.now = asyncio.get_running_loop().time()
        super().__init__(BrokerConfig.from_dict(config.amqtt()), loop=asyncio.get_running_loop())
        self.hooks = Hooks(self.plugins_manager, self.tasks)
        self.delivery = Delivery(self.hooks, self.limits, self.metrics.messages, self._loop.time)
        self.table = Sessions(
            self.limits, self.metrics, self.delivery.router, clock=self._loop.time, will_due=self._will_due
        )
        self._warned = logs.RateLimited(_log, interval_s=_REFUSED_LINE_S, clock=self._loop.time)
        self.admission = Admission(config, self.metrics.connections, self.tasks, clock=self._loop.time, warn=self.warn)
        self.listening = Listeners(self, config)
        self._ticker: asyncio.Task[Any] | None = None
        self._session_limits = SessionLimits(
            inflight=self.limits.inflight,
            queued_messages=self.limits.offline_messages,
            queued_bytes=self.limits.offline_bytes,
        )

    # -- life

    async def start(self) -> None:
        """Open every listener, or none."""
        await self.hooks.fire_and_wait(BrokerEvents.PRE_START)
        await self.listening.open()
        self._ticker = self.tasks.spawn(self._tick(), name="broker clock")
        self.runtime.services.events.set_publisher(self.publish, lambda: self.delivery.router.reaches(EVENT_ROOT))
        self.runtime.on_reload(self.drop_outdated)
        self.runtime.on_unbound(self.forget_former)
        await self.hooks.fire_and_wait(BrokerEvents.POST_START)

    async def shutdown(self) -> None:
        """Close every connection, telling MQTT 5 clients why; idempotent."""
        await self.hooks.settle()
        await self.hooks.fire_and_wait(BrokerEvents.PRE_SHUTDOWN)
        await self.listening.close()
        self.admission.shut()
        self.runtime.services.events.set_publisher(None)
        for connection in self.admission:
            connection.close(Reason.SERVER_SHUTTING_DOWN)
        await self.hooks.settle()
        for connection in list(self.admission.lingering):
            connection.give_up()
        if self._ticker is not None:
            self._ticker.cancel()
        await self.hooks.fire_and_wait(BrokerEvents.POST_SHUTDOWN)
        await self.plugins_manager.close()

    async def _tick(self) -> None:
        while True:
            due = self._loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.now = now = self._loop.time()
            try:
                self.admission.tick(now, max(0.0, now - due))
                self.table.tick(now)
                self.delivery.tick(now)
            except Exception:  # noqa: BLE001 - one odd connection must not end the time limits of all
                _log.exception("the time limits could not all be looked at")

    # -- sessions

    def warn(self, key: str, text: str, fields: Mapping[str, Any]) -> None:
        """A line for the log about a peer: at most one a minute for each key and text."""
        self._warned.warning((key, text), text, **fields)

    def new_session(self, connection: Connection, connect: Connect) -> Session:
        """A session for the plugins to judge; it is in no table, and nobody else's has been touched."""
        session = Session(self._session_limits, dropped=self._dropped)
        session.client_id = connect.client_id or f"auto-{uuid.uuid4().hex}"
        session.clean_session = connect.clean_start
        longest = self.limits.keepalive_max_s
        session.keep_alive = min(connect.keepalive_s or longest, longest)
        session.username = connect.username
        session.password = connect.password.decode("utf-8", "replace") if connect.password is not None else None
        session.remote_address, session.remote_port = connection.address, connection.port
        if connection.transport is not None:
            session.ssl_object = connection.transport.get_extra_info("ssl_object")
        return session

    @staticmethod
    def refusal_of(session: Session) -> Reason:
        refusal: Reason | None = session.attributes.get(REFUSAL)
        return refusal if refusal is not None else Reason.NOT_AUTHORIZED

    async def judge_will(self, session: Session, will: Will | None) -> None:
        """Keep the will only if it could be published now; it is asked again when it is due (a will is a publish)."""
        if will is None:
            return
        allowed = self.hooks.allowed_now(session, will.topic, Action.PUBLISH)
        if allowed is None:
            allowed = await self.hooks.allowed(session, will.topic, Action.PUBLISH)
        if not allowed or will.topic.startswith("$") or not self.takes(will.topic):
            self.metrics.messages.denied.add("will", "not_allowed")
            self.warn(
                session.client_id,
                "a will on a topic that its account may not publish to: ignored",
                {logs.CLIENT_ID: session.client_id, logs.TOPIC: will.topic},
            )
            return
        session.will = will
        session.will_flag = True
        session.will_topic, session.will_message = will.topic, will.payload
        session.will_qos, session.will_retain = will.qos, will.retain

    def takes(self, topic: str) -> bool:
        """Whether it is within the limits for a topic or filter."""
        return len(topic) <= self.limits.topic_bytes and topic.count("/") < self.limits.topic_levels

    def open_session(self, connection: Connection, session: Session, connect: Connect) -> tuple[Session, bool] | Reason:
        """After the login: the session to go on with and whether it was there before. A Reason: refused, nothing changed."""
        identity = session.identity
        session.account = identity.account if identity is not None else session.username or ""
        # the account may have been changed while the plugins were asked
        is_current = identity is None or self.runtime.authenticator.current(identity)
        opened = self.table.open(session, connect) if is_current else Reason.NOT_AUTHORIZED
        if isinstance(opened, Reason):
            text = _REFUSALS[opened]
            self.metrics.connections.refused.add(opened.name.lower())
            self.warn(
                session.client_id,
                f"CONNECT refused: {text}",
                {logs.CLIENT_ID: session.client_id, logs.ACCOUNT: session.account, logs.ADDRESS: connection.address},
            )
            return opened
        return opened

    def note_contact(self, session: Session, said: dict[str, Any], filters: Sequence[Filter] = ()) -> None:
        """What a client put into CONNECT and SUBSCRIBE (``gateway.contacts``)."""
        identity = session.identity
        sn = identity.sn if identity is not None else None
        self.runtime.contacts.note(session.account, session.client_id, sn, said, filters)

    def opened(self, connection: Connection, session: Session) -> None:
        """CONNACK is out."""
        self.metrics.connections.opened += 1
        self.metrics.connections.open += 1
        logs.info(
            _log,
            "connected",
            {
                logs.ACCOUNT: session.account,
                logs.CLIENT_ID: session.client_id,
                logs.ADDRESS: connection.address,
                logs.LISTENER: connection.listener,
            },
        )
        self.hooks.opened(session)
        self.hooks.fire(BrokerEvents.CLIENT_CONNECTED, client_id=session.client_id, client_session=session)

    def closed(self, connection: Connection, session: Session, exchange: Exchange) -> None:
        """A logged-in connection has ended."""
        if session.link is not exchange:
            return
        self.metrics.connections.open -= 1
        cause = connection.reason.name.lower() if connection.reason is not None else "connection_lost"
        self.metrics.connections.closed.add(cause)
        logs.info(
            _log,
            "disconnected",
            {logs.ACCOUNT: session.account, logs.CLIENT_ID: session.client_id, logs.REASON: cause},
        )
        session.attributes[CLOSED] = cause
        self.hooks.closed(session)
        self.hooks.fire(BrokerEvents.CLIENT_DISCONNECTED, client_id=session.client_id, client_session=session)
        self.table.disconnected(session, graceful=exchange.graceful)

    def drop_outdated(self) -> None:
        """End the sessions whose login would not be accepted any more; connected ones are closed at once."""
        current = self.runtime.authenticator.current
        for session in self.table:
            if session.identity is None or current(session.identity):
                continue
            session.will = None
            session.expiry_s = 0.0
            if session.link is not None:
                session.link.connection.close(Reason.ADMINISTRATIVE_ACTION)
            else:
                self.table.end(session)

    def forget_former(self, unbound: Sequence[Unbound]) -> None:
        """What these devices retained for their organization is not for the next one, and orders that it left for them are not to
        be carried out for another.
        """
        freed = {each.sn for each in unbound}

        def is_theirs(topic: str) -> bool:
            device = parse_device_topic(topic)
            return device is not None and device.sn in freed

        self.delivery.forget(is_theirs)
        for session in self.table:
            if session.identity is not None and session.identity.role is Role.DOCK:
                session.forget(is_theirs)
                if session.will is not None and not session.connected and is_theirs(session.will.topic):
                    session.will = None

    def connections_of(self, sn: str) -> list[tuple[Session, Connection]]:
        """Of a dock, for who looks or disconnects; it costs a look at each there is."""
        return [
            (connection.exchange.session, connection)
            for connection in self.admission
            if connection.exchange is not None
            and (identity := connection.exchange.session.identity) is not None
            and identity.sn == sn
        ]

    def kick(self, sn: str) -> int:
        """Close the connections of a dock; returns how many. It may come back."""
        found = self.connections_of(sn)
        for _, connection in found:
            connection.close(Reason.ADMINISTRATIVE_ACTION)
        return len(found)

    # -- messages

    def retain(self, message: Message, account: str) -> bool:
        """Keep a message that its publisher may publish. False: there is no room for it, or for more of this account."""
        kept = self.delivery.retain(message, account)
        if not kept:
            told = {logs.TOPIC: message.topic, logs.ACCOUNT: account}
            self.warn(f"retained {account}", "no room for another retained message: not kept", told)
        return kept

    def finish(self, undecided: Undecided) -> None:
        """See to the rest of a delivery whose order does not matter."""
        if undecided is not None:
            self.tasks.spawn(undecided, name="deliver")

    def expiry_of(self, properties: Properties | None) -> float | None:
        if properties is None or properties.message_expiry_s is None:
            return None
        return self.now + properties.message_expiry_s

    def publish(self, topic: str, payload: bytes) -> None:
        """A message of the gateway itself, for those who may receive it."""
        self.finish(self.delivery.route(Message(topic, payload)))

    def listens(self, topic: str, who: Callable[[Session], bool]) -> bool:
        """Would a connected session of such get a message on ``topic``? For plugins that leave a request to a platform."""
        return self.delivery.listens(topic, who)

    async def internal_message_broadcast(self, topic: str, data: bytes, qos: int | None = None) -> None:
        """``BrokerContext.broadcast_message`` of amqtt's plugin API."""
        self.finish(self.delivery.route(Message(topic, bytes(data), qos=qos or 0)))

    async def retain_message(
        self,
        source_session: Any,  # noqa: ANN401 - as amqtt has it
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """``BrokerContext.retain_message`` of amqtt's plugin API."""
        if topic_name:
            source = source_session.client_id if source_session is not None else None
            message = Message(topic_name, bytes(data or b""), qos=qos or 0, retain=True, source=source)
            self.delivery.retain(message, None)

    def _will_due(self, session: Session, will: Will) -> None:
        self.tasks.spawn(self._publish_will(session, will), name=f"will {session.client_id}")

    async def _publish_will(self, session: Session, will: Will) -> None:
        """A will is a publish: judged when it is due, by what its account may do then."""
        identity = session.identity
        if identity is not None and not self.runtime.authenticator.current(identity):
            return
        if not await self.hooks.allowed(session, will.topic, Action.PUBLISH):
            return
        message = Message(
            will.topic,
            will.payload,
            qos=will.qos,
            retain=will.retain,
            properties=will.properties,
            source=session.client_id,
            expires_at=self.expiry_of(will.properties),
        )
        if message.retain:
            self.retain(message, session.account)
        undecided = self.delivery.route(message)
        if undecided is not None:
            await undecided

    # -- refusals

    def refused_publish(self, connection: Connection, session: Session, topic: str) -> None:
        reason = str(session.attributes.pop(DENIED, "not_allowed"))
        self.metrics.messages.denied.add("publish", reason)
        self._warned.warning(
            (id(connection), "publish"),
            "publish refused: the account may not publish there; dropped",
            **_who(session, topic, reason),
        )

    def refused_subscription(self, connection: Connection, session: Session, topic_filter: str) -> None:
        reason = str(session.attributes.pop(DENIED, "not_allowed"))
        self.metrics.messages.denied.add("subscribe", reason)
        self._warned.warning(
            (id(connection), topic_filter),
            "subscription refused: the account may not receive that, or not all of it",
            **_who(session, topic_filter, reason),
        )

    def _dropped(self, count: int) -> None:
        self.metrics.messages.dropped.add("slow_reader", n=count)

    # -- what amqtt's plugins see

    @property
    def sessions(self) -> dict[str, tuple[Session, Any]]:  # type: ignore[override] # no protocol handlers of amqtt's here
        return {session.client_id: (session, None) for session in self.table}

    @property
    def retained_messages(self) -> dict[str, RetainedApplicationMessage]:
        return {message.topic: as_amqtt_has_it(message) for message in self.delivery.retained}

    @property
    def subscriptions(self) -> dict[str, list[tuple[Session, int]]]:  # type: ignore[override]
        seen: dict[str, list[tuple[Session, int]]] = {}
        for session in self.table:
            for subscription in session.subscriptions.values():
                seen.setdefault(subscription.filter, []).append((session, subscription.qos))
        return seen


def _who(session: Session, topic: str, reason: str) -> dict[str, Any]:
    return {
        logs.ACCOUNT: session.account,
        logs.CLIENT_ID: session.client_id,
        logs.TOPIC: topic,
        logs.REASON: reason,
    }
