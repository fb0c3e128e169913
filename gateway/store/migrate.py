"""A database of any age comes in, one that equals schema.sql goes out; or an error, and no step is half done.

Each step and its record are one transaction. Never a step back, never a change of what others put into the file.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from gateway.errors import DatabaseError, DatabaseNewerError, DatabaseUnwritableError
from gateway.store.copying import copy

_log = logging.getLogger(__name__)

APPLICATION_ID = 0x44474154  # "DGAT" in the header of the file: tells ours from another program's SQLite file

_WAL_TRIES = 20

_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"([A-Za-z_]\w*)\"|\w+|[^\w\s]", re.DOTALL)
_Objects = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Migration:
    """``number`` is the ``user_version`` that a database has after it."""

    number: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Difference:
    """``wrong``: ours, and missing or not as in schema.sql. ``foreign``: not ours; left alone."""

    wrong: tuple[str, ...]
    foreign: tuple[str, ...]


@cache
def available() -> tuple[Migration, ...]:
    """All steps that this program knows, in order."""
    folder = resources.files("gateway.store.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(
        Migration(int(name[:4]), name.removesuffix(".sql"), folder.joinpath(name).read_text(encoding="utf-8"))
        for name in names
    )


@cache
def schema() -> str:
    return resources.files("gateway.store").joinpath("schema.sql").read_text(encoding="utf-8")


def version_of(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def bring_up(
    db: sqlite3.Connection,
    *,
    path: Path,
    now: int,
    migrations: Sequence[Migration] | None = None,
    truth: str | None = None,
) -> None:
    """Take every step that is missing, after a copy to ``FILE.v<N>.bak`` when there is something to lose; then compare.

    ``db`` is outside any transaction. An empty file counts as version 0: that is what a killed ``init`` leaves.

    :raises DatabaseNewerError: :raises DatabaseError: another program's file, or tables that differ from ``truth``.
    """
    steps = available() if migrations is None else migrations
    found = _require_ours(db, path, steps[-1].number)
    if _use_wal(db) != "wal":
        raise DatabaseUnwritableError(f"{path}: its file system does not support WAL", hint="put it on a local disk")
    if found < steps[-1].number:
        db.execute("PRAGMA synchronous=FULL")
        if found:
            backup = path.with_name(f"{path.name}.v{found}.bak")
            try:
                copy(db, backup)
            except OSError as error:
                raise DatabaseUnwritableError(f"{backup}: cannot be written ({error.strerror})") from error
            _log.info("database backed up before migrating", extra={"backup": str(backup), "version": found})
        for step in steps:
            if step.number > found:
                _apply(db, step, path, now)
    _require_equal(db, path, schema() if truth is None else truth)


def require_current(
    db: sqlite3.Connection, *, path: Path, migrations: Sequence[Migration] | None = None, truth: str | None = None
) -> None:
    """For a database that must not be changed: what ``bring_up`` would refuse is refused, and an older one too."""
    newest = (available() if migrations is None else migrations)[-1].number
    if _require_ours(db, path, newest) < newest:
        raise DatabaseError(f"{path}: written by an older dockgate", hint="dockgate db migrate")
    _require_equal(db, path, schema() if truth is None else truth)


def difference(db: sqlite3.Connection, truth: str | None = None) -> Difference:
    """Compare tables, indexes and triggers with schema.sql; spaces, comments and needless quotes do not count."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(schema() if truth is None else truth)
        wanted = _objects(model)
    live = _objects(db)
    return Difference(
        wrong=tuple(f"{kind} {name}" for (kind, name), sql in wanted.items() if live.get((kind, name)) != sql),
        foreign=tuple(f"{kind} {name}" for kind, name in live if (kind, name) not in wanted),
    )


def _require_ours(db: sqlite3.Connection, path: Path, newest: int) -> int:
    db.execute("BEGIN")  # three looks at one state: another process may be making the tables right now
    version = version_of(db)
    application = db.execute("PRAGMA application_id").fetchone()[0]
    is_empty = not (application or version or db.execute("SELECT 1 FROM sqlite_schema").fetchone())
    db.execute("ROLLBACK")
    if application != APPLICATION_ID and not is_empty:
        raise DatabaseError(f"{path}: it belongs to another program", hint="name another file as the database")
    if version > newest:
        raise DatabaseNewerError(
            f"{path}: written by a newer dockgate (version {version}, this one knows {newest})",
            hint="install the newer dockgate, or restore the backup that it made",
        )
    return version


def _require_equal(db: sqlite3.Connection, path: Path, truth: str) -> None:
    found = difference(db, truth)
    if found.wrong:
        raise DatabaseError(
            f"{path}: not as this dockgate needs it: {', '.join(found.wrong)}", hint="dockgate db check"
        )
    if found.foreign:
        _log.warning("the database holds more than dockgate made", extra={"objects": ", ".join(found.foreign)})


def _use_wal(db: sqlite3.Connection) -> str:
    for _ in range(_WAL_TRIES):
        try:
            mode: str = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            # Two that switch a new file at once would wait for each other for ever, so SQLite turns one away without
            # waiting. This lock is waited for, and whoever had it has switched by then.
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        else:
            return mode
    return db.execute("PRAGMA journal_mode").fetchone()[0]  # type: ignore[no-any-return]


def _apply(db: sqlite3.Connection, step: Migration, path: Path, now: int) -> None:
    # Off for the step, as SQLite's procedure for rebuilding tables asks (lang_altertable, section 7); checked below.
    db.execute("PRAGMA foreign_keys=OFF")
    try:
        db.execute("BEGIN IMMEDIATE")
        if version_of(db) >= step.number:  # another process was faster
            return
        for statement in _statements(step.sql):
            db.execute(statement)
        if db.execute("PRAGMA foreign_key_check").fetchone():
            raise DatabaseError(f"{path}: step {step.name} would leave rows without what they point at")
        db.execute("INSERT INTO migration (id, name, applied_at) VALUES (?, ?, ?)", (step.number, step.name, now))
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={step.number}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA foreign_keys=ON")


def _statements(sql: str) -> Iterator[str]:
    # executescript() would commit first, and so tear a step from its record
    lines: list[str] = []
    for line in sql.splitlines():
        lines.append(line)
        statement = "\n".join(lines)
        if sqlite3.complete_statement(statement):
            yield statement
            lines.clear()
    if _canonical("\n".join(lines)):
        raise DatabaseError("a migration ends in the middle of a statement")


def _objects(db: sqlite3.Connection) -> _Objects:
    rows = db.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    )
    return {(kind, name): _canonical(sql or "") for kind, name, sql in rows}


def _canonical(sql: str) -> str:
    tokens = ((match[0], match[1]) for match in _TOKEN.finditer(sql))
    return " ".join(plain or text for text, plain in tokens if not text.startswith(("--", "/*")))
