"""``dockgate status``: the fleet at a glance. Devices and the gateway's heartbeat come in, counts go out."""

from __future__ import annotations

from typing import Any

import typer

from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.options import Output, example
from gateway.cli.times import local
from gateway.model import AccessStep
from gateway.operations.status import TOLD, glance

app = typer.Typer(add_completion=False, rich_markup_mode=None)

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
    found = cli.read(glance, cli.now)
    render.record(found, cli.format, text=_text(found))


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
    lines += [(name, f"{'':>5}  {render.cell(found[name])}") for name in TOLD if found[name]]
    return render.paired(lines)
