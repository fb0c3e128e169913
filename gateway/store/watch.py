"""Notices that another process (an operator's command) has committed, and says so; never touches memory itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.store.connection import Store

_log = logging.getLogger(__name__)


async def watch(store: Store, on_change: Callable[[], Awaitable[None]], interval_s: float = 0.25) -> None:
    """Until cancelled. When ``on_change`` fails it is called again in the next round, so that no change is lost.

    A failure that lasts is logged once, and its end too.
    """
    changed = failing = False
    while True:
        try:
            changed = await store.changed_elsewhere() or changed
            if changed:
                await on_change()
                changed = False
        except Exception as error:  # noqa: BLE001 -- the watch must outlive whatever happens to the file
            if not failing:
                _log.warning("changes of the database cannot be followed", extra={"error": str(error)})
            failing = True
        else:
            if failing:
                _log.info("changes of the database are followed again")
            failing = False
        await asyncio.sleep(interval_s)
