"""The scale as a picture: curves in, an SVG out. Drawn by hand: a library for five small charts would be a large dependency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Curves = Sequence[tuple[str, dict[str, list[tuple[int, float]]]]]

_WIDTH, _HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 34, 34
_COLUMNS = 3
_LEGEND = 28
_COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#8f6593", "#b08900", "#5c5c5c")


def svg(curves: Curves) -> str:
    drawn = [(title, lines) for title, lines in curves if any(lines.values())]
    systems = list(dict.fromkeys(system for _, lines in drawn for system in lines))
    colours = dict(zip(systems, _COLOURS, strict=False))
    rows = math.ceil(len(drawn) / _COLUMNS)
    width, height = _WIDTH * min(_COLUMNS, max(1, len(drawn))), _HEIGHT * rows + _LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (title, lines) in enumerate(drawn):
        x, y = number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT + _LEGEND
        parts += [f'<g transform="translate({x},{y})">', *_chart(title, lines, colours), "</g>"]
    for number, (system, colour) in enumerate(colours.items()):
        x = 16 + number * 150
        parts.append(f'<line x1="{x}" y1="16" x2="{x + 22}" y2="16" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 28}" y="20">{escape(system)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _chart(title: str, lines: dict[str, list[tuple[int, float]]], colours: dict[str, str]) -> list[str]:
    """Connections on a logarithmic axis, the figure from zero on a linear one."""
    counts = sorted({count for line in lines.values() for count, _ in line})
    top = _round_up(max(value for line in lines.values() for _, value in line))
    low, high = math.log(counts[0]), math.log(counts[-1])

    def place(count: int, value: float) -> tuple[float, float]:
        share = (math.log(count) - low) / (high - low) if high > low else 0.5
        across = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        return round(across, 1), round(_HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>']
    for share in (0, 0.5, 1):
        _, y = place(counts[0], top * share)
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{top * share:g}</text>')
    for count in counts:
        x, y = place(count, 0)
        parts.append(f'<text x="{x}" y="{y + 16}" text-anchor="middle">{count:,}</text>')
    for system, line in lines.items():
        placed = [place(count, value) for count, value in line]
        path = " ".join(f"{x},{y}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colours[system]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colours[system]}"/>' for x, y in placed]
    return parts


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … above it."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
