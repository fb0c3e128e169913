"""Files that were made beside their places go to them all together, whatever happens meanwhile.

What is to be done is written down first, in one file of the directory; from then on it is certain. Whoever comes after a kill
carries on from there (``finish``), and each step may be taken twice. Before that nothing has changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import ConflictError, RefusedError, UnwritableError

JOURNAL = ".dockgate-placing.json"
_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Move:
    """``aside``: where to keep what is there already. ``replace`` False: then the whole plan is impossible."""

    source: Path
    target: Path
    aside: Path | None = None
    replace: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """In this order: ``removals``, ``moves``, and at the end the directories that the files were made in, ``scaffolds``.

    A scaffold that is gone means that all is done, or that it was given up.
    """

    moves: tuple[Move, ...]
    scaffolds: tuple[Path, ...]
    removals: tuple[Path, ...] = ()


@contextlib.contextmanager
def held(home: Path) -> Iterator[None]:
    """One process at a time makes or carries out a plan for a directory; others wait. It is made if need be."""
    while True:
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:  # whoever made it has given up in between
                continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(home, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says when something cannot be written, as an error of ours."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise UnwritableError(f"{where}: cannot be written: {error.strerror or error}") from error


def place(home: Path, plan: Plan) -> None:
    """Carry out a plan; the caller holds the directory. Until the journal is written nothing has changed.

    :raises ConflictError: something is in the way. :raises UnwritableError: when ``is_certain``, the next ``finish`` carries on.
    """
    _require_possible(plan)
    with writing(home):
        try:
            _write_journal(home / JOURNAL, plan)
        except OSError:
            (home / JOURNAL).unlink(missing_ok=True)
            raise
    _carry_out(home, plan)


def is_certain(home: Path) -> bool:
    """A plan is under way: what it still needs must not be cleared away."""
    return os.path.lexists(home / JOURNAL)


def finish(home: Path) -> bool:
    """Carry on with what a killed process has begun; False when there is nothing. Costs one look when there is nothing.

    :raises RefusedError: it is another user's. :raises UnwritableError: it cannot be done now.
    """
    journal = home / JOURNAL
    if not is_certain(home):
        return False
    with held(home):
        plan = _read_journal(journal)
        if plan is None:  # another process has carried on meanwhile
            return False
        try:
            _carry_out(home, plan)
        except UnwritableError as error:
            raise UnwritableError(
                f"{error}; a command was interrupted here and has to be finished first",
                hint=f"free some space, or run the command as the owner of {home}",
            ) from error
    return True


def _is_still(home: Path, descriptor: int) -> bool:
    try:
        now, then = home.stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)


def _require_possible(plan: Plan) -> None:
    for move in plan.moves:
        if move.target.is_dir() or (not move.replace and os.path.lexists(move.target)):
            raise ConflictError(f"{move.target} exists already and is left alone")
        parent = next(one for one in move.target.parents if os.path.lexists(one))
        if not parent.is_dir():
            raise ConflictError(f"{parent} is in the way: a directory has to go there")


def _write_journal(journal: Path, plan: Plan) -> None:
    text = json.dumps(
        {
            "removals": [str(path) for path in plan.removals],
            "moves": [
                [str(move.source), str(move.target), None if move.aside is None else str(move.aside)]
                for move in plan.moves
            ],
            "scaffolds": [str(path) for path in plan.scaffolds],
        }
    )
    part = journal.with_name(f"{journal.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(journal)
    finally:
        part.unlink(missing_ok=True)
    sync(journal.parent)


def _read_journal(journal: Path) -> Plan | None:
    try:
        descriptor = os.open(journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RefusedError(
            f"{journal}: something was interrupted here and has to be finished first: {error.strerror}",
            hint="run the command as the user that it was interrupted for",
        ) from error
    with os.fdopen(descriptor, encoding="utf-8") as file:
        # It names files to be moved: of another user's word for that nobody should be the tool, root least of all
        if os.fstat(file.fileno()).st_uid not in {0, os.geteuid()}:
            raise RefusedError(
                f"{journal}: another user's command was interrupted here and has to be finished first",
                hint="run the command as the owner of that file",
            )
        try:
            said: dict[str, Any] = json.load(file)
            return Plan(
                moves=tuple(
                    Move(Path(source), Path(target), None if aside is None else Path(aside))
                    for source, target, aside in said["moves"]
                ),
                removals=tuple(map(Path, said["removals"])),
                scaffolds=tuple(map(Path, said["scaffolds"])),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{journal}: cannot be read", hint="restore a backup, or remove that file") from error


def _carry_out(home: Path, plan: Plan) -> None:
    touched: dict[Path, None] = {}
    with writing(home):
        if all(scaffold.is_dir() for scaffold in plan.scaffolds):
            for path in plan.removals:
                path.unlink(missing_ok=True)
                touched[path.parent] = None
            for move in plan.moves:
                move_one(move, touched)
        for directory in touched:
            if directory.is_dir():
                sync(directory)
        for scaffold in plan.scaffolds:
            shutil.rmtree(scaffold, ignore_errors=True)
        (home / JOURNAL).unlink(missing_ok=True)
        sync(home)


def move_one(move: Move, touched: dict[Path, None]) -> None:
    if not os.path.lexists(move.source):  # done before a kill
        return
    _make_directories(move.target.parent, touched)
    if move.aside is not None and os.path.lexists(move.target):
        move.target.replace(move.aside)
    move.source.replace(move.target)
    touched[move.target.parent] = None


def _make_directories(directory: Path, touched: dict[Path, None]) -> None:
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=_MODE)
        give_to_owner_of(one.parent, one)
        touched[one.parent] = None


def give_to_owner_of(model: Path, path: Path) -> None:
    """An administrator prepares what a service's own user will run."""
    if os.geteuid() == 0:
        owner = model.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def sync(path: Path) -> None:
    """A directory or a file is on the disk as it is now."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
