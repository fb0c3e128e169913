"""A bad line between dock and gateway: a proxy that holds what comes, sometimes for longer, and sometimes cuts.

What a lost packet is to those who speak TCP: everything behind it waits for it to be sent again. Half a second there and back, one
piece in twenty held for a retransmission more, one connection in twenty cut. Promised: accesses complete, over TLS too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from .ground import HOST, Ground, Login, promise
from .line import Line

_RESENT_S = 1.0  # RFC 6298, 2.1: the first retransmission timeout
_SHARE = 0.05
_TRIES = 5


@dataclass
class _Weather:
    """``delay_s``: each way."""

    delay_s: float
    dice: random.Random
    pieces: int = 0
    held: int = 0
    cut: int = 0


class _Proxy:
    def __init__(self, target: int, weather: _Weather) -> None:
        self._target = target
        self._weather = weather
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        weather = self._weather
        await asyncio.sleep(2 * weather.delay_s)  # SYN and its answer
        there_reader, there_writer = await asyncio.open_connection(HOST, self._target)
        mine = {writer, there_writer}
        self._writers |= mine
        self._tasks.add(task := asyncio.current_task())
        ends = weather.dice.randrange(4, 16) if weather.dice.random() < _SHARE else None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, there_writer, mine, ends))
                group.create_task(self._carry(there_reader, writer, mine, ends))
        except asyncio.CancelledError:
            pass  # by ``close``; a handler that ends so is complained about
        finally:
            for each in mine:
                each.transport.abort()
            self._writers -= mine
            self._tasks.discard(task)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: set[asyncio.StreamWriter],
        ends: int | None,
    ) -> None:
        weather, loop = self._weather, asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not data or writer.transport.is_closing():
                    return
                writer.write(data)

        async with asyncio.TaskGroup() as group:
            delivering = group.create_task(deliver())
            last = 0.0
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1460):  # one segment
                    weather.pieces += 1
                    is_held = weather.dice.random() < _SHARE
                    weather.held += is_held
                    last = max(last, loop.time() + weather.delay_s + _RESENT_S * is_held)
                    queue.put_nowait((last, data))
                    if ends is not None and (ends := ends - 1) == 0:
                        weather.cut += 1
                        for each in both:
                            each.transport.abort()
            queue.put_nowait((max(last, loop.time() + weather.delay_s), b""))
            await delivering
        writer.transport.abort()

    async def close(self) -> None:
        tasks = [task for task in self._tasks if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _between(target: int, weather: _Weather) -> AsyncIterator[int]:
    proxy = _Proxy(target, weather)
    server = await asyncio.start_server(proxy, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()


async def accesses(ground: Ground, *, docks: int, round_trip_s: float) -> dict[str, Any]:
    """``docks`` that go through their access over TLS, all at once; whoever is cut tries again."""
    weather = _Weather(round_trip_s / 2, random.Random(6))
    mine = [ground.untied.pop() for _ in range(docks)]
    uses = ground.uses()
    took: list[float] = []
    tries = 0

    async def one(port: int, dock: Login) -> None:
        nonlocal tries
        began = time.monotonic()
        for attempt in range(_TRIES):
            tries += 1
            try:
                async with Line(ground, tls=True, timeout_s=20.0) as line:
                    await line.open(port=port)
                    await line.access(dock)
            except ConnectionError:
                promise(attempt + 1 < _TRIES, f"{_TRIES} tries were not enough")
            else:
                break
        took.append(time.monotonic() - began)

    async with _between(ground.ports["tls"], weather) as port, asyncio.TaskGroup() as group:
        for dock in mine:
            group.create_task(one(port, dock))
    promise({dock.sn for dock in mine} <= ground.bound(), "not all docks are bound")
    used = ground.uses() - uses
    promise(used == docks, f"{docks} docks used the code {used} times")
    return {
        "docks": docks,
        "round_trip_s": round_trip_s,
        "tries": tries,
        "pieces": weather.pieces,
        "held": weather.held,
        "cut": weather.cut,
        "access_s": {"least": round(min(took), 2), "most": round(max(took), 2)},
    }
