"""How long the audit trail is kept: once a day what is older goes, a few entries at a time, so that no dock waits for it.

In: the services and the number of days. Out: nothing but shorter tables. It must never end, whatever becomes of the database.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gateway import logs
from gateway.errors import DatabaseError
from gateway.services import Services
from gateway.store import audit

if TYPE_CHECKING:
    from sqlite3 import Connection

_log = logging.getLogger(__name__)

DAY_MS = 24 * 60 * 60 * 1000
EVERY_S = 24 * 60 * 60.0
# Entries that one transaction takes out: some 10 ms of the writer's time, which docks share.
AT_ONCE = 2_000
# Between two of them the writer is everybody's.
PAUSE_S = 0.05
# After a database that could not be written.
AGAIN_S = 60 * 60.0


async def run(services: Services, keep_days: int, *, every_s: float = EVERY_S) -> None:
    """Until cancelled: at the start, and once a day."""
    while True:
        try:
            gone = await trim(services, keep_days)
        except DatabaseError as error:
            services.metrics.database.failures.add(error.code)
            _log.warning("audit entries that are past their time cannot be removed: %s", error)
            await asyncio.sleep(min(AGAIN_S, every_s))
            continue
        if gone:
            _log.info("audit entries older than %d days removed", keep_days, extra={logs.COUNT: gone})
        await asyncio.sleep(every_s)


async def trim(services: Services, keep_days: int) -> int:
    """Take out what is older; returns how many entries that were."""
    before = await services.store.read(_horizon, services.clock(), keep_days * DAY_MS)
    gone = 0
    while before is not None:
        removed = await services.store.write(audit.trim, before, limit=AT_ONCE)
        gone += removed
        if removed < AT_ONCE:
            break
        await asyncio.sleep(PAUSE_S)
    return gone


def _horizon(db: Connection, now: int, keep_ms: int) -> int | None:
    # Counted from the newest entry, not from the clock alone: a clock that jumps ahead by years must not empty the trail. It
    # takes until the next day, when entries with the wrong time are there, and by then somebody has noticed.
    newest = audit.newest_at(db)
    return None if newest is None else min(now, newest) - keep_ms
