"""The one place that prints results: records come in, a table, JSON or JSON lines go to stdout.

A control character, which a device may have sent, never gets out of here as one. JSON keys are a promise, a table is
for eyes and may change.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TextIO

PLAIN_WIDTH = 80
"""Columns of a table that does not go to a terminal; a terminal may be wider."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


class ReaderGoneError(Exception):
    """Whoever read standard output (head, less) has enough; a name of its own, as typer ends the process at EPIPE."""


@dataclass(frozen=True, slots=True)
class Column:
    """``key`` names the value of a record; ``show`` turns it into a cell. ``whole`` cells are never broken over two lines."""

    key: str
    title: str
    show: Callable[[Any], str] | None = None
    whole: bool = False
    right: bool = False


def visible(text: str) -> str:
    """``text`` without what steers a terminal: names and callsigns come from devices and from other people."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def cell(value: Any) -> str:  # noqa: ANN401 - any JSON
    """One value as a table shows it."""
    if value is None or value == "":
        return "-"
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(key))}={cell(item)}" for key, item in value.items()) or "-"
    return visible(str(value))


def rows(records: Sequence[Mapping[str, Any]], fmt: Format, columns: Sequence[Column], *, empty: str) -> None:
    """A list: JSON gives an array, JSON lines an object on each line. ``empty`` is said on stderr when a table has no row."""
    if fmt is Format.JSON:
        _write(_json(list(records), indent=2) + "\n")
    elif fmt is Format.JSONL:
        _write("".join(_json(record) + "\n" for record in records))
    elif not records:
        note(empty)
    else:
        _table(records, columns)


def record(value: Mapping[str, Any], fmt: Format, *, text: str | None = None, columns: Sequence[Column] = ()) -> None:
    """One result: JSON gives an object; a table shows ``text``, or one line for each of ``columns`` (all keys without them)."""
    if fmt is Format.JSON:
        _write(_json(value, indent=2) + "\n")
    elif fmt is Format.JSONL:
        _write(_json(value) + "\n")
    elif text is not None:
        _write(text if text.endswith("\n") else text + "\n")
    else:
        chosen = columns or [Column(key, key.replace("_", " ")) for key in value]
        pairs = [(column.title, (column.show or cell)(value.get(column.key))) for column in chosen]
        _write(paired(pairs))


def paired(pairs: Sequence[tuple[str, str]], *, indent: str = "") -> str:
    """Titles and values under each other, values in one column; what is longer than a line goes on under itself, in whole words."""
    width = max((len(title) for title, _ in pairs), default=0)
    return "".join(_pair(f"{indent}{title:<{width}}  ", value) for title, value in pairs)


def _pair(first: str, value: str) -> str:
    if len(first) + len(value) <= _width():
        return f"{first}{value}".rstrip() + "\n"
    return (
        textwrap.fill(
            value,
            _width(),
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_long_words=False,  # paths and passwords are copied
            break_on_hyphens=False,
        )
        + "\n"
    )


def note(text: str) -> None:
    """Something said beside the result: always stderr."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def has_color(stream: TextIO) -> bool:
    """https://no-color.org: any non-empty NO_COLOR; and never into a file or a pipe."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "ascii").lower().replace("-", "") == "utf8"


def _json(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON
    # An output that cannot carry every character (LANG=C) still gets valid JSON
    return json.dumps(
        value, ensure_ascii=not is_unicode(sys.stdout), indent=indent, separators=None if indent else (",", ":")
    )


def _write(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGoneError from None


def wrapped(text: str, *, first: str = "", indent: str = "", whole: bool = False) -> str:
    """``text`` in lines that fit; ``first`` stands before it, ``indent`` before the lines that follow. ``whole`` words stay so even
    where they are longer than a line: commands are copied.
    """
    lines = textwrap.wrap(
        visible(text),
        _width(),
        initial_indent=first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=not whole,
    )
    return "\n".join(lines or [first.rstrip()]) + "\n"


def say(lines: str) -> None:
    """A part of a result that a table does not fit, or that grows while somebody watches; ends with its own line end."""
    _write(lines)


def _width() -> int:
    if not sys.stdout.isatty():
        return PLAIN_WIDTH
    return max(shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns, 40)


_GAP = 2


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[str]], room: int) -> list[int] | list[None]:
    """So that words stay whole where that can be: titles first, then the words of cells, the shortest first, then all there is.
    None: whatever is done, it does not fit.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - as above

    texts = [[column.title, *cells] for column, cells in zip(columns, zip(*lines, strict=True), strict=True)]
    full = [max(map(cell_len, column)) for column in texts]
    words = [max((cell_len(word) for text in column for word in text.split()), default=0) for column in texts]
    titles = [max(map(cell_len, column.title.split()), default=0) for column in columns]
    widths = [whole if column.whole else title for column, whole, title in zip(columns, full, titles, strict=True)]
    left = room - sum(widths)
    if left < 0:
        return [None] * len(columns)
    for wanted in (words, full):
        while left and (short := [at for at, width in enumerate(widths) if width < wanted[at]]):
            widths[min(short, key=lambda at: widths[at])] += 1
            left -= 1
    return widths


def _table(records: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a table pays for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    colored = has_color(sys.stdout)
    drawn = io.StringIO()
    console = Console(
        file=drawn,
        width=_width(),
        color_system="standard" if colored else None,
        no_color=not colored,
        force_terminal=colored,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold" if colored else "")
    lines = [[(column.show or cell)(entry.get(column.key)) for column in columns] for entry in records]
    widths = _widths(columns, lines, _width() - _GAP * (len(columns) - 1))
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.title),
            no_wrap=column.whole,
            overflow="fold",
            justify="right" if column.right else "left",
            width=width,
        )
    for line in lines:
        table.add_row(*map(Text, line))
    console.print(table)
    _write("".join(f"{text.rstrip()}\n" for text in drawn.getvalue().splitlines()))
