"""A series of numbers comes in, the points of a small line chart go out, for an inline SVG of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 320, 72
_EDGE = 3


class Chart(NamedTuple):
    """``points``: for an SVG polyline of WIDTH x HEIGHT. ``latest`` and ``most`` are for people to read."""

    title: str
    unit: str
    points: str
    latest: str
    most: str
    minutes: int


def chart(title: str, unit: str, series: Sequence[float], *, kept: int, every_s: float) -> Chart:
    """The newest is at the right edge; what is not known yet is left empty."""
    most = max(series, default=0.0)
    top = most or 1.0
    step = (WIDTH - 2 * _EDGE) / max(1, kept - 1)
    start = WIDTH - _EDGE - step * (len(series) - 1)
    points = " ".join(
        f"{start + place * step:.1f},{HEIGHT - _EDGE - value / top * (HEIGHT - 2 * _EDGE):.1f}"
        for place, value in enumerate(series)
    )
    return Chart(
        title, unit, points, _readable(series[-1] if series else 0.0), _readable(most), round(kept * every_s / 60)
    )


def _readable(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
