"""A file comes in, what is wrong with it goes out. Changes nothing, and tells of damage instead of raising it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.errors import DatabaseDamagedError, DatabaseError
from gateway.store import hindrance, migrate
from gateway.store.hindrance import Hindrance
from gateway.store.translation import refused, translate

_SHOWN = 20  # a damaged file has thousands of findings that all say the same


@dataclass(frozen=True, slots=True)
class Report:
    """``problems`` empty: sound. ``version`` None: unreadable. ``foreign``: what others put into the file.

    ``damage`` are those of the problems that another version of the program could not live with either. ``error``: it could not
    be looked at, which says nothing of what is in it; ``hindrance`` is the cause as far as it is known.
    """

    path: Path
    bytes: int
    version: int | None
    newest_version: int
    problems: tuple[str, ...]
    foreign: tuple[str, ...]
    damage: tuple[str, ...]
    error: DatabaseError | None = None
    hindrance: Hindrance | None = None

    @property
    def ok(self) -> bool:
        return not self.problems


def problems(db: sqlite3.Connection) -> list[str]:
    """What ``integrity_check`` and ``foreign_key_check`` find; empty when sound. Reads the whole file.

    :raises sqlite3.DatabaseError: it is too damaged to be checked.
    """
    found = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({_SHOWN})") if row[0] != "ok"]
    found += [
        f"row in {row[0]} without its {row[2]}" for row in db.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN)
    ]
    return found


def inspect(path: Path, *, alone: bool = False) -> Report:
    """Blocking: call it off the event loop. Works beside a running gateway and on a backup.

    ``alone``: nobody else has the file, so that no locks are needed, which a network's file system may not have.
    """
    size = 0
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"
    seen = _Seen()
    error: DatabaseError | None = None
    try:
        size = path.stat().st_size
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            seen.look(db)
    except sqlite3.Error as cause:
        error = seen.failed(cause, path)
    except OSError as cause:
        error = refused(cause, path)
    return seen.report(path, size, error)


def inspect_bytes(content: bytes, path: Path) -> Report:
    """``inspect`` of a database in memory, which came from ``path``."""
    seen = _Seen()
    error: DatabaseError | None = None
    try:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            db.deserialize(content)
            seen.look(db)
    except sqlite3.Error as cause:
        error = seen.failed(cause, path)
    return seen.report(path, len(content), error)


class _Seen:
    """What came to light until it failed, if it did."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._newest = migrate.available()[-1].number
        self._damage: list[str] = []
        self._found: list[str] = []
        self._foreign: tuple[str, ...] = ()

    def look(self, db: sqlite3.Connection) -> None:
        self._version = version = migrate.version_of(db)
        self._damage += problems(db)
        if version > self._newest:
            self._found.append(f"written by a newer dockgate (version {version}, this one knows {self._newest})")
        elif version < self._newest:
            self._found.append(f"written by an older dockgate (version {version}, this one needs {self._newest})")
        else:
            difference = migrate.difference(db)
            self._foreign = difference.foreign
            self._found += [f"{name} is not as this dockgate needs it" for name in difference.wrong]

    def failed(self, cause: sqlite3.Error, path: Path) -> DatabaseError | None:
        """None: it is damage."""
        error = translate(cause, path)
        if not isinstance(error, DatabaseDamagedError):
            return error
        self._damage.append(str(error))
        return None

    def report(self, path: Path, size: int, error: DatabaseError | None) -> Report:
        told = (*((str(error),) if error else ()), *self._damage, *self._found)
        barred = hindrance.look(path) if error else None
        return Report(path, size, self._version, self._newest, told, self._foreign, tuple(self._damage), error, barred)
