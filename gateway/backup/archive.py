"""The file of a backup: files go in, and come out checked. A gzipped tar whose first member, the manifest, names every other
with its SHA-256; with a password all of it lies in an age file (docs/decisions/0007-backup-format.md).

A file that was not made whole is never left under the name that was asked for, and what does not match is never given out.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from gateway.backup.contents import Role
from gateway.backup.placing import sync, writing
from gateway.errors import ConflictError, DockgateError, NotFoundError, RefusedError

FORMAT = 1
MANIFEST = "manifest.json"
_MAX_MANIFEST = 4 << 20  # a fleet of 10,000 docks with a certificate each
_BLOCK = 1 << 20
_HINT = "name a file that `dockgate backup create` has made"
_GZIP = b"\x1f\x8b"
_AGE = b"age-encryption.org/v1\n"
# Others than the owner are not let at what was kept from them, whatever the archive says.
_PRIVATE, _PUBLIC = 0o640, 0o644

Progress = Callable[[int, int], None]


class DamagedError(DockgateError):
    """The file is no backup, or not whole."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be put in: its bytes, or where they are and stay as they are."""

    name: str
    role: Role
    content: bytes | Path = field(repr=False)
    mode: int


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    role: Role
    mode: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """``created_at`` in ms; ``config``: where the configuration was; ``schema_version``: of the database."""

    dockgate_version: str
    schema_version: int
    created_at: int
    config: str
    members: tuple[Member, ...]

    @property
    def bytes(self) -> int:
        return sum(member.bytes for member in self.members)


def write(
    target: Path,
    sources: Sequence[Source],
    *,
    part: Path,
    dockgate_version: str,
    schema_version: int,
    created_at: int,
    config: Path,
    password: str | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Make the archive, read it back, and only then give it its name; mode 0600. ``part``: what it is called until then, on the
    same file system.

    :raises ConflictError: it exists. :raises UnwritableError: it cannot be written.
    """
    if target.is_dir() or (not replace and os.path.lexists(target)):
        raise ConflictError(f"{target} exists already and is left alone", hint="name another file, or --force")
    try:
        manifest = Manifest(
            dockgate_version, schema_version, created_at, str(config), tuple(_member(source) for source in sources)
        )
        with writing(part):
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w+b") as file:
                if password is None:
                    _pack(file, manifest, sources, progress)
                else:
                    packed = io.BytesIO()
                    _pack(packed, manifest, sources, progress)
                    _check(packed)
                    sealed = _seal(packed.getvalue(), password)
                    file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                if password is None:
                    _check(file)
                elif file.read() != sealed:  # opening it again would take as long as sealing it did
                    raise DamagedError(f"{target}: was not written as it should be")
        with writing(target):
            part.replace(target)
            sync(target.absolute().parent)
    finally:
        part.unlink(missing_ok=True)
    return manifest


class Archive:
    """An archive that is being read, from its beginning to its end."""

    def __init__(self, tar: tarfile.TarFile, *, encrypted: bool) -> None:
        self._tar = tar
        self.encrypted = encrypted
        self.manifest = self._read_manifest()

    def check(self, progress: Progress | None = None) -> None:
        """Read all of it. DamagedError: something is missing, too much, or not as it was."""
        for _, content in self.contents(progress):
            for _block in content:
                pass

    def contents(self, progress: Progress | None = None) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Each member with its bytes, which have to be read to their end before the next."""
        wanted = {member.name: member for member in self.manifest.members}
        total, done = self.manifest.bytes, 0
        with _damage():
            while (entry := self._tar.next()) is not None:
                member = wanted.pop(entry.name, None)
                if member is None or not entry.isreg() or entry.size != member.bytes:
                    raise DamagedError(f"a part of it is not as its manifest says: {entry.name[:200]!r}")
                source = self._tar.extractfile(entry)
                if source is None:
                    raise DamagedError(f"a part of it cannot be read: {entry.name[:200]!r}")
                yield member, _verified(source, member)
                done += member.bytes
                if progress is not None:
                    progress(done, total)
        if wanted:
            raise DamagedError(f"a part of it is missing: {next(iter(wanted))[:200]!r}")

    def _read_manifest(self) -> Manifest:
        with _damage():
            entry = self._tar.next()
            source = None if entry is None or entry.name != MANIFEST else self._tar.extractfile(entry)
            if source is None:
                raise DamagedError("it is not a backup of dockgate: it does not begin with a manifest", hint=_HINT)
            raw = source.read(_MAX_MANIFEST + 1)
        try:
            said = json.loads(raw)
            if said["program"] != "dockgate":
                raise DamagedError("it is not a backup of dockgate", hint=_HINT)
            if said["format"] != FORMAT:
                raise RefusedError(
                    f"it has format {said['format']!r}, which this dockgate does not know",
                    hint="install the newer dockgate",
                )
            return _manifest(said)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError("its manifest cannot be read") from error


@contextmanager
def opened(path: Path, password: Callable[[], str]) -> Iterator[Archive]:
    """Begin to read an archive; ``password`` is asked for when it is encrypted.

    :raises NotFoundError: :raises DamagedError: :raises RefusedError: the password does not open it.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise DockgateError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        start = file.read(len(_AGE))
        file.seek(0)
        source: IO[bytes] = file
        encrypted = start == _AGE
        if encrypted:
            source = io.BytesIO(_unseal(path, file.read(), password()))
        elif not start.startswith(_GZIP):
            raise DamagedError(f"{path}: it is not a backup of dockgate", hint=_HINT)
        try:
            with _damage(), tarfile.open(fileobj=source, mode="r|gz") as tar:
                yield Archive(tar, encrypted=encrypted)
        except DamagedError as error:
            raise DamagedError(f"{path}: {str(error).removeprefix(f'{path}: ')}", hint=error.hint) from error


def _check(file: IO[bytes]) -> None:
    file.seek(0)
    with _damage(), tarfile.open(fileobj=file, mode="r|gz") as tar:
        Archive(tar, encrypted=False).check()


def mode_of(member: Member) -> int:
    return member.mode & (_PRIVATE if member.role in {Role.SECRET, Role.DATABASE} else _PUBLIC) | 0o600


def _pack(file: IO[bytes], manifest: Manifest, sources: Sequence[Source], progress: Progress | None) -> None:
    # The gzip header without a name and a time: the same files make the same archive
    with (
        gzip.GzipFile(
            filename="", mode="wb", fileobj=file, compresslevel=6, mtime=manifest.created_at // 1000
        ) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        text = json.dumps(_described(manifest), indent=1).encode()
        tar.addfile(_entry(MANIFEST, len(text), 0o600, manifest.created_at), io.BytesIO(text))
        done = 0
        for source, member in zip(sources, manifest.members, strict=True):
            with _open(source) as content:
                tar.addfile(_entry(member.name, member.bytes, member.mode, manifest.created_at), content)
            done += member.bytes
            if progress is not None:
                progress(done, manifest.bytes)


def _entry(name: str, size: int, mode: int, created_at: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, created_at // 1000
    return entry


def _member(source: Source) -> Member:
    digest, size = hashlib.sha256(), 0
    with _open(source) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return Member(source.name, source.role, source.mode, size, digest.hexdigest())


def _open(source: Source) -> IO[bytes]:
    return io.BytesIO(source.content) if isinstance(source.content, bytes) else source.content.open("rb")


def _verified(source: IO[bytes], member: Member) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with _damage():
        while block := source.read(_BLOCK):
            digest.update(block)
            yield block
    if digest.hexdigest() != member.sha256:
        raise DamagedError(f"a part of it is not as it was: {member.name[:200]!r}")


@contextmanager
def _damage() -> Iterator[None]:
    """What the readers of the layers raise for bytes that they cannot make sense of."""
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise DamagedError("it is damaged, or not whole") from error


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "program": "dockgate",
        "format": FORMAT,
        "dockgate_version": manifest.dockgate_version,
        "schema_version": manifest.schema_version,
        "created_at": manifest.created_at,
        "config": manifest.config,
        "members": [
            {
                "name": member.name,
                "role": member.role.value,
                "mode": f"{member.mode:04o}",
                "bytes": member.bytes,
                "sha256": member.sha256,
            }
            for member in manifest.members
        ],
    }


def _manifest(said: dict[str, Any]) -> Manifest:
    members = tuple(
        Member(str(one["name"]), Role(one["role"]), int(one["mode"], 8), int(one["bytes"]), str(one["sha256"]))
        for one in said["members"]
    )
    if len({member.name for member in members}) != len(members):
        raise DamagedError("its manifest names a file twice")
    return Manifest(
        str(said["dockgate_version"]),
        int(said["schema_version"]),
        int(said["created_at"]),
        str(said["config"]),
        members,
    )


def _seal(content: bytes, password: str) -> bytes:
    from pyrage import passphrase  # noqa: PLC0415 - a library of 2 MB that most commands have no use for

    return bytes(passphrase.encrypt(content, password))


def _unseal(path: Path, content: bytes, password: str) -> bytes:
    from pyrage import DecryptError, passphrase  # noqa: PLC0415 - see _seal

    try:
        return bytes(passphrase.decrypt(content, password))
    except DecryptError as error:
        raise RefusedError(
            f"{path}: does not open: another password, or a damaged file",
            hint="type the password that was given when it was made; capitals count. Nothing opens it without",
        ) from error
