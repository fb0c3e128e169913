"""Builds the shim, and tells it while the process runs what shall fail and by how much the clock is wrong.

Only calls on the database's own files fail (``dockgate.db``, its WAL and the index of that, its journal).
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from enum import IntFlag
from pathlib import Path
from typing import Self

_SOURCE = Path(__file__).with_name("shim.c")
_FIELDS = ("calls", "error", "skip", "count", "delay_ms", "clock_ms", "seen", "failed", "synced")
_NUMBER = struct.Struct("q")
_SIZE = _NUMBER.size * len(_FIELDS)


class Call(IntFlag):
    WRITE = 1
    SYNC = 2
    TRUNCATE = 4
    OPEN = 8
    READ = 16
    INDEX = 32  # whatever changes the index of the WAL (-shm)
    ANY_WRITE = WRITE | SYNC | TRUNCATE


class Faults:
    """``environment`` is for the process. ``trace``: what it writes is noted in ``trace_file``."""

    def __init__(self, folder: Path, *, trace: bool = False) -> None:
        library, self._control = folder / "shim.so", folder / "control"
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise RuntimeError("the shim needs a C compiler: apt-get install gcc libc6-dev")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"], check=True)
        self._control.write_bytes(bytes(_SIZE))
        with self._control.open("r+b") as file:
            self._at = mmap.mmap(file.fileno(), _SIZE)
        self.trace_file = folder / "trace"
        self.environment = {
            "LD_PRELOAD": str(library),
            "PROOF_CONTROL": str(self._control),
            "PROOF_FILES": "/dockgate.db",
        }
        if trace:
            self.environment["PROOF_TRACE"] = str(self.trace_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._at.close()

    def _set(self, name: str, value: int) -> None:
        _NUMBER.pack_into(self._at, _FIELDS.index(name) * _NUMBER.size, value)

    def _get(self, name: str) -> int:
        value: int = _NUMBER.unpack_from(self._at, _FIELDS.index(name) * _NUMBER.size)[0]
        return value

    @property
    def seen(self) -> int:
        """Calls that matched since ``fail`` or ``slow``."""
        return self._get("seen")

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self._get("failed")

    @property
    def synced(self) -> int:
        """fsyncs that went well, since the beginning."""
        return self._get("synced")

    def fail(self, calls: Call, error: int, *, skip: int = 0, count: int = -1) -> None:
        """From now on ``calls`` fail with ``error``, after ``skip`` that go well; negative ``count``: until ``heal``."""
        self.heal()
        self._set("error", error)
        self._set("skip", skip)
        self._set("count", count)
        self._set("calls", calls)

    def slow(self, calls: Call, delay_ms: int) -> None:
        """From now on each of ``calls`` takes so long."""
        self.heal()
        self._set("delay_ms", delay_ms)
        self._set("calls", calls)

    def heal(self) -> None:
        """The disk is as good as new; the clock is left as it is."""
        for name in ("calls", "error", "skip", "count", "delay_ms", "seen", "failed"):
            self._set(name, 0)

    def clock(self, wrong_by_s: float) -> None:
        """The process's wall clock, not the monotonic one, steps so far from the true time."""
        self._set("clock_ms", round(wrong_by_s * 1000))
