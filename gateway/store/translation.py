"""sqlite3's exceptions come in, the database branch of the error tree goes out; only here are result codes read."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

from gateway.errors import DatabaseBusyError, DatabaseDamagedError, DatabaseError, DatabaseUnwritableError
from gateway.store import hindrance
from gateway.store.hindrance import Cause

# Primary result codes, https://www.sqlite.org/rescode.html; the higher bytes of an extended code say how, not what.
_PRIMARY = 0xFF
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITABLE = {
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "access is not permitted",
    sqlite3.SQLITE_NOLFS: "the file system takes no file of that size",
}
_HINTS = {
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_IOERR: "look at the disk: the system's log says more (dmesg)",
}
_ELSE = "check owner, permissions and free space of the directory"


def translate(error: sqlite3.Error, path: Path) -> DatabaseError:
    """The error to raise instead, ``from error``. SQL parameters are in neither, so no secret is."""
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return DatabaseUnwritableError(
            f"{path}: removed or replaced while it is open ({error})", hint="put the file back, or restart the gateway"
        )
    code = extended & _PRIMARY
    if code in _BUSY:
        return DatabaseBusyError(
            f"{path}: locked by another process",
            hint=f"try again; who holds it is told by: fuser -v {shlex.quote(str(path))}",
        )
    if code in _DAMAGED:
        return DatabaseDamagedError(f"{path}: damaged or not a database ({error})", hint="dockgate backup restore FILE")
    if code in _UNWRITABLE:
        found = hindrance.look(path)
        if found is not None and (code != sqlite3.SQLITE_FULL or found.cause is Cause.FULL):
            kind = DatabaseError if found.cause is Cause.MISSING else DatabaseUnwritableError
            return kind(f"{path}: {found.what}", hint=found.hint)
        return DatabaseUnwritableError(f"{path}: {_UNWRITABLE[code]} ({error})", hint=_HINTS.get(code, _ELSE))
    return DatabaseError(f"{path}: {error}")


def refused(error: OSError, path: Path) -> DatabaseError:
    """``translate`` for what the system says of the database's file, or of one beside it."""
    found = hindrance.look(path, said=error.errno)
    if found is None:
        return DatabaseUnwritableError(f"{path}: {error.strerror or error}", hint=_ELSE)
    kind = DatabaseError if found.cause is Cause.MISSING else DatabaseUnwritableError
    return kind(f"{path}: {found.what}", hint=found.hint)
