"""A disk that loses what it may lose: the gateway's own writes are noted while docks bind, and every moment of them is a power cut.

What was synced is there, what was written since is there or not, whole or torn, in any order. Whatever is left has to open, to be
whole, and to have all that had been acknowledged before (``synchronous=FULL``).
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from proof.faults.shim import Faults
from proof.faults.trace import MARK, Disk, mark, place, read
from proof.lives import Lives, command
from proof.network.ground import Ground, Login, promise
from proof.network.line import Line, publish, requests_topic

from .docks import bind_request
from .ledger import Ledger


def lost(folder: Path, *, cuts: int, docks: int, rounds: int, seed: int) -> dict[str, Any]:
    """``cuts``: states of the disk to look at, spread over all moments. ``rounds`` of binding. Raises BrokenPromise."""
    ground = Ground(folder, docks=docks)
    with Faults(folder, trace=True) as faults:
        start = (ground.folder / "dockgate.db").read_bytes()
        promise(not (ground.folder / "dockgate.db-wal").exists(), "a WAL is left over from the beginning")
        with Lives(ground, **faults.environment) as lives:
            lives.start()
            asyncio.run(_traffic(ground, faults, rounds))
            lives.stop()
        return _cut(faults.trace_file, start, folder / "cut", cuts, random.Random(seed))


async def _traffic(ground: Ground, faults: Faults, rounds: int) -> None:
    """Docks bind at the same time, are unbound by commands, and bind again. What was acknowledged is marked in the trace."""
    for turn in range(rounds):
        async with asyncio.TaskGroup() as group:
            for login in ground.docks:
                group.create_task(_bind(ground, faults, login, f"r{turn}"))
        if turn == rounds - 1:
            return
        for login in ground.docks[:: max(1, len(ground.docks) // 4)]:
            words = ("dock", "unbind", login.sn, "--yes")
            code, said = await asyncio.to_thread(command, ground.config, *words, extra=faults.environment)
            promise(code == 0, said)
            _mark(faults, login.sn, None)


async def _bind(ground: Ground, faults: Faults, login: Login, tid: str) -> None:
    async with await Line(ground).open() as line:
        await line.come_in(login)
        wanted = bind_request(login.sn, ground.organization, ground.code, tid)
        await line.send(publish(requests_topic(login.sn), wanted))
        reply = await line.reply()
        errors = [each["err_code"] for each in reply["data"]["output"]["err_infos"]]
        promise(errors == [0, 0], f"not bound: {reply}")
    _mark(faults, login.sn, ground.organization)


def _mark(faults: Faults, sn: str, organization: str | None) -> None:
    mark(faults.trace_file, json.dumps([sn, organization]))


def _cut(trace: Path, start: bytes, scratch: Path, cuts: int, chance: random.Random) -> dict[str, Any]:
    steps = list(read(trace))
    moments = [number for number, step in enumerate(steps) if step.what != MARK]
    share = min(1.0, cuts / (4 * len(moments)))
    disk = Disk({1: bytearray(start)})
    scratch.mkdir()
    known: dict[str, list[str | None]] = {}
    looked = acknowledged = recovered = 0
    for step in steps:
        disk.take(step)
        if step.what == MARK:
            sn, organization = json.loads(step.data)
            known.setdefault(sn, [None]).append(organization)
            acknowledged += 1
            continue
        if chance.random() >= share:
            continue
        for files in (disk.all_lost(), disk.all_there(), disk.torn(), disk.in_any_order(chance)):
            place(files, scratch / "dockgate.db")
            recovered += _look(scratch / "dockgate.db", known)
            looked += 1
    return {"writes": len(moments), "acknowledged": acknowledged, "cuts": looked, "with_a_wal": recovered}


def _look(path: Path, known: dict[str, list[str | None]]) -> bool:
    """Whether there was a WAL to recover from."""
    had_wal = path.with_name(f"{path.name}-wal").exists()
    ledger = Ledger()
    for sn, told in known.items():
        for organization in told[1:]:
            deed = ledger.begin(sn, organization)
            ledger.done(deed)
        ledger.possible[sn] |= {told[-1]}
    with closing(sqlite3.connect(path)) as db:
        _allow_later(db, ledger)
        ledger.check(db)
    return had_wal


def _allow_later(db: sqlite3.Connection, ledger: Ledger) -> None:
    """What came after the last acknowledgement may be there, too: one thing for each dock, in this traffic."""
    for sn, organization in db.execute("SELECT sn, organization_id FROM device WHERE is_gateway = 1"):
        possible = ledger.possible.setdefault(sn, {None})
        if organization not in possible:
            freed = ledger.freed[sn]
            done = db.execute(
                "SELECT count(*) FROM audit WHERE target = ? AND action = 'dock.unbind'", (sn,)
            ).fetchone()[0]
            promise(organization is not None or done == freed + 1, f"{sn} was bound, was told so, and is not")
            possible.add(organization)
