"""How much one may ask in a second: a name comes in, how long it has to wait goes out. Bounded in memory, whoever asks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

# An attacker with more addresses than this pushes out the oldest, whose bucket was full again by then.
CAPACITY = 10_000
# A page loads a dozen things at once.
BURST_S = 2.0


class Buckets:
    """One bucket for each name, refilled at ``rate`` a second up to twice that."""

    def __init__(self, rate: float, *, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        """``clock`` in seconds."""
        self._rate = rate
        self._most = max(1.0, rate * BURST_S)
        self._clock = clock
        self._capacity = capacity
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: str, cost: float = 1.0) -> float:
        """0.0: go on. Else nothing was taken, and so many seconds have to pass."""
        now = self._clock()
        level, at = self._levels.get(name, (self._most, now))
        level = min(self._most, level + (now - at) * self._rate)
        wait = 0.0 if level >= 1.0 else (1.0 - level) / self._rate
        # what costs more than there is leaves a debt, so that it can be afforded at all
        self._levels[name] = (level if wait else level - cost, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._capacity:
            self._levels.popitem(last=False)
        return wait
