"""Is the file that is written still the one that others find under its name? A path comes in; an error goes out when it is not.

SQLite goes on writing to a file that was removed or replaced, and what is written there nobody finds again
(sqlite.org/howtocorrupt, 4.2 and 4.3). Looked at before each commit: two calls of stat(2), some microseconds.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path


class Place:
    """The database and its WAL, which is there as long as somebody has the database open."""

    def __init__(self, path: Path) -> None:
        """``path`` was opened a moment ago."""
        self._known = {each: _identity(each) for each in (path, path.with_name(f"{path.name}-wal"))}

    def has_moved(self) -> bool:
        """Blocks: looks at the disk."""
        return any(known is not None and _identity(path) != known for path, known in self._known.items())

    def require(self) -> None:
        """:raises sqlite3.OperationalError: SQLITE_READONLY_DBMOVED, as SQLite itself says it when it notices."""
        for path, known in self._known.items():
            found = _identity(path)
            if known is None:
                self._known[path] = found
            elif found != known:
                error = sqlite3.OperationalError(f"{path.name} is not the file that was opened")
                error.sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED
                raise error


def _identity(path: Path) -> tuple[int, int] | None:
    """None: there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
