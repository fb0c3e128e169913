"""A connection comes in, a complete copy of its database goes out as a file of its own; never half a copy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gateway.errors import DatabaseError, DatabaseUnwritableError
from gateway.store.translation import translate

Progress = Callable[[int, int], None]
"""Told of what is done and of all there is to do, now and then."""

# Pages at a time while somebody wants to see it move: 4 MiB.
_STEP = 1024


def copy(db: sqlite3.Connection, target: Path, progress: Progress | None = None) -> None:
    """Copy while others read and write. ``target`` is replaced in one step, has mode 0600 and is on the disk then.

    :raises sqlite3.Error: reading or writing failed; ``target`` is as before. :raises OSError: likewise.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as copied:
            if progress is None:
                db.backup(copied)
            else:
                # In one read transaction: else each write of others would make the copy begin anew
                db.execute("BEGIN")
                db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                db.backup(
                    copied,
                    pages=_STEP,
                    sleep=0,
                    progress=lambda _status, left, total: progress(total - left, total),
                )
                db.execute("ROLLBACK")
            # A WAL beside the copy would have to travel with it
            copied.execute("PRAGMA journal_mode=DELETE")
        _sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)


def copy_file(path: Path, target: Path, progress: Progress | None = None) -> None:
    """``copy`` of a database of any version, whether a gateway runs on it or not. Blocking.

    :raises DatabaseError: or one of its kinds.
    """
    if not path.is_file():
        raise DatabaseError(
            f"{path}: there is no database", hint="dockgate backup restore FILE, or dockgate init --dir NEW"
        )
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            copy(db, target, progress)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise DatabaseUnwritableError(f"{target}: cannot be written: {why}", hint="free some space") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
