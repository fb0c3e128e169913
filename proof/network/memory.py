"""What a process holds, round after round of the same, comes in; a promise that is broken goes out when it goes on growing. Pure.

An allocator gives little back, so some stays after the first rounds and less with each; what leaks stays anew with every round.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from .ground import promise

MIB: Final = 1024 * 1024
# In all: something for each TLS connection of those that were there at a time (OpenSSL's and uvloop's buffers; over 60 rounds it
# came to 290 KiB and then no more), and for the rest.
_KEPT: Final = 64 * MIB
_KEPT_OF_TLS: Final = 320 * 1024
# With the quietest of the rounds after the first. Eight rounds of 800 handshakes added 49, 36, 30, 24, 20, 12, 12 and 8 MB.
_ROUND: Final = 4 * MIB
_ROUND_OF_TLS: Final = 16 * 1024


def judge(before: int, after: Sequence[int], *, at_once: int) -> None:
    """``after``: bytes after each round; ``at_once``: TLS connections of a round that are there together. Raises BrokenPromise."""
    kept = after[-1] - before
    promise(kept < _KEPT + at_once * _KEPT_OF_TLS, f"memory after each round: {_told(after)}, {before // MIB} before")
    judge_rounds(after, at_once=at_once, what="after each round")


def judge_rounds(after: Sequence[int], *, at_once: int, what: str) -> None:
    """The smallest step from one round to the next: a leak is in every one of them, what fills up once is not."""
    steps = [one - other for other, one in itertools.pairwise(after)]
    if steps:
        allowed = _ROUND + at_once * _ROUND_OF_TLS
        promise(min(steps) < allowed, f"memory goes on growing, {what}: {_told(after)}")


def _told(held: Sequence[int]) -> str:
    return f"{[each // MIB for each in held]} MiB"
