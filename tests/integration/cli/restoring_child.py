"""Restores a backup and kills itself at a named point: CONFIG, ARCHIVE, POINT (``move:N``: before the Nth file is placed)."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gateway.backup import placing, restoring
from gateway.cli import main
from gateway.store import exclusive

config, archive, point = sys.argv[1:]
name, _, number = point.partition(":")
left = int(number or 1)


def deadly(function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        global left  # noqa: PLW0603 - a count of calls
        left -= 1
        if left == 0:
            if after:
                function(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return wrapped


POINTS: dict[str, Callable[[], None]] = {
    "unpacked": lambda: setattr(restoring.checks, "inspect", deadly(restoring.checks.inspect)),
    "kept": lambda: setattr(exclusive, "held", deadly(exclusive.held)),
    "certain": lambda: setattr(placing, "_write_journal", deadly(placing._write_journal, after=True)),
    "not-certain": lambda: setattr(placing, "_write_journal", deadly(placing._write_journal)),
    "move": lambda: setattr(placing, "move_one", deadly(placing.move_one)),
    "tidying": lambda: setattr(placing, "shutil", SimpleNamespace(rmtree=deadly(shutil.rmtree))),
}
POINTS[name]()
sys.exit(main(["--config", config, "backup", "restore", archive, "--yes"]))
