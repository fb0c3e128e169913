"""``dockgate audit``: what happened comes out of the database, oldest first; nothing here can change or delete it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.context import Cli, Db
from gateway.cli.options import Output, example, noun
from gateway.cli.render import Format
from gateway.cli.times import local, now_ms, since
from gateway.errors import DatabaseBusyError
from gateway.operations import trail
from gateway.operations.times import iso
from gateway.store import audit
from gateway.store.audit import Entry
from gateway.store.connection import Store

app = noun("Every operator change, every bind decision, every refused login.")

_LOOK_S = 1.0
_AT_ONCE = 1000


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
    show_entries(cli.read(trail.entries, since=start, dock=dock, limit=limit), cli.format)


@app.command("tail", epilog=example("dockgate audit tail", "dockgate -o jsonl audit tail --lines 0 | grep refused"))
def tail(
    ctx: typer.Context,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=100_000, help="Begin with the newest so many.")
    ] = 10,
    dock: Annotated[
        str | None, typer.Option("--dock", metavar="SN", help="Only what concerns this dock.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Follow the audit trail until Ctrl-C, which ends it with 130. JSON is printed as JSON lines: an array would have no end."""
    cli = Cli.of(ctx, output)
    fmt = Format.TABLE if cli.is_table else Format.JSONL
    asyncio.run(_follow(cli.config().dockgate.database, fmt, lines, dock))


async def _follow(path: Path, fmt: Format, lines: int, dock: str | None) -> None:
    """Each look opens the database anew: who only watches shall not keep a restore from taking its place."""
    last: int | None = None
    file: int | None = None
    while True:
        if _identity(path) != file and last is not None:
            last, lines = None, 0  # what a restored backup holds from before is not news
        file = _identity(path)
        with contextlib.suppress(DatabaseBusyError):  # the next look finds it
            found, last = await _news(path, last, lines, dock)
            if found:
                show_entries([trail.describe(entry) for entry in found], fmt)
        await asyncio.sleep(_LOOK_S)


async def _news(path: Path, last: int | None, lines: int, dock: str | None) -> tuple[list[Entry], int]:
    """What came after the entry ``last``, or the newest ``lines``; and the id of the newest of all."""
    async with await Store.open(path, clock=now_ms, read_only=True) as store:
        if last is None:
            return await store.read(_begin, lines, dock)
        found = await store.read(audit.list_since, dock=dock, after_id=last, limit=_AT_ONCE)
        return found, max((entry.id or 0 for entry in found), default=last)


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _begin(db: Db, lines: int, dock: str | None) -> tuple[list[Entry], int]:
    """The newest entries to show, and the id of the newest of all."""
    newest = audit.list_since(db, limit=1)
    found = audit.list_since(db, dock=dock, limit=lines) if lines else []
    return found, (newest[0].id or 0) if newest else 0


def _shown(key: str, value: Any) -> str:  # noqa: ANN401 - any JSON
    """``since`` is when the first of several was, in ms."""
    return local(iso(value)) if key == "since" and isinstance(value, int) else render.cell(value)


def show_entries(entries: Sequence[dict[str, Any]], fmt: Format) -> None:
    """Two lines for each: what happened to whom, and by whom with which details, since both together are too wide."""
    if fmt is not Format.TABLE or not entries:
        render.rows(entries, fmt, (), empty="nothing")
        return
    width = max(len(entry["action"]) for entry in entries)
    for entry in entries:
        head = f"{local(entry['at'])}  {render.visible(entry['action']):<{width}}  {entry['outcome']:<7}  "
        detail = " ".join(f"{key}={_shown(key, value)}" for key, value in entry["detail"].items())
        render.say(
            render.wrapped(entry["target"] or "-", first=head, indent=" " * 4)
            + render.wrapped(f"by {entry['actor']}  {detail}", first=" " * 4, indent=" " * 6)
        )
