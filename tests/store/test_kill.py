"""kill -9 in the middle of binds: what was acknowledged is there, what is there is whole."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gateway.store import checks, codes, migrate, organizations

KILLS = 20
USES = 1_000_000


def test_no_acknowledged_bind_is_lost_and_none_is_half(path: Path, child: Callable[..., list[str]]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=1)
        organizations.add(db, id="A", name="A", now=1)
        codes.add(db, code="LIMITED", organization_id="A", uses=USES, expires_at=None, sn=None, now=1)
    acknowledged: set[int] = set()
    chance = random.Random(20)  # the moment of the kill; a fixed seed only makes the run's length repeatable
    for kill in range(KILLS):
        with subprocess.Popen(child("binding_child.py", path, kill * 100_000), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(chance.choice([1, 2, 9, 40, 300])):
                line = process.stdout.readline()
                assert line, "the child ended by itself"
                acknowledged.add(int(line))
            process.send_signal(signal.SIGKILL)
            acknowledged.update(int(line) for line in process.stdout if line.endswith(b"\n"))
        assert process.returncode == -signal.SIGKILL
        require_whole(path, acknowledged)
    assert len(acknowledged) > KILLS


def require_whole(path: Path, acknowledged: set[int]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rows = db.execute("SELECT sn, gateway_sn, organization_id, bound_by, bound_code FROM device").fetchall()
        docks = {int(sn[4:]) for sn, *rest in rows if sn.startswith("DOCK") and rest == [None, "A", "acc", "LIMITED"]}
        birds = {int(sn[3:]) for sn, *rest in rows if rest == [f"DOCK{sn[3:]}", "A", "acc", "LIMITED"]}
        assert docks == birds
        assert len(rows) == 2 * len(docks)
        assert acknowledged <= docks
        assert db.execute("SELECT uses_left FROM bind_code").fetchone() == (USES - len(docks),)
        audited = db.execute("SELECT target FROM audit WHERE outcome = 'ok'").fetchall()
        assert sorted(audited) == sorted((sn,) for sn, *_ in rows)
        assert checks.problems(db) == []
