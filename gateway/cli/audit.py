"""``dockgate audit``: what happened comes out of the database, oldest first; nothing here can change or delete it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.options import Output, example, noun
from gateway.cli.render import Format
from gateway.cli.times import iso, local, since
from gateway.store import audit
from gateway.store.audit import Entry

app = noun("Every operator change, every bind decision, every refused login.")


@app.command(
    "list",
    epilog=example("dockgate audit list --since 24h", "dockgate -o jsonl audit list --dock 7CTDM7100B1234"),
)
def list_entries(
    ctx: typer.Context,
    since_text: Annotated[
        str | None,
        typer.Option("--since", metavar="T", help="From then on: 2h, 7d, 2026-05-01T12:00:00Z.", show_default=False),
    ] = None,
    dock: Annotated[
        str | None, typer.Option("--dock", metavar="SN", help="Only what concerns this dock.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="The newest so many.")] = 1000,
    output: Output = None,
) -> None:
    """The audit trail, oldest first."""
    cli = Cli.of(ctx, output)
    start = None if since_text is None else since(since_text, cli.now, option="--since")
    found = cli.read(audit.list_since, since=start, dock=dock, limit=limit)
    show_entries([describe(entry) for entry in found], cli.format)


def show_entries(entries: Sequence[dict[str, Any]], fmt: Format) -> None:
    """Two lines for each: what happened to whom, and by whom with which details, since both together are too wide."""
    if fmt is not Format.TABLE or not entries:
        render.rows(entries, fmt, (), empty="nothing")
        return
    width = max(len(entry["action"]) for entry in entries)
    for entry in entries:
        head = f"{local(entry['at'])}  {render.visible(entry['action']):<{width}}  {entry['outcome']:<7}  "
        detail = " ".join(f"{key}={render.cell(value)}" for key, value in entry["detail"].items())
        render.say(
            render.wrapped(entry["target"] or "-", first=head, indent=" " * 4)
            + render.wrapped(f"by {entry['actor']}  {detail}", first=" " * 4, indent=" " * 6)
        )


def describe(entry: Entry) -> dict[str, Any]:
    """The keys are a promise."""
    return {
        "at": iso(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "outcome": entry.outcome,
        "detail": dict(entry.detail),
    }
