"""Series of samples in, what they say out: a slope with its standard error. Pure.

Samples of one process a few seconds apart are not independent; an error that assumes so would call noise a trend. So it is
widened by what a sample tells of the next one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slope:
    """``per_unit``: growth for each unit of x; ``error`` its standard error; ``mean`` the mean of y."""

    per_unit: float
    error: float
    mean: float

    def is_flat(self, share: float) -> bool:
        """Whether it grows by less than that share of the mean for each unit, as far as the samples can tell."""
        return self.per_unit - 2 * self.error <= share * self.mean

    def is_known(self, share: float) -> bool:
        """Whether the samples can tell such a share at all: noise in which any growth could hide tells nothing."""
        return 2 * self.error <= share * self.mean


def slope(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """Least squares. At least three samples, at different x."""
    count = len(xs)
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    spread = sum((x - mean_x) ** 2 for x in xs)
    steep = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = [y - mean_y - steep * (x - mean_x) for x, y in zip(xs, ys, strict=True)]
    squares = sum(each * each for each in rest)
    error = math.sqrt(squares / (count - 2) / spread)
    return Slope(steep, error * _widening(rest, squares), mean_y)


def _widening(rest: Sequence[float], squares: float) -> float:
    """By how much neighbours that resemble each other make the error larger (first order autoregression)."""
    if not squares:
        return 1.0
    alike = sum(one * other for one, other in itertools.pairwise(rest)) / squares
    alike = min(0.99, max(0.0, alike))
    return math.sqrt((1 + alike) / (1 - alike))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank, of values in order."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
