"""A disk that loses what it may lose: the gateway's own writes are noted while docks bind, and every moment of them is a power cut.

What was synced is there, what was written since is there or not, whole or torn, in any order. Whatever is left has to open, to be
whole, and to have all that had been acknowledged before (``synchronous=FULL``). The WAL goes into the database all the time, as
that is where a disk could lose the most; and on some of what is left a gateway is started.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.store import codes, organizations
from proof.faults.shim import Faults
from proof.faults.trace import DATABASE, MARK, WRITE, Disk, Step, place, read
from proof.lives import Lives, command
from proof.network.ground import Ground, Login, promise
from proof.network.line import Line, publish, requests_topic

from .commands import NOT_BOUND
from .docks import Codes, bind_request
from .ledger import Ledger
from .marks import Marks, replayed

CHECKPOINT_PAGES = 12  # some bindings fill as many
_CHILD = Path(__file__).with_name("serve_child.py")
_UNBOUND = 4  # of the docks, after each round


@dataclass
class _State:
    files: dict[int, bytes]
    marks: int
    in_checkpoint: bool


@dataclass
class _Seen:
    cuts: int = 0
    with_a_wal: int = 0
    in_checkpoints: int = 0
    kept: list[_State] = field(default_factory=list)


def serving(pages: int) -> tuple[str, ...]:
    """What Python is started with for a gateway whose WAL goes into the database after so many pages."""
    return (str(_CHILD), str(pages))


def lost(
    folder: Path,
    *,
    cuts: int,
    docks: int,
    rounds: int,
    seed: int,
    starts: int,
    within_s: float,
    pages: int = CHECKPOINT_PAGES,
) -> dict[str, Any]:
    """``cuts``: states of the disk to look at, spread over all moments. ``rounds`` of binding. ``starts``: on so many of the states
    a gateway is started; those that take longer than ``within_s`` are counted. Raises BrokenPromise.
    """
    ground = Ground(folder, docks=docks + 1)  # one that binds when all is over
    chance = random.Random(seed)
    database = ground.folder / "dockgate.db"
    given = Codes(chance)
    places = [ground.organization, "second"]
    _prepare(database, given, places, docks * rounds)
    with Faults(folder, trace=True) as faults:
        start = database.read_bytes()
        promise(not database.with_name("dockgate.db-wal").exists(), "a WAL is left over from the beginning")
        with Lives(ground, program=serving(pages), **faults.environment) as lives:
            lives.start()
            marks = Marks(faults.trace_file)
            asyncio.run(_Traffic(ground, faults, marks, given, places).go(rounds))
            promise(lives.stop() == 0, f"it does not stop cleanly:\n{lives.tail()}")
        steps = list(read(faults.trace_file))
    checkpointed = _checkpointed(steps)
    promise(
        checkpointed, "the WAL never went into the database while docks were bound: the disk was not put to the test"
    )
    seen = cut(steps, start, folder / "cut", cuts, chance, keep=starts)
    promise(seen.in_checkpoints, "no state of a disk in the middle of a checkpoint was looked at")
    return {
        "writes": sum(step.what != MARK for step in steps),
        "writes_to_database": checkpointed,
        **marks.told,
        "cuts": seen.cuts,
        "with_a_wal": seen.with_a_wal,
        "in_checkpoints": seen.in_checkpoints,
        **_start_on(ground, seen.kept, steps, within_s),
    }


def _prepare(database: Path, given: Codes, places: Sequence[str], count: int) -> None:
    with closing(sqlite3.connect(database)) as db, db:
        organizations.add(db, id=places[1], name="Second", now=1)
        for organization in places:
            fresh = [secrets.token_hex(6) for _ in range(count)]
            for code in fresh:
                codes.add(db, code=code, organization_id=organization, uses=1, expires_at=None, sn=None, now=1)
            given.put(organization, fresh)


def _checkpointed(steps: Sequence[Step]) -> int:
    """How often the database's own file was written before the last acknowledgement."""
    last = max((number for number, step in enumerate(steps) if step.what == MARK), default=0)
    return sum(step.what == WRITE and step.file == DATABASE for step in steps[:last])


class _Traffic:
    """Docks bind at the same time with codes of one use, are unbound by commands, and try again to bind elsewhere."""

    def __init__(self, ground: Ground, faults: Faults, marks: Marks, given: Codes, places: Sequence[str]) -> None:
        self._ground = ground
        self._faults = faults
        self._marks = marks
        self._codes = given
        self._places = places

    async def go(self, rounds: int) -> None:
        docks = self._ground.docks[:-1]
        for turn in range(rounds):
            async with asyncio.TaskGroup() as group:
                for number, login in enumerate(docks):
                    group.create_task(self._bind(login, self._places[(number + turn) % 2], f"r{turn}"))
            if turn == rounds - 1:
                return
            for login in docks[turn :: max(1, len(docks) // _UNBOUND)]:
                await self._unbind(login)

    async def _bind(self, login: Login, organization: str, tid: str) -> None:
        code = self._codes.take(organization)
        promise(code is not None, "there is no code left")
        async with await Line(self._ground).open() as line:
            await line.come_in(login)
            number = self._marks.asks(login.sn, organization, code)
            await line.send(publish(requests_topic(login.sn), bind_request(login.sn, organization, str(code), tid)))
            reply = await line.reply()
        errors = [each["err_code"] for each in reply["data"]["output"]["err_infos"]]
        promise(len(errors) == 2 and all(errors) == any(errors), f"half a binding was told: {reply}")
        (self._marks.refused if any(errors) else self._marks.done)(number)

    async def _unbind(self, login: Login) -> None:
        number = self._marks.asks(login.sn, None, None)
        words = ("dock", "unbind", login.sn, "--yes")
        code, said = await asyncio.to_thread(command, self._ground.config, *words, extra=self._faults.environment)
        promise(code == 0 or code in NOT_BOUND, said)
        (self._marks.refused if code else self._marks.done)(number)


def cut(
    steps: Sequence[Step], start: bytes, scratch: Path, cuts: int, chance: random.Random, *, keep: int = 0
) -> _Seen:
    """Look at the states of the disk that a power cut could have left; ``keep``: some of them, to start a gateway on."""
    moments = sum(step.what != MARK for step in steps)
    share = min(1.0, cuts / (4 * moments))
    disk = Disk({DATABASE: bytearray(start)})
    scratch.mkdir()
    marks: list[str] = []
    seen = _Seen()
    passed: Counter[bool] = Counter()
    for step in steps:
        disk.take(step)
        if step.what == MARK:
            marks.append(step.data.decode())
            continue
        if chance.random() >= share:
            continue
        in_checkpoint = bool(disk.loose.get(DATABASE))
        for files in (disk.all_lost(), disk.all_there(), disk.torn(), disk.in_any_order(chance)):
            place(files, scratch / "dockgate.db")
            seen.with_a_wal += _look(scratch / "dockgate.db", marks)
            seen.cuts += 1
            seen.in_checkpoints += in_checkpoint
            passed[in_checkpoint] += 1
            _keep(
                seen.kept,
                _State(files, len(marks), in_checkpoint),
                passed[in_checkpoint],
                (keep + in_checkpoint) // 2,
                chance,
            )
    return seen


def _keep(kept: list[_State], state: _State, passed: int, most: int, chance: random.Random) -> None:
    """Any of those that have passed is kept as likely as any other, of each kind ``most``."""
    alike = [number for number, each in enumerate(kept) if each.in_checkpoint == state.in_checkpoint]
    if len(alike) < most:
        kept.append(state)
    elif (place_of := chance.randrange(passed)) < most:
        kept[alike[place_of]] = state


def _look(path: Path, marks: Sequence[str]) -> bool:
    """Whether there was a WAL to recover from."""
    had_wal = path.with_name(f"{path.name}-wal").exists()
    with closing(sqlite3.connect(path)) as db:
        try:
            replayed(marks).check(db)
        except sqlite3.DatabaseError as error:
            promise(held=False, seen=f"what is left cannot be read: {error}")
    return had_wal


def _start_on(ground: Ground, states: Sequence[_State], steps: Sequence[Step], within_s: float) -> dict[str, Any]:
    marks = [step.data.decode() for step in steps if step.what == MARK]
    took: list[float] = []
    with Lives(ground) as lives:
        for state in states:
            place(state.files, ground.folder / "dockgate.db")
            took.append(lives.start())
            status, told = lives.ready()
            promise(status == 200, f"/readyz says {status} {told}")
            ledger = replayed(marks[: state.marks])
            asyncio.run(_comes_in(ground, ledger))
            promise(lives.stop() == 0, f"it does not stop cleanly:\n{lives.tail()}")
            with ground.database() as db:
                ledger.check(db)
            ground.check_database()
        promise(not lives.lines(" error ") and not lives.lines("Traceback"), f"faults in the log:\n{lives.tail()}")
    return {
        "starts": len(took),
        "start_max_s": round(max(took, default=0.0), 2),
        "starts_too_slow": sum(each > within_s for each in took),
    }


async def _comes_in(ground: Ground, ledger: Ledger) -> None:
    """A dock that nobody knew binds."""
    login = ground.docks[-1]
    async with await Line(ground).open() as line:
        await line.come_in(login)
        deed = ledger.begin(login.sn, ground.organization, ground.code)
        await line.ask(login, "airport_organization_bind", "after")
        ledger.done(deed)
