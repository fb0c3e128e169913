"""What processes cost: process ids in, seconds on a core and resident memory out. Reads only what the kernel counts anyway."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """At one moment. ``cpu_s`` and ``memory`` (bytes) by the name of the process; ``own_cpu_s`` is the generator's."""

    at: float
    own_cpu_s: float
    cpu_s: Mapping[str, float]
    memory: Mapping[str, int]

    def until(self, later: Usage) -> Span:
        return Span(self, later)


@dataclass(frozen=True, slots=True)
class Span:
    before: Usage
    after: Usage

    @property
    def seconds(self) -> float:
        return self.after.at - self.before.at

    @property
    def cpu_s(self) -> dict[str, float]:
        return {name: self.after.cpu_s[name] - self.before.cpu_s[name] for name in self.before.cpu_s}

    @property
    def memory(self) -> dict[str, int]:
        """Bytes that came to be held between the two."""
        return {name: self.after.memory[name] - self.before.memory[name] for name in self.before.memory}

    @property
    def busy(self) -> float:
        """The share of its core that the server used."""
        return sum(self.cpu_s.values()) / self.seconds

    @property
    def generator_busy(self) -> float:
        """The same of the generator: close to 1 it is the generator that was measured."""
        return (self.after.own_cpu_s - self.before.own_cpu_s) / self.seconds


def usage_of(pids: Mapping[str, int]) -> Usage:
    return Usage(
        at=time.perf_counter(),
        own_cpu_s=time.process_time(),
        cpu_s={name: _cpu_s(pid) for name, pid in pids.items()},
        memory={name: _memory(pid) for name, pid in pids.items()},
    )


def _cpu_s(pid: int) -> float:
    """The CPU clock of another process, in nanoseconds and with the threads that have ended (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
