"""What the gateway does, looked at every few seconds and kept for half an hour, for the small charts; in memory, of fixed size."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gateway.metrics import Metrics

EVERY_S = 5.0
KEPT = 360


class Sample(NamedTuple):
    """Over the last interval: ``accesses`` a minute, ``…_rate`` a second, ``reply_ms`` and ``delay_ms`` on average."""

    connections: int
    accesses: float
    login_rate: float
    reply_ms: float
    message_rate: float
    delay_ms: float


class _Totals(NamedTuple):
    accesses: int
    logins: int
    replies: int
    reply_s: float
    messages: int
    looks: int
    late_s: float


class Samples:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._accesses = 0
        self._kept: deque[Sample] = deque(maxlen=KEPT)

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, name: str) -> list[float]:
        """One of the fields of ``Sample``, oldest first."""
        place = Sample._fields.index(name)
        return [sample[place] for sample in self._kept]

    def note(self, sn: str | None, event: Mapping[str, Any]) -> None:
        """For ``EventSink.listen``. A dock that has gone online has its access behind it, and whatever it needed for that."""
        if event["event"] == "online" and event["device_sn"] == sn:
            self._accesses += 1

    async def run(self) -> None:
        """Until cancelled."""
        time = asyncio.get_running_loop().time
        before, at = self._totals(), time()
        while True:
            await asyncio.sleep(EVERY_S)
            now, passed = self._totals(), time() - at
            self.take(before, now, passed)
            before, at = now, at + passed

    def take(self, before: _Totals, now: _Totals, passed_s: float) -> None:
        replies, looks = now.replies - before.replies, now.looks - before.looks
        self._kept.append(
            Sample(
                connections=self._metrics.connections.open,
                accesses=60 * (now.accesses - before.accesses) / passed_s,
                login_rate=(now.logins - before.logins) / passed_s,
                reply_ms=1000 * (now.reply_s - before.reply_s) / replies if replies else 0.0,
                message_rate=(now.messages - before.messages) / passed_s,
                delay_ms=1000 * (now.late_s - before.late_s) / looks if looks else 0.0,
            )
        )

    def _totals(self) -> _Totals:
        metrics = self._metrics
        replies = metrics.requests.seconds.values.values()
        delay = metrics.loop.delay
        return _Totals(
            accesses=self._accesses,
            logins=metrics.logins.accepted,
            replies=sum(histogram.count for histogram in replies),
            reply_s=sum(histogram.total_seconds for histogram in replies),
            messages=metrics.messages.received + metrics.messages.sent,
            looks=delay.count,
            late_s=delay.total_seconds,
        )
