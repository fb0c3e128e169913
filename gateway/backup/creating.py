"""From a running or a stopped installation to one archive. The database is copied while others read and write it, and checked."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.backup import archive
from gateway.backup.archive import Manifest, Source
from gateway.backup.contents import Part, Role, parts_of
from gateway.backup.placing import writing
from gateway.config import Config
from gateway.errors import DatabaseDamagedError, DatabaseError, DockgateError
from gateway.store import checks, copying, hindrance
from gateway.store.translation import refused

PREFIX = ".dockgate-backup-"
Progress = Callable[[str, int, int], None]
"""What is being done, how much of it, and how much there is."""


@dataclass(frozen=True, slots=True)
class Created:
    file: Path
    bytes: int
    manifest: Manifest


def create(
    config: Config,
    target: Path,
    *,
    now: int,
    version: str,
    password: str | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Created:
    """``version``: of this program.

    :raises DatabaseDamagedError: it would be a backup of damage. :raises ConflictError: :raises UnwritableError:
    """
    tell = progress or (lambda _what, _done, _all: None)
    database = config.dockgate.database
    try:
        parts = parts_of(config)
    except PermissionError as error:
        if hindrance.look(database) is not None:
            raise refused(error, database) from error
        raise DockgateError(
            f"{error.filename}: cannot be read: {error.strerror}", hint="run it as its owner"
        ) from error
    if all(part.role is not Role.DATABASE for part in parts):
        raise DatabaseError(
            f"{database}: there is no database", hint="dockgate backup restore FILE, or dockgate init --dir NEW"
        )
    # Where the archive goes, and not beside the database: that disk may be full, which is when a backup is wanted most
    with writing(target.parent), _staging(target.parent) as folder:
        copied: Path | bytes
        if password is None:
            copied = folder / "copy.db"
            copying.copy_file(database, copied, lambda done, total: tell("database", done, total))
            report = checks.inspect(copied, alone=True)
        else:  # What is sealed may go to a stick, where a copy in the clear has no place
            copied = copying.read_file(database, lambda done, total: tell("database", done, total))
            report = checks.inspect_bytes(copied, database)
        if report.error is not None:
            raise report.error
        if report.damage or report.version is None:
            raise DatabaseDamagedError(
                f"{database}: damaged ({'; '.join(report.damage[:3])}): no backup of it was made",
                hint="dockgate backup restore FILE",
            )
        manifest = archive.write(
            target,
            [_source(part, copied) for part in parts],
            part=folder / "archive",
            dockgate_version=version,
            schema_version=report.version,
            created_at=now,
            config=config.path,
            password=password,
            replace=replace,
            progress=lambda done, total: tell("archive", done, total),
        )
    return Created(target, target.stat().st_size, manifest)


@contextmanager
def _staging(beside: Path) -> Iterator[Path]:
    """A directory that a later backup clears away when this one was killed: whoever lives holds its lock."""
    for left in beside.glob(f"{PREFIX}*"):
        with suppress(OSError), ExitStack() as held:  # a file system without locks, or another is at work in it
            if held.enter_context(_open(left)) == os.geteuid():
                shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as held:
        folder = _made(beside, held)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _made(beside: Path, held: ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=beside))
        with suppress(OSError):
            held.enter_context(_open(folder, wait=True))
        if folder.exists():  # no other backup has cleared it away before it was locked
            return folder


@contextmanager
def _open(folder: Path, *, wait: bool = False) -> Iterator[int]:
    """Holds its lock; whose it is comes out."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)


def _source(part: Part, copied: Path | bytes) -> Source:
    try:
        mode = stat.S_IMODE(part.path.stat().st_mode)
        # A certificate may be renewed at any moment: its bytes are taken once
        content = copied if part.role is Role.DATABASE else part.path.read_bytes()
    except OSError as error:
        raise DockgateError(f"{part.path}: cannot be read: {error.strerror}", hint="run it as its owner") from error
    return Source(part.name, part.role, content, mode)
