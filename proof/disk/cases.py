"""What can become of a disk, each as a case on the stage: the trouble comes, is told, is over, and nobody was lied to."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from proof.faults.shim import Call
from proof.network.ground import promise

from .stage import Figures, Stage

_TELL_S = 15.0


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    work: Callable[..., Awaitable[Figures]]
    short: dict[str, object]
    long: dict[str, object]

    async def run(self, stage: Stage, *, short: bool) -> Figures:
        """All of it by the same process: nothing of this needs a restart."""
        pid = stage.lives.pid
        figures = await self.work(stage, **(self.short if short else self.long))
        promise(stage.lives.pid == pid, "it was started anew")
        return {**figures, "answers": stage.answers, "slowest_answer_ms": round(stage.slowest_s * 1000)}


async def _at_each(stage: Stage, calls: Call, error: int, *, most: int, step: int = 1, count: int = -1) -> Figures:
    """Binding after binding, in which the first call fails, or the second, and so on, until one goes through untouched."""
    refused = bound = skip = 0
    async with stage.witnessed():
        for skip in range(0, most, step):
            stage.faults.fail(calls, error, skip=skip, count=count)
            if await stage.bind():
                bound += 1
            else:
                refused += 1
            failed = stage.faults.failed
            stage.faults.heal()
            await asyncio.to_thread(stage.look)
            if not failed:
                break
    promise(refused > 0, "nothing failed")
    await stage.is_well()
    return {"bindings": bound + refused, "refused": refused}


async def full(stage: Stage, *, most: int, step: int = 1) -> Figures:
    """ENOSPC at the first write of a binding, at the second, …; and as long as it lasts ``/readyz`` tells."""
    figures = await _at_each(stage, Call.WRITE | Call.TRUNCATE, errno.ENOSPC, most=most, step=step)
    return {**figures, "told": await _while_it_lasts(stage, Call.WRITE | Call.TRUNCATE, errno.ENOSPC)}


async def broken(stage: Stage, *, most: int, step: int = 1) -> Figures:
    """EIO at each write, and at each fsync, once and for as long as it lasts."""
    writes = await _at_each(stage, Call.WRITE | Call.TRUNCATE, errno.EIO, most=most, step=step, count=1)
    syncs = await _at_each(stage, Call.SYNC, errno.EIO, most=2, count=1)
    told = await _while_it_lasts(stage, Call.ANY_WRITE, errno.EIO)
    return {
        "bindings": writes["bindings"] + syncs["bindings"],
        "refused": writes["refused"] + syncs["refused"],
        "told": told,
    }


async def read_only(stage: Stage) -> Figures:
    """As when the system has remounted it after an error (EROFS)."""
    return {"told": await _while_it_lasts(stage, Call.ANY_WRITE | Call.OPEN, errno.EROFS)}


async def _while_it_lasts(stage: Stage, calls: Call, error: int) -> str:
    stage.faults.fail(calls, error)
    async with stage.witnessed():
        promise(not await stage.bind(), "a binding was acknowledged that cannot be on the disk")
        told = await stage.is_told(of="cannot be written", within_s=_TELL_S)
        promise(not await stage.bind(), "a binding was acknowledged that cannot be on the disk")
    stage.faults.heal()
    await stage.is_well()
    return told


async def slow(stage: Stage, *, delay_s: float, told_within_s: float | None) -> Figures:
    """Each write and each fsync takes so long. A binding is acknowledged when it is on the disk, or refused for the time."""
    stage.faults.slow(Call.ANY_WRITE, round(delay_s * 1000))
    told = ""
    async with stage.witnessed():
        outcomes = [await stage.bind(), await stage.bind()]
        if told_within_s is not None:
            told = await stage.is_told(of="s old", within_s=told_within_s)
    stage.faults.heal()
    await stage.is_well(within_s=60)
    return {"delay_s": delay_s, "bound": sum(outcomes), "refused": len(outcomes) - sum(outcomes), "told": told}


async def locked(stage: Stage, *, seconds: float) -> Figures:
    """Another process writes for so long. Who is connected does not notice; who binds waits, or is refused and can try again."""
    with closing(sqlite3.connect(stage.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with stage.witnessed():
            ended = asyncio.get_running_loop().time() + seconds
            outcome = asyncio.create_task(stage.bind())  # noqa: TID251 - awaited below
            told = await stage.is_told(of="locked", within_s=seconds) if seconds > _BUSY_S else ""
            await asyncio.sleep(max(0.0, ended - asyncio.get_running_loop().time()))
            other.execute("ROLLBACK")
            was_bound = await outcome
    promise(was_bound == (seconds < _BUSY_S), f"locked for {seconds} s, bound: {was_bound}")
    await stage.is_well()
    return {"seconds": seconds, "bound": was_bound, "told": told}


_BUSY_S = 5.0  # so long a writer waits


async def damaged(stage: Stage) -> Figures:
    """Pages of the database are overwritten under the gateway. What it knows it goes on telling; that there is damage, too."""
    for _ in range(3):  # rows to be damaged
        await stage.bind()
    with closing(sqlite3.connect(stage.database)) as other:
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        pages = [
            row[0] for row in other.execute("SELECT rootpage FROM sqlite_schema WHERE name IN ('device', 'audit_at')")
        ]
        size = other.execute("PRAGMA page_size").fetchone()[0]
    whole = stage.database.read_bytes()
    with stage.database.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)
    try:
        async with stage.witnessed():
            with closing(sqlite3.connect(stage.database, isolation_level=None)) as other:
                other.execute("UPDATE account_version SET last = last + 1")  # so that the gateway reads anew
            told = await stage.is_told(of="damage", within_s=_TELL_S)
    finally:
        with stage.database.open("r+b") as file:
            for page in pages:
                file.seek((page - 1) * size)
                file.write(whole[(page - 1) * size : page * size])
    return {"pages": len(pages), "told": told}


async def moved(stage: Stage, *, by_another: bool) -> Figures:
    """The file is taken away under the gateway; ``by_another``: and a copy of it is put in its place."""
    with tempfile.TemporaryDirectory(dir=stage.ground.folder) as away:
        names = [f"{stage.database.name}{suffix}" for suffix in ("", "-wal", "-shm")]
        for name in names:
            (stage.ground.folder / name).rename(Path(away) / name)
        if by_another:
            shutil.copyfile(Path(away) / names[0], stage.database)
        try:
            async with stage.witnessed():
                promise(not await stage.bind(), "a binding was acknowledged that nobody will find")
                told = await stage.is_told(of="removed or replaced", within_s=_TELL_S)
                promise(not await stage.bind(), "a binding was acknowledged that nobody will find")
        finally:
            for name in names:
                (Path(away) / name).replace(stage.ground.folder / name)
    await stage.is_well()
    return {"told": told}


CASES = (
    Case("full at any write", full, {"most": 30, "step": 5}, {"most": 200}),
    Case("broken at any write", broken, {"most": 8, "step": 4}, {"most": 200}),
    Case("read-only", read_only, {}, {}),
    Case("slow", slow, {"delay_s": 0.1, "told_within_s": None}, {"delay_s": 2.0, "told_within_s": 30.0}),
    Case("locked by another process, shortly", locked, {"seconds": 1.0}, {"seconds": 3.0}),
    Case("locked by another process", locked, {"seconds": 6.5}, {"seconds": 10.0}),
    Case("removed", moved, {"by_another": False}, {"by_another": False}),
    Case("replaced", moved, {"by_another": True}, {"by_another": True}),
)
# Afterwards a restart is needed, and told of
LAST = (Case("damaged pages", damaged, {}, {}),)
