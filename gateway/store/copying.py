"""A database comes in, a complete copy of it goes out as a file of its own, or as bytes; never half a copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from gateway.errors import DatabaseError, DatabaseUnwritableError
from gateway.store import exclusive, hindrance
from gateway.store.hindrance import Cause
from gateway.store.translation import translate

Progress = Callable[[int, int], None]
"""Told of what is done and of all there is to do, now and then."""

# Pages at a time while somebody wants to see it move: 4 MiB.
_STEP = 1024
# The bytes of the header that say by which journal it is written (sqlite.org/fileformat2, 1.3): 1 a rollback journal, 2 a WAL.
# A WAL beside the copy would have to travel with it.
_JOURNAL_AT, _ROLLBACK = 18, b"\x01\x01"


def copy(db: sqlite3.Connection, target: Path, progress: Progress | None = None) -> None:
    """Copy while others read and write. ``target`` is replaced in one step, has mode 0600 and is on the disk then.

    :raises sqlite3.Error: reading or writing failed; ``target`` is as before. :raises OSError: likewise.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        # Nobody else knows of it, and a network's file system may have no locks
        uri = f"file:{quote(str(part.absolute()))}?mode=rw&nolock=1"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as copied:
            _fill(copied, db, progress)
        with part.open("r+b") as file:
            if file.read(1):  # an empty database is an empty file
                file.seek(_JOURNAL_AT)
                file.write(_ROLLBACK)
        _sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)


def copy_file(path: Path, target: Path, progress: Progress | None = None) -> None:
    """``copy`` of a database of any version, whether a gateway runs on it or not, and whether its disk is full. Blocking.

    :raises DatabaseError: or one of its kinds.
    """
    try:
        with _opened(path) as db:
            copy(db, target, progress)
    except OSError as error:
        why = error.strerror or str(error)
        barred = hindrance.look(target, said=error.errno)
        hint = barred.hint if barred is not None and barred.cause is not Cause.MISSING else None
        raise DatabaseUnwritableError(f"{target}: cannot be written: {why}", hint=hint) from error


def read_file(path: Path, progress: Progress | None = None) -> bytes:
    """``copy_file`` into memory: for what must not lie on a disk in the clear."""
    with _opened(path) as db, closing(sqlite3.connect(":memory:", isolation_level=None)) as copied:
        _fill(copied, db, progress)
        content = bytearray(copied.serialize())
    if content:
        content[_JOURNAL_AT : _JOURNAL_AT + 2] = _ROLLBACK
    return bytes(content)


def _fill(copied: sqlite3.Connection, db: sqlite3.Connection, progress: Progress | None) -> None:
    if progress is None:
        db.backup(copied)
        return
    # In one read transaction: else each write of others would make the copy begin anew
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    db.backup(copied, pages=_STEP, sleep=0, progress=lambda _status, left, total: progress(total - left, total))
    db.execute("ROLLBACK")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    found = hindrance.look(path)
    if found is not None and found.cause in {Cause.MISSING, Cause.NOT_A_FILE}:
        raise DatabaseError(f"{path}: {found.what}", hint=found.hint)
    try:
        try:
            db = _connect(path)
        except sqlite3.Error:
            # SQLite makes files beside a database even to read it. Where the disk takes none, and nobody has it open, it can
            # do without.
            if found is None or found.cause not in {Cause.FULL, Cause.READ_ONLY} or exclusive.openers(path):
                raise
        else:
            with closing(db):
                yield db
            return
        with _as_it_lies(path) as db:
            yield db
    except sqlite3.Error as error:
        raise translate(error, path) from error


@contextmanager
def _as_it_lies(path: Path) -> Iterator[sqlite3.Connection]:
    wal = path.with_name(f"{path.name}-wal")
    if not wal.is_file() or not wal.stat().st_size:
        with closing(_connect(path, "&immutable=1")) as db:
            yield db
        return
    # What a killed gateway has written last is in the WAL, which only a place that can be written makes use of
    with ExitStack() as made:
        try:
            here = Path(made.enter_context(tempfile.TemporaryDirectory(prefix="dockgate-copy-"))) / path.name
            shutil.copyfile(path, here)
            shutil.copyfile(wal, here.with_name(wal.name))
        except OSError as error:
            raise DatabaseUnwritableError(
                f"{path}: its disk takes nothing, nor does another ({error.strerror or error})",
                hint="free some space, or name a directory that has some: TMPDIR=DIR",
            ) from error
        with closing(_connect(here)) as db:
            yield db


def _connect(path: Path, how: str = "") -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro{how}", uri=True, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # opened only now
    except BaseException:
        db.close()
        raise
    return db


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
