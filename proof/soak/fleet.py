"""Docks with their ordinary traffic and the platform that listens to them; every reply and every message is accounted for.

One event loop, no task for a dock, so that a thousand cost little. Each message has a number of its own, by which one that comes
twice, or never, is known as such: a lost one and a doubled one do not make up for each other.
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

from .traffic import REPLY_TOPICS, Form, Kind, Order, Words, orders, packet, text, tid_of

_CONNACK, _PUBLISH, _SUBACK = 2, 3, 9
_TICK_S = 0.004
_PATIENCE_S = 20.0
_REST_S = 1.0  # before a dock leaves it is quiet so long
_AT_ONCE = 50
_GOODBYE_S = 30.0
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
    under_way: set[int] = field(default_factory=set)  # of these, what has not come
    twice: int = 0  # came, and had come before or was never sent
    ordered: int = 0  # sent down to docks; each is answered up again
    obeyed: int = 0
    orders: set[int] = field(default_factory=set)  # on their way down
    answers: set[int] = field(default_factory=set)  # on their way up
    replies: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)

    def window(self) -> tuple[list[float], list[float]]:
        """How long replies and deliveries took since the last look, each in order."""
        replies, deliveries = sorted(self.replies), sorted(self.deliveries)
        self.replies, self.deliveries = [], []
        return replies, deliveries


@dataclass(frozen=True, slots=True)
class Stock:
    missing: int
    doubled: int


class _Client(asyncio.Protocol):
    """Logs in and subscribes; ``ready`` tells when, or why not."""

    def __init__(self, login: Login, filters: list[str], *, level: int = 4, tls: bool = False) -> None:
        self.level = level
        self.tls = tls
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
        head = b"\0\4MQTT" + bytes([self.level, 0xC2]) + struct.pack("!H", 60) + self._no_properties
        self.transport.write(packet(0x10, head + words))

    @property
    def _no_properties(self) -> bytes:
        return b"\0" if self.level == 5 else b""

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
                self.transport.write(packet(0x82, b"\0\1" + self._no_properties + wanted))
            elif first >> 4 == _SUBACK and max(data[body + 2 : end]) < 0x80 and not self.ready.done():
                self.ready.set_result(None)
        self._buffer = data[used:]

    def message(self, data: bytes, body: int, end: int) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.write(b"\xe0\0")
            self.transport.close()


class _Dock(_Client):
    def __init__(self, fleet: Fleet, login: Login, words: Words, manner: Manner) -> None:
        topics = [*REPLY_TOPICS, *((order.last for order in Order) if manner.is_ordered else ())]
        filters = [f"thing/product/{login.sn}/{last}" for last in topics]
        super().__init__(login, filters, level=manner.level, tls=manner.tls)
        self._fleet = fleet
        self.manner = manner
        self._orders = {order: f"/{order.last}".encode() for order in Order}
        self.login = login
        self.words = words
        self.waiting: dict[int, float] = {}
        self.resting = False

    def message(self, data: bytes, body: int, end: int) -> None:
        account = self._fleet.account
        number = tid_of(data, body, end)
        if self.manner.is_ordered:
            topic_end = body + 2 + int.from_bytes(data[body : body + 2])
            for order, last in self._orders.items():
                if data.endswith(last, body, topic_end):
                    self._obey(order, number)
                    return
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

    def _obey(self, order: Order, number: int | None) -> None:
        account = self._fleet.account
        if number not in account.orders:
            account.twice += 1
            return
        account.orders.discard(number)
        account.answers.add(number)
        if self.transport is not None:
            self.transport.write(self.words.answer(order, number))

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
        lasts = ("osd", "state", "events", *(order.replied for order in Order))
        super().__init__(login, [f"thing/product/+/{last}" for last in lasts])
        self._fleet = fleet

    def message(self, data: bytes, body: int, end: int) -> None:
        account = self._fleet.account
        number = tid_of(data, body, min(end, body + 120))
        if number in account.answers:
            account.answers.discard(number)
            account.obeyed += 1
            return
        if number not in account.under_way:
            account.twice += 1
            return
        account.under_way.discard(number)
        account.forwarded += 1
        if account.forwarded % 16 == 0 and len(account.deliveries) < _SAMPLES:
            account.deliveries.append((time.perf_counter_ns() - number) / 1e9)

    def order(self, form: Form, number: int) -> None:
        if self.transport is not None:
            self.transport.write(form.stamped(number))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fleet.account.put_out += not self.leaving

    def ping(self) -> None:
        if self.transport is not None:
            self.transport.write(b"\xc0\0")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a dock speaks. ``is_ordered``: it is sent orders, and answers them."""

    level: int = 4
    tls: bool = False
    is_ordered: bool = False


# A quarter of the docks each; the rest as all of them where nothing is mixed.
_MANNERS = (Manner(), Manner(tls=True), Manner(level=5), Manner(is_ordered=True))


class Fleet:
    """``rate``: how many times what docks at rest send. ``mixed``: TLS, MQTT 5 and orders among them."""

    def __init__(self, ground: Ground, docks: int, rate: float, *, mixed: bool = False) -> None:
        self._ground = ground
        self.rate = rate
        self.account = Account()
        self._number = time.perf_counter_ns()
        self._away: set[str] = set()
        logins = ground.docks[:docks]
        manners = [_MANNERS[number % len(_MANNERS)] if mixed else Manner() for number in range(len(logins))]
        self._docks = [
            _Dock(self, each, Words(each.sn, ground.organization, ground.code, level=manner.level), manner)
            for each, manner in zip(logins, manners, strict=True)
        ]
        self._orders = {dock.login.sn: orders(dock.login.sn) for dock in self._docks if dock.manner.is_ordered}
        random.Random(1).shuffle(self._docks)
        self._platform = _Platform(self, ground.service)
        self._turns: dict[Kind | Order, int] = dict.fromkeys((*Kind, *Order), 0)

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
                lambda: client, HOST, self._ground.ports["tls" if client.tls else "plain"],
                local_addr=(f"127.0.{1 + number % 100}.1", 0),
                ssl=self._ground.tls() if client.tls else None, server_hostname="localhost" if client.tls else None,
            )  # fmt: skip
            await client.ready

    def _next(self) -> int:
        """The number in a ``tid``: the time, and one of its kind."""
        self._number = max(self._number + 1, time.perf_counter_ns())
        return self._number

    def _say(self, kind: Kind) -> None:
        dock = self._docks[self._turns[kind] % len(self._docks)]
        self._turns[kind] += 1
        number = self._next()
        if dock.say(kind, number):
            self.account.sent += 1
            self.account.asked += kind.replied is not None
            if kind is not Kind.REQUEST:
                self._route(number)

    def _route(self, number: int) -> None:
        self.account.routed += 1
        self.account.under_way.add(number)

    def _order(self, order: Order) -> None:
        """To the next dock that is there and not about to leave."""
        wanted = list(self._orders)
        sn = wanted[self._turns[order] % len(wanted)]
        self._turns[order] += 1
        if sn in self._away:
            return
        number = self._next()
        self.account.ordered += 1
        self.account.orders.add(number)
        self._platform.order(self._orders[sn][order], number)

    async def introduce(self) -> None:
        """Each dock tells of its aircraft, which may then be heard: slowly, as this is stored."""
        for dock in self._docks:
            for _ in range(3):
                number = self._next()
                dock.say(Kind.OSD, number)
                self.account.sent += 1
                self._route(number)
            await asyncio.sleep(_TICK_S / 4)
        await asyncio.sleep(_REST_S)

    async def talk(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        said: dict[Kind | Order, int] = dict.fromkeys((*Kind, *Order), 0)
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
            for order in Order if self._orders else ():
                due = int(elapsed * order.per_s * self.rate * len(self._orders))
                for _ in range(due - said[order]):
                    self._order(order)
                said[order] = due
            await asyncio.sleep(_TICK_S)

    async def come_and_go(self, stop: asyncio.Event, each_s: float) -> None:
        """One dock after the other falls silent, goes, and comes back."""
        for number in range(10**9):
            if stop.is_set():
                return
            dock = self._docks[number * 7 % len(self._docks)]
            dock.resting = True
            self._away.add(dock.login.sn)
            await asyncio.sleep(_REST_S)
            if not dock.waiting and dock.transport is not None:
                dock.leaving = True
                dock.leave()
                again = _Dock(self, dock.login, dock.words, dock.manner)
                again.resting = True
                self._docks[self._docks.index(dock)] = again
                await self._connect(again, number)
                again.resting = False
                self.account.returned += 1
            dock.resting = False
            self._away.discard(dock.login.sn)
            await asyncio.sleep(max(0.0, each_s - _REST_S))

    async def hear_out(self, within_s: float = 10.0) -> None:
        """Wait for what is still under way."""
        until = asyncio.get_running_loop().time() + within_s
        account = self.account
        while self.waiting or account.under_way or account.orders or account.answers:
            if asyncio.get_running_loop().time() >= until:
                return
            await asyncio.sleep(_TICK_S)

    def take_stock(self) -> Stock:
        """Of all messages since the last time. What has not come by now is given up."""
        account = self.account
        stock = Stock(len(account.under_way) + len(account.orders) + len(account.answers), account.twice)
        for each in (account.under_way, account.orders, account.answers):
            each.clear()
        account.twice = 0
        return stock

    async def leave(self) -> None:
        """TLS takes a while to say goodbye."""
        everybody = (*self._docks, self._platform)
        for client in everybody:
            client.leaving = True
            client.leave()
        until = asyncio.get_running_loop().time() + _GOODBYE_S
        while any(client.transport is not None for client in everybody):
            if asyncio.get_running_loop().time() > until:
                raise TimeoutError("connections were not closed")
            await asyncio.sleep(_TICK_S)
