"""Runs so many inputs of a target from one seed, and says which input it was that broke something."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .registry import READERS, TARGETS

# A finding is found again from the seed of its block alone, without all that came before.
BLOCK = 1000


class Finding(Exception):  # noqa: N818 - what a fuzzer is after
    def __init__(self, target: str, seed: int, number: int) -> None:
        super().__init__(f"{target}: input {number} of seed {seed} (its cause is above)")


@dataclass(frozen=True)
class Done:
    inputs: int
    seconds: float

    def __str__(self) -> str:
        rate = self.inputs / max(self.seconds, 0.001)
        return f"{self.inputs:,} inputs in {self.seconds:.0f} s, {rate:,.0f} a second: nothing found"


Tell = Callable[[int], None]


def fuzz(
    target: str,
    count: int,
    seed: int,
    folder: Path,
    *,
    until: float = float("inf"),
    tell: Tell = lambda _: None,
) -> Done:
    """Feed one target, which may write into ``folder``. ``until``: a time of ``time.monotonic`` to stop at. Raises Finding.

    ``tell`` hears after each block how many inputs there were.
    """
    with TARGETS[target](folder) as fed:
        started, done = time.monotonic(), 0
        while done < count and time.monotonic() < until:
            block = seed + done // BLOCK
            random = Random(block)
            for number in range(min(BLOCK, count - done)):
                try:
                    fed.feed(random)
                except Exception as error:
                    raise Finding(target, block, number) from error
                done += 1
            tell(done)
        return Done(done, time.monotonic() - started)


def shrink(target: str, examples: int, folder: Path) -> int:
    """The same grammar in the hands of Hypothesis: fewer inputs, and one that breaks something is made small.

    Returns how many there were; raises what the target raises.
    """
    fed_inputs = 0
    with READERS[target](folder) as fed:

        @given(st.randoms(use_true_random=False))
        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def each(random: Random) -> None:
            nonlocal fed_inputs
            fed_inputs += 1
            fed.feed(random)

        each()
    return fed_inputs
