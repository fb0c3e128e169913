"""A link that writes down what a session sends, in place of a connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.broker.codec.packets import Reason
from gateway.broker.message import Message
from gateway.broker.session import Session, SessionLimits


@dataclass(frozen=True)
class Sent:
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    dup: bool = False
    retain: bool = False


@dataclass(frozen=True)
class Released:
    """PUBREL."""

    packet_id: int


@dataclass
class RecordingLink:
    """``refuses``: payloads that are too large for this client."""

    congested: bool = False
    refuses: frozenset[bytes] = frozenset()
    sent: list[Sent | Released] = field(default_factory=list)
    closed: list[Reason] = field(default_factory=list)

    @property
    def connection(self) -> RecordingLink:
        return self

    def close(self, reason: Reason, *, say: bool = True) -> None:  # noqa: ARG002 - the link's own signature
        self.closed.append(reason)

    def send_publish(
        self,
        message: Message,
        *,
        qos: int,
        retain: bool,
        dup: bool,
        packet_id: int,
        subscription_ids: tuple[int, ...],  # noqa: ARG002 - MQTT 5 only
    ) -> bool:
        if message.payload in self.refuses:
            return False
        self.sent.append(Sent(message.payload, qos, packet_id, dup, retain))
        return True

    def send_pubrel(self, packet_id: int) -> None:
        self.sent.append(Released(packet_id))

    def taken(self) -> list[Sent | Released]:
        """What has been sent since the last look."""
        taken, self.sent = self.sent, []
        return taken


@dataclass
class Drops:
    count: int = 0

    def __call__(self, more: int) -> None:
        self.count += more


def session_of(
    *, inflight: int = 3, queued_messages: int = 100, queued_bytes: int = 100_000
) -> tuple[Session, RecordingLink, Drops]:
    """A connected session."""
    drops, link = Drops(), RecordingLink()
    session = Session(
        SessionLimits(inflight=inflight, queued_messages=queued_messages, queued_bytes=queued_bytes), dropped=drops
    )
    session.link = link
    return session, link, drops


def message(payload: bytes | int, *, expires_at: float | None = None) -> Message:
    return Message("t", payload if isinstance(payload, bytes) else b"%d" % payload, qos=2, expires_at=expires_at)
