"""A file comes in, what is wrong with it goes out. Changes nothing, and tells of damage instead of raising it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.store import migrate
from gateway.store.translation import translate

_SHOWN = 20  # a damaged file has thousands of findings that all say the same


@dataclass(frozen=True, slots=True)
class Report:
    """``problems`` empty: sound. ``version`` None: unreadable. ``foreign``: what others put into the file.

    ``damage`` are those of the problems that another version of the program could not live with either.
    """

    path: Path
    bytes: int
    version: int | None
    newest_version: int
    problems: tuple[str, ...]
    foreign: tuple[str, ...]
    damage: tuple[str, ...]

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


def inspect(path: Path) -> Report:
    """Blocking: call it off the event loop. Works beside a running gateway and on a backup."""
    newest = migrate.available()[-1].number
    version: int | None = None
    damage: list[str] = []
    found: list[str] = []
    foreign: tuple[str, ...] = ()
    try:
        size = path.stat().st_size
        with closing(
            sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None)
        ) as db:
            version = migrate.version_of(db)
            damage += problems(db)
            if version > newest:
                found.append(f"written by a newer dockgate (version {version}, this one knows {newest})")
            elif version < newest:
                found.append(f"written by an older dockgate (version {version}, this one needs {newest})")
            else:
                difference = migrate.difference(db)
                foreign = difference.foreign
                found += [f"{name} is not as this dockgate needs it" for name in difference.wrong]
    except sqlite3.Error as error:
        damage.append(str(translate(error, path)))
    except OSError as error:
        size = 0
        damage.append(f"{path}: {error.strerror}")
    return Report(path, size, version, newest, (*damage, *found), foreign, tuple(damage))
