"""Topics of one MQTT 5 connection's outgoing messages in, PUBLISH packets out that call a topic by a number once it is known.

Numbers hold for one connection (3.3.2.3.4): a new connection has a new ``Aliases``, so what is sent again names its topic.
It must never give a number above the client's maximum, nor count on one whose packet was not sent.
"""

from __future__ import annotations

from functools import partial

from .codec import v5
from .codec.packets import Properties

# However many a client allows: each costs a topic's memory, and a client hears of few topics often.
MOST = 32
# The property has three bytes, and may make the properties' own length longer by one: a shorter topic is its own best name.
_NOT_WORTH_IT = 4


class Aliases:
    """What the client has been told so far. When every number is taken, the topic unused for the longest time loses its."""

    __slots__ = ("_largest", "_most", "_numbers")

    def __init__(self, maximum: int, largest: int | None) -> None:
        """``maximum``: the client's Topic Alias Maximum, above 0. ``largest``: its maximum packet size, in bytes."""
        self._most = min(maximum, MOST)
        self._largest = largest
        self._numbers: dict[bytes, int] = {}  # the most recently used last

    def publish(
        self,
        topic: bytes,
        payload: bytes,
        *,
        qos: int,
        retain: bool,
        dup: bool,
        packet_id: int,
        properties: Properties | None = None,
        subscription_ids: tuple[int, ...] = (),
    ) -> bytes:
        """As ``v5.publish``. A packet larger than the client takes is left for the caller to drop: no number counts on it."""
        encode = partial(
            v5.publish,
            payload=payload,
            qos=qos,
            retain=retain,
            dup=dup,
            packet_id=packet_id,
            properties=properties,
            subscription_ids=subscription_ids,
        )
        if len(topic) <= _NOT_WORTH_IT:
            return encode(topic)
        numbers = self._numbers
        known = numbers.pop(topic, None)
        if known is not None:
            numbers[topic] = known
            return encode(b"", topic_alias=known)
        oldest = next(iter(numbers)) if len(numbers) >= self._most else None
        number = len(numbers) + 1 if oldest is None else numbers[oldest]
        packet = encode(topic, topic_alias=number)
        if self._largest is not None and len(packet) > self._largest:
            return encode(topic)  # the number alone may be what is too much
        if oldest is not None:
            del numbers[oldest]
        numbers[topic] = number
        return packet
