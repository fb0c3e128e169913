"""Migrates the database of argument 1 and kills itself before a statement: the Nth, or the first that holds a text (argument 2)."""

from __future__ import annotations

import ast
import itertools
import os
import signal
import sqlite3
import sys
from pathlib import Path

from gateway.store import migrate

path, stop = Path(sys.argv[1]), sys.argv[2]
more = (
    [migrate.Migration(*step) for step in ast.literal_eval(Path(sys.argv[3]).read_text())] if len(sys.argv) > 3 else []
)
counter = itertools.count(1)


def trace(statement: str) -> None:
    if str(next(counter)) == stop or stop in statement:
        os.kill(os.getpid(), signal.SIGKILL)


db = sqlite3.connect(path, isolation_level=None)
db.set_trace_callback(trace)
migrate.bring_up(db, path=path, now=1, migrations=[*migrate.available(), *more])
