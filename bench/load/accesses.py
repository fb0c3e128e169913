"""Whole accesses, as many as go: TCP (TLS), CONNECT, SUBSCRIBE, four requests, each after the reply to the one before, DISCONNECT.

Each by another dock, that is not bound yet: the last request is a binding that the server has to store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from .dock import Dock
from .figures import in_ms
from .requests import METHODS
from .stage import Quiet, Stage

_PATIENCE_S = 20.0  # for one access
_AT_ONCE_IDLE = 200


class _Visit(Quiet):
    """One dock's access; ``done`` says whether it went well."""

    __slots__ = ("_asked", "done")

    def __init__(self, asked: list[list[float]]) -> None:
        self._asked = asked
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def subscribed(self, dock: Dock) -> None:
        dock.ask(0)

    def replied(self, dock: Dock, step: int, seconds: float) -> None:
        self._asked[step].append(seconds)
        if step + 1 < len(METHODS):
            dock.ask(step + 1)
        elif not self.done.done():
            self.done.set_result(not dock.wrong)

    def ended(self, dock: Dock) -> None:  # noqa: ARG002
        if not self.done.done():
            self.done.set_result(False)


class _Round:
    """Accesses of the docks with these numbers, until the numbers or the time run out."""

    def __init__(self, stage: Stage, numbers: Iterator[int], *, tls: bool) -> None:
        self._stage = stage
        self._numbers = numbers
        self._tls = tls
        self.took: list[float] = []
        self.asked: list[list[float]] = [[] for _ in METHODS]
        self.failed = 0

    async def run(self, at_once: int, seconds: float) -> None:
        until = time.perf_counter() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._visitor(until))

    async def _visitor(self, until: float) -> None:
        while (started := time.perf_counter()) < until:  # the loop's own clock counts milliseconds
            number = next(self._numbers, None)
            if number is None:
                return
            if await self._visit(number):
                self.took.append(time.perf_counter() - started)
            else:
                self.failed += 1

    async def _visit(self, number: int) -> bool:
        visit = _Visit(self.asked)
        dock = self._stage.dock(number, visit)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._stage.connect(dock, number, tls=self._tls) and await visit.done
        except TimeoutError:
            return False
        finally:
            dock.leave()


async def run(
    stage: Stage, *, tls: bool, seconds: float, at_once: int, warm_up: int, connected: int = 0
) -> dict[str, Any]:
    """``connected``: docks that are there all the time and do nothing."""
    idle = await stage.gather(0, connected, tls=tls, at_once=_AT_ONCE_IDLE) if connected else None
    numbers = iter(range(connected, len(stage.fleet.docks)))
    first = _Round(stage, (next(numbers) for _ in range(warm_up)), tls=tls)
    await first.run(at_once, seconds)
    measured = _Round(stage, numbers, tls=tls)
    before = stage.usage()
    await measured.run(at_once, seconds)
    span = before.until(stage.usage())
    count = len(measured.took)
    if idle is not None:
        idle.leave()
    return {
        "accesses": count,
        "failed": measured.failed + first.failed,
        "connected": connected,
        "idle_complete": idle is None or (idle.complete and not idle.lost),
        "accesses_per_s": round(count / span.seconds, 1),
        "server_ms_per_access": round(sum(span.cpu_s.values()) * 1e3 / max(count, 1), 3),
        "cpu_ms_per_access": {name: round(used * 1e3 / max(count, 1), 3) for name, used in span.cpu_s.items()},
        "server_busy": round(span.busy, 3),
        "generator_busy": round(span.generator_busy, 3),
        "access": in_ms(measured.took),
        "requests": {name: in_ms(asked) for name, asked in zip(METHODS, measured.asked, strict=True)},
        "tls": stage.tls,
        "last_error": stage.last_error,
    }
