"""What the packets of a logged-in client do. It asks the hooks for every right, and hands messages to the broker.

Order: packets of one connection are handled one after another; one that has to wait for a plugin holds the next ones back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import TYPE_CHECKING, Any

from amqtt.events import BrokerEvents
from amqtt.session import IncomingApplicationMessage

from gateway.contacts import Filter
from gateway.model import Action
from gateway.topics import SHARE_PREFIX, is_valid_filter, split_share

from .aliases import Aliases
from .codec import v311
from .codec.packets import (
    Auth,
    Connect,
    Disconnect,
    MqttError,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Reason,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from .codec.strings import check_topic
from .errands import Errands
from .first_contact import facts_of
from .message import Message
from .session import DENIED
from .verdicts import Verdicts

if TYPE_CHECKING:
    from .connection import Connection
    from .hooks import Intercept
    from .session import Session

# Topics that one connection may give a number to (MQTT 5, 3.2.2.3.8): more than a dock has.
TOPIC_ALIASES = 32


def _as_amqtt_has_it(publish: Publish) -> IncomingApplicationMessage:
    return IncomingApplicationMessage(publish.packet_id, publish.topic, publish.qos, publish.payload, publish.retain)


class Exchange:
    """A logged-in connection and its session; it is the session's link."""

    __slots__ = (
        "_aliases",
        "_encode",
        "_errands",
        "_is_kept",
        "_maximum_packet_size",
        "_said",
        "_verdicts",
        "broker",
        "codec",
        "congested",
        "connection",
        "graceful",
        "session",
    )

    def __init__(self, connection: Connection, session: Session, codec: ModuleType, connect: Connect) -> None:
        self.connection = connection
        self.broker = connection.broker
        self.session = session
        self.codec = codec
        self.congested = False
        self.graceful = False  # DISCONNECT came: no will (3.1.2.5)
        self._is_kept = True  # of the last message that was to be retained
        self._aliases: dict[int, str] = {}
        self._maximum_packet_size = connect.maximum_packet_size
        self._encode: Callable[..., bytes] = codec.publish
        if connect.topic_alias_maximum:
            self._encode = Aliases(connect.topic_alias_maximum, connect.maximum_packet_size).publish
        self._said = facts_of(connect, listener=connection.listener, tls=session.ssl_object)
        self._errands = Errands(connection, session, self.broker.tasks, self.broker.limits.requests_waiting)
        self._verdicts = Verdicts(self.broker.hooks, session)
        session.link = self
        self.broker.note_contact(session, self._said)

    # -- packets in

    def handle(self, packet: bytes, header: int) -> None:
        """Raises MqttError when the client broke the protocol."""
        if packet[0] == 0x10:
            raise MqttError(Reason.PROTOCOL_ERROR, "a second CONNECT [MQTT-3.1.0-2]")
        match self.codec.decode(packet, header):
            case Publish() as publish:
                self._publish(publish)
            case PubAck(packet_id):
                self.connection.acknowledge_now()
                self.session.puback(packet_id, self.broker.now)
            case PubRec(packet_id, reason):
                if self.session.pubrec(packet_id, failed=reason >= 0x80, now=self.broker.now):
                    self.connection.write(self.codec.pubrel(packet_id))
            case PubRel(packet_id):
                known = packet_id in self.session.received
                self.session.received.pop(packet_id, None)
                reason = Reason.SUCCESS if known else Reason.PACKET_IDENTIFIER_NOT_FOUND
                self.connection.write(self.codec.pubcomp(packet_id, reason))
            case PubComp(packet_id):
                self.session.pubcomp(packet_id, self.broker.now)
            case PingReq():
                self._spend(1)
                self.connection.write(v311.PINGRESP)
            case Subscribe() as subscribe:
                self._spend(len(subscribe.subscriptions))
                self._subscribe(subscribe)
            case Unsubscribe(packet_id, filters):
                self._spend(len(filters))
                self._unsubscribe(packet_id, filters)
            case Disconnect() as disconnect:
                self._disconnect(disconnect)
            case Auth():
                raise MqttError(Reason.PROTOCOL_ERROR, "AUTH without an authentication method")

    def _disconnect(self, disconnect: Disconnect) -> None:
        expiry_s = disconnect.session_expiry_s
        if expiry_s is not None:
            if expiry_s and not self.session.expiry_s:
                raise MqttError(Reason.PROTOCOL_ERROR, "a session that ends can't be prolonged (MQTT 5, 3.14.2.2.2)")
            self.session.expiry_s = float(min(expiry_s, self.broker.limits.session_expiry_s))
        self.graceful = disconnect.reason == Reason.SUCCESS  # with any other the will is wanted [MQTT-3.1.2-8]
        self.connection.close(Reason.SUCCESS, say=False)

    # -- PUBLISH

    def _unalias(self, publish: Publish, alias: int) -> None:
        """MQTT 5, 3.3.2.3.4: a topic may be given a number once and be called by it from then on."""
        if alias > TOPIC_ALIASES:
            raise MqttError(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias}, at most {TOPIC_ALIASES} are taken")
        if publish.topic:
            self._aliases[alias] = publish.topic
        elif alias in self._aliases:
            publish.topic = self._aliases[alias]
        else:
            raise MqttError(Reason.PROTOCOL_ERROR, f"topic alias {alias} stands for nothing (3.3.2.3.4)")

    def _spend(self, number: int) -> None:
        """What asks for work counts as messages do: a filter, a ping."""
        self.connection.spent_messages += number
        if self.connection.spent_messages > self.broker.limits.messages_per_second:
            raise MqttError(Reason.MESSAGE_RATE_TOO_HIGH, "more messages a second than limits.messages_per_second")

    def _publish(self, publish: Publish) -> None:
        limits = self.broker.limits
        self._spend(1)
        if publish.topic_alias is not None:
            self._unalias(publish, publish.topic_alias)
        intercepts = self._verdicts.known(publish.topic)
        if intercepts is not None and not publish.qos:
            undecided = self._accepted(publish, intercepts)
            if undecided is not None:
                self.connection.later(undecided, name="deliver")
            return
        check_topic(publish.topic)  # [MQTT-3.3.2-2]
        if not self.broker.takes(publish.topic):
            self.session.attributes[DENIED] = "topic_limit"
            self._judged(publish, allowed=False, refusal=Reason.TOPIC_NAME_INVALID)
            return
        if publish.topic.startswith("$"):  # those are the server's own (4.7.2)
            self._judged(publish, allowed=False)
            return
        if publish.qos == 2 and publish.packet_id in self.session.received:
            # Sent again because our PUBREC was lost: it has been passed on already (4.3.3).
            self.connection.write(self.codec.pubrec(publish.packet_id))
            return
        # MQTT 5, 4.9; a client of 3.1.1 was told of no limit, and its identifiers are one
        if publish.qos == 2 and self.codec is not v311 and len(self.session.received) >= limits.inflight:
            raise MqttError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "too many QoS 2 messages without PUBREL")
        if intercepts is not None:
            self._judged(publish, allowed=True, intercepts=intercepts)
            return
        allowed = self.broker.hooks.allowed_now(self.session, publish.topic, Action.PUBLISH)
        if allowed is None:
            self.connection.later(self._judge(publish), name="publish")
        else:
            self._judged(publish, allowed=allowed)

    async def _judge(self, publish: Publish) -> None:
        allowed = await self.broker.hooks.allowed(self.session, publish.topic, Action.PUBLISH)
        undecided = self._judged(publish, allowed=allowed)
        if undecided is not None:
            await undecided

    def _judged(
        self,
        publish: Publish,
        *,
        allowed: bool,
        intercepts: tuple[Intercept, ...] | None = None,
        refusal: Reason = Reason.NOT_AUTHORIZED,
    ) -> Coroutine[Any, Any, None] | None:
        """Pass on or drop, then acknowledge. A refused message is acknowledged all the same: 3.1.1 has no other way (3.3.5)."""
        undecided = None
        self._is_kept = True
        if allowed:
            if intercepts is None:
                intercepts = self._verdicts.remember(publish.topic)
            undecided = self._accepted(publish, intercepts)
        else:
            self.broker.refused_publish(self.connection, self.session, publish.topic)
        if publish.qos:
            reason = refusal if not allowed else Reason.SUCCESS if self._is_kept else Reason.QUOTA_EXCEEDED
            if publish.qos == 1:
                self.connection.write(self.codec.puback(publish.packet_id, reason))
            else:
                if reason is Reason.SUCCESS:
                    self.session.received[publish.packet_id] = None
                self.connection.write(self.codec.pubrec(publish.packet_id, reason))
        if undecided is not None and not self.connection.busy:
            self.connection.later(undecided, name="deliver")
            return None
        return undecided

    def _accepted(self, publish: Publish, intercepts: tuple[Intercept, ...]) -> Coroutine[Any, Any, None] | None:
        broker = self.broker
        broker.metrics.messages.received += 1
        message = Message(
            publish.topic,
            publish.payload,
            qos=publish.qos,
            retain=publish.retain,
            properties=publish.properties,
            source=self.session.client_id,
            expires_at=None if publish.properties is None else broker.expiry_of(publish.properties),
            plain=publish.plain,
        )
        route = True
        for outcome in broker.hooks.intercept(intercepts, self.session, message):
            route = route and outcome.route
            if outcome.work is not None:
                self._errands.add(outcome.work)
            for reply in outcome.replies:
                self.session.reply(reply)
        for event in (BrokerEvents.MESSAGE_RECEIVED, BrokerEvents.MESSAGE_BROADCAST):
            if broker.hooks.listens(event):
                broker.hooks.fire(event, client_id=self.session.client_id, message=_as_amqtt_has_it(publish))
        if not route:
            return None
        if (
            message.retain
            and not broker.retain(message, self.session.account)
            and publish.qos
            and self.codec is not v311
        ):
            # It has to be stored [MQTT-3.3.1-5]: its publisher is told that it was not taken. Where nobody can be told, it is at
            # least delivered to those who are there.
            self._is_kept = False
            return None
        return broker.delivery.route(message)

    # -- SUBSCRIBE, UNSUBSCRIBE

    def _subscribe(self, subscribe: Subscribe) -> None:
        answers = [self._answer_now(subscription) for subscription in subscribe.subscriptions]
        if None in answers:
            self.connection.later(self._judge_subscribe(subscribe), name="subscribe")
        else:
            self._subscribed(subscribe, [answer for answer in answers if answer is not None])

    def _answer_now(self, subscription: Subscription) -> Reason | None:
        if (refusal := self._unfit(subscription.filter)) is not None:
            return refusal
        allowed = self.broker.hooks.allowed_now(self.session, subscription.filter, Action.SUBSCRIBE)
        return None if allowed is None else self._grant(subscription, allowed=allowed)

    def _unfit(self, topic_filter: str) -> Reason | None:
        if not is_valid_filter(topic_filter):
            return Reason.TOPIC_FILTER_INVALID
        if topic_filter.startswith(SHARE_PREFIX) and split_share(topic_filter) is None:
            return Reason.TOPIC_FILTER_INVALID
        if not self.broker.takes(topic_filter):
            return Reason.TOPIC_FILTER_INVALID
        return None

    def _grant(self, subscription: Subscription, *, allowed: bool) -> Reason:
        """A plugin that says no without saying why may have failed, or not wish to tell: 0x80 is for that (MQTT 5, 3.9.3)."""
        if allowed:
            return Reason(subscription.qos)
        return Reason.NOT_AUTHORIZED if DENIED in self.session.attributes else Reason.UNSPECIFIED_ERROR

    async def _judge_subscribe(self, subscribe: Subscribe) -> None:
        answers = []
        for subscription in subscribe.subscriptions:
            answer = self._unfit(subscription.filter)
            if answer is None:
                allowed = await self.broker.hooks.allowed(self.session, subscription.filter, Action.SUBSCRIBE)
                answer = self._grant(subscription, allowed=allowed)
            answers.append(answer)
        self._subscribed(subscribe, answers)

    def _subscribed(self, subscribe: Subscribe, answers: list[Reason]) -> None:
        """One refused filter leaves the others granted (docs/protocol.md 2)."""
        if self.session.link is not self:
            return
        fresh = []
        most, mine = self.broker.limits.subscriptions, self.session.subscriptions
        for index, subscription in enumerate(subscribe.subscriptions):
            if len(mine) >= most and subscription.filter not in mine and answers[index] < 0x80:
                answers[index] = Reason.QUOTA_EXCEEDED
            if answers[index] >= 0x80:
                self.broker.refused_subscription(self.connection, self.session, subscription.filter)
                continue
            fresh.append((subscription, self.broker.delivery.router.subscribe(self.session, subscription)))
            mine[subscription.filter] = subscription
            self.broker.hooks.fire(
                BrokerEvents.CLIENT_SUBSCRIBED,
                client_id=self.session.client_id,
                topic=subscription.filter,
                qos=subscription.qos,
            )
        self._answer(self.codec.suback(subscribe.packet_id, answers))
        self.broker.note_contact(
            self.session,
            self._said,
            [
                Filter(subscription.filter, subscription.qos, answer < 0x80)
                for subscription, answer in zip(subscribe.subscriptions, answers, strict=True)
            ],
        )
        for subscription, is_new in fresh:
            self.broker.finish(self.broker.delivery.send_retained(self.session, subscription, is_new=is_new))

    def _unsubscribe(self, packet_id: int, filters: tuple[str, ...]) -> None:
        answers = []
        for topic_filter in filters:
            # Only what was subscribed is looked up: an ill-formed filter would lead to the wrong place.
            known = self.session.subscriptions.pop(topic_filter, None) is not None
            if known:
                self.broker.delivery.router.unsubscribe(self.session, topic_filter)
            answers.append(Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED)
            self.broker.hooks.fire(
                BrokerEvents.CLIENT_UNSUBSCRIBED, client_id=self.session.client_id, topic=topic_filter
            )
        self._answer(self.codec.unsuback(packet_id, answers))

    def _answer(self, packet: bytes) -> None:
        """Of the answers only these two grow with what was asked."""
        if self._maximum_packet_size is not None and len(packet) > self._maximum_packet_size:
            raise MqttError(Reason.PACKET_TOO_LARGE, "the answer would be larger than the client takes [MQTT-3.1.2-24]")
        self.connection.write(packet)

    # -- the session's link

    def send_publish(
        self, message: Message, *, qos: int, retain: bool, dup: bool, packet_id: int, subscription_ids: tuple[int, ...]
    ) -> bool:
        transport = self.connection.transport
        if transport is None:
            return True
        if qos == 0 and not retain and self.codec is v311:
            self.broker.metrics.messages.sent += 1
            transport.write(message.plain())
            return True
        packet = self._encode(
            message.topic_bytes,
            message.payload,
            qos=qos,
            retain=retain,
            dup=dup,
            packet_id=packet_id,
            properties=message.properties_at(self.broker.now),
            subscription_ids=subscription_ids,
        )
        if self._maximum_packet_size is not None and len(packet) > self._maximum_packet_size:
            self.broker.metrics.messages.dropped.add("packet_too_large")  # [MQTT-3.1.2-25]
            return False
        self.broker.metrics.messages.sent += 1
        transport.write(packet)
        return True

    def send_pubrel(self, packet_id: int) -> None:
        self.connection.write(self.codec.pubrel(packet_id))

    # -- the end

    def lost(self) -> None:
        """The connection is gone, whoever closed it."""
        self.broker.closed(self.connection, self.session, self)
