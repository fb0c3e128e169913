"""How long a dock waits for the reply to a request: one dock alone, many that ask seldom, and many that come in together.

``reads`` are the first three requests of an access; ``binds`` is the fourth, which the server stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import repeat
from typing import Any

from .dock import Dock
from .figures import in_ms
from .requests import BIND, METHODS
from .stage import Quiet, Stage, within

_PATIENCE_S = 20.0  # for one reply, or for the access of one dock
_AT_ONCE = 200
_TICK_S = 0.002
_READS = tuple(range(BIND))


class Watch(Quiet):
    """Listens to docks that ask: how long each request took, and which never came back."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = [[] for _ in METHODS]
        self.lost = 0
        self.unanswered = 0

    def replied(self, dock: Dock, step: int, seconds: float) -> None:  # noqa: ARG002
        self.asked[step].append(seconds)

    def ended(self, dock: Dock) -> None:  # noqa: ARG002
        self.lost += 1

    def give_up(self, dock: Dock) -> None:
        self.unanswered += 1
        dock.give_up()

    def report(self, docks: Iterable[Dock]) -> dict[str, Any]:
        return {
            "all": in_ms(each for asked in self.asked for each in asked),
            "reads": in_ms(each for asked in self.asked[:BIND] for each in asked),
            "binds": in_ms(self.asked[BIND]),
            "wrong": sum(dock.wrong for dock in docks),
            "lost": self.lost,
            "unanswered": self.unanswered,
        }


class _Accesses(Watch):
    """A watch that asks on: the next of the four requests after each reply."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: dict[str, asyncio.Future[None]] = {}

    async def of(self, dock: Dock) -> None:
        """All four, or nothing when the dock has gone."""
        if dock.transport is None:
            return
        dock.listener = self
        self._ends[dock.sn] = end = asyncio.get_running_loop().create_future()
        dock.ask(0)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await end
        except TimeoutError:
            self.give_up(dock)

    def replied(self, dock: Dock, step: int, seconds: float) -> None:
        super().replied(dock, step, seconds)
        if step + 1 < len(METHODS):
            dock.ask(step + 1)
        elif not self._ends[dock.sn].done():
            self._ends[dock.sn].set_result(None)


async def _accesses(docks: Iterable[Dock], at_once: int) -> _Accesses:
    """These docks, each connected already, ask their four requests; ``at_once`` of them at the same time."""
    watch = _Accesses()
    queue = iter(docks)

    async def usher() -> None:
        for dock in queue:
            await watch.of(dock)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(usher())
    return watch


async def seldom(docks: list[Dock], *, per_s: float, seconds: float) -> Watch:
    """At this rate, whatever becomes of the replies, the next dock asks the next of the reading requests."""
    watch = Watch()
    for dock in docks:
        dock.listener = watch
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked = 0
    while docks and (now := loop.time()) < started + seconds:
        while asked < (now - started) * per_s:
            dock = docks[asked % len(docks)]
            if dock.transport is not None and not dock.waiting:
                dock.ask(_READS[asked // len(docks) % len(_READS)])
            asked += 1
        await asyncio.sleep(_TICK_S)
    await within(_PATIENCE_S, lambda: not any(dock.waiting for dock in docks))
    for dock in docks:
        if dock.waiting:
            watch.give_up(dock)
    return watch


async def run(
    stage: Stage, *, docks: int, rounds: int, per_s: float, seconds: float, at_once: int, tls: bool = False
) -> dict[str, Any]:
    """``alone``: one dock that asks ``rounds`` times, the next at once after a reply. ``seldom``: ``docks`` are connected
    and ask ``per_s`` reading requests a second in all. ``together``: each of them goes through its first access,
    ``at_once`` at a time.
    """
    single = await stage.gather(0, 1, tls=tls, at_once=1)
    alone = list(single.docks.values())
    result: dict[str, Any] = {
        "alone": (await _accesses([d for each in alone for d in repeat(each, rounds)], 1)).report(alone)
    }
    single.leave()
    crowd = await stage.gather(1, docks, tls=tls, at_once=_AT_ONCE)
    present = list(crowd.docks.values())
    before = stage.usage()
    result["seldom"] = (await seldom(present, per_s=per_s, seconds=seconds)).report(present)
    span = before.until(stage.usage())
    result["seldom"]["server_us_per_request"] = round(sum(span.cpu_s.values()) * 1e6 / (per_s * seconds), 1)
    before = stage.usage()
    result["together"] = (await _accesses(present, at_once)).report(present)
    span = before.until(stage.usage())
    result["generator_busy"] = round(span.generator_busy, 3)
    result["connected"] = len(present)
    result["complete"] = crowd.complete and single.complete
    crowd.leave()
    return result
