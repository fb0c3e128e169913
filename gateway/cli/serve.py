"""``dockgate serve``: the configuration goes to the gateway, its exit code comes back. The gateway itself is ``gateway.serve``."""

from __future__ import annotations

import typer

from gateway.cli.context import Cli
from gateway.cli.options import example
from gateway.serve import run

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_DEBUG = {"DOCKGATE__LOG__LEVEL": "debug"}


@app.command(epilog=example("dockgate --config /etc/dockgate/broker.yaml serve"))
def serve(ctx: typer.Context) -> None:
    """Run the gateway. SIGTERM and Ctrl-C end it cleanly, SIGHUP reloads certificates and configuration."""
    cli = Cli.of(ctx)
    raise typer.Exit(run(cli.config(_DEBUG if cli.verbose else None)))
