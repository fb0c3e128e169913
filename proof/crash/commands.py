"""What operators do meanwhile: docks are unbound and backups made, by commands of their own that are now and then killed, too."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.errors import ConflictError, NotFoundError
from proof.lives import environment
from proof.network.ground import Ground, promise

from .ledger import Ledger, aircraft_of

_CHILD = Path(__file__).with_name("commands_child.py")
_KILLED = 0.1  # of the commands are killed
_USUAL_S = 0.06
NOT_BOUND = {NotFoundError.exit_code, ConflictError.exit_code}  # ``dock unbind``: never seen, or not bound


class Commands:
    """Commands one after the other; as an asynchronous context manager."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(_CHILD), str(self._ground.config),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment({}),
        )  # fmt: skip
        return self

    async def __aexit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.close()
        await self._process.wait()

    async def run(self, *words: str, killed_after_s: float | None = None) -> int:
        """The exit code; -9 when it was killed."""
        assert self._process.stdin is not None  # noqa: S101 - pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps([words, killed_after_s]).encode() + b"\n")
        return int(await self._process.stdout.readline())


class Operators:
    def __init__(self, ground: Ground, ledger: Ledger, unbinding: Commands, backing_up: Commands, seed: int) -> None:
        self._ground = ground
        self._ledger = ledger
        self._unbinding = unbinding
        self._backing_up = backing_up
        self._chance = random.Random(seed)
        self.file = ground.folder.parent / "backup.tar.gz"
        self.backups = self.killed = 0

    async def unbind(self, ended: asyncio.Event) -> None:
        """One dock after another."""
        while not ended.is_set():
            sn = self._chance.choice(self._ground.docks).sn
            deed = self._ledger.begin(sn, None)
            code = await self._unbinding.run("dock", "unbind", sn, "--yes", killed_after_s=self._mishap())
            if code == 0:
                self._ledger.done(deed)
            elif code == -signal.SIGKILL:
                self.killed += 1
                self._ledger.unknown(deed)
            else:
                promise(code in NOT_BOUND, f"dock unbind ended with {code}")
                self._ledger.refused(deed)

    async def back_up(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            words = ("backup", "create", str(self.file), "--force")
            code = await self._backing_up.run(*words, killed_after_s=self._mishap())
            promise(code in {0, -signal.SIGKILL}, f"backup create ended with {code}")
            self.backups += code == 0
            self.killed += code < 0

    def _mishap(self) -> float | None:
        return self._chance.random() * 2 * _USUAL_S if self._chance.random() < _KILLED else None

    def check_backup(self, scratch: Path) -> None:
        """The last one that got its name is whole, whatever became of those after it."""
        if not self.file.exists():
            return
        with tarfile.open(self.file) as archive:
            (member,) = [each for each in archive.getmembers() if each.name.endswith("dockgate.db")]
            content = archive.extractfile(member)
            promise(content is not None, "no database in the backup")
            scratch.write_bytes(content.read())  # type: ignore[union-attr] # just looked
        with closing(sqlite3.connect(scratch)) as db:
            sound = [row[0] for row in db.execute("PRAGMA integrity_check(5)")]
            promise(sound == ["ok"], f"the backup's database is damaged: {sound}")
            found = dict(db.execute("SELECT sn, organization_id FROM device").fetchall())
        for login in self._ground.docks:
            theirs = found.get(login.sn), found.get(aircraft_of(login.sn))
            promise(theirs[0] == theirs[1], f"half a binding in a backup: {login.sn} {theirs}")
