"""Retained messages (MQTT 3.1.1, 3.3.1.3): one for each topic, bounded by number and bytes; who may see one is asked elsewhere.

No account can have all of the room: each has at most half of what the others leave, so that there is always some for the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from gateway.topics import matches

from .message import Message

# Expiries of messages that were replaced meanwhile are thrown out when there are more of them than of others.
_LEAST_EXPIRIES = 64


class _Kept(NamedTuple):
    message: Message
    owner: str | None
    size: int


class Retained:
    def __init__(self, *, messages: int, size: int) -> None:
        self._by_topic: dict[str, _Kept] = {}
        self._limit = messages
        self._size_limit = size
        self._count_of: Counter[str | None] = Counter()
        self._size_of: Counter[str | None] = Counter()
        self._expiries: list[tuple[float, str]] = []
        self.size = 0

    def __iter__(self) -> Iterator[Message]:
        return (kept.message for kept in self._by_topic.values())

    def __len__(self) -> int:
        return len(self._by_topic)

    def is_current(self, message: Message) -> bool:
        """Whether it is still what its topic has."""
        kept = self._by_topic.get(message.topic)
        return kept is not None and kept.message is message

    def put(self, message: Message, owner: str | None, now: float) -> bool:
        """Keep it for ``owner``'s account (None: the gateway's own), or forget the topic's when the payload is empty. False: there
        is no room, and the topic has none any more: what was there before is not what it should have now.
        """
        self.drop(message.topic)
        if not message.payload:
            return True
        size = message.size  # counted anew each time
        if not self._has_room(size, owner):
            self.expire(now)
            if not self._has_room(size, owner):
                return False
        self._by_topic[message.topic] = _Kept(message, owner, size)
        self._count(owner, 1, size)
        if message.expires_at is not None:
            heappush(self._expiries, (message.expires_at, message.topic))
            if len(self._expiries) > _LEAST_EXPIRIES + 2 * len(self._by_topic):
                self._expiries = [
                    (kept.message.expires_at, topic)
                    for topic, kept in self._by_topic.items()
                    if kept.message.expires_at is not None
                ]
                heapify(self._expiries)
        return True

    def _has_room(self, size: int, owner: str | None) -> bool:
        mine, my_size = self._count_of[owner], self._size_of[owner]
        left, left_size = self._limit - (len(self._by_topic) - mine), self._size_limit - (self.size - my_size)
        if owner is not None:
            left, left_size = (left + 1) // 2, left_size // 2
        return mine < left and my_size + size <= left_size

    def _count(self, owner: str | None, number: int, size: int) -> None:
        self.size += size
        self._count_of[owner] += number
        self._size_of[owner] += size
        if not self._count_of[owner]:
            del self._count_of[owner], self._size_of[owner]

    def drop(self, topic: str) -> None:
        old = self._by_topic.pop(topic, None)
        if old is not None:
            self._count(old.owner, -1, -old.size)

    def expire(self, now: float) -> None:
        """Forget those whose time is over (MQTT 5, 3.3.2.3.3)."""
        while self._expiries and self._expiries[0][0] <= now:
            expires_at, topic = heappop(self._expiries)
            kept = self._by_topic.get(topic)
            if kept is not None and kept.message.expires_at == expires_at:
                self.drop(topic)

    def matching(self, topic_filter: str, now: float) -> list[Message]:
        """Those that ``topic_filter`` matches."""
        self.expire(now)
        if "+" not in topic_filter and "#" not in topic_filter:
            kept = self._by_topic.get(topic_filter)
            return [] if kept is None else [kept.message]
        return [kept.message for topic, kept in self._by_topic.items() if matches(topic_filter, topic)]
