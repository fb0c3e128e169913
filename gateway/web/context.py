"""What routes are given: the running gateway, the database, who is logged in, what happens now. Changes go through here, so that
each has its audit entry, is on disk, and is obeyed by the gateway's memory before its answer leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from gateway.errors import DatabaseError
from gateway.operations.change import Change, Db, Who, perform
from gateway.operations.live import Overlay

if TYPE_CHECKING:
    from gateway.broker.broker import GatewayBroker
    from gateway.config import Config, Problem
    from gateway.runtime import Runtime
    from gateway.web.limits import Buckets
    from gateway.web.refusals import Refusals
    from gateway.web.requests import RequestLog
    from gateway.web.sessions import Sessions
    from gateway.web.streams import Channel
    from gateway.web.tail import Tail

P = ParamSpec("P")
T = TypeVar("T")

# A reload reads all that the database knows: many changes together share one.
_RELOAD_S = 0.25
_OBEYED_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """``check``: what ``dockgate check`` finds; blocks. ``callers``: how often each token or operator may ask.

    ``reload_certificates`` has all listeners read their files again.
    """

    config: Config
    runtime: Runtime
    broker: GatewayBroker
    sessions: Sessions
    callers: Buckets
    addresses: Buckets
    events: Channel
    audit: Tail
    requests: RequestLog
    refusals: Refusals
    catching_up: CatchUp
    check: Callable[[Config, int], list[Problem]]
    worker: Executor
    slow_worker: Executor
    reload_certificates: Callable[[], Awaitable[None]]

    @property
    def now(self) -> int:
        return self.runtime.services.clock()

    async def read(self, query: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In the reader's thread: what ``query`` makes of what it finds costs the event loop nothing."""
        return await self.runtime.services.store.read(query, *args, **kwargs)

    async def change(self, who: Who, work: Callable[[Change], T]) -> T:
        """One transaction with its audit entries, on disk; and the gateway obeys it when this returns."""
        result: T = await self.runtime.services.store.write(perform, work, self.now, who, durable=True)
        await self.catching_up.done()
        return result

    async def note(self, work: Callable[..., Any], *args: object) -> None:
        """A write that nobody waits for or misses: when something was last used."""
        try:
            await self.runtime.services.store.write(work, *args)
        except DatabaseError as error:
            self.runtime.services.metrics.database.failures.add(error.code)

    async def off_loop(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For what blocks or computes: in the one thread that the admin HTTP has for it, so that it takes one core at most."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, partial(fn, *args, **kwargs))

    async def at_leisure(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For what takes seconds, in a thread that nothing else waits for."""
        return await asyncio.get_running_loop().run_in_executor(self.slow_worker, partial(fn, *args, **kwargs))

    def overlay(self) -> Overlay:
        """What is true of docks now, to be laid over what is stored."""
        return Overlay(*self.runtime.presence.copies())


class CatchUp:
    """Has memory take over what was written here. Those who wait together share a reload that begins after their changes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._next: asyncio.Task[Any] | None = None
        self._began_at = float("-inf")

    async def done(self) -> None:
        """Returns after some seconds at the latest: the change itself is safe, and the reload goes on."""
        if self._next is None:
            self._next = self._runtime.services.tasks.spawn(self._run(), name="take over a change")
        await asyncio.wait({self._next}, timeout=_OBEYED_S)

    async def _run(self) -> None:
        time = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._began_at + _RELOAD_S - time()))
        self._next = None  # what is changed from here on needs another one
        self._began_at = time()
        while True:
            try:
                await self._runtime.reload()
            except DatabaseError as error:
                self._runtime.services.metrics.database.failures.add(error.code)
                await asyncio.sleep(_RELOAD_S)
            else:
                return
