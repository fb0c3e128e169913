"""Where a scenario plays: a plan comes in (where the server is, who the docks are), docks that are connected go out.

Only addresses of this machine's loopback are ever connected to, and each wait has an end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .dock import Dock
from .usage import Usage, usage_of

HOST = "127.0.0.1"
_RETRY_S = 0.5  # a dock that was not let in tries again
_HANDSHAKE_S = 60.0
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Fleet:
    """``docks``: SN and password of each; the SN is the account's name too."""

    docks: Sequence[tuple[str, str]] = field(repr=False)
    service: tuple[str, str] = field(repr=False)
    organization: tuple[str, str] = field(repr=False)
    """The organization's id and its binding code."""

    @classmethod
    def read(cls, file: Path) -> Fleet:
        told = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            [(sn, password) for sn, password in told["docks"]],
            (told["service"][0], told["service"][1]),
            (told["organization"][0], told["organization"][1]),
        )


async def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    """Look again and again whether something is so, for so long. For what has no event: it would cost at each message."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not is_so():
        if loop.time() >= until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


class Quiet:
    """A listener that is told nothing."""

    def subscribed(self, dock: Dock) -> None:
        pass

    def replied(self, dock: Dock, step: int, seconds: float) -> None:
        pass

    def ended(self, dock: Dock) -> None:
        pass


class Stage:
    def __init__(
        self, *, fleet: Fleet, pids: Mapping[str, int], port: int, tls_port: int, ca: Path, limit_s: float
    ) -> None:
        self.fleet = fleet
        self.limit_s = limit_s
        self.errors = 0  # TCP connections or TLS handshakes that failed
        self.last_error = ""
        self.tls: dict[str, Any] = {}  # what the first TLS connection agreed on
        self._pids = pids
        self._ports = {False: port, True: tls_port}
        self._context = ssl.create_default_context(cafile=str(ca))
        self._salt = secrets.token_hex(4)
        self._tids = itertools.count()

    def usage(self) -> Usage:
        return usage_of(self._pids)

    def next_tid(self) -> str:
        return f"{self._salt}-{next(self._tids):09d}"

    def dock(self, number: int, listener: Any) -> Dock:  # noqa: ANN401 - dock.Listener, which mypy and we know
        sn, password = self.fleet.docks[number % len(self.fleet.docks)]
        return Dock(sn, password, self.fleet.organization, listener, self.next_tid)

    async def connect(self, protocol: asyncio.Protocol, number: int, *, tls: bool) -> bool:
        """TCP, TLS and ``connection_made``; False: it failed, and ``errors`` counts it. No TLS session is handed over to resume."""
        extra: dict[str, Any] = {}
        if tls:
            extra = {"ssl": self._context, "server_hostname": "localhost", "ssl_handshake_timeout": _HANDSHAKE_S}
        try:
            # From many addresses of the loopback, or the ports of one would run out while the kernel holds them back
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: protocol, HOST, self._ports[tls], local_addr=(f"127.0.{1 + number % 200}.1", 0), **extra
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            self.errors += 1
            self.last_error = type(error).__name__
            return False
        if tls and not self.tls:
            agreed = transport.get_extra_info("ssl_object")
            if agreed is not None:
                self.tls = {
                    "version": agreed.version(),
                    "cipher": agreed.cipher()[0],
                    "resumed": bool(agreed.session_reused),
                }
        return True

    async def gather(self, first: int, count: int, *, tls: bool, at_once: int) -> Gathering:
        """Docks ``first`` and following connect and subscribe, ``at_once`` at a time, each until it is in or time is over."""
        gathering = Gathering(self, count, tls=tls)
        await gathering.run(first, at_once)
        return gathering


class Gathering(Quiet):
    """Docks that come in together. ``refused`` and ``lost`` count attempts, as docks try again."""

    def __init__(self, stage: Stage, count: int, *, tls: bool) -> None:
        self._stage = stage
        self._tls = tls
        self._count = count
        self._errors_before = stage.errors
        self._all_in = asyncio.Event()
        self._numbers: dict[str, int] = {}
        self._retries: set[asyncio.Task[None]] = set()
        self.docks: dict[str, Dock] = {}
        self.seconds: list[float] = []  # after which each was subscribed
        self.refused = 0
        self.lost = 0
        self.took_s = 0.0
        self.connected = 0  # when it was over, all in or not
        self._is_over = False
        self._started = 0.0

    @property
    def complete(self) -> bool:
        return self.connected == self._count

    @property
    def errors(self) -> int:
        return self._stage.errors - self._errors_before

    def report(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            "connected": self.connected,
            "seconds": round(self.took_s, 3),
            "refused": self.refused,
            "lost": self.lost,
            "failed": self.errors,
            "last_error": self._stage.last_error if self.errors else "",
        }

    async def run(self, first: int, at_once: int) -> None:
        loop = asyncio.get_running_loop()
        numbers = iter(range(first, first + self._count))
        self._started = loop.time()

        async def usher() -> None:
            for number in numbers:
                await self._come(number)
                if self._is_over:
                    return

        ushers = [loop.create_task(usher()) for _ in range(min(at_once, self._count))]
        try:
            async with asyncio.timeout(self._stage.limit_s):
                await self._all_in.wait()
        except TimeoutError:
            pass
        finally:
            self.took_s = loop.time() - self._started
            self.connected = len(self.docks)
            self._is_over = True
            # Not cancelled: a handshake that is broken off would leave its socket to the collector
            await asyncio.gather(*ushers, *self._retries)

    async def _come(self, number: int) -> None:
        dock = self._stage.dock(number, self)
        self._numbers[dock.sn] = number
        if not await self._stage.connect(dock, number, tls=self._tls):
            self._again(number)

    def _again(self, number: int) -> None:
        if self._is_over:
            return

        async def later() -> None:
            await asyncio.sleep(_RETRY_S)
            if not self._is_over:
                await self._come(number)

        task = asyncio.get_running_loop().create_task(later())
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    # -- dock.Listener

    def subscribed(self, dock: Dock) -> None:
        if self._is_over:
            dock.leave()
            return
        self.docks[dock.sn] = dock
        self.seconds.append(asyncio.get_running_loop().time() - self._started)
        if len(self.docks) == self._count:
            self._all_in.set()

    def ended(self, dock: Dock) -> None:
        if dock.refused:
            self.refused += 1
        else:
            self.lost += 1
        self.docks.pop(dock.sn, None)
        if not self._all_in.is_set():
            self._again(self._numbers[dock.sn])

    # -- afterwards

    def leave(self) -> None:
        for dock in self.docks.values():
            dock.leave()
        self.docks.clear()

    def vanish(self) -> None:
        for dock in self.docks.values():
            dock.vanish()
        self.docks.clear()
