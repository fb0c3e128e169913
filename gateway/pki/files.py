"""Where certificates and keys lie, and how they get there: bytes in, whole files out.

A private key is never readable by others, not for a moment; a file is replaced in one step or not at all; a file that
must not exist yet is never overwritten.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConflictError, DockgateError, NotFoundError, UnwritableError, UsageError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
DIRECTORY_MODE = 0o755
PRIVATE_DIRECTORY_MODE = 0o700
# Of an existing private file no more than this survives its replacement: a group may have been given the right to read.
_KEPT_PRIVATE_BITS = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP
# A key or chain has a few kB; a directory of CAs in one file about 300 kB.
MAX_FILE_BYTES = 1024 * 1024
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-")
MAX_CLIENT_NAME = 64  # RFC 5280 appendix A: ub-common-name


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of a certificate directory."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def ca_key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def server(self) -> Path:
        return self.directory / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    @property
    def crl(self) -> Path:
        return self.directory / "crl.pem"

    @property
    def clients(self) -> Path:
        return self.directory / "clients"

    @property
    def issued(self) -> Path:
        """One file per certificate ever issued, named by its serial: what ``revoke`` and ``list`` look things up in."""
        return self.directory / "issued"

    def client(self, name: str) -> Path:
        return self.clients / f"{client_name(name)}.pem"

    def client_key(self, name: str) -> Path:
        return self.clients / f"{client_name(name)}.key"

    def issued_file(self, serial: str) -> Path:
        return self.issued / f"{serial}.pem"


def find(certfiles: Iterable[Path], fallback: Path) -> Layout:
    """The directory with our CA: beside one of the certificates in use, else ``fallback``, which may not exist."""
    directories = [*dict.fromkeys(file.parent for file in certfiles), fallback]
    for name in ("ca_key", "ca"):  # a CA of others may lie beside a certificate of theirs
        for directory in directories:
            path: Path = getattr(Layout(directory), name)
            if path.is_file():
                return Layout(directory)
    return Layout(fallback)


def client_name(name: str) -> str:
    """The name, fit for a file and for a common name. UsageError otherwise."""
    if not 1 <= len(name) <= MAX_CLIENT_NAME or not _NAME_CHARACTERS.issuperset(name) or not name[0].isalnum():
        raise UsageError(
            f"{name!r} cannot name a certificate: 1 to {MAX_CLIENT_NAME} letters, digits and . _ @ -, no sign first"
        )
    return name


def read(path: Path) -> bytes:
    """NotFoundError, or DockgateError with the reason."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file") from error
    except OSError as error:
        raise DockgateError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise DockgateError(f"{path}: is too large for a certificate or key")
    return data


def make_directory(path: Path, mode: int = DIRECTORY_MODE) -> None:
    if path.is_dir():
        return
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        _give_to_owner_of(path.parent, path)
    except OSError as error:
        raise UnwritableError(f"{path}: cannot be made: {error.strerror}") from error


def write_private(path: Path, data: bytes, *, replace: bool = False) -> None:
    """A key. ConflictError when the file exists and ``replace`` is not set; UnwritableError."""
    _write(path, data, PRIVATE_MODE, replace=replace)


def write_public(path: Path, data: bytes, *, replace: bool = False) -> None:
    """A certificate or revocation list. ConflictError, UnwritableError: as ``write_private``."""
    _write(path, data, PUBLIC_MODE, replace=replace)


def _write(path: Path, data: bytes, mode: int, *, replace: bool) -> None:
    temporary: Path | None = None
    try:
        # mkstemp opens with O_EXCL and 0600, whatever the umask
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            _take_over_owner(file.fileno(), path)
            os.fchmod(file.fileno(), _mode_for(path, mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            _move_without_overwriting(temporary, path)
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise ConflictError(f"{path}: exists already and is left alone") from error
    except OSError as error:
        raise UnwritableError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _move_without_overwriting(temporary: Path, path: Path) -> None:
    # rename() overwrites and link() does not; the temporary name goes when the caller cleans up
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("xb"):
            pass
        temporary.replace(path)


def _mode_for(path: Path, mode: int) -> int:
    """An administrator's stricter or group-readable mode of a replaced file is kept."""
    try:
        existing = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return mode
    return existing & _KEPT_PRIVATE_BITS if mode == PRIVATE_MODE else mode


def _take_over_owner(descriptor: int, path: Path) -> None:
    """As root, keep the owner of what is replaced, else the directory's: the gateway must go on reading its key."""
    if os.geteuid() != 0:
        return
    try:
        owner = path.stat()
    except FileNotFoundError:
        owner = path.parent.stat()
    os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _give_to_owner_of(model: Path, path: Path) -> None:
    if os.geteuid() == 0:
        owner = model.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """One process at a time changes the directory; others wait. The lock ends with the process that holds it."""
    try:
        descriptor = os.open(layout.directory, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{layout.directory}: no such certificate directory", hint="dockgate init") from error
    except OSError as error:
        raise DockgateError(f"{layout.directory}: cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
