"""``dockgate backup``: an installation goes into one file while the gateway runs, and comes back out of it while it does not.
A file name comes in, what is in it goes out; a password of a file is asked for, never an argument.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import gateway
from gateway.backup import archive, creating, restoring
from gateway.backup.archive import Archive, DamagedError, Manifest
from gateway.cli import render, secrets
from gateway.cli.context import Change, Cli, change_at
from gateway.cli.options import Output, PasswordStdin, Yes, example, noun
from gateway.cli.progress import Progress
from gateway.cli.render import Column
from gateway.cli.times import iso, local
from gateway.errors import ConfigError, ConflictError, DatabaseError, RefusedError, UsageError
from gateway.store import devices, state

app = noun("The whole installation in one file: database, configuration, certificates and keys.")

CONFIG_FILE = "broker.yaml"
_WHAT = "the password of the backup"
File = Annotated[Path, typer.Argument(metavar="F", help="The file of the backup.", show_default=False)]
_DETAILS = (
    Column("file", "file"),
    Column("bytes", "bytes"),
    Column("integrity", "integrity"),
    Column("encrypted", "encrypted"),
    Column("created_at", "made", show=local),
    Column("dockgate_version", "by dockgate"),
    Column("files", "files"),
)


@app.command(
    "create",
    epilog=example(
        "dockgate backup create /backups/monday.tar.gz",
        "pass show backup | dockgate backup create b.age --encrypt --password-stdin",
    ),
)
def create(
    ctx: typer.Context,
    file: File,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Seal it with a password, as an age file.")] = False,
    password_stdin: PasswordStdin = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    output: Output = None,
) -> None:
    """Back up everything, whether the gateway runs or not. The file is checked before it gets its name."""
    cli = Cli.of(ctx, output)
    if password_stdin and not encrypt:
        raise UsageError("--password-stdin is for --encrypt")
    config = cli.config()
    if file.is_dir() or (not force and os.path.lexists(file)):
        raise ConflictError(f"{file} exists already and is left alone", hint="name another file, or --force")
    password = secrets.chosen_secret(_WHAT, from_stdin=password_stdin) if encrypt else None
    with Progress() as progress:
        made = creating.create(
            config,
            file.absolute(),
            now=cli.now,
            version=gateway.__version__,
            password=password,
            replace=force,
            progress=progress,
        )
    _audit(cli, "backup.create", file, encrypted=encrypt, bytes=made.bytes)
    render.record(_describe(file, made.manifest, encrypted=encrypt), cli.format, columns=_DETAILS)
    if not encrypt and cli.is_table:
        render.note("It holds private keys and the license in the clear: keep it where nobody else reads it.")


@app.command("verify", epilog=example("dockgate backup verify /backups/monday.tar.gz"))
def verify(ctx: typer.Context, file: File, password_stdin: PasswordStdin = False, output: Output = None) -> None:
    """Read all of a backup and check it, the database in it too. Exit code 1 when it could not be restored."""
    cli = Cli.of(ctx, output)
    try:
        with Progress() as progress, archive.opened(file, lambda: _password(password_stdin)) as opened:
            problems = restoring.problems_of(opened, progress)
            result = _describe(file, opened.manifest, encrypted=opened.encrypted)
    except DamagedError as error:
        problems, result = [str(error)], _describe(file, None, encrypted=None)
    if problems:
        result |= {"integrity": "damaged"}
    result["problems"] = problems
    columns = (*_DETAILS, Column("problems", "problems")) if problems else _DETAILS
    render.record(result, cli.format, columns=columns)
    if problems:
        raise typer.Exit(1)


@app.command(
    "restore",
    epilog=example(
        "dockgate backup restore /backups/monday.tar.gz",
        "dockgate backup restore monday.tar.gz --dir /srv/dockgate --yes",
    ),
)
def restore(
    ctx: typer.Context,
    file: File,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="D", help="Where it goes; else where the configuration is now.", show_default=False
        ),
    ] = None,
    no_keep: Annotated[bool, typer.Option("--no-keep", help="Keep no backup of what is there now.")] = False,
    password_stdin: PasswordStdin = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Put a backup in the place of what is there. The gateway has to be stopped; all of it comes back, or nothing changes."""
    cli = Cli.of(ctx, output)
    config = _where(cli, directory)
    keep_as = None if no_keep else _free_name(config.parent, cli.now)
    with archive.opened(file, lambda: _password(password_stdin)) as opened:
        restoring.require_usable(opened, config)
        if restoring.replaces(opened, config):
            _confirm(cli, opened, config, yes=yes)
        with Progress() as progress:
            done = restoring.restore(
                opened,
                config,
                env=os.environ,
                now=cli.now,
                version=gateway.__version__,
                keep_as=keep_as,
                prepare=lambda database: _prepare(cli, database, file, opened.manifest),
                progress=progress,
            )
        result = _describe(file, opened.manifest, encrypted=opened.encrypted)
    result |= {
        "config": str(done.config),
        "database": str(done.database),
        "kept": None if done.kept is None else str(done.kept),
        "aside": None if done.aside is None else str(done.aside),
    }
    columns = (
        *_DETAILS,
        Column("config", "configuration"),
        Column("database", "database"),
        Column("kept", "kept from before"),
    )
    render.record(result, cli.format, columns=columns)
    for note in done.notes:
        render.note(f"note: {note}")
    if done.aside is not None:
        render.note(f"note: the database that was there is now {done.aside}")
    if cli.is_table:
        render.note(f"hint: dockgate --config {done.config} serve")


def _where(cli: Cli, directory: Path | None) -> Path:
    if directory is not None:
        return directory.absolute() / CONFIG_FILE
    try:
        return cli.config_path(may_be_missing=True)
    except ConfigError:
        raise UsageError(
            "there is no configuration here whose place it could take", hint="dockgate backup restore F --dir D"
        ) from None


def _free_name(folder: Path, now: int) -> Path:
    moment = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%d-%H%M%S")
    names = (folder / f"before-restore-{moment}{end}.tar.gz" for end in ("", *(f"-{n}" for n in range(2, 100))))
    return next(name for name in names if not os.path.lexists(name))


def _confirm(cli: Cli, opened: Archive, config: Path, *, yes: bool) -> None:
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("it replaces the installation, and nobody is here to be asked", hint="--yes does it unasked")
    made = local(iso(opened.manifest.created_at))
    cli.confirm(f"Put the backup of {made} in the place of {config.parent}?", yes=yes)


def _prepare(cli: Cli, database: Path, file: Path, manifest: Manifest) -> None:
    """In the copy that is to come back: nobody is connected, and the audit tells that it was put back."""

    def work(change: Change) -> None:
        state.clear(change.db)
        devices.reset_online(change.db)
        change.audit(
            "backup.restore", str(file), made_at=iso(manifest.created_at), dockgate_version=manifest.dockgate_version
        )

    asyncio.run(change_at(database, work, now=cli.now))


def _audit(cli: Cli, action: str, file: Path, **detail: Any) -> None:  # noqa: ANN401 - any JSON
    """The backup is there whatever becomes of this: on a full disk it may be just what is needed."""
    try:
        cli.change(lambda change: change.audit(action, str(file), **detail))
    except DatabaseError as error:
        render.note(f"note: {action} is not in the audit trail: {error}")


def _password(from_stdin: bool) -> str:
    return secrets.known_secret(_WHAT, from_stdin=from_stdin)


def _describe(file: Path, manifest: Manifest | None, *, encrypted: bool | None) -> dict[str, Any]:
    """The keys are a promise."""
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "integrity": "ok",
        "encrypted": encrypted,
        "created_at": iso(manifest.created_at) if manifest else None,
        "dockgate_version": manifest.dockgate_version if manifest else None,
        "schema_version": manifest.schema_version if manifest else None,
        "files": len(manifest.members) if manifest else None,
    }
