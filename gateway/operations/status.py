"""The fleet at a glance: devices and the gateway's heartbeat come in, counts go out."""

from __future__ import annotations

from typing import Any

from gateway.model import AccessStep, Device
from gateway.operations.change import Db
from gateway.operations.live import Live, Overlay, look
from gateway.operations.times import iso
from gateway.store import devices

TOLD = ("messages", "requests", "logins", "rates")
"""What the running gateway counts since it started, passed on as it says it (``gateway.presence``); rates are per second."""


def glance(db: Db, now: int, overlay: Overlay | None = None) -> dict[str, Any]:
    return describe(devices.list_all(db), look(db, now, overlay))


def describe(all_devices: list[Device], live: Live) -> dict[str, Any]:
    """The keys are a promise. Each dock is counted under one step, so that the steps add up to ``total``."""
    docks = [device for device in all_devices if device.is_gateway]
    steps = {step.value: 0 for step in AccessStep}
    for dock in docks:
        steps[live.step(dock).value] += 1
    said = live.state
    stats = said.stats if said and live.running else {}
    return {
        "running": live.running,
        "pid": said.pid if said and live.running else None,
        "started_at": iso(said.started_at) if said and live.running else None,
        "heartbeat_at": iso(said.heartbeat_at) if said else None,
        "docks": {**steps, "total": len(docks)},
        "aircraft": {
            "online": sum(live.is_online(device) for device in all_devices if not device.is_gateway),
            "total": len(all_devices) - len(docks),
        },
        "connections": {"total": said.connections if said and live.running else 0, **stats.get("connections", {})},
        **{name: dict(stats.get(name, {})) for name in TOLD},
    }
