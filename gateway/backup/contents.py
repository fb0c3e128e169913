"""What an installation consists of: a configuration comes in, the files that a backup has to hold go out. Opens none of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from gateway import pki
from gateway.config import Config
from gateway.errors import RefusedError
from gateway.pki import Layout

CERTIFICATES = "certs"
HEALTH_PASSWORD = "health.password"  # noqa: S105 - the name of a file
"""Beside the database; see ``gateway.cli.health``."""
_HOME, _OUTSIDE = "home", "outside"


class Role(StrEnum):
    CONFIGURATION = "configuration"
    DATABASE = "database"
    CERTIFICATE = "certificate"
    SECRET = "secret"  # noqa: S105 - keys and passwords


@dataclass(frozen=True, slots=True)
class Part:
    """One file: where it is, and the name that it has in an archive."""

    role: Role
    path: Path
    name: str


def parts_of(config: Config) -> list[Part]:
    """The configuration, the database, everything of the CA, what listeners name beside that. Only what is there."""
    home = config.path.parent
    files: dict[Path, Role] = {config.path: Role.CONFIGURATION, config.dockgate.database: Role.DATABASE}
    for path, role in (*_named(config), *_authority(config), *_others(config)):
        files.setdefault(_plain(path), role)
    return [Part(role, path, name_of(path, home)) for path, role in files.items() if path.is_file()]


def name_of(path: Path, home: Path) -> str:
    """Inside the directory of the configuration by its place there; elsewhere by its whole path."""
    path = _plain(path)
    if path.is_relative_to(home):
        return f"{_HOME}/{path.relative_to(home).as_posix()}"
    return f"{_OUTSIDE}{path.as_posix()}"


def place_of(name: str, home: Path) -> Path:
    """The inverse of ``name_of``. RefusedError: a name that leads out of its place."""
    pure = PurePosixPath(name)
    first, *rest = pure.parts
    if not rest or first not in {_HOME, _OUTSIDE} or any(part in {"..", "/"} for part in rest) or "\0" in name:
        raise RefusedError(f"the archive names a file that it must not: {name[:200]!r}")
    return home.joinpath(*rest) if first == _HOME else Path("/", *rest)


def is_outside(name: str) -> bool:
    return name.startswith(f"{_OUTSIDE}/")


def authority_of(config: Config) -> Layout:
    used = [one.certfile for one in config.listeners.values() if one.certfile is not None]
    return pki.find(used, config.path.parent / CERTIFICATES)


def _named(config: Config) -> Iterator[tuple[Path, Role]]:
    for listener in config.listeners.values():
        for file in (listener.certfile, listener.cafile, listener.crlfile):
            if file is not None:
                yield file, Role.CERTIFICATE
        if listener.keyfile is not None:
            yield listener.keyfile, Role.SECRET


def _authority(config: Config) -> Iterator[tuple[Path, Role]]:
    layout = authority_of(config)
    for file in (layout.ca, layout.server, layout.crl):
        yield file, Role.CERTIFICATE
    for file in (layout.ca_key, layout.server_key):
        yield file, Role.SECRET
    for folder in (layout.clients, layout.issued):
        for file in sorted(folder.glob("*")) if folder.is_dir() else ():
            if not file.name.startswith("."):  # what is just being written
                yield file, Role.SECRET if file.suffix == ".key" else Role.CERTIFICATE


def _others(config: Config) -> Iterator[tuple[Path, Role]]:
    yield config.dockgate.database.parent / HEALTH_PASSWORD, Role.SECRET


def _plain(path: Path) -> Path:
    """Without ``..``, links left as they are: a file is put back where it was named."""
    parts: list[str] = []
    for part in path.absolute().parts:
        if part == "..":
            if len(parts) > 1:
                parts.pop()
        else:
            parts.append(part)
    return Path(*parts)
