"""A database for one process alone: for who wants to put another file in its place. A path comes in; nothing of it is changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from gateway.errors import ConflictError, DatabaseBusyError, DatabaseUnwritableError
from gateway.store import hindrance
from gateway.store.hindrance import Cause
from gateway.store.translation import translate

_PROC = Path("/proc")


@contextmanager
def held(path: Path, *, wait_s: float = 2.0) -> Iterator[None]:
    """While this lasts nobody else has the database open, and all of it is in the one file.

    Who waits for it meanwhile and then finds its file replaced is turned away by SQLite (SQLITE_READONLY_DBMOVED), since
    changing back to WAL has to write to it. A file that is no sound database cannot be locked; then it is only looked at
    who has it open.

    :raises DatabaseBusyError: another process has it open.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=wait_s)) as db:
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            # out of WAL: that needs every other connection gone, whether or not it is doing something
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            translated = translate(error, path)
            if isinstance(translated, DatabaseBusyError):
                raise translated from error
            if pids := openers(path):
                raise DatabaseBusyError(f"{path}: process {pids[0]} has it open") from error
        yield


@contextmanager
def served(path: Path) -> Iterator[None]:
    """While this lasts no other gateway serves the database: two would tell each other's docks offline.

    The lock is on a file of its own beside it, as closing any descriptor of the database would take SQLite's own locks away
    (sqlite.org/howtocorrupt, 2.2). It ends with the process, however that ends.

    :raises ConflictError: another gateway serves it.
    """
    lock = path.with_name(f"{path.name}.serving")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        barred = hindrance.look(path, said=error.errno)
        hint = barred.hint if barred and barred.cause is not Cause.MISSING else None
        raise DatabaseUnwritableError(f"{lock}: cannot be written ({error.strerror})", hint=hint) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(
                f"{path}: another gateway serves this database",
                hint="stop that one first: dockgate status tells its process",
            ) from error
        yield
    finally:
        os.close(descriptor)


def openers(path: Path) -> list[int]:
    """Other processes that have the file open, as far as this user may see them."""
    try:
        numbers = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    return [pid for pid in numbers if pid != os.getpid() and is_open_in(pid, path)]


def is_open_in(pid: int, path: Path) -> bool:
    """False also when this user may not look."""
    try:
        wanted = path.stat()
        links = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
    for link in links:
        try:
            found = link.stat()
        except OSError:  # closed in between
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False
