"""A judged message in, deliveries out: subscriptions, retained messages, and the question to the topic rules for each receiver.

Nothing is delivered that the receiver may not receive at that moment, retained messages included. What can't be decided at
once is returned as work to await; who hands a message in sees to that, and so keeps the order.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from amqtt.broker import RetainedApplicationMessage
from amqtt.events import BrokerEvents

from gateway.model import Action
from gateway.topics import SHARE_PREFIX

from .codec.packets import Subscription
from .message import Message
from .retained import Retained
from .router import Router
from .session import Session

if TYPE_CHECKING:
    from gateway.config import LimitSettings
    from gateway.metrics import Messages

    from .hooks import Hooks

Undecided = Coroutine[Any, Any, None] | None
_Chosen = list[tuple[Session, Sequence[Subscription]]]


# Topics whose receivers are remembered: what 5,000 docks and their aircraft publish on most.
_MOST_PLANS = 32_768


class Delivery:
    def __init__(self, hooks: Hooks, limits: LimitSettings, metrics: Messages, clock: Callable[[], float]) -> None:
        self.router: Router[Session] = Router()
        self.retained = Retained(messages=limits.retained_messages, size=limits.retained_bytes)
        self._hooks = hooks
        self._metrics = metrics
        self._clock = clock
        self._plans: dict[str, _Chosen] = {}
        self._planned_for: tuple[int | None, int] = (None, 0)

    def route(self, message: Message) -> Undecided:
        """Deliver to every session that subscribed and may receive it. What is returned has to be awaited for the rest."""
        topic = message.topic
        rules, router = self._hooks.rules_version(), self.router
        if (rules, router.version) != self._planned_for or len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
            self._planned_for = (rules, router.version)
        elif (plan := self._plans.get(topic)) is not None and not router.is_named(topic):
            for session, subscriptions in plan:
                _deliver(session, message, subscriptions)
            return None
        certain: _Chosen = []
        undecided: _Chosen = []
        for session, subscriptions in _by_session(router.match(topic)):
            allowed = self._hooks.allowed_now(session, topic, Action.RECEIVE)
            if allowed:
                certain.append((session, subscriptions))
                _deliver(session, message, subscriptions)
            elif allowed is None:
                undecided.append((session, subscriptions))
        groups = router.match_shared(topic)
        if undecided or groups:
            return self._route_rest(message, undecided, groups)
        if rules is not None and not router.is_named(topic):
            self._plans[topic] = certain
        return None

    async def _route_rest(
        self, message: Message, undecided: _Chosen, groups: list[list[tuple[Session, Subscription]]]
    ) -> None:
        for session, subscriptions in undecided:
            if await self._hooks.allowed(session, message.topic, Action.RECEIVE):
                _deliver(session, message, subscriptions)
        for members in groups:
            await self._deliver_shared(message, members)

    async def _deliver_shared(self, message: Message, members: list[tuple[Session, Subscription]]) -> None:
        """The first who is there and may; else the first who may, for its queue (MQTT 5, 4.8.2)."""
        for wants_connected in (True, False):
            for session, subscription in members:
                if session.connected is wants_connected and await self._may_receive(session, message.topic):
                    _deliver(session, message, (subscription,))
                    return

    async def _may_receive(self, session: Session, topic: str) -> bool:
        allowed = self._hooks.allowed_now(session, topic, Action.RECEIVE)
        return await self._hooks.allowed(session, topic, Action.RECEIVE) if allowed is None else allowed

    def listens(self, topic: str, who: Callable[[Session], bool]) -> bool:
        """Is there a connected session, of those meant, that would get a message on ``topic`` now?"""
        shared = self.router.match_shared(topic, look_only=True)
        chosen = self.router.match(topic) + [pair for members in shared for pair in members]
        return any(
            session.connected and who(session) and bool(self._hooks.allowed_now(session, topic, Action.RECEIVE))
            for session, _ in chosen
        )

    # -- retained messages

    def retain(self, message: Message, owner: str | None) -> bool:
        """Keep it for later subscribers, or forget the topic's when it is empty; ``owner``: its publisher's account. False: there
        is no room.
        """
        kept = self.retained.put(message, owner, self._clock())
        if not kept:
            self._metrics.dropped.add("retained_limit")
        self._measure()
        if kept and self._hooks.listens(BrokerEvents.RETAINED_MESSAGE):
            self._hooks.fire(BrokerEvents.RETAINED_MESSAGE, client_id=None, retained_message=as_amqtt_has_it(message))
        return kept

    def forget(self, is_meant: Callable[[str], bool]) -> None:
        """What is retained on topics that are meant is for nobody any more."""
        for topic in [message.topic for message in self.retained if is_meant(message.topic)]:
            self.retained.drop(topic)
        self._measure()

    def tick(self, now: float) -> None:
        self.retained.expire(now)
        self._measure()

    def _measure(self) -> None:
        self._metrics.retained = len(self.retained)
        self._metrics.retained_bytes = self.retained.size

    def send_retained(self, session: Session, subscription: Subscription, *, is_new: bool) -> Undecided:
        """What is retained for a subscription just made (3.3.1.3; retain handling: MQTT 5, 3.8.3.1)."""
        wanted = subscription.retain_handling == 0 or (subscription.retain_handling == 1 and is_new)
        if not wanted or not len(self.retained) or subscription.filter.startswith(SHARE_PREFIX):
            return None
        found = self.retained.matching(subscription.filter, self._clock())
        return self._send_retained(session, subscription, found) if found else None

    async def _send_retained(self, session: Session, subscription: Subscription, found: list[Message]) -> None:
        """As fast as the client takes them: there may be more than its queue has room for."""
        for message in found:
            if subscription.no_local and message.source == session.client_id:
                continue
            await session.room(min(message.qos, subscription.qos))
            if session.subscriptions.get(subscription.filter) is not subscription:
                return  # it has subscribed anew, or does not want them any more, or is over
            if self.retained.is_current(message) and await self._may_receive(session, message.topic):
                session.deliver(
                    message,
                    qos=min(message.qos, subscription.qos),
                    retain=True,
                    subscription_ids=_identifiers((subscription,)),
                )


def as_amqtt_has_it(message: Message) -> RetainedApplicationMessage:
    """A retained message for plugins."""
    return RetainedApplicationMessage(None, message.topic, message.payload, message.qos)


def _by_session(matched: list[tuple[Session, Subscription]]) -> _Chosen:
    """Overlapping filters of one session come together: it gets the message once."""
    if len(matched) == 1:
        session, subscription = matched[0]
        return [(session, (subscription,))]
    together: dict[Session, list[Subscription]] = {}
    for session, subscription in matched:
        together.setdefault(session, []).append(subscription)
    return list(together.items())


def _deliver(session: Session, message: Message, subscriptions: Sequence[Subscription]) -> None:
    """At the highest QoS of its filters (3.1.1, 3.3.5), with all their identifiers (MQTT 5, 3.3.4)."""
    if message.source == session.client_id:
        subscriptions = [subscription for subscription in subscriptions if not subscription.no_local]
        if not subscriptions:
            return
    if len(subscriptions) == 1:
        subscription = subscriptions[0]
        qos, as_published = subscription.qos, subscription.retain_as_published
    else:
        qos = max(subscription.qos for subscription in subscriptions)
        as_published = any(subscription.retain_as_published for subscription in subscriptions)
    session.deliver(
        message,
        qos=min(message.qos, qos),
        retain=message.retain and as_published,
        subscription_ids=_identifiers(subscriptions),
    )


def _identifiers(subscriptions: Sequence[Subscription]) -> tuple[int, ...]:
    return tuple(subscription.identifier for subscription in subscriptions if subscription.identifier is not None)
