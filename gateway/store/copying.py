"""A connection comes in, a complete copy of its database goes out as a file of its own; never half a copy."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy(db: sqlite3.Connection, target: Path) -> None:
    """Copy while others read and write. ``target`` is replaced in one step, has mode 0600 and is on the disk then.

    :raises sqlite3.Error: reading or writing failed; ``target`` is as before. :raises OSError: likewise.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as copied:
            db.backup(copied)
            # A WAL beside the copy would have to travel with it
            copied.execute("PRAGMA journal_mode=DELETE")
        _sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
