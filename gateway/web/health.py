"""Is it alive, and is it ready for docks: the running gateway comes in, a verdict with its reasons goes out.

Whoever may not know more is told yes or no. Nothing here waits for long, or says more often than asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gateway import pki
from gateway.errors import DatabaseError, DockgateError
from gateway.operations.change import Db
from gateway.operations.live import STALE_MS
from gateway.store import checks, migrate, state
from gateway.store.place import Place
from gateway.store.state import GatewayState

if TYPE_CHECKING:
    from gateway.runtime import Runtime
    from gateway.web.context import Context

_log = logging.getLogger(__name__)

# A probe gives up after a second or more.
_WITHIN_S = 0.8
# All of the file is read for it, so not for each probe.
_INTEGRITY_S = 6 * 60 * 60.0
DAMAGED = "database_damaged"
_OLD = "a write fails or takes long: the last is "
_MOVED = "its file was removed or replaced: put it back, or restart"
_WRITES = {
    "database_unwritable": "the disk is full, read-only or broken, as the log says",
    "database_busy": "another process holds it locked",
}


@dataclass(frozen=True, slots=True)
class Check:
    """The fields are a promise. ``detail`` says what was found, "" when there is nothing to say."""

    name: str
    ok: bool
    detail: str


async def readiness(context: Context, integrity: Integrity) -> dict[str, Any]:
    """The keys are a promise."""
    found = [
        *await _database(context, integrity),
        _listeners(context),
        await context.off_loop(_certificates, context, context.now),
    ]
    return {"ready": all(check.ok for check in found), "checks": [asdict(check) for check in found]}


async def _database(context: Context, integrity: Integrity) -> list[Check]:
    try:
        async with asyncio.timeout(_WITHIN_S):
            version, said = await context.read(_look)
    except (DatabaseError, TimeoutError) as error:
        why = str(error) or "no answer in time"
        return [Check(name, ok=False, detail=why) for name in ("database", "migrations", "heartbeat")]
    damage = integrity.problem or (
        "damage was met: dockgate db check" if context.runtime.services.metrics.database.failures.get(DAMAGED) else ""
    )
    damage = damage or integrity.writing.problem
    newest = migrate.available()[-1].number
    return [
        Check("database", ok=not damage, detail=damage),
        Check(
            "migrations",
            ok=version == newest,
            detail="" if version == newest else f"the file is of version {version}, this dockgate of {newest}",
        ),
        _heartbeat(said, context.now),
    ]


def _look(db: Db) -> tuple[int, GatewayState | None]:
    return migrate.version_of(db), state.get(db)


def _heartbeat(said: GatewayState | None, now: int) -> Check:
    """It is written each second, by this process: what writes is alive, and no second gateway has the same file."""
    if said is None:
        return Check("heartbeat", ok=False, detail="none was written yet")
    if said.pid != os.getpid():
        return Check(
            "heartbeat", ok=False, detail=f"process {said.pid} writes it, too: two gateways have this database"
        )
    age = now - said.heartbeat_at
    return Check("heartbeat", ok=age <= STALE_MS, detail="" if age <= STALE_MS else f"{_OLD}{age // 1000} s old")


def _listeners(context: Context) -> Check:
    closed = []
    for name in context.config.listeners:
        try:
            context.broker.listening.address(name)
        except (KeyError, OSError):
            closed.append(name)
    return Check("listeners", ok=not closed, detail=f"not open: {', '.join(closed)}" if closed else "")


def _certificates(context: Context, now: int) -> Check:
    """Blocks: it reads the files."""
    told = []
    for name, listener in context.config.listeners.items():
        if listener.certfile is None or listener.keyfile is None:
            continue
        try:
            pki.check_pair(listener.certfile, listener.keyfile, now=now)
        except DockgateError as error:
            told.append(f"listener {name}: {error}")
    return Check("certificates", ok=not told, detail="; ".join(told))


class Integrity:
    """Reads the whole database now and then, in a thread and with a connection of its own. ``problem``: "" when sound."""

    def __init__(
        self, runtime: Runtime, at_leisure: Callable[..., Awaitable[Any]], off_loop: Callable[..., Awaitable[Any]]
    ) -> None:
        self.problem = ""
        self.writing = Writing(runtime, off_loop)
        self._runtime = runtime
        self._at_leisure = at_leisure

    async def run(self) -> None:
        """Until cancelled."""
        path = self._runtime.services.store.path
        while True:
            report = await self._at_leisure(checks.inspect, path)
            problem = "; ".join(report.problems[:3])
            if problem and problem != self.problem:
                _log.error("the database is not sound: %s", problem)
            self.problem = problem
            await asyncio.sleep(_INTEGRITY_S)


class Writing:
    """Can the database be written? Told by what becomes of the gateway's own writes, one a second at least, and by whether the file
    that it writes is still the one that others find. ``problem``: "" when all is well.
    """

    def __init__(self, runtime: Runtime, off_loop: Callable[..., Awaitable[Any]], every_s: float = 1.0) -> None:
        self.problem = ""
        self._store = runtime.services.store
        self._failures = runtime.services.metrics.database.failures
        self._off_loop = off_loop
        self._every_s = every_s

    async def run(self) -> None:
        """Until cancelled."""
        place = await self._off_loop(Place, self._store.path)
        commits, failures = self._store.commits, dict(self._failures.values)
        refused = ""
        while True:
            await asyncio.sleep(self._every_s)
            grown = [code for (code, *_), count in self._failures.values.items() if count > failures.get((code,), 0)]
            if self._store.commits > commits:
                refused = ""
            elif grown:
                refused = f"it cannot be written: {_WRITES.get(grown[0], grown[0])}"
            commits, failures = self._store.commits, dict(self._failures.values)
            self.problem = _MOVED if await self._off_loop(place.has_moved) else refused
