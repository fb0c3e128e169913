"""One application message on its way to many sessions: encoded once for the plain case, whatever the number of receivers."""

from __future__ import annotations

import math
from dataclasses import replace

from .codec import v311
from .codec.packets import Properties


class Message:
    """``source``: the publisher's client id, None for the gateway itself. ``expires_at``: the loop's time (MQTT 5, 3.3.2.3.3)."""

    __slots__ = ("_plain", "expires_at", "payload", "properties", "qos", "retain", "source", "topic", "topic_bytes")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        source: str | None = None,
        expires_at: float | None = None,
        plain: bytes | None = None,
    ) -> None:
        """``plain``: what ``plain()`` would make, if it is there already."""
        self.topic = topic
        self.topic_bytes = topic.encode()
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.source = source
        self.expires_at = expires_at
        self._plain = plain

    @property
    def data(self) -> bytes:
        """As amqtt's plugin API calls it."""
        return self.payload

    def properties_at(self, now: float) -> Properties | None:
        """What goes out with it: the expiry is what is left of it, in whole seconds (MQTT 5, 3.3.2.3.3)."""
        if self.expires_at is None or self.properties is None:
            return self.properties
        # rounded first: of now + 10 - now a float makes a little more than 10 now and then, and that is not eleven seconds
        left_s = math.ceil(round(self.expires_at - now, 3))
        return replace(self.properties, message_expiry_s=max(1, left_s))

    @property
    def size(self) -> int:
        """What it takes of the limits of queues and retained messages."""
        size = len(self.topic_bytes) + len(self.payload)
        return size if self.properties is None else size + self.properties.size

    def plain(self) -> bytes:
        """The PUBLISH for QoS 0, no retain, MQTT 3.1.1: the same bytes for all who get it that way."""
        if self._plain is None:
            self._plain = v311.publish(
                self.topic_bytes, self.payload, qos=0, retain=False, dup=False, packet_id=0, properties=None
            )
        return self._plain
