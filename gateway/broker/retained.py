"""Retained messages (MQTT 3.1.1, 3.3.1.3): one for each topic, bounded by number and bytes; who may see one is asked elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.topics import matches

from .message import Message


class Retained:
    def __init__(self, *, messages: int, size: int) -> None:
        self._by_topic: dict[str, Message] = {}
        self._limit = messages
        self._size_limit = size
        self.size = 0

    def __iter__(self) -> Iterator[Message]:
        return iter(self._by_topic.values())

    def __len__(self) -> int:
        return len(self._by_topic)

    def put(self, message: Message) -> bool:
        """Keep it, or forget the topic's when the payload is empty. False: there is no room."""
        old = self._by_topic.get(message.topic)
        if not message.payload:
            self.drop(message.topic)
            return True
        grown = self.size + message.size - (old.size if old is not None else 0)
        if grown > self._size_limit or (old is None and len(self._by_topic) >= self._limit):
            return False
        self._by_topic[message.topic] = message
        self.size = grown
        return True

    def drop(self, topic: str) -> None:
        old = self._by_topic.pop(topic, None)
        if old is not None:
            self.size -= old.size

    def matching(self, topic_filter: str, now: float) -> Iterator[Message]:
        """Those that ``topic_filter`` matches; expired ones are forgotten on the way."""
        if "+" not in topic_filter and "#" not in topic_filter:
            message = self._by_topic.get(topic_filter)
            candidates = [message] if message is not None else []
        else:
            candidates = [message for topic, message in self._by_topic.items() if matches(topic_filter, topic)]
        for message in candidates:
            if message.expires_at is not None and message.expires_at <= now:
                self.drop(message.topic)
            else:
                yield message
