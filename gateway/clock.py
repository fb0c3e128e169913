"""Two clocks in one: what time it is, for what is written down, and how long something took, for what is to last so long.

The wall clock is set by people and by NTP, hours in either direction; whoever is locked out for a quarter of an hour is so for a
quarter of an hour of the steady clock. Nothing here may wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class SystemClock:
    """The system's. Called: ms since 1970."""

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000

    def steady(self) -> int:
        """Ms since some moment; never set, and the same for all who ask."""
        return time.monotonic_ns() // 1_000_000


def steady_of(clock: Callable[[], int]) -> Callable[[], int]:
    """The steady clock beside a wall clock. One that has none (a number that a test counts up) is taken for steady itself."""
    steady: Callable[[], int] = getattr(clock, "steady", clock)
    return steady
