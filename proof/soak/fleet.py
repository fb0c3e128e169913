"""Docks with their ordinary traffic and the platform that listens to them; every reply and every message is accounted for.

One event loop, no task for a dock, so that a thousand cost little. A reply that comes twice, or never, is counted as such.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from dataclasses import dataclass, field
from typing import cast

from bench.load.packets import split
from proof.network.ground import HOST, Ground, Login

from .traffic import REPLY_TOPICS, Kind, Words, packet, text, tid_of

_CONNACK, _PUBLISH, _SUBACK = 2, 3, 9
_TICK_S = 0.004
_PATIENCE_S = 20.0
_REST_S = 1.0  # before a dock leaves it is quiet so long
_AT_ONCE = 50
_PING_S = 20.0
_SAMPLES = 20_000  # of one window


@dataclass
class Account:
    """What became of all that was said since the start, and how long things took since ``window`` was last emptied."""

    sent: int = 0
    asked: int = 0
    answered: int = 0
    doubled: int = 0
    refused: int = 0
    put_out: int = 0
    returned: int = 0
    forwarded: int = 0
    routed: int = 0  # sent on topics that the platform is subscribed to
    replies: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)

    def window(self) -> tuple[list[float], list[float]]:
        """How long replies and deliveries took since the last look, each in order."""
        replies, deliveries = sorted(self.replies), sorted(self.deliveries)
        self.replies, self.deliveries = [], []
        return replies, deliveries


class _Client(asyncio.Protocol):
    """Logs in and subscribes; ``ready`` tells when, or why not."""

    def __init__(self, login: Login, filters: list[str]) -> None:
        self._login = login
        self._filters = filters
        self._buffer = b""
        self.transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        login = self._login
        words = text(login.account) + text(login.account) + text(login.password)
        self.transport.write(packet(0x10, b"\0\4MQTT\4\xc2" + struct.pack("!H", 60) + words))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None
        if not self.ready.done():
            self.ready.set_exception(ConnectionRefusedError("not let in"))

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        used = 0
        for first, body, end in split(data):
            used = end
            if first >> 4 == _PUBLISH:
                self.message(data, body, end)
            elif first >> 4 == _CONNACK and self.transport is not None and data[body + 1] == 0:
                wanted = b"".join(text(each) + b"\0" for each in self._filters)
                self.transport.write(packet(0x82, b"\0\1" + wanted))
            elif first >> 4 == _SUBACK and 0x80 not in data[body + 2 : end] and not self.ready.done():
                self.ready.set_result(None)
        self._buffer = data[used:]

    def message(self, data: bytes, body: int, end: int) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.write(b"\xe0\0")
            self.transport.close()


class _Dock(_Client):
    def __init__(self, fleet: Fleet, login: Login, words: Words) -> None:
        super().__init__(login, [f"thing/product/{login.sn}/{last}" for last in REPLY_TOPICS])
        self._fleet = fleet
        self.login = login
        self.words = words
        self.waiting: dict[int, float] = {}
        self.resting = False

    def message(self, data: bytes, body: int, end: int) -> None:
        account = self._fleet.account
        number = tid_of(data, body, end)
        asked_at = self.waiting.pop(number, None) if number is not None else None
        if asked_at is None:
            account.doubled += 1
            return
        account.answered += 1
        if len(account.replies) < _SAMPLES:
            account.replies.append(time.perf_counter() - asked_at)
        if data.find(b'"result":0', body, end) < 0 and data.find(b"app_license", body, end) < 0:
            account.refused += 1

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fleet.account.put_out += not self.leaving

    def say(self, kind: Kind, number: int) -> bool:
        if self.transport is None or self.resting:
            return False
        if kind.replied is not None:
            self.waiting[number] = time.perf_counter()
        self.transport.write(self.words.next(kind, number))
        return True


class _Platform(_Client):
    """Subscribed to what all docks send; counts it."""

    def __init__(self, fleet: Fleet, login: Login) -> None:
        super().__init__(login, ["thing/product/+/osd", "thing/product/+/state", "thing/product/+/events"])
        self._fleet = fleet

    def message(self, data: bytes, body: int, end: int) -> None:
        account = self._fleet.account
        account.forwarded += 1
        if account.forwarded % 16 == 0 and len(account.deliveries) < _SAMPLES:
            number = tid_of(data, body, min(end, body + 120))
            if number is not None:
                account.deliveries.append((time.perf_counter_ns() - number) / 1e9)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fleet.account.put_out += not self.leaving

    def ping(self) -> None:
        if self.transport is not None:
            self.transport.write(b"\xc0\0")


class Fleet:
    """``rate``: how many times what docks at rest send."""

    def __init__(self, ground: Ground, docks: int, rate: float) -> None:
        self._ground = ground
        self.rate = rate
        self.account = Account()
        self._number = time.perf_counter_ns()
        logins = ground.docks[:docks]
        self._docks = [_Dock(self, each, Words(each.sn, ground.organization, ground.code)) for each in logins]
        random.Random(1).shuffle(self._docks)
        self._platform = _Platform(self, ground.service)
        self._turns = dict.fromkeys(Kind, 0)

    def __len__(self) -> int:
        return len(self._docks)

    @property
    def waiting(self) -> int:
        """Replies that have not come yet."""
        return sum(len(dock.waiting) for dock in self._docks)

    async def come(self) -> None:
        await self._connect(self._platform, 0)
        queue = iter(enumerate(self._docks))

        async def usher() -> None:
            for number, dock in queue:
                await self._connect(dock, number)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(usher())

    async def _connect(self, client: _Client, number: int) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.get_running_loop().create_connection(
                lambda: client, HOST, self._ground.ports["plain"], local_addr=(f"127.0.{1 + number % 100}.1", 0)
            )
            await client.ready

    def _next(self) -> int:
        """The number in a ``tid``: the time, and one of its kind."""
        self._number = max(self._number + 1, time.perf_counter_ns())
        return self._number

    def _say(self, kind: Kind) -> None:
        dock = self._docks[self._turns[kind] % len(self._docks)]
        self._turns[kind] += 1
        if dock.say(kind, self._next()):
            self.account.sent += 1
            self.account.asked += kind.replied is not None
            self.account.routed += kind is not Kind.REQUEST

    async def introduce(self) -> None:
        """Each dock tells of its aircraft, which may then be heard: slowly, as this is stored."""
        for dock in self._docks:
            for _ in range(3):
                dock.say(Kind.OSD, self._next())
                self.account.sent += 1
                self.account.routed += 1
            await asyncio.sleep(_TICK_S / 4)
        await asyncio.sleep(_REST_S)

    async def talk(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        said = dict.fromkeys(Kind, 0)
        pinged = started
        while not stop.is_set():
            elapsed = loop.time() - started
            if loop.time() - pinged > _PING_S:
                self._platform.ping()  # it says nothing else
                pinged = loop.time()
            for kind in Kind:
                due = int(elapsed * kind.per_s * self.rate * len(self._docks))
                for _ in range(due - said[kind]):
                    self._say(kind)
                said[kind] = due
            await asyncio.sleep(_TICK_S)

    async def come_and_go(self, stop: asyncio.Event, each_s: float) -> None:
        """One dock after the other falls silent, goes, and comes back."""
        for number in range(10**9):
            if stop.is_set():
                return
            dock = self._docks[number * 7 % len(self._docks)]
            dock.resting = True
            await asyncio.sleep(_REST_S)
            if not dock.waiting and dock.transport is not None:
                dock.leaving = True
                dock.leave()
                again = _Dock(self, dock.login, dock.words)
                again.resting = True
                self._docks[self._docks.index(dock)] = again
                await self._connect(again, number)
                again.resting = False
                self.account.returned += 1
            dock.resting = False
            await asyncio.sleep(max(0.0, each_s - _REST_S))

    async def hear_out(self, within_s: float = 10.0) -> None:
        """Wait for what is still under way."""
        until = asyncio.get_running_loop().time() + within_s
        account = self.account
        while self.waiting or account.forwarded < account.routed:
            if asyncio.get_running_loop().time() >= until:
                return
            await asyncio.sleep(_TICK_S)

    def leave(self) -> None:
        for client in (*self._docks, self._platform):
            client.leaving = True
            client.leave()
