"""The samples of a soak as a picture: rows in, an SVG out, drawn by hand as the benchmarks' is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_WIDTH, _HEIGHT = 420, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 44, 30
_COLOURS: Final = ("#0b6e4f", "#c8553d", "#3d5a80")
# Title and the lines in it: name, key of the row.
_PANELS: Final = (
    ("resident memory, MB", (("gateway", "resident_mb"),)),
    ("request to reply, ms", (("p50", "reply_p50_ms"), ("p99", "reply_p99_ms"))),
    ("dock to platform, ms", (("p50", "delivery_p50_ms"), ("p99", "delivery_p99_ms"))),
    ("held", (("descriptors", "descriptors"), ("tasks", "tasks"), ("threads", "threads"))),
)


def svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """``rows``: as ``run`` has them in ``samples``."""
    width, height = 2 * _WIDTH, 2 * _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    minutes = [row["at_s"] / 60 for row in rows]
    for number, (title, lines) in enumerate(_PANELS):
        x, y = number % 2 * _WIDTH, number // 2 * _HEIGHT
        drawn = [(name, [float(row[key]) for row in rows]) for name, key in lines]
        parts += [f'<g transform="translate({x},{y})">', *_panel(title, minutes, drawn), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, minutes: Sequence[float], lines: Sequence[tuple[str, Sequence[float]]]) -> list[str]:
    top = _round_up(max(value for _, values in lines for value in values))
    last = minutes[-1]

    def place(minute: float, value: float) -> tuple[float, float]:
        across = _LEFT + minute / last * (_WIDTH - _LEFT - _RIGHT)
        return round(across, 1), round(_HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    for share in (0, 0.5, 1):
        _, y = place(0, top * share)
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{top * share:g}</text>')
    for share in (0, 0.5, 1):
        x, y = place(last * share, 0)
        parts.append(f'<text x="{x}" y="{y + 16}" text-anchor="middle">{last * share:.0f} min</text>')
    for number, (name, values) in enumerate(lines):
        colour = _COLOURS[number]
        path = " ".join(f"{x},{y}" for x, y in map(place, minutes, values))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{_LEFT + 90 * number}" y="34" fill="{colour}">{escape(name)}</text>')
    return parts


def _round_up(value: float) -> float:
    """The next of 1, 2, 3, 5, 10, 20, 30, 50 … above it."""
    power = 10.0 ** (len(str(int(value))) - 1)
    while power > value > 0:
        power /= 10
    return next(step * power for step in (1, 2, 3, 5, 10) if step * power >= value) if value > 0 else 1.0
