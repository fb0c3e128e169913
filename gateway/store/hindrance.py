"""Why the database cannot be used though nothing in it need be wrong: missing, another user's, read-only, the disk full. A path
comes in, the cause and its remedy go out. Only looked at, never written; and damage is never guessed.
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# The index of the WAL has 32 KiB at least (sqlite.org/walformat, 2.1), and a transaction needs some pages.
_LEAST_BYTES = 256 << 10
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class Cause(StrEnum):
    MISSING = "missing"
    NOT_A_FILE = "not_a_file"
    FORBIDDEN = "forbidden"
    READ_ONLY = "read_only"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """``what`` is the sentence that goes on after the path. ``hint`` is the step that mends it, with ``…`` for the words of
    the command that is to be run as another user.
    """

    cause: Cause
    what: str
    hint: str


MISSING = Hindrance(Cause.MISSING, "there is no database", "dockgate backup restore FILE, or dockgate init --dir NEW")
"""``init`` leaves a configuration that is there alone, hence the new directory."""
_NOT_A_FILE = Hindrance(Cause.NOT_A_FILE, "it is not a file", "name another file as the database")


def look(path: Path, *, said: int | None = None) -> Hindrance | None:
    """None: nothing is in the way that could be seen from here. SQLite writes beside the file even where it only reads.

    ``said``: the errno of an attempt; it knows of quotas too.
    """
    folder = path.parent
    if said in _NO_ROOM:
        return _full(folder)
    if said == errno.EROFS:
        return _read_only(folder)
    try:
        is_file = path.is_file()
        if not is_file:
            return _NOT_A_FILE if path.exists() else MISSING
        return _in_the_way(path)
    except PermissionError:
        return _forbidden(_closed(folder), "may not look into its directory", "x")
    except OSError:
        return None


def may(place: Path, mode: int) -> bool:
    """``os.access`` for who this process acts as, which need not be who has started it."""
    return os.access(place, mode, effective_ids=os.access in os.supports_effective_ids)


def _in_the_way(path: Path) -> Hindrance | None:
    folder = path.parent
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return _read_only(path)
    for place, mode, may_not, letters in (
        (path, os.R_OK, "may not read it", "rw"),
        (path, os.W_OK, "may not write it", "rw"),
        (folder, os.W_OK | os.X_OK, f"may not write in {folder}", "rwx"),
    ):
        if not may(place, mode):
            return _forbidden(place, may_not, letters)
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < _LEAST_BYTES or (room.f_files and room.f_favail == 0):
        return _full(folder)
    return None


def _full(folder: Path) -> Hindrance:
    return Hindrance(Cause.FULL, "the disk is full", f"free some space on {_mount(folder)}")


def _read_only(place: Path) -> Hindrance:
    mount = _mount(place)
    return Hindrance(
        Cause.READ_ONLY,
        f"the file system {mount} is mounted read-only",
        f"mount -o remount,rw {shlex.quote(str(mount))}; where the system did that by itself, the disk has a fault: dmesg tells",
    )


def _forbidden(place: Path, may_not: str, letters: str) -> Hindrance:
    try:
        owner = place.stat().st_uid
    except OSError:
        owner = 0
    me = os.geteuid()
    what = f"this user, {_name(me)}, {may_not}"
    if owner == me:
        return Hindrance(Cause.FORBIDDEN, what, f"chmod u+{letters} {shlex.quote(str(place))}")
    by = "sudo" if owner == 0 else f"sudo -u {_name(owner)}"
    return Hindrance(Cause.FORBIDDEN, what, f"run it as the owner of {place}: {by} dockgate …")


def _closed(folder: Path) -> Path:
    """The directory that keeps this user out: the first from above that it may not pass."""
    for place in reversed((folder, *folder.parents)):
        if not may(place, os.X_OK):
            return place
    return folder


def _mount(place: Path) -> Path:
    place = place.absolute()
    return next((one for one in (place, *place.parents) if os.path.ismount(one)), place)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # containers run as users that have no name
        return f"#{uid}"
