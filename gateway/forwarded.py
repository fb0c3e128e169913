"""Requests that were passed on to a platform: each is either answered there in time, or its refusal is called for.

Knows no message and no session. It must never hold a request longer than its time, nor grow with what a dock sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from gateway.recent import digest_of

PER_DOCK = 32  # a dock makes one or two such requests before a task
TOTAL = 10_000


class Added(Enum):
    NEW = auto()
    WAITING = auto()
    FULL = auto()


@dataclass(slots=True)
class _Waiting:
    method: str | None
    tid: bytes
    refuse: Callable[[], None]
    timer: asyncio.TimerHandle


class Forwarded:
    def __init__(self, *, timeout_s: float, per_dock: int = PER_DOCK, total: int = TOTAL) -> None:
        self._timeout_s = timeout_s
        self._per_dock = per_dock
        self._total = total
        self._count = 0
        self._of_dock: dict[str, dict[bytes, _Waiting]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, gateway_sn: str, method: str | None, tid: object, data: object, refuse: Callable[[], None]) -> Added:
        """NEW: pass it on; ``refuse`` is called once unless it is ``answered`` in time. WAITING: it is passed on already.

        Then ``refuse`` takes the place of the earlier one, whose session may be gone. FULL: refuse it now.
        """
        mine = self._of_dock.get(gateway_sn, {})
        digest = digest_of((method, tid, data))
        if (waiting := mine.get(digest)) is not None:
            waiting.refuse = refuse
            return Added.WAITING
        if len(mine) >= self._per_dock or self._count >= self._total:
            return Added.FULL
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._overdue, gateway_sn, digest)
        self._of_dock.setdefault(gateway_sn, mine)[digest] = _Waiting(method, digest_of(tid), refuse, timer)
        self._count += 1
        return Added.NEW

    def answered(self, gateway_sn: str, method: str | None, tid: object) -> bool:
        """A reply is on its way to the dock; without a method it fits every method. False: no request waits for it."""
        wanted = digest_of(tid)
        for digest, waiting in self._of_dock.get(gateway_sn, {}).items():
            if waiting.tid == wanted and method in (None, waiting.method):
                self._take(gateway_sn, digest).timer.cancel()
                return True
        return False

    def close(self) -> None:
        for mine in self._of_dock.values():
            for waiting in mine.values():
                waiting.timer.cancel()
        self._of_dock.clear()
        self._count = 0

    def _overdue(self, gateway_sn: str, digest: bytes) -> None:
        self._take(gateway_sn, digest).refuse()

    def _take(self, gateway_sn: str, digest: bytes) -> _Waiting:
        mine = self._of_dock[gateway_sn]
        waiting = mine.pop(digest)
        if not mine:
            del self._of_dock[gateway_sn]
        self._count -= 1
        return waiting
