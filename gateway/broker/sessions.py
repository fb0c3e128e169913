"""The table of sessions: who has which client id, what happens when a connection opens, ends, comes back or never does.

Only a login that was accepted gets here; another account's session is never touched, seen or continued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .codec.packets import Connect, Reason, Will
from .session import Session

if TYPE_CHECKING:
    from gateway.config import LimitSettings
    from gateway.metrics import Metrics

    from .router import Router


class Sessions:
    """``will_due(session, will)`` is called when a will has to be published."""

    def __init__(
        self,
        limits: LimitSettings,
        metrics: Metrics,
        router: Router[Session],
        *,
        clock: Callable[[], float],
        will_due: Callable[[Session, Will], None],
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._router = router
        self._clock = clock
        self._will_due = will_due
        self._table: dict[str, Session] = {}
        self._by_account: Counter[str] = Counter()  # connections
        self._sessions_of: Counter[str] = Counter()
        self._waiting: dict[Session, float] = {}  # absent ones: when their next time limit is

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._table.values()))

    def __len__(self) -> int:
        return len(self._table)

    def get(self, client_id: str) -> Session | None:
        return self._table.get(client_id)

    def open(self, session: Session, connect: Connect) -> tuple[Session, bool] | Reason:
        """Put a session in the table, or continue the one that is there. A Reason: refused, and nothing has changed."""
        old = self._table.get(session.client_id)
        if old is not None and old.account != session.account:
            return Reason.CLIENT_IDENTIFIER_NOT_VALID
        most = self._limits.connections_per_account
        taken_over = old is not None and old.connected
        if most and self._by_account[session.account] - taken_over >= most:
            return Reason.QUOTA_EXCEEDED
        if old is not None and old.link is not None:
            self._metrics.connections.taken_over += 1
            old.link.connection.close(Reason.SESSION_TAKEN_OVER)  # [MQTT-3.1.4-2]
            old = self._table.get(session.client_id)
        present = False
        if old is not None:
            if connect.clean_start:
                self.end(old)
            else:
                self._waiting.pop(old, None)
                old.take(session)  # a delayed will of before is not due any more (MQTT 5, 3.1.3.2.2)
                session, present = old, True
        if not present:
            self._make_room(session.account)
            self._sessions_of[session.account] += 1
        session.clean_session = connect.clean_start
        session.expiry_s = self._expiry_of(connect)
        session.window = min(connect.receive_maximum, self._limits.inflight)
        session.transitions.state = "connected"
        self._table[session.client_id] = session
        self._by_account[session.account] += 1
        self._metrics.messages.sessions = len(self._table)
        return session, present

    def _make_room(self, account: str) -> None:
        """What waits for its client costs as much as a connection: an account may have as many of both together as of
        connections, and who has been away longest goes first.
        """
        most = self._limits.connections_per_account
        if most and self._sessions_of[account] >= most:
            longest = next((session for session in self._waiting if session.account == account), None)
            if longest is not None:
                self.end(longest)

    def _expiry_of(self, connect: Connect) -> float:
        """3.1.1 has no interval: clean ends with the connection, the rest is kept as long as we keep any (MQTT 5, 3.1.2.11.2)."""
        if connect.session_expiry_s is not None:
            return float(min(connect.session_expiry_s, self._limits.session_expiry_s))
        return 0.0 if connect.clean_start else float(self._limits.session_expiry_s)

    def disconnected(self, session: Session, *, graceful: bool) -> None:
        """Its connection has ended. ``graceful``: the client said so, and its will is not wanted (3.1.2.5)."""
        session.link = None
        session.made_room()
        session.ssl_object = None  # some 30 kB, and the session may be kept for days
        session.transitions.state = "disconnected"
        self._by_account[session.account] -= 1
        if not self._by_account[session.account]:
            del self._by_account[session.account]
        now = self._clock()
        session.expires_at = now + session.expiry_s
        if graceful:
            session.will = None
        will = session.will
        if will is not None and (not will.delay_s or not session.expiry_s):
            session.will = None
            self._will_due(session, will)
        if not session.expiry_s:
            self.end(session)
            return
        # whichever comes first, the end of the session or the delay (MQTT 5, 3.1.3.2.2)
        delay = session.will.delay_s if session.will is not None else session.expiry_s
        session.will_at = now + delay
        self._waiting[session] = min(session.expires_at, session.will_at)

    def tick(self, now: float) -> None:
        for session in [session for session, due in self._waiting.items() if due <= now]:
            will, session.will = session.will, None
            if will is not None:
                self._will_due(session, will)
            if session.expires_at <= now:
                self.end(session)
            else:
                self._waiting[session] = session.expires_at

    def end(self, session: Session) -> None:
        """Forget it with its subscriptions and its queue. A will that still waits is due now (MQTT 5, 3.1.3.2.2)."""
        if self._table.get(session.client_id) is session:
            del self._table[session.client_id]
            self._sessions_of[session.account] -= 1
            if not self._sessions_of[session.account]:
                del self._sessions_of[session.account]
        self._waiting.pop(session, None)
        for topic_filter in list(session.subscriptions):
            self._router.unsubscribe(session, topic_filter)
        will, session.will = session.will, None
        if will is not None:
            self._will_due(session, will)
        session.end()
        self._metrics.messages.sessions = len(self._table)
