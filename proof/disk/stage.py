"""A gateway on a disk that can be broken while it runs, docks that are connected throughout, and docks that want to bind meanwhile.

Who is connected stays so and is answered from what is known; who is told that he is bound is bound, whatever happened.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.crash.docks import bind_request
from proof.crash.ledger import Ledger
from proof.crash.lost import serving
from proof.crash.marks import Marks
from proof.faults.shim import Faults
from proof.lives import Lives
from proof.network.ground import Ground, Login, promise
from proof.network.line import Line, publish, requests_topic

Figures = dict[str, Any]
CONNECTED = 8
WAITING = 120
_LEVEL = re.compile(r"\S+ (?:error|critical) ")
_ANSWERED_S = 30.0  # a request that the disk holds up is refused after ten


@dataclass
class Stage:
    """``patience_s``: a connected dock is answered within that time, always. ``expected``: what errors in the log speak of.

    ``marks``: of a gateway whose writes are noted. ``start``: its database before the first of them.
    """

    ground: Ground
    lives: Lives
    faults: Faults
    patience_s: float
    expected: tuple[str, ...] = ()
    marks: Marks | None = None
    start: bytes = b""
    lines: list[Line] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    slowest_s: float = 0.0
    answers: int = 0
    _next: int = CONNECTED
    _tid: int = 0

    @property
    def database(self) -> Path:
        return self.ground.folder / "dockgate.db"

    # -- docks

    async def hold(self) -> None:
        """Docks come in, and stay."""
        for login in self.ground.docks[:CONNECTED]:
            line = await Line(self.ground, timeout_s=_ANSWERED_S).open()
            await line.come_in(login)
            self.lines.append(line)

    async def witness(self) -> None:
        """Every connected dock is answered: to a ping, to a request for its license, and to one for its bind status."""
        for line, login in zip(self.lines, self.ground.docks, strict=False):
            began = time.monotonic()
            await line.ping()
            self._tid += 1
            await line.ask(login, "config", f"w{self._tid}")
            await line.ask(login, "airport_bind_status", f"w{self._tid}")
            took = time.monotonic() - began
            self.slowest_s = max(self.slowest_s, took)
            self.answers += 3
            promise(took < self.patience_s, f"a connected dock waited {took:.2f} s")

    @asynccontextmanager
    async def witnessed(self) -> AsyncIterator[None]:
        """Connected docks are asked again and again while this lasts."""
        over = asyncio.Event()

        async def look() -> None:
            while not over.is_set():
                await self.witness()
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            group.create_task(look())
            try:
                yield
            finally:
                over.set()

    def newcomer(self) -> Login:
        """A dock that is not bound; docks that are come round again, which binds them again."""
        login = self.ground.docks[self._next]
        self._next = CONNECTED + (self._next + 1 - CONNECTED) % WAITING
        return login

    async def bind(self, login: Login | None = None) -> bool:
        """A dock comes in and asks to be bound. False: it was told that it is not."""
        login = login or self.newcomer()
        async with await Line(self.ground, timeout_s=_ANSWERED_S).open() as line:
            await line.come_in(login)
            self._tid += 1
            wanted = bind_request(login.sn, self.ground.organization, self.ground.code, f"b{self._tid}")
            deed = self.ledger.begin(login.sn, self.ground.organization, self.ground.code)
            mark = self.marks and self.marks.asks(login.sn, self.ground.organization, self.ground.code)
            synced = self.faults.synced
            await line.send(publish(requests_topic(login.sn), wanted))
            reply = await line.reply()
        errors = [each["err_code"] for each in reply["data"].get("output", {}).get("err_infos", [])]
        if reply["data"]["result"] == 0 and errors == [0, 0]:
            # What others read may be in the system's memory only
            promise(
                deed.again or self.faults.synced > synced, "a binding was acknowledged, and no fsync had gone through"
            )
            self.ledger.done(deed)
            if self.marks and mark:
                self.marks.done(mark)
            return True
        promise(reply["data"]["result"] != 0, f"neither bound nor refused: {reply}")
        self.ledger.unknown(deed)
        if self.marks and mark:
            self.marks.unknown(mark)
        return False

    # -- what the gateway says and has

    async def ready(self) -> tuple[int, dict[str, str]]:
        """The status of ``/readyz``, and what is wrong by the name of the check."""
        status, told = await asyncio.to_thread(self.lives.ready)
        return status, {check["name"]: check["detail"] for check in told["checks"] if not check["ok"]}

    async def until(self, wanted: Callable[[int, dict[str, str]], bool], *, within_s: float) -> dict[str, str]:
        """Wait for ``/readyz`` to say so."""
        end = time.monotonic() + within_s
        while True:
            status, wrong = await self.ready()
            if wanted(status, wrong):
                return wrong
            promise(time.monotonic() < end, f"/readyz says {status} {wrong} after {within_s:g} s")
            await asyncio.sleep(0.1)

    async def is_told(self, *, of: str, within_s: float = 10.0) -> str:
        """``/readyz`` says 503, and why: a word of it is ``of``."""
        told = await self.until(lambda status, wrong: status == 503 and of in str(wrong), within_s=within_s)
        return "; ".join(dict.fromkeys(told.values())).replace(f"{self.ground.folder}/", "")

    async def is_well(self, *, within_s: float = 10.0) -> None:
        """``/readyz`` says 200, docks can bind, and all that was acknowledged is there."""
        await self.until(lambda status, _: status == 200, within_s=within_s)
        promise(await self.bind(), "the disk is well again, and a dock cannot be bound")
        await asyncio.to_thread(self.look)

    def look(self) -> None:
        """As any other process that reads beside the gateway."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            self.ledger.check(db)

    def check_log(self) -> None:
        """No fault of the gateway's own, and no error but of what was done to it."""
        lines = self.lives.lines("")
        errors = [line for line in lines if _LEVEL.match(line) and not any(word in line for word in self.expected)]
        promise(not errors, f"errors that nothing was done for: {errors[:3]}")
        promise(not self.lives.lines("Traceback"), f"faults in the log:\n{self.lives.tail()}")

    async def restart(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connected docks lose their lines, and come in anew."""
        for line in self.lines:
            line.drop()
        self.lines.clear()
        await asyncio.to_thread(self.stop)
        if meanwhile is not None:
            await meanwhile()
        await asyncio.to_thread(self.lives.start)
        await self.hold()

    def stop(self) -> None:
        code = self.lives.stop()
        promise(code == 0, f"it ended with {code}:\n{self.lives.tail()}")


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    patience_s: float,
    change: Callable[[dict[str, Any]], None] | None = None,
    expected: tuple[str, ...] = (),
    pages: int | None = None,
) -> AsyncIterator[Stage]:
    """A gateway with docks that are connected; at the end all are still there, and it stops cleanly. ``change``: broker.yaml.

    ``pages``: its writes are noted, and its WAL goes into the database after so many of them.
    """
    ground = await asyncio.to_thread(lambda: Ground(folder, docks=CONNECTED + WAITING, change=change))
    program = serving(pages) if pages else ("-m", "gateway")
    with (
        Faults(folder, trace=pages is not None) as faults,
        Lives(ground, program=program, **faults.environment) as lives,
    ):
        made = Stage(ground, lives, faults, patience_s, expected)
        made.start = made.database.read_bytes() if pages else b""
        await asyncio.to_thread(lives.start)
        made.marks = Marks(faults.trace_file) if pages else None
        await made.hold()
        yield made
        faults.heal()
        faults.clock(0)
        await made.witness()
        for line in made.lines:
            line.drop()
        await asyncio.to_thread(made.stop)  # and connections that were dropped have the time to close
        made.check_log()
        await asyncio.to_thread(ground.check_database)
