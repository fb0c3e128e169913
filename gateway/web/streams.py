"""Server-sent events: what happens comes in, each reader gets it as it happens. Telling costs the event loop an append for each
reader; who reads too slowly loses the oldest, and is told how many.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gateway.web.errors import BusyError

if TYPE_CHECKING:
    from gateway.metrics import Http

MOST_READERS = 64
# What waits for one reader: some seconds of a whole fleet that comes back.
MOST_WAITING = 1000
# Told again to a reader that comes back within a minute or so.
KEPT = 512
# Proxies and browsers give up a connection that is silent for longer; a token that is revoked ends with it.
BEAT_S = 10.0
BEGIN = b"retry: 2000\n\n"
BEAT = b": still here\n\n"


class Happening(NamedTuple):
    number: int
    sn: str | None
    fact: Any


class Channel:
    """One kind of thing that happens. ``render`` makes one line of JSON of what ``tell`` was given, for who reads it."""

    def __init__(self, metrics: Http, render: Callable[[Any], bytes] = orjson.dumps) -> None:
        self._metrics = metrics
        self._render = render
        self._readers: set[Reader] = set()
        self._latest: deque[Happening] = deque(maxlen=KEPT)
        self._number = 0
        # another run of the gateway counts from the start again
        self._run = secrets.token_hex(4)
        self._is_closed = False

    def tell(self, sn: str | None, fact: Any) -> None:  # noqa: ANN401 - what ``render`` takes
        """``fact`` is not to be changed any more."""
        self._number += 1
        happening = Happening(self._number, sn, fact)
        self._latest.append(happening)
        for reader in self._readers:
            reader.take(happening)

    def close(self) -> None:
        """Every stream ends; idempotent."""
        self._is_closed = True
        for reader in self._readers:
            reader.end()

    def read(
        self, *, sn: str | None, after: str | None, may_go_on: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """What happens from now on, or after ``after`` (a Last-Event-ID) if that is known, of one dock or of all.

        ``may_go_on`` is asked at each beat. Raises BusyError.
        """
        if self._is_closed or self._metrics.streams >= MOST_READERS:
            raise BusyError("too many event streams are open")
        return self._stream(Reader(sn, self._metrics), self._known(after), may_go_on)

    def _known(self, after: str | None) -> int | None:
        run, _, number = (after or "").partition("-")
        return int(number) if run == self._run and number.isascii() and number.isdecimal() else None

    async def _stream(
        self, reader: Reader, known: int | None, may_go_on: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        # Here, and not in read(): a stream whose client has gone before it began is never begun, nor ended.
        self._readers.add(reader)
        self._metrics.streams += 1
        try:
            for happening in self._latest:
                if known is not None and happening.number > known:
                    reader.take(happening)
            yield BEGIN
            time = asyncio.get_running_loop().time
            asked_at = time()
            while not (reader.is_over or self._is_closed):
                happenings, lost = await reader.next(BEAT_S)
                if lost:
                    yield b'event: lost\ndata: {"lost":%d}\n\n' % lost
                for happening in happenings:
                    data = self._render(happening.fact)
                    yield b"id: %s-%d\ndata: %s\n\n" % (self._run.encode(), happening.number, data)
                is_silent = not happenings and not reader.is_over
                if is_silent or time() - asked_at >= BEAT_S:  # where much happens, there is no silence to ask in
                    if not await may_go_on():
                        return
                    asked_at = time()
                if is_silent:
                    yield BEAT
        finally:
            self._readers.discard(reader)
            self._metrics.streams -= 1


class Reader:
    """What waits for one stream."""

    def __init__(self, sn: str | None, metrics: Http) -> None:
        self.is_over = False
        self._sn = sn
        self._metrics = metrics
        self._waiting: deque[Happening] = deque()
        self._lost = 0
        self._has_more = asyncio.Event()

    def take(self, happening: Happening) -> None:
        if self._sn is not None and happening.sn != self._sn:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._lost += 1
            self._metrics.stream_lost += 1
        self._waiting.append(happening)
        self._has_more.set()

    def end(self) -> None:
        self.is_over = True
        self._has_more.set()

    async def next(self, within_s: float) -> tuple[list[Happening], int]:
        """All that waits; after ``within_s`` without anything, nothing. And how many were lost before it."""
        try:
            async with asyncio.timeout(within_s):
                await self._has_more.wait()
        except TimeoutError:
            return [], 0
        self._has_more.clear()
        happenings, lost = list(self._waiting), self._lost
        self._waiting.clear()
        self._lost = 0
        return happenings, lost
