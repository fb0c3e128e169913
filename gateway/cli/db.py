"""``dockgate db``: is the database sound, and is it of this version. The configuration comes in, findings go out."""

from __future__ import annotations

from pathlib import Path

import typer

from gateway.cli import render
from gateway.cli.context import Change, Cli
from gateway.cli.options import Output, example, noun
from gateway.cli.render import Column
from gateway.errors import DatabaseBusyError, DatabaseDamagedError, DatabaseNewerError, RefusedError
from gateway.operations.soundness import describe
from gateway.store import checks, exclusive
from gateway.store.checks import Report

app = noun("Whether the database is sound, and of this version.")

_DETAILS = (
    Column("database", "database"),
    Column("bytes", "bytes"),
    Column("version", "version"),
    Column("newest_version", "newest version"),
    Column("foreign", "not ours"),
    Column("problems", "problems"),
)


@app.command("check", epilog=example("dockgate db check"))
def check(ctx: typer.Context, output: Output = None) -> None:
    """Read all of the database and compare its tables with what this version needs. Exit code 1 when something is wrong."""
    cli = Cli.of(ctx, output)
    report = checks.inspect(cli.config().dockgate.database)
    render.record(describe(report), cli.format, columns=_DETAILS)
    if not report.ok:
        if hint := mending(report):
            render.note(cli.naming_config(f"hint: {hint}"))
        raise typer.Exit(1)


@app.command("migrate", epilog=example("dockgate db migrate"))
def migrate(ctx: typer.Context, output: Output = None) -> None:
    """Bring the database up to this version; a copy of it is made first. `serve` does the same when it starts."""
    cli = Cli.of(ctx, output)
    path = cli.config().dockgate.database
    before = checks.inspect(path)
    if before.version is None:
        raise before.error or DatabaseDamagedError("; ".join(before.damage), hint=mending(before))
    if before.error:
        raise before.error
    if before.damage:
        raise DatabaseDamagedError(f"{path}: {'; '.join(before.damage[:3])}", hint=mending(before))
    if before.version > before.newest_version:
        raise DatabaseNewerError("; ".join(before.problems), hint="install the newer dockgate")
    backup = path.with_name(f"{path.name}.v{before.version}.bak")
    if before.version < before.newest_version:
        _require_stopped(path)
        cli.change(lambda change: _note(change, before))
    after = checks.inspect(path)
    result = {
        "database": str(path),
        "from_version": before.version,
        "version": after.version,
        "backup": str(backup) if before.version != after.version and before.version else None,
    }
    text = f"{path}: version {after.version}"
    if result["backup"]:
        text += f" (was {before.version}; the copy from before is {backup})"
    render.record(result, cli.format, text=text)


def mending(report: Report) -> str | None:
    """The command that mends what is wrong."""
    if report.error is not None:
        return report.error.hint
    if report.damage:
        return "dockgate backup restore FILE"
    if report.version is not None and report.version < report.newest_version:
        return "dockgate db migrate"
    return None


def _require_stopped(path: Path) -> None:
    """A gateway of an older version runs on tables of an older version."""
    try:
        with exclusive.held(path):
            pass
    except DatabaseBusyError as error:
        raise RefusedError(
            f"a gateway or another process has {path} open: stop it first", hint="systemctl stop dockgate"
        ) from error


def _note(change: Change, before: Report) -> None:
    change.audit("db.migrate", str(before.path), from_version=before.version, version=before.newest_version)
