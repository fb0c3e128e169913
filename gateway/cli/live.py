"""Is the gateway running, and what does it say of itself: the state row comes in, a verdict goes out. Shared by the commands
that show docks, because a dock is online only while a gateway lives that could know it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.cli.context import Db
from gateway.model import Device
from gateway.store import state
from gateway.store.state import GatewayState

STALE_MS = 5_000
"""The gateway writes its heartbeat each second; after five it is gone, whatever the row says."""


@dataclass(frozen=True, slots=True)
class Live:
    """``state`` is the last thing a gateway said, None when none ever ran on this database."""

    running: bool
    state: GatewayState | None

    def is_online(self, device: Device) -> bool:
        return self.running and device.online


def look(db: Db, now: int) -> Live:
    found = state.get(db)
    return Live(found is not None and abs(now - found.heartbeat_at) <= STALE_MS, found)
