"""What MQTT keeps for a client between its packets and between its connections: window, offline queue, QoS 2 state.

It decides no right and opens nothing: packets leave through the link of the moment, if there is one. It is an amqtt ``Session``
for plugins, without the state machine and the queues that amqtt builds for each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from amqtt.session import Session as AmqttSession

from .message import Message

if TYPE_CHECKING:
    from gateway.model import Identity, OutgoingMessage

    from .codec.packets import Reason, Subscription, Will

# The attribute under which the login plugin leaves the Identity (amqtt: "keys should be namespaced").
IDENTITY = "dockgate.identity"
# Under which it may leave the Reason that CONNACK is to give; without one it is "not authorized".
REFUSAL = "dockgate.refusal"
# Under which it may leave why the topic rules said no the last time, for the log.
DENIED = "dockgate.denied"
# Under which the broker leaves why the connection has ended, for ``session_closed``.
CLOSED = "dockgate.closed"


class Closable(Protocol):
    def close(self, reason: Reason, *, say: bool = True) -> None: ...


class Link(Protocol):
    """The connection a session has at the moment."""

    congested: bool

    @property
    def connection(self) -> Closable: ...

    def send_publish(
        self, message: Message, *, qos: int, retain: bool, dup: bool, packet_id: int, subscription_ids: tuple[int, ...]
    ) -> bool:
        """False: it can't go to this client (over its maximum packet size); it counts as delivered."""

    def send_pubrel(self, packet_id: int) -> None: ...


@dataclass(slots=True)
class Delivery:
    """A message that waits for its turn or for its acknowledgement."""

    message: Message
    qos: int
    retain: bool
    subscription_ids: tuple[int, ...]
    released: bool = False  # QoS 2: PUBREC has come, PUBREL is out


@dataclass(frozen=True, slots=True)
class SessionLimits:
    inflight: int
    queued_messages: int
    queued_bytes: int


# An empty deque takes 760 bytes, and hardly a session ever has anything in its queue. What would be put into this one is dropped.
_NOTHING: deque[Delivery] = deque(maxlen=0)


class _State:
    """The two questions that amqtt's plugins ask of ``session.transitions``."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = "new"

    def is_connected(self) -> bool:
        return self.state == "connected"

    def is_disconnected(self) -> bool:
        return self.state == "disconnected"


class Session(AmqttSession):
    """One client id of one account."""

    # More attributes than CPython shares the names of among instances: without slots each session has a table of its own
    __slots__ = (
        "_again", "_dropped", "_limits", "_next_id", "_queue", "_queued_bytes", "_wait_for_room", "account",
        "attributes", "clean_session", "client_id", "expires_at", "expiry_s", "inflight_in", "inflight_out",
        "is_anonymous", "keep_alive", "last_connect_time", "last_disconnect_time", "link", "parent", "password",
        "received", "remote_address", "remote_port", "ssl_object", "subscriptions", "transitions", "username", "will",
        "will_at", "will_flag", "will_message", "will_qos", "will_retain", "will_topic", "window",
    )  # fmt: skip

    transitions: _State  # type: ignore[assignment] # amqtt builds a state machine for each session: 10 % of an access

    # Two sessions are the same when they are one object; amqtt compares client ids and so makes its sessions unhashable.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __init__(
        self, limits: SessionLimits, *, dropped: Callable[[int], None]
    ) -> None:  # no super: see the class of amqtt
        self.transitions = _State()
        self.attributes: dict[str, Any] = {}
        self.remote_address = None
        self.remote_port = None
        self.client_id: str = ""
        self.clean_session = True
        self.will_flag = False
        self.will_message = self.will_qos = self.will_retain = self.will_topic = None
        self.keep_alive = 0
        self.username = self.password = None
        self.ssl_object = None
        self.is_anonymous = False
        self.parent = 0
        self.last_connect_time = self.last_disconnect_time = None
        self.inflight_out: dict[int, Delivery] = {}  # type: ignore[assignment] # ours holds deliveries, not amqtt's messages
        self.inflight_in = {}  # type: ignore[assignment]
        self.account = ""
        self.link: Link | None = None
        self.will: Will | None = None
        self.expiry_s = 0.0
        self.expires_at = 0.0  # once it is absent
        self.will_at = 0.0
        self.subscriptions: dict[str, Subscription] = {}
        # QoS 2 identifiers between PUBLISH and PUBREL; a set takes more while it is empty
        self.received: dict[int, None] = {}
        self.window = limits.inflight
        self._limits = limits
        self._dropped = dropped
        self._queue = _NOTHING
        self._queued_bytes = 0
        self._again: dict[int, None] = {}  # in flight since a connection before this one, and not sent on this one yet
        self._next_id = 0
        self._wait_for_room: tuple[asyncio.Future[None], ...] = ()

    def __repr__(self) -> str:
        return f"Session(client_id={self.client_id!r}, account={self.account!r}, state={self.transitions.state})"

    @property
    def connected(self) -> bool:
        return self.link is not None

    @property
    def identity(self) -> Identity | None:
        return self.attributes.get(IDENTITY)

    def take(self, other: Session) -> None:
        """Go on under the login of ``other``: same account, new connection."""
        for name in (
            "attributes",
            "remote_address",
            "remote_port",
            "ssl_object",
            "keep_alive",
            "username",
            "will",
            "will_flag",
            "will_topic",
            "will_message",
            "will_qos",
            "will_retain",
        ):
            setattr(self, name, getattr(other, name))
        self.parent = 1

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def retained_messages_count(self) -> int:
        return len(self._queue)

    # -- outgoing

    def deliver(
        self, message: Message, *, qos: int, retain: bool = False, subscription_ids: tuple[int, ...] = ()
    ) -> None:
        """Send now if the window allows, else keep for later; within one QoS the order is kept (MQTT 3.1.1, 4.6)."""
        link = self.link
        if qos == 0 and link is not None:
            if link.congested:
                self._dropped(1)
            else:
                link.send_publish(
                    message, qos=0, retain=retain, dup=False, packet_id=0, subscription_ids=subscription_ids
                )
            return
        delivery = Delivery(message, qos, retain, subscription_ids)
        if link is not None and not self._queue and self._has_room():
            self._send(link, delivery)
        else:
            self._enqueue(delivery)

    async def room(self, qos: int) -> None:
        """Wait until a message of this QoS would leave at once, or the connection has ended."""
        while (link := self.link) is not None and (
            link.congested if qos == 0 else bool(self._queue) or not self._has_room()
        ):
            waiter = asyncio.get_running_loop().create_future()
            self._wait_for_room = (*self._wait_for_room, waiter)
            await waiter

    def made_room(self) -> None:
        """Something has left, or the connection has ended."""
        waiting, self._wait_for_room = self._wait_for_room, ()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def reply(self, outgoing: OutgoingMessage) -> None:
        """A message for this session alone: at QoS 1 when it subscribed to that topic with QoS 1 or 2, else at QoS 0."""
        subscription = self.subscriptions.get(outgoing.topic)
        qos = min(1, subscription.qos) if subscription is not None else 0
        if qos == 0 and self.link is None:
            return
        self.deliver(Message(outgoing.topic, outgoing.payload, qos=qos), qos=qos)

    def _has_room(self) -> bool:
        """For one more of QoS 1 or 2; the client may take fewer now than on its last connection [MQTT-3.3.4-9]."""
        return len(self.inflight_out) - len(self._again) < self.window

    def _send(self, link: Link, delivery: Delivery) -> None:
        packet_id = self._free_id()
        self.inflight_out[packet_id] = delivery
        sent = link.send_publish(
            delivery.message,
            qos=delivery.qos,
            retain=delivery.retain,
            dup=False,
            packet_id=packet_id,
            subscription_ids=delivery.subscription_ids,
        )
        if not sent:
            del self.inflight_out[packet_id]

    def _free_id(self) -> int:
        number = self._next_id
        while True:
            number = number % 65_535 + 1
            if number not in self.inflight_out:
                self._next_id = number
                return number

    def _enqueue(self, delivery: Delivery) -> None:
        if self._queue is _NOTHING:
            self._queue = deque()
        self._queue.append(delivery)
        self._queued_bytes += delivery.message.size
        while len(self._queue) > self._limits.queued_messages or self._queued_bytes > self._limits.queued_bytes:
            self._drop_one()

    def _drop_one(self) -> None:
        """The oldest QoS 0 message goes first, then the oldest of all."""
        index = next((i for i, waiting in enumerate(self._queue) if waiting.qos == 0), 0)
        self._queued_bytes -= self._queue[index].message.size
        del self._queue[index]
        self._dropped(1)

    def drain(self, now: float) -> None:
        """Send what waits, as far as the window allows."""
        link = self.link
        if link is None:
            return
        while self._again and self._has_room():
            self._send_again(link, next(iter(self._again)))
        while self._queue and (not self._queue[0].qos or self._has_room()):
            self._send_queued(link, self._queue.popleft(), now)

    def _send_queued(self, link: Link, delivery: Delivery, now: float) -> None:
        self._queued_bytes -= delivery.message.size
        expires_at = delivery.message.expires_at
        if expires_at is not None and expires_at <= now:
            return
        if delivery.qos:
            self._send(link, delivery)
        else:
            link.send_publish(
                delivery.message,
                qos=0,
                retain=delivery.retain,
                dup=False,
                packet_id=0,
                subscription_ids=delivery.subscription_ids,
            )

    def _send_again(self, link: Link, packet_id: int) -> None:
        del self._again[packet_id]
        delivery = self.inflight_out[packet_id]
        sent = link.send_publish(
            delivery.message,
            qos=delivery.qos,
            retain=delivery.retain,
            dup=True,
            packet_id=packet_id,
            subscription_ids=delivery.subscription_ids,
        )
        if not sent:
            del self.inflight_out[packet_id]

    def resume(self, now: float) -> None:
        """After a reconnect: unacknowledged messages again in their order, with DUP, then the queue (MQTT 3.1.1, 4.4)."""
        link = self.link
        if link is None:
            return
        self._again = {packet_id: None for packet_id, delivery in self.inflight_out.items() if not delivery.released}
        for packet_id, delivery in list(self.inflight_out.items()):
            if delivery.released:
                link.send_pubrel(packet_id)
            elif self._has_room():
                self._send_again(link, packet_id)
        self.drain(now)
        # QoS 0 does not wait for the window, and what is published from now on must not overtake it (4.6)
        waiting, self._queue = self._queue, _NOTHING
        for delivery in waiting:
            if not delivery.qos:
                self._send_queued(link, delivery, now)
            elif self._queue is _NOTHING:
                self._queue = deque((delivery,))
            else:
                self._queue.append(delivery)

    # -- acknowledgements of what we sent

    def puback(self, packet_id: int, now: float) -> None:
        delivery = self.inflight_out.get(packet_id)
        if delivery is not None and delivery.qos == 1:
            self._acknowledged(packet_id, now)

    def pubrec(self, packet_id: int, *, failed: bool, now: float) -> bool:
        """True: answer with PUBREL. An unknown identifier is answered too, or its sender would never be rid of it."""
        delivery = self.inflight_out.get(packet_id)
        if failed:
            if delivery is not None:
                self._acknowledged(packet_id, now)
            return False
        if delivery is not None and delivery.qos == 2:
            delivery.released = True
            self._again.pop(packet_id, None)
        return True

    def pubcomp(self, packet_id: int, now: float) -> None:
        delivery = self.inflight_out.get(packet_id)
        if delivery is not None and delivery.released:
            self._acknowledged(packet_id, now)

    def _acknowledged(self, packet_id: int, now: float) -> None:
        del self.inflight_out[packet_id]
        self._again.pop(packet_id, None)
        self.drain(now)
        if self._wait_for_room:
            self.made_room()

    def forget(self, is_meant: Callable[[str], bool]) -> None:
        """Drop what waits, or waits to be acknowledged, on topics that are meant; nobody is to get it any more."""
        kept = [delivery for delivery in self._queue if not is_meant(delivery.message.topic)]
        if len(kept) < len(self._queue):
            self._queue = deque(kept) if kept else _NOTHING
            self._queued_bytes = sum(delivery.message.size for delivery in kept)
        for packet_id, delivery in list(self.inflight_out.items()):
            if not delivery.released and is_meant(delivery.message.topic):
                del self.inflight_out[packet_id]
                self._again.pop(packet_id, None)

    def end(self) -> None:
        """Forget everything: the session is over."""
        self.link = None
        self.made_room()
        self.inflight_out.clear()
        self._again.clear()
        self.received.clear()
        self._queue = _NOTHING
        self._queued_bytes = 0
        self.subscriptions.clear()
