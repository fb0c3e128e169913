"""The audit trail as it grows, as server-sent events: who reads gets each entry once it is written, and after a break goes on where
it was, since an entry's own number is the event's id.

Looked up in the reader's thread, once a second for each stream; nothing is kept for one that has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import orjson

from gateway.errors import DatabaseError
from gateway.operations import trail
from gateway.operations.change import Db
from gateway.store import audit
from gateway.store.audit import Entry
from gateway.web import streams
from gateway.web.errors import BusyError

if TYPE_CHECKING:
    from gateway.metrics import Http
    from gateway.store.connection import Store

LOOK_S = 1.0
_AT_ONCE = 1000
_ID_DIGITS = 19  # of SQLite's largest integer


class Tail:
    """``close`` ends every stream; idempotent."""

    def __init__(self, store: Store, metrics: Http) -> None:
        self._store = store
        self._metrics = metrics
        self._closed = asyncio.Event()

    def close(self) -> None:
        self._closed.set()

    def read(
        self, *, dock: str | None, lines: int, after: str | None, may_go_on: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """The newest ``lines`` entries and all that follow; with ``after`` (a Last-Event-ID) all that follow that one.

        ``may_go_on`` is asked at each beat. Raises BusyError.
        """
        if self._closed.is_set() or self._metrics.streams >= streams.MOST_READERS:
            raise BusyError("too many event streams are open")
        is_number = after is not None and after.isascii() and after.isdecimal() and len(after) < _ID_DIGITS
        return self._stream(dock, lines, int(after) if after is not None and is_number else None, may_go_on)

    async def _stream(
        self, dock: str | None, lines: int, after: int | None, may_go_on: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        # Here, and not in read(): a stream whose client has gone before it began is never begun, nor ended.
        self._metrics.streams += 1
        time = asyncio.get_running_loop().time
        try:
            found, last = await self._store.read(_begin, dock, lines, after)
            yield streams.BEGIN
            asked_at = said_at = time()
            while not self._closed.is_set():
                for entry in found:
                    yield b"id: %d\ndata: %s\n\n" % (entry.id or 0, orjson.dumps(trail.describe(entry)))
                if found:
                    said_at = time()
                elif time() - said_at >= streams.BEAT_S:
                    said_at = time()
                    yield streams.BEAT
                if time() - asked_at >= streams.BEAT_S:
                    asked_at = time()
                    if not await may_go_on():
                        return
                if len(found) < _AT_ONCE:
                    await self._pause()
                found = await self._store.read(audit.list_since, dock=dock, after_id=last, limit=_AT_ONCE)
                last = max((entry.id or 0 for entry in found), default=last)
        except DatabaseError:
            return  # who reads comes back, with the id of the last that he got
        finally:
            self._metrics.streams -= 1

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(min(LOOK_S, streams.BEAT_S)):
                await self._closed.wait()
        except TimeoutError:
            return


def _begin(db: Db, dock: str | None, lines: int, after: int | None) -> tuple[list[Entry], int]:
    """What to begin with, and the id of the last that was looked at."""
    newest = audit.list_since(db, limit=1)
    end = (newest[0].id or 0) if newest else 0
    if after is not None and after <= end:  # a larger one is of another database, before a backup was restored
        return [], after
    return (audit.list_since(db, dock=dock, limit=lines) if lines else []), end
