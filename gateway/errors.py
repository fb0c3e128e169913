"""The one tree of errors. What comes in: a cause. What goes out: a public text, a hint, an exit code; never a secret.

::

    DockgateError                  exit 1   something failed
    ├── UsageError                 exit 2   the words of a command are off
    ├── NotFoundError              exit 3   no such account, organization, code, dock
    ├── ConflictError              exit 4   exists already, or belongs to somebody else
    ├── RefusedError               exit 5   understood, and not allowed
    ├── DatabaseError              exit 6   the database cannot be used
    │   ├── DatabaseBusyError               locked by another process for longer than the wait
    │   ├── DatabaseDamagedError            not a database, or its integrity check fails
    │   ├── DatabaseNewerError              written by a newer dockgate
    │   └── DatabaseUnwritableError         read-only, disk full, no permission, I/O error
    ├── UnwritableError            exit 6   a file beside the database: disk full, read-only, no permission
    ├── ConfigError                exit 7   a value of the configuration is unusable
    └── PeerError                           a device sent something unusable; never leaves the process as text
        ├── EnvelopeError                   not JSON, too large, too deep
        └── MethodError                     a request that is answered with a non-zero result
"""

from __future__ import annotations

from typing import ClassVar


class DockgateError(Exception):
    """Something failed. ``str(error)`` is the public text; ``hint`` is the command or step that mends it, if there is one."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(DockgateError):
    code = "usage"
    exit_code = 2


class NotFoundError(DockgateError):
    code = "not_found"
    exit_code = 3


class ConflictError(DockgateError):
    code = "conflict"
    exit_code = 4


class RefusedError(DockgateError):
    code = "refused"
    exit_code = 5


class DatabaseError(DockgateError):
    code = "database"
    exit_code = 6


class DatabaseBusyError(DatabaseError):
    code = "database_busy"


class DatabaseDamagedError(DatabaseError):
    code = "database_damaged"


class DatabaseNewerError(DatabaseError):
    code = "database_newer"


class DatabaseUnwritableError(DatabaseError):
    code = "database_unwritable"


class UnwritableError(DockgateError):
    code = "unwritable"
    exit_code = 6


class ConfigError(DockgateError):
    code = "configuration"
    exit_code = 7


class PeerError(DockgateError):
    """A device's fault, told apart from ours; it is counted and logged, and answered where there is a way to answer."""

    code = "peer"


class EnvelopeError(PeerError):
    """``reason`` is one of ``not_json``, ``not_object``, ``too_large``, ``too_deep``."""

    code = "envelope"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MethodError(PeerError):
    """Answer a request with ``result`` = the number that ``result_name`` has in the table of result codes."""

    code = "method"

    def __init__(self, result_name: str, message: str) -> None:
        super().__init__(message)
        self.result_name = result_name
