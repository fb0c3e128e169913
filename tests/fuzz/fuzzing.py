"""Runs so many inputs from one seed, and says which input it was that broke something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .inputs import Inputs
from .targets import Connections, feed_codecs, installed, with_connections

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


def fuzz_codecs(count: int, seed: int, *, until: float = float("inf"), tell: Tell = lambda _: None) -> Done:
    """Feed the framer and both codecs. ``until``: a time of ``time.monotonic`` to stop at. Raises Finding."""
    started, fed = time.monotonic(), 0
    while fed < count and time.monotonic() < until:
        block = seed + fed // BLOCK
        inputs = Inputs(block)
        for number in range(min(BLOCK, count - fed)):
            try:
                feed_codecs(inputs)
            except Exception as error:
                raise Finding("codecs", block, number) from error
            fed += 1
        tell(fed)
    return Done(fed, time.monotonic() - started)


def fuzz_connections(
    count: int, seed: int, folder: Path, *, until: float = float("inf"), tell: Tell = lambda _: None
) -> Done:
    """Feed whole connections of a broker that lives in ``folder``. Raises Finding."""
    started, fed = time.monotonic(), 0

    async def work(connections: Connections) -> None:
        nonlocal fed
        while fed < count and time.monotonic() < until:
            block = seed + fed // BLOCK
            inputs = Inputs(block)
            for number in range(min(BLOCK, count - fed)):
                try:
                    await connections.feed(inputs)
                except Exception as error:
                    raise Finding("connections", block, number) from error
                fed += 1
            tell(fed)

    asyncio.run(with_connections(installed(folder), work))
    return Done(fed, time.monotonic() - started)
