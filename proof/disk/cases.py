"""What can become of a disk, each as a case on the stage: the trouble comes, is told, is over, and nobody was lied to."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import DatabaseError
from proof.crash.lost import cut
from proof.faults.shim import Call
from proof.faults.trace import read
from proof.network.ground import promise

from .stage import Figures, Stage

_TELL_S = 15.0


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    work: Callable[..., Awaitable[Figures]]
    short: dict[str, object]
    long: dict[str, object]
    restarts: bool = False

    async def run(self, stage: Stage, *, short: bool) -> Figures:
        """All of it by the same process, unless it ``restarts``: nothing else needs that. What is counted is of this case alone."""
        pid, stage.answers, stage.slowest_s = stage.lives.pid, 0, 0.0
        figures = await self.work(stage, **(self.short if short else self.long))
        promise((stage.lives.pid == pid) != self.restarts, "it was started anew, or was not")
        promise(stage.answers > 0, "no connected dock asked for anything")
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
    """EIO at each write, once and for as long as it lasts."""
    writes = await _at_each(stage, Call.WRITE | Call.TRUNCATE, errno.EIO, most=most, step=step, count=1)
    return {**writes, "told": await _while_it_lasts(stage, Call.ANY_WRITE, errno.EIO)}


async def unsynced(stage: Stage, *, cuts: int) -> Figures:
    """EIO at each fsync, those of checkpoints among them, once and for as long as it lasts.

    What a process reads beside the gateway may be in the system's memory only; hence each moment is then taken for a power cut,
    of a disk that has only what the fsyncs that went well have put there.
    """
    promise(stage.marks is not None, "its writes are not noted")
    refused = bound = failed = 0
    async with stage.witnessed():
        for skip in range(_MOST_SYNCS):
            stage.faults.fail(Call.SYNC, errno.EIO, skip=skip, count=1)
            for _ in range(_SERIES):
                done = await stage.bind()
                bound, refused = bound + done, refused + (not done)
            failed += stage.faults.failed
            was_last = not stage.faults.failed
            stage.faults.heal()
            if was_last:
                break
        promise(was_last, "there are more fsyncs than were tried")
        promise(failed > refused > 0, f"{failed} fsyncs failed, {refused} bindings were refused: none of a checkpoint")
        stage.faults.fail(Call.SYNC, errno.EIO)
        for _ in range(_SERIES):
            promise(not await stage.bind(), "a binding was acknowledged while no fsync works")
    stage.faults.heal()
    await stage.is_well()
    steps = list(read(stage.faults.trace_file))
    with tempfile.TemporaryDirectory() as scratch:
        seen = await asyncio.to_thread(cut, steps, stage.start, Path(scratch) / "cut", cuts, random.Random(1))
    return {"bindings": bound + refused, "refused": refused, "fsyncs_failed": failed, "cuts": seen.cuts}


_SERIES = 3  # bindings with each fsync that fails; one of them at least fills the WAL
_MOST_SYNCS = 40


async def unreadable(stage: Stage) -> Figures:
    """EIO at each read, after another process has written. SQLite takes pages that cannot be read for damaged ones, and so it is
    told until a restart; docks can be bound again as soon as they can be read.
    """
    async with stage.witnessed():
        stage.faults.fail(Call.READ, errno.EIO)
        await asyncio.to_thread(_touch, stage)
        told = await stage.is_told(of="damage", within_s=_TELL_S)
        promise(stage.faults.failed, "nothing was read")
        promise(not await stage.bind(), "a binding was acknowledged of which nothing can be read")
        stage.faults.heal()
        promise(await stage.bind(), "all can be read again, and a dock cannot be bound")
        await asyncio.to_thread(stage.look)
        await stage.is_told(of="damage")
    await stage.restart()
    await stage.is_well()
    return {"told": told}


async def slow_reads(stage: Stage, *, delay_s: float) -> Figures:
    """Each read takes so long, after another process has written; a binding needs some of them."""
    async with stage.witnessed():
        stage.faults.slow(Call.READ, round(delay_s * 1000))
        outcomes = []
        for _ in range(2):
            await asyncio.to_thread(_touch, stage)
            outcomes.append(await stage.bind())
        promise(stage.faults.seen, "nothing was read")
    stage.faults.heal()
    await stage.is_well(within_s=60)
    return {"delay_s": delay_s, "bound": sum(outcomes), "refused": 2 - sum(outcomes)}


def _touch(stage: Stage) -> None:
    """What a process has in memory of the file is no longer true."""
    with closing(sqlite3.connect(stage.database, isolation_level=None, timeout=60)) as other:
        other.execute("UPDATE account_version SET last = last + 1")


async def index_full(stage: Stage) -> Figures:
    """The index of the WAL (-shm) cannot grow when it has to: the binding that would need it is refused."""
    with closing(sqlite3.connect(stage.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")  # as long as somebody reads what was, the WAL grows
        reader.execute("SELECT count(*) FROM device").fetchone()
        async with stage.witnessed():
            await asyncio.to_thread(_grow, stage, _FRAMES - 40)
            stage.faults.fail(Call.INDEX, errno.ENOSPC)
            bound = 0
            while await stage.bind():
                bound += 1
                promise(bound < 40, "the index of the WAL never had to grow")
            promise(stage.faults.failed, "it was refused for something else")
            told = await stage.is_told(of="cannot be written", within_s=_TELL_S)
        stage.faults.heal()
        await stage.is_well()
    return {"bound_before": bound, "told": told}


_FRAMES = 4062  # that the first part of the index has room for (sqlite.org/walformat, 2.2)


def _grow(stage: Stage, frames: int) -> None:
    """The WAL, to so many frames."""
    wal = stage.database.with_name("dockgate.db-wal")
    with closing(sqlite3.connect(stage.database, isolation_level=None)) as other:
        other.execute("PRAGMA wal_autocheckpoint=0")
        other.execute("PRAGMA synchronous=OFF")
        (size,) = other.execute("PRAGMA page_size").fetchone()
        while (wal.stat().st_size - 32) // (size + 24) < frames:
            other.execute("UPDATE account_version SET last = last + 1")


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
    """Pages of the database are overwritten under the gateway. What it knows it goes on telling; that there is damage, too.

    Nothing is written over them, not by a restart either, which tells of them as well; with the pages back all is as before.
    """
    for _ in range(3):  # rows to be damaged
        await stage.bind()
    with closing(sqlite3.connect(stage.database)) as other:
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        pages = [
            row[0] for row in other.execute("SELECT rootpage FROM sqlite_schema WHERE name IN ('device', 'audit_at')")
        ]
        size = other.execute("PRAGMA page_size").fetchone()[0]
    whole = stage.database.read_bytes()
    spoilt = b"\xa5" * size
    places = [slice((page - 1) * size, page * size) for page in pages]

    def put(contents: list[bytes]) -> None:
        with stage.database.open("r+b") as file:
            for place, content in zip(places, contents, strict=True):
                file.seek(place.start)
                file.write(content)

    def is_untouched(when: str) -> None:
        now = stage.database.read_bytes()
        promise(all(now[place] == spoilt for place in places), f"damaged pages were written over {when}")

    put([spoilt for _ in pages])
    async with stage.witnessed():
        await asyncio.to_thread(_touch, stage)  # so that the gateway reads anew
        told = await stage.is_told(of="damage", within_s=_TELL_S)
        outcomes = [await stage.bind() for _ in range(2)]
    is_untouched("while docks wanted to bind")

    async def again() -> None:
        is_untouched("by stopping")
        before = len(stage.lives.lines(""))
        await asyncio.to_thread(stage.lives.begin)
        code = await asyncio.to_thread(stage.lives.ended, _TELL_S)
        said = " ".join(stage.lives.lines("")[before:])
        promise(
            code == DatabaseError.exit_code and "damaged" in said, f"started on damage, it ended with {code}: {said}"
        )
        is_untouched("by starting")
        put([whole[place] for place in places])

    await stage.restart(meanwhile=again)
    await stage.is_well()
    return {"pages": len(pages), "bound": sum(outcomes), "refused": 2 - sum(outcomes), "told": told}


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
    Case("slow to read", slow_reads, {"delay_s": 0.02}, {"delay_s": 0.3}),
    Case("slow", slow, {"delay_s": 0.1, "told_within_s": None}, {"delay_s": 2.0, "told_within_s": 30.0}),
    Case("locked by another process, shortly", locked, {"seconds": 1.0}, {"seconds": 3.0}),
    Case("locked by another process", locked, {"seconds": 6.5}, {"seconds": 10.0}),
    Case("removed", moved, {"by_another": False}, {"by_another": False}),
    Case("replaced", moved, {"by_another": True}, {"by_another": True}),
    Case("index of the WAL full", index_full, {}, {}),
)
# On a stage whose writes are noted
NOTED = (Case("broken at any fsync", unsynced, {"cuts": 200}, {"cuts": 4000}),)
# Afterwards a restart is needed, and told of
LAST = (
    Case("unreadable", unreadable, {}, {}, restarts=True),
    Case("damaged pages", damaged, {}, {}, restarts=True),
)
