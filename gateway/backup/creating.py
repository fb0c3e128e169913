"""From a running or a stopped installation to one archive. The database is copied while others read and write it, and checked."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.backup import archive
from gateway.backup.archive import Manifest, Source
from gateway.backup.contents import Part, Role, parts_of
from gateway.backup.placing import writing
from gateway.config import Config
from gateway.errors import DatabaseDamagedError, DatabaseError, DockgateError
from gateway.store import checks, copying

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
    parts = parts_of(config)
    if all(part.role is not Role.DATABASE for part in parts):
        raise DatabaseError(
            f"{database}: there is no database", hint="dockgate backup restore FILE, or dockgate init --dir NEW"
        )
    # Beside the database, and not where the archive goes: that may be a stick, where a copy in the clear has no place
    with (
        writing(database.parent),
        tempfile.TemporaryDirectory(prefix=".dockgate-backup-", dir=database.parent) as folder,
    ):
        copied = Path(folder) / "copy.db"
        copying.copy_file(database, copied, lambda done, total: tell("database", done, total))
        report = checks.inspect(copied)
        if report.damage or report.version is None:
            raise DatabaseDamagedError(
                f"{database}: damaged ({'; '.join(report.damage[:3])}): no backup of it was made",
                hint="dockgate backup restore FILE",
            )
        manifest = archive.write(
            target,
            [_source(part, copied) for part in parts],
            dockgate_version=version,
            schema_version=report.version,
            created_at=now,
            config=config.path,
            password=password,
            replace=replace,
            progress=lambda done, total: tell("archive", done, total),
        )
    return Created(target, target.stat().st_size, manifest)


def _source(part: Part, copied: Path) -> Source:
    try:
        mode = stat.S_IMODE(part.path.stat().st_mode)
        # A certificate may be renewed at any moment: its bytes are taken once
        content = copied if part.role is Role.DATABASE else part.path.read_bytes()
    except OSError as error:
        raise DockgateError(f"{part.path}: cannot be read: {error.strerror}", hint="run it as its owner") from error
    return Source(part.name, part.role, content, mode)
