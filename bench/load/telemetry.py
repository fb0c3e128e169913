"""Telemetry of many docks to one service: what a message costs at a steady rate, and the most that comes through without a loss.

Steady: first telemetry alone, then with requests beside it, as the answering of requests shares the server's core. Most: a
window of messages under way is kept full, so that no queue grows without bound and nothing has a reason to be dropped.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from .dock import Dock
from .figures import in_ms
from .latency import seldom
from .packets import publish_head
from .requests import FRAGMENTS, stamped, telemetry
from .service import Service
from .stage import Stage, within

_AT_ONCE = 200
_TICK_S = 0.002
_BURST = 256  # messages between two looks at what has arrived
_DRAIN_S = 5.0
_PER_DOCK = 500  # messages a second that no dock exceeds, even when it is the most that is looked for
_STUCK_S = 2.0  # nothing arrives any more, though messages are under way


class _Sender:
    """The docks' telemetry, one message of one dock after another, in an order without a pattern."""

    def __init__(self, docks: list[Dock], size: int) -> None:
        order = random.Random(1)
        self._docks = list(docks)
        order.shuffle(self._docks)
        self._packets = [
            (publish_head(f"thing/product/{dock.sn}/osd", size), telemetry(dock.sn, size)) for dock in self._docks
        ]
        self.packet_bytes = len(self._packets[0][0]) + size
        self.sent = 0
        self._turn = 0

    def send(self) -> None:
        """One message, of the next dock that is there."""
        at = self._turn % len(self._docks)
        head, bodies = self._packets[at]
        body = bodies[self._turn // len(self._docks) % FRAGMENTS]
        self._turn += 1
        transport = self._docks[at].transport
        if transport is not None:
            transport.write(head + stamped(body, time.perf_counter_ns()))
            self.sent += 1

    async def steadily(self, per_s: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        due = 0
        while (now := loop.time()) < started + seconds:
            while due < (now - started) * per_s:
                self.send()
                due += 1
            await asyncio.sleep(_TICK_S)

    async def keep_under_way(self, service: Service, window: int, seconds: float) -> None:
        """``window`` messages sent and not yet arrived, for so long, or until nothing arrives any more."""
        loop = asyncio.get_running_loop()
        started, sent = loop.time(), self.sent
        base = self.sent - service.count
        arrived, moved_at = service.count, started
        while (now := loop.time()) < started + seconds and now - moved_at < _STUCK_S:
            count = service.count
            if count != arrived:
                arrived, moved_at = count, now
            may = int((now - started) * _PER_DOCK * len(self._docks)) - (self.sent - sent)
            for _ in range(min(_BURST, may, window - (self.sent - base - count))):
                self.send()
            await asyncio.sleep(0)


async def _drain(sender: _Sender, service: Service, sent_before: int, count_before: int) -> int:
    """How many of the messages sent since then have not arrived, after a while of patience."""
    await within(_DRAIN_S, lambda: service.count - count_before >= sender.sent - sent_before)
    return (sender.sent - sent_before) - (service.count - count_before)


async def _steady(
    stage: Stage,
    sender: _Sender,
    service: Service,
    docks: list[Dock],
    *,
    per_s: float,
    seconds: float,
    asks_per_s: float,
) -> dict[str, Any]:
    service.seconds.clear()
    sent, count = sender.sent, service.count
    before = stage.usage()
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.steadily(per_s, seconds))
        asking = group.create_task(seldom(docks if asks_per_s else [], per_s=asks_per_s, seconds=seconds))
    span = before.until(stage.usage())
    messages, arrived = sender.sent - sent, service.count - count
    lost = await _drain(sender, service, sent, count)
    result = {
        "messages_per_s": round(messages / span.seconds, 1),
        "cpu_us_per_message": round(sum(span.cpu_s.values()) * 1e6 / max(arrived, 1), 2),
        "cpu_us": {name: round(used * 1e6 / max(arrived, 1), 2) for name, used in span.cpu_s.items()},
        "lost": lost,
        "delivery": in_ms(service.seconds),
        "server_busy": round(span.busy, 3),
        "generator_busy": round(span.generator_busy, 3),
    }
    if asks_per_s:
        result["requests"] = asking.result().report(docks)
    return result


async def _most(
    stage: Stage, sender: _Sender, service: Service, *, window: int, warm_s: float, seconds: float
) -> dict[str, Any]:
    sent, count = sender.sent, service.count
    await sender.keep_under_way(service, window, warm_s)
    service.seconds.clear()
    warm = service.count
    before = stage.usage()
    await sender.keep_under_way(service, window, seconds)
    span = before.until(stage.usage())
    arrived = service.count - warm
    lost = await _drain(sender, service, sent, count)
    return {
        "messages_per_s": round(arrived / span.seconds, 1),
        "cpu_us_per_message": round(sum(span.cpu_s.values()) * 1e6 / max(arrived, 1), 2),
        "lost": lost,
        "delivery": in_ms(service.seconds),
        "server_busy": round(span.busy, 3),
        "generator_busy": round(span.generator_busy, 3),
    }


async def run(
    stage: Stage,
    *,
    docks: int,
    per_s: float,
    size: int,
    seconds: float,
    asks_per_s: float,
    window: int,
    warm_s: float,
    tls: bool = False,
    ceiling: bool = True,
) -> dict[str, Any]:
    """``per_s``: messages of all docks together. ``size``: bytes of a payload."""
    crowd = await stage.gather(0, docks, tls=tls, at_once=_AT_ONCE)
    present = list(crowd.docks.values())
    sender = _Sender(present, size)
    service = Service(*stage.fleet.service, sender.packet_bytes)
    await stage.connect(service, 0, tls=False)
    async with asyncio.timeout(_DRAIN_S):
        await service.ready
    # Each dock is heard once before anything counts: who tells of its aircraft for the first time costs more
    await sender.steadily(len(present) * FRAGMENTS / warm_s, warm_s)
    await _drain(sender, service, 0, 0)
    steady: dict[str, Any] = {
        "stage": stage,
        "sender": sender,
        "service": service,
        "docks": present,
        "per_s": per_s,
        "seconds": seconds,
    }
    result: dict[str, Any] = {
        "docks": docks,
        "complete": crowd.complete,
        "alone": await _steady(**steady, asks_per_s=0),
        "with_requests": await _steady(**steady, asks_per_s=asks_per_s),
    }
    if ceiling:
        result["most"] = await _most(stage, sender, service, window=window, warm_s=warm_s, seconds=seconds)
    result["docks_lost"] = sum(dock.transport is None for dock in present)
    result["service_lost"] = service.lost
    service.close()
    crowd.leave()
    return result
