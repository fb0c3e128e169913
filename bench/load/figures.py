"""Samples in, figures out: medians, percentiles, slopes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The nearest rank, of values in order."""
    return sorted_values[min(len(sorted_values) - 1, max(0, math.ceil(share * len(sorted_values)) - 1))]


def in_ms(seconds: Iterable[float]) -> dict[str, float]:
    """How long things took; empty when there were none."""
    values = sorted(seconds)
    if not values:
        return {}
    return {
        "count": len(values),
        "p50_ms": round(median(values) * 1e3, 3),
        "p99_ms": round(percentile(values, 0.99) * 1e3, 3),
        "max_ms": round(values[-1] * 1e3, 3),
    }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By which power of x the value grows, least squares: 0 does not grow, 1 grows in proportion."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
