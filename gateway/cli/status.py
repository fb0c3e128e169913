"""``dockgate status``: the fleet at a glance. Devices and the gateway's heartbeat come in, counts go out."""

from __future__ import annotations

from typing import Any

import typer

from gateway.cli import render
from gateway.cli.context import Cli, Db
from gateway.cli.live import Live, look
from gateway.cli.options import Output, example
from gateway.cli.times import iso, local
from gateway.model import AccessStep, Device
from gateway.store import devices

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_TOLD = ("messages", "requests", "logins", "rates")
"""What the running gateway counts since it started, passed on as it says it (``gateway.runtime``); rates are per second."""
_MEANING = {
    AccessStep.SEEN: "heard of, never connected",
    AccessStep.CONNECTED: "connected, no license served",
    AccessStep.LICENSED: "license served, not bound",
    AccessStep.BOUND: "bound, not online",
    AccessStep.ONLINE: "online",
}


@app.command(epilog=example("dockgate status", "dockgate -o json status"))
def status(ctx: typer.Context, output: Output = None) -> None:
    """Docks by how far they have come, and connections."""
    cli = Cli.of(ctx, output)

    def query(db: Db) -> dict[str, Any]:
        return describe(devices.list_all(db), look(db, cli.now))

    found = cli.read(query)
    render.record(found, cli.format, text=_text(found))


def describe(all_devices: list[Device], live: Live) -> dict[str, Any]:
    """The keys are a promise. Each dock is counted under one step, so that the steps add up to ``total``."""
    docks = [device for device in all_devices if device.is_gateway]
    steps = {step.value: 0 for step in AccessStep}
    for dock in docks:
        steps[current_step(dock, live).value] += 1
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
        **{name: dict(stats.get(name, {})) for name in _TOLD},
    }


def current_step(dock: Device, live: Live) -> AccessStep:
    """The furthest step that still holds: a dock that was online and is not any more is as far as its binding."""
    if live.is_online(dock):
        return AccessStep.ONLINE
    if dock.access_step is AccessStep.ONLINE:
        return AccessStep.LICENSED if dock.organization_id is None else AccessStep.BOUND
    return dock.access_step


def _text(found: dict[str, Any]) -> str:
    if found["running"]:
        gateway = f"running since {local(found['started_at'])} (process {found['pid']})"
    elif found["heartbeat_at"]:
        gateway = f"not running; last seen {local(found['heartbeat_at'])}"
    else:
        gateway = "not running"
    lines = [("gateway", gateway)]
    lines += [(f"{step}", f"{found['docks'][step.value]:>5}  {_MEANING[step]}") for step in AccessStep]
    lines.append(("docks", f"{found['docks']['total']:>5}"))
    lines.append(("aircraft", f"{found['aircraft']['total']:>5}  {found['aircraft']['online']} online"))
    by_role = {name: number for name, number in found["connections"].items() if name != "total"}
    lines.append(("connections", f"{found['connections']['total']:>5}  {render.cell(by_role) if by_role else ''}"))
    lines += [(name, f"{'':>5}  {render.cell(found[name])}") for name in _TOLD if found[name]]
    return render.paired(lines)
