"""A disk on which calls fail at random, checkpoints among them, under a process that binds and is killed in the end, over and over.

What was acknowledged between two failures is there, whatever SQLite had to give up around it.
"""

from __future__ import annotations

import errno
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.store import checks, codes, migrate, organizations
from proof.faults.shim import Call, Faults
from proof.lives import environment
from proof.network.ground import promise

_CHILD = Path(__file__).with_name("failing_child.py")
_LINES = 40  # of one life
_CALLS = (Call.WRITE, Call.SYNC, Call.TRUNCATE, Call.ANY_WRITE)
_PAGES = (5, 15, 50, 1000)
_USES = 1_000_000


def failing(folder: Path, *, lives: int, seed: int) -> dict[str, Any]:
    """Raises BrokenPromise."""
    path, chance = folder / "dockgate.db", random.Random(seed)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=1)
        organizations.add(db, id="A", name="A", now=1)
        codes.add(db, code="MANY", organization_id="A", uses=_USES, expires_at=None, sn=None, now=1)
    acknowledged: set[int] = set()
    refused = 0
    with Faults(folder) as faults:
        for life in range(lives):
            faults.heal()
            words = [sys.executable, str(_CHILD), str(path), str(life * 10_000), str(chance.choice(_PAGES))]
            with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment(faults.environment)) as process:
                assert process.stdout is not None  # noqa: S101 - a pipe
                for _ in range(_LINES):
                    line = process.stdout.readline()
                    promise(line, "the process has ended by itself")
                    refused += line == b"!\n"
                    acknowledged.update(_numbers(line))
                    if chance.random() < 0.4:
                        error = chance.choice((errno.EIO, errno.ENOSPC))
                        count = chance.choice((1, 1, 2, 3, 20))
                        faults.fail(chance.choice(_CALLS), error, skip=chance.randrange(25), count=count)
                process.kill()
                for line in process.stdout:
                    acknowledged.update(_numbers(line))
            _look(path, acknowledged)
    promise(refused, "nothing failed")
    return {"lives": lives, "acknowledged": len(acknowledged), "refused": refused}


def _numbers(line: bytes) -> list[int]:
    return [int(line)] if line[:-1].isdigit() and line.endswith(b"\n") else []


def _look(path: Path, acknowledged: set[int]) -> None:
    with closing(sqlite3.connect(path)) as db:
        promise(not checks.problems(db), f"{checks.problems(db)}")
        found = {sn for (sn,) in db.execute("SELECT sn FROM device WHERE organization_id = 'A'")}
        docks = {int(sn[4:]) for sn in found if sn.startswith("DOCK")}
        promise(docks == {int(sn[3:]) for sn in found if sn.startswith("AIR")}, "half a binding")
        promise(acknowledged <= docks, f"acknowledged, and not there: {sorted(acknowledged - docks)}")
        (left,) = db.execute("SELECT uses_left FROM bind_code").fetchone()
        promise(left == _USES - len(docks), f"{_USES - left} uses for {len(docks)} docks")
