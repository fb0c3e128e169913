"""The whole process is killed at a random moment, again and again, while docks bind and operators unbind and back up.

After each kill the files that are there are copied and looked at; the gateway itself comes back to them as they are. It has to be
ready within three seconds, and the first docks in.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.store import audit, codes, organizations
from proof.lives import Lives
from proof.network.ground import Ground, promise

from .commands import Commands, Operators
from .docks import Codes, Fleet
from .ledger import Ledger

START_S = 3.0
DOCKS = 200
_CODES = 20  # for each dock and organization
_MOST_S = 0.8  # that a gateway lives from its first dock on
_EARLY = 0.1  # of the kills come before it is ready
_COMES_IN_S = 30.0
_AUDIT_ROWS = 20_000


@dataclass
class Run:
    starts: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    early: int = 0
    slow: int = 0
    cycles: int = 0


def crash(
    folder: Path,
    *,
    docks: int = DOCKS,
    cycles: int,
    seconds: float,
    seed: int,
    within_s: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """At most so many cycles, and at most so long; starts that took longer than ``within_s`` are counted. Raises BrokenPromise."""
    ground = Ground(folder, docks=docks, change=_quiet)
    return asyncio.run(_Crash(ground, seed, within_s).go(cycles, time.monotonic() + seconds, say))


def _quiet(settings: dict[str, Any]) -> None:
    settings["dockgate"].setdefault("log", {})["level"] = "error"


class _Crash:
    def __init__(self, ground: Ground, seed: int, within_s: float) -> None:
        self._ground = ground
        self._within_s = within_s
        self._many = _CODES * len(ground.docks)
        self._chance = random.Random(seed)
        self._ledger = Ledger()
        self._codes = Codes(self._chance)
        self._organizations = [ground.organization, "second"]
        self._scratch = ground.folder.parent / "looked-at"
        self._scratch.mkdir()
        self._run = Run()
        self._seed = seed
        with self._database() as db, db:
            organizations.add(db, id="second", name="Second", now=1)

    def _database(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._ground.folder / "dockgate.db"))

    async def go(self, cycles: int, until: float, say: Callable[[str], None]) -> dict[str, Any]:
        began = time.monotonic()
        with Lives(self._ground) as lives:
            async with Commands(self._ground) as unbinding, Commands(self._ground) as backing_up:
                self._fleet = Fleet(self._ground, self._ledger, self._codes, self._organizations, self._seed)
                self._operators = Operators(self._ground, self._ledger, unbinding, backing_up, self._seed)
                for number in range(cycles):
                    if time.monotonic() > until:
                        break
                    if not number or self._codes.left() < self._many // 4:
                        self._refill()
                    await self._cycle(lives)
                    self._run.cycles += 1
                    if self._run.cycles % 20 == 0:
                        say(json.dumps(self._figures(time.monotonic() - began)))
            promise(not lives.lines(" error ") and not lives.lines("Traceback"), f"faults in the log:\n{lives.tail()}")
            self._take_seconds(lives.start())
            promise(lives.stop() == 0, "it does not stop cleanly after all that")
        self._look(self._ground.folder / "dockgate.db")
        self._ground.check_database()
        return self._figures(time.monotonic() - began)

    async def _cycle(self, lives: Lives) -> None:
        ended = asyncio.Event()
        self._fleet.came_in.clear()
        began = time.monotonic()
        lives.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fleet.live(ended))
            group.create_task(self._operators.unbind(ended))
            group.create_task(self._operators.back_up(ended))
            try:
                if self._chance.random() < _EARLY:
                    self._run.early += 1
                    await asyncio.sleep(self._chance.random() * (self._run.starts[-1] if self._run.starts else 1.0))
                else:
                    await asyncio.to_thread(lives.wait_ready)
                    self._take_seconds(time.monotonic() - began)
                    self._run.cpu.append(lives.cpu_s())
                    await self._somebody_is_in(lives)
                    await asyncio.sleep(self._chance.random() * _MOST_S)
                await asyncio.to_thread(lives.kill)
            finally:
                await asyncio.to_thread(lives.reap)
                ended.set()
        await asyncio.to_thread(self._check)

    async def _somebody_is_in(self, lives: Lives) -> None:
        try:
            async with asyncio.timeout(_COMES_IN_S):
                await self._fleet.came_in.wait()
        except TimeoutError:
            promise(held=False, seen=f"no dock came in within {_COMES_IN_S:g} s:\n{lives.tail()}")

    def _take_seconds(self, seconds: float) -> None:
        self._run.starts.append(seconds)
        self._run.slow += seconds > self._within_s

    def _check(self) -> None:
        """On a copy: whoever opens the files first puts them in order, and that is the gateway's to do."""
        source, copy = self._ground.folder / "dockgate.db", self._scratch / "dockgate.db"
        for suffix in ("", "-wal"):
            path = source.with_name(source.name + suffix)
            if path.exists():
                shutil.copyfile(path, copy.with_name(copy.name + suffix))
            else:
                copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        copy.with_name("dockgate.db-shm").unlink(missing_ok=True)
        self._look(copy)
        self._operators.check_backup(self._scratch / "backup.db")

    def _look(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            self._ledger.check(db)

    def _refill(self) -> None:
        """New codes; what is used up and forgotten goes, and what of the audit has been gone through."""
        now = time.time_ns() // 1_000_000
        with self._database() as db, db:
            db.execute("PRAGMA foreign_keys=ON")
            gone = db.execute(
                "DELETE FROM bind_code WHERE uses_left = 0 AND code NOT IN"
                " (SELECT bound_code FROM device WHERE bound_code IS NOT NULL) RETURNING code"
            ).fetchall()
            self._ledger.forget(code for (code,) in gone)
            if db.execute("SELECT count(*) FROM audit").fetchone()[0] > _AUDIT_ROWS:
                audit.trim(db, now)
            for organization in self._organizations:
                fresh = [secrets.token_hex(6) for _ in range(self._many)]
                for code in fresh:
                    codes.add(db, code=code, organization_id=organization, uses=1, expires_at=None, sn=None, now=now)
                self._codes.put(organization, fresh)

    def _figures(self, seconds: float) -> dict[str, Any]:
        starts = sorted(self._run.starts)
        told = self._ledger.told
        return {
            "cycles": self._run.cycles,
            "seconds": round(seconds),
            "docks": len(self._ground.docks),
            "connected": self._fleet.connected,
            "bound": told["bound"],
            "unbound": told["unbound"],
            "refused": told["refused"],
            "unanswered": told["unknown"],
            "fresh": sum(self._ledger.audited_fresh.values()) // 2,
            "backups": self._operators.backups,
            "commands_killed": self._operators.killed,
            "killed_while_starting": self._run.early,
            "start_median_s": round(starts[len(starts) // 2], 2),
            "start_max_s": round(starts[-1], 2),
            "start_cpu_max_s": round(max(self._run.cpu, default=0.0), 2),
            "starts_too_slow": self._run.slow,
        }
