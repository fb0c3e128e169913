"""From an archive to an installation: everything is made beside its place and checked, and then takes its place in one go.

What was there goes into an archive of its own first. A killed restore has either changed nothing, or is finished by the next
command (``placing``). Never while a process has the database open.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway import config as configuration
from gateway import pki
from gateway.backup import creating, placing
from gateway.backup.archive import Archive, DamagedError, Member, mode_of
from gateway.backup.contents import Role, authority_of, is_outside, place_of
from gateway.backup.creating import Progress
from gateway.backup.placing import Move, Plan, writing
from gateway.config import Config
from gateway.errors import DatabaseBusyError, DatabaseDamagedError, DatabaseNewerError, DockgateError, RefusedError
from gateway.pki import Layout
from gateway.store import checks, exclusive, migrate

PREFIX = ".dockgate-restore-"
_ASIDE = ".replaced"


@dataclass(frozen=True, slots=True)
class Restored:
    """``kept``: the archive of what was there. ``aside``: a damaged database that could not go into one."""

    config: Path
    database: Path
    files: int
    kept: Path | None
    aside: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Staged:
    member: Member
    source: Path
    target: Path


def require_usable(archive: Archive, config: Path) -> None:
    """What needs no look at the content. DatabaseNewerError, RefusedError."""
    manifest = archive.manifest
    newest = migrate.available()[-1].number
    if manifest.schema_version > newest:
        raise DatabaseNewerError(
            f"the backup is of a newer dockgate ({manifest.dockgate_version}): its database has version"
            f" {manifest.schema_version}, this one knows {newest}",
            hint="install the newer dockgate",
        )
    roles = [member.role for member in manifest.members]
    if roles.count(Role.CONFIGURATION) != 1 or roles.count(Role.DATABASE) != 1:
        raise RefusedError("the backup does not hold one configuration and one database")
    if any(is_outside(member.name) for member in manifest.members) and manifest.config != str(config):
        raise RefusedError(
            f"the backup has files outside of its directory, which belong to {manifest.config} only",
            hint=f"dockgate --config {manifest.config} backup restore FILE",
        )


def replaces(archive: Archive, config: Path) -> bool:
    """Whether something is there already that it takes the place of. RefusedError: it names a file that it must not."""
    home = config.parent
    targets = [place_of(member.name, home) for member in archive.manifest.members]
    return any(os.path.lexists(target) for target in (config, *targets))


def restore(
    archive: Archive,
    config: Path,
    *,
    env: Mapping[str, str],
    now: int,
    version: str,
    keep_as: Path | None,
    prepare: Callable[[Path], None],
    progress: Progress | None = None,
) -> Restored:
    """``config``: where the configuration goes, an absolute path. ``keep_as``: where to keep what is there now.

    ``prepare(database)``: bring the database of the archive up to date, before it is checked.

    :raises RefusedError: a process has the database open. :raises UnwritableError: :raises DatabaseError:
    """
    home = config.parent
    made = [path for path in (home, *home.parents) if not path.exists()]
    try:
        with placing.held(home), ExitStack() as scaffolds:
            return _Restoration(archive, config, env, scaffolds, progress).run(
                now=now, version=version, keep_as=keep_as, prepare=prepare
            )
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


class _Restoration:
    def __init__(
        self, archive: Archive, config: Path, env: Mapping[str, str], scaffolds: ExitStack, progress: Progress | None
    ) -> None:
        self._archive = archive
        self._config = config
        self._home = config.parent
        self._env = env
        self._exits = scaffolds
        self._tell = progress or (lambda _what, _done, _all: None)
        self._scaffolds: dict[Path, Path] = {}
        self._notes: list[str] = []

    def run(self, *, now: int, version: str, keep_as: Path | None, prepare: Callable[[Path], None]) -> Restored:
        staged = self._unpack()
        fresh = self._load(staged)
        database = next(one for one in staged if one.member.role is Role.DATABASE)
        prepare(database.source)
        self._require_sound(database.source)
        removals = self._keep_revocations(staged, fresh)
        present = self._present()
        occupied = {
            path for path in (database.target, present and present.dockgate.database) if path and path.is_file()
        }
        with _alone(occupied):
            pass  # before the long work: who runs a gateway shall not wait for the refusal
        kept = self._keep(present, keep_as, now=now, version=version)
        with _alone(occupied):
            aside = database.target.with_name(f"{database.target.name}{_ASIDE}")
            is_set_aside = kept is None and keep_as is not None and database.target.is_file()
            plan = self._plan(staged, removals, database.target, aside if is_set_aside else None)
            placing.place(self._home, plan)
        return Restored(
            self._config, database.target, len(staged), kept, aside if is_set_aside else None, tuple(self._notes)
        )

    # -- beside their places

    def _unpack(self) -> list[_Staged]:
        staged = []
        for member, content in self._archive.contents(lambda done, total: self._tell("files", done, total)):
            target = self._target(member)
            source = self._scaffold(member, target)
            with writing(source):
                source.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(source, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    for block in content:
                        file.write(block)
                    os.fchmod(file.fileno(), mode_of(member))
                    file.flush()
                    os.fsync(file.fileno())
                placing.give_to_owner_of(target if target.is_file() else _nearest(target), source)
            staged.append(_Staged(member, source, target))
        return staged

    def _target(self, member: Member) -> Path:
        # Under whatever name it was backed up, it is found where the configuration is looked for
        return self._config if member.role is Role.CONFIGURATION else place_of(member.name, self._home)

    def _scaffold(self, member: Member, target: Path) -> Path:
        """Beside the target, on its file system: going there has to be a matter of renaming. Nobody else can look into it."""
        if not is_outside(member.name):
            return self._directory(self._home) / "home" / target.relative_to(self._home)
        return self._directory(_nearest(target)) / f"{len(self._scaffolds)}-{target.name}"

    def _directory(self, beside: Path) -> Path:
        if beside not in self._scaffolds:
            for left in beside.glob(f"{PREFIX}*"):  # by a restore that was killed; nobody else is here now
                shutil.rmtree(left, ignore_errors=True)
            with writing(beside):
                made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=beside))
            self._scaffolds[beside] = made
            self._exits.callback(self._clear_away, made)
        return self._scaffolds[beside]

    def _clear_away(self, scaffold: Path) -> None:
        if not placing.is_certain(self._home):
            shutil.rmtree(scaffold, ignore_errors=True)

    # -- checks

    def _load(self, staged: list[_Staged]) -> Config:
        """The configuration of the archive, its relative paths leading to the files that were just unpacked."""
        source = next(one.source for one in staged if one.member.role is Role.CONFIGURATION)
        return configuration.load(source, self._env)

    @staticmethod
    def _require_sound(database: Path) -> None:
        report = checks.inspect(database)
        if report.error is not None:
            raise report.error
        if not report.ok:
            raise DatabaseDamagedError(f"the database in the backup is damaged: {'; '.join(report.problems[:3])}")

    def _keep_revocations(self, staged: list[_Staged], fresh: Config) -> list[Path]:
        """Going back must not let in again who was revoked since. Returns what is not of the CA that comes back."""
        here = {one.target: one.source for one in staged}
        layout = authority_of(fresh)
        home = Layout(next((t.parent for t, s in here.items() if s == layout.ca), layout.directory))
        if not home.ca.is_file() or layout.ca not in here.values():
            return []
        if home.ca.read_bytes() != layout.ca.read_bytes():
            made = [*home.clients.glob("*"), *home.issued.glob("*")]
            return [path for path in made if path.is_file() and path not in here]
        if home.crl.is_file() and pki.revokes_more(home.crl, layout.crl, ca=layout.ca):
            with writing(layout.crl), layout.crl.open("wb") as file:
                file.write(home.crl.read_bytes())
                file.flush()
                os.fsync(file.fileno())
            self._notes.append(f"{home.crl} was kept: it has revocations that the backup has not")
        return []

    def _present(self) -> Config | None:
        try:
            return configuration.load(self._config, self._env) if self._config.is_file() else None
        except DockgateError as error:
            self._notes.append(f"what was there is not kept: {error}")
            return None

    def _keep(self, present: Config | None, keep_as: Path | None, *, now: int, version: str) -> Path | None:
        if present is None or keep_as is None or not present.dockgate.database.is_file():
            return None
        try:
            creating.create(present, keep_as, now=now, version=version, progress=self._tell)
        except DatabaseDamagedError as error:
            self._notes.append(f"what was there is not kept in an archive: {error}")
            return None
        return keep_as

    # -- to their places

    def _plan(self, staged: list[_Staged], removals: list[Path], database: Path, aside: Path | None) -> Plan:
        # Nothing of the old database may lie beside the new one: SQLite would take it for its own
        moves, beside = [], [database.with_name(f"{database.name}{end}") for end in ("-shm", "-journal", "-wal")]
        wal = beside[-1]
        if aside is not None and wal.is_file():
            moves.append(Move(wal, aside.with_name(f"{aside.name}-wal")))
            beside.pop()
        # The configuration last: with it the installation counts as made
        order = sorted(
            staged, key=lambda one: (one.member.role is Role.CONFIGURATION, one.member.role is Role.DATABASE)
        )
        moves += [Move(one.source, one.target, aside if one.target == database else None) for one in order]
        return Plan(tuple(moves), tuple(self._scaffolds.values()), (*removals, *beside))


def problems_of(archive: Archive, progress: Progress | None = None) -> list[str]:
    """Read all of an archive and check the database in it; empty when it can be restored. Nothing of it is kept."""
    tell = progress or (lambda _what, _done, _all: None)
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dockgate-verify-") as folder, writing(Path(folder)):
        database = Path(folder) / "copy.db"
        try:
            for member, content in archive.contents(lambda done, total: tell("files", done, total)):
                if member.role is Role.DATABASE:
                    with database.open("wb") as file:
                        file.writelines(content)
                else:
                    for _ in content:
                        pass
        except DamagedError as error:
            return [str(error)]
        report = checks.inspect(database)
        if report.error is not None:
            raise report.error
        found += report.damage
        if report.version is not None and report.version > report.newest_version:
            found.append(f"the database is of a newer dockgate (version {report.version})")
    return found


@contextlib.contextmanager
def _alone(databases: set[Path]) -> Iterator[None]:
    with ExitStack() as held:
        for database in sorted(databases):
            try:
                held.enter_context(exclusive.held(database))
            except DatabaseBusyError as error:
                raise RefusedError(
                    f"a gateway or another process has {database} open: stop it first", hint="systemctl stop dockgate"
                ) from error
        yield


def _nearest(target: Path) -> Path:
    """The directory that is there, above ``target``."""
    return next(one for one in target.parents if one.is_dir())
