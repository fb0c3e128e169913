"""What a session may publish to, remembered: a topic comes in, and while the rules stay as they are, the answer of before goes out.

A dock says the same on the same few topics all day. Nothing is remembered that a plugin might answer in another way next
time (``Hooks.rules_version``), and of no session more than a few topics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.model import Identity

    from .hooks import Hooks, Intercept
    from .session import Session

# More than a dock and its aircraft publish on; a service that writes to a whole fleet is asked about each message.
_MOST_TOPICS = 32


class Verdicts:
    """Topics that were allowed, each with the interceptors that want its messages."""

    __slots__ = ("_allowed", "_hooks", "_identity", "_session", "_version")

    def __init__(self, hooks: Hooks, session: Session) -> None:
        self._hooks = hooks
        self._session = session
        self._allowed: dict[str, tuple[Intercept, ...]] = {}
        self._identity: Identity | None = None
        self._version: int | None = None

    def known(self, topic: str) -> tuple[Intercept, ...] | None:
        """Who wants to intercept what the session publishes there; None: it has to be judged."""
        if self._version is None or self._version != self._hooks.rules_version():
            return None
        return self._allowed.get(topic) if self._identity is self._session.identity else None

    def remember(self, topic: str) -> tuple[Intercept, ...]:
        """The session has just been allowed to publish there."""
        wanting = self._hooks.intercepts_of(self._session, topic)
        version, identity = self._hooks.rules_version(), self._session.identity
        if version != self._version or identity is not self._identity or len(self._allowed) >= _MOST_TOPICS:
            self._allowed.clear()
            self._version, self._identity = version, identity
        if version is not None:
            self._allowed[topic] = wanting
        return wanting
