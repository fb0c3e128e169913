"""Is the gateway running, and what does it say of itself: the state row comes in, a verdict goes out. Shared by all that shows
docks, because a dock is online only while a gateway lives that could know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gateway.model import AccessStep, Device
from gateway.operations.change import Db
from gateway.store import state
from gateway.store.state import GatewayState

STALE_MS = 5_000
"""The gateway writes its heartbeat each second; after five it is gone, whatever the row says."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the gateway's memory knows of docks beyond what it has written: copies of ``gateway.presence``'s."""

    online: AbstractSet[str]
    steps: Mapping[str, AccessStep]
    seen_at: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Live:
    """``state`` is the last thing a gateway said, None when none ever ran on this database. ``overlay``: asked within it."""

    running: bool
    state: GatewayState | None
    overlay: Overlay | None = None

    def is_online(self, device: Device) -> bool:
        if self.overlay is not None:
            return device.sn in self.overlay.online
        return self.running and device.online

    def last_seen_at(self, device: Device) -> int:
        if self.overlay is None:
            return device.last_seen_at
        return max(device.last_seen_at, self.overlay.seen_at.get(device.sn, 0))

    def step(self, dock: Device) -> AccessStep:
        """The furthest step that still holds: a dock that was online and is not any more is as far as its binding."""
        if self.is_online(dock):
            return AccessStep.ONLINE
        known = None if self.overlay is None else self.overlay.steps.get(dock.sn)
        step = dock.access_step if known is None else known
        if step is AccessStep.ONLINE:
            return AccessStep.LICENSED if dock.organization_id is None else AccessStep.BOUND
        return step


def look(db: Db, now: int, overlay: Overlay | None = None) -> Live:
    found = state.get(db)
    return Live(found is not None and abs(now - found.heartbeat_at) <= STALE_MS, found, overlay)
