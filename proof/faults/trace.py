"""What a process has written to the disk, in order, and what a power cut at any moment could have left of it.

What was written and then synced is there. What was written since may be there, or not, or in part: a disk takes sectors in any
order. A trace comes in, contents of files go out.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<BBqI")
_SECTOR = 512
WRITE, TRUNCATE, SYNC, UNLINK, MARK = 1, 2, 3, 4, 5
DATABASE = 1
SUFFIXES = {DATABASE: "", 2: "-wal", 3: "-journal"}


@dataclass(frozen=True, slots=True)
class Step:
    """``file``: a key of ``SUFFIXES``; 0 with MARK, whose ``data`` is the text of who marked."""

    what: int
    file: int
    offset: int
    data: bytes


def mark(trace: Path, text: str) -> None:
    """Note that this moment has come: beside the processes that write to the trace."""
    data = text.encode()
    descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, _HEAD.pack(MARK, 0, 0, len(data)) + data)
    finally:
        os.close(descriptor)


def read(trace: Path) -> Iterator[Step]:
    data = trace.read_bytes()
    at = 0
    while at < len(data):
        what, file, number, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield Step(what, file, number, data[at : at + size])
        at += size


@dataclass
class Disk:
    """``safe`` is what is on the plates; ``loose`` is what the disk was given since, in order."""

    safe: dict[int, bytearray] = field(default_factory=dict)
    loose: dict[int, list[Step]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if step.what == SYNC:
            for each in self.loose.pop(step.file, []):
                _apply(self.safe, each)
        elif step.what != MARK:
            self.loose.setdefault(step.file, []).append(step)

    def all_lost(self) -> dict[int, bytes]:
        """Nothing but what was synced."""
        return {file: bytes(content) for file, content in self.safe.items()}

    def all_there(self) -> dict[int, bytes]:
        """What a killed process leaves: the system still has all of it."""
        return self._with(lambda steps: steps)

    def torn(self) -> dict[int, bytes]:
        """All but the last write of each file, of which half has arrived."""

        def tear(steps: list[Step]) -> list[Step]:
            last = steps[-1]
            if last.what != WRITE:
                return steps[:-1]
            return [*steps[:-1], Step(WRITE, last.file, last.offset, last.data[: len(last.data) // 2])]

        return self._with(tear)

    def in_any_order(self, chance: random.Random) -> dict[int, bytes]:
        """Some sectors of some writes."""

        def some(steps: list[Step]) -> list[Step]:
            kept: list[Step] = []
            share = chance.random()
            for step in steps:
                if step.what != WRITE:
                    if chance.random() < share:
                        kept.append(step)
                    continue
                for begin in range(0, len(step.data), _SECTOR):
                    if chance.random() < share:
                        piece = step.data[begin : begin + _SECTOR]
                        kept.append(Step(WRITE, step.file, step.offset + begin, piece))
            return kept

        return self._with(some)

    def _with(self, choose: Callable[[list[Step]], list[Step]]) -> dict[int, bytes]:
        files = {file: bytearray(content) for file, content in self.safe.items()}
        for steps in self.loose.values():
            if steps:
                for step in choose(steps):
                    _apply(files, step)
        return {file: bytes(content) for file, content in files.items()}


def _apply(files: dict[int, bytearray], step: Step) -> None:
    if step.what == UNLINK:
        files.pop(step.file, None)
        return
    content = files.setdefault(step.file, bytearray())
    if step.what == TRUNCATE:
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    content.extend(bytes(max(0, step.offset - len(content))))
    content[step.offset : step.offset + len(step.data)] = step.data


def place(files: dict[int, bytes], database: Path) -> None:
    """Put the contents where a database is opened; what was there before goes."""
    for file, suffix in SUFFIXES.items():
        path = database.with_name(database.name + suffix)
        if file in files:
            path.write_bytes(files[file])
        else:
            path.unlink(missing_ok=True)
    database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
