"""How far long work has come: numbers come in, one line on the terminal's standard error goes to and fro. Never into a file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_AFTER_S = 0.5
"""What is over sooner needs no line."""
_EVERY_S = 0.1


class Progress:
    """Called with what is being done, how much of it, and how much there is; wiped away at the end."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._next = time.monotonic() + _AFTER_S
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Make room for a line of the result on the same terminal; the next call draws it again."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._shows or now < self._next:
            return
        self._next = now + _EVERY_S
        line = f"{what}: {done * 100 // max(total, 1)} %"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = max(self._width, len(line))
