"""Slowloris, at each door: sockets that say nothing, handshakes, CONNECTs and packets that come a byte at a time.

Promised: who has not logged in is closed when his time is over, and keeps no dock out meanwhile; who has, costs its own
connection and nobody else anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .ground import Ground, promise
from .line import Line, connect, publish

# The gateway looks at the clock once a second; the rest is for a busy machine.
_MARGIN_S = 3.0
_LATECOMERS = 5
# A dock whose handshake was crowded out comes again; on a busy machine, which the attacker's own loop makes so, that happens.
_TRIES = 4
_AGAIN_S = 0.5
_TRICKLE_S = 0.05
_MIB = 1024 * 1024


async def _until_closed(ground: Ground, count: int, begin: Callable[[int], Awaitable[Line]]) -> dict[str, Any]:
    """``count`` of such, all at once; meanwhile docks come in as ever. How long the slow ones lasted."""
    limit_s = ground.connect_timeout_s + _MARGIN_S
    lasted: list[float] = []

    async def one(number: int) -> None:
        began = time.monotonic()
        line = await begin(number)
        try:
            promise(await line.closed(began + limit_s - time.monotonic()), f"still open after {limit_s:g} s")
        finally:
            line.drop()
        lasted.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
        came, tries = await _latecomers(ground)
    return {
        "slow": count,
        "closed_after_s": round(max(lasted), 2),
        "dock_came_in_s": round(came, 3),
        "its_tries": tries,
    }


async def _latecomers(ground: Ground) -> tuple[float, int]:
    """Docks that come when the slow ones are there, from the same address: the longest that one of them took, and its tries."""
    took: list[tuple[float, int]] = []
    for dock in ground.docks[:_LATECOMERS]:
        began = time.monotonic()
        for number in range(1, _TRIES + 1):
            try:
                async with Line(ground, tls=True) as line:
                    await line.open()
                    await line.access(dock)
                break
            except ConnectionError as error:
                promise(number < _TRIES, f"a dock is kept out, after {number} tries: {error}")
                await asyncio.sleep(_AGAIN_S)
        took.append((time.monotonic() - began, number))
    return max(took)


async def silent(ground: Ground, *, count: int) -> dict[str, Any]:
    """Connected, and not a byte: half of them at the plain door, half at the TLS door."""

    async def begin(number: int) -> Line:
        return await Line(ground, tls=bool(number % 2)).open(handshake=False)

    return await _until_closed(ground, count, begin)


async def handshake(ground: Ground, *, count: int) -> dict[str, Any]:
    """A TLS handshake that never ends: half of them send its first flight a byte at a time, half send it and stop."""

    async def trickle(line: Line, flight: bytes) -> None:
        pause_s = 2 * ground.connect_timeout_s / len(flight)
        try:
            for at in range(len(flight)):
                await line.raw(flight[at : at + 1])
                await asyncio.sleep(pause_s)
        except OSError:
            pass  # closed, as it should be

    async with asyncio.TaskGroup() as group:
        tricklers: list[asyncio.Task[None]] = []

        async def begin(number: int) -> Line:
            line = await Line(ground, tls=True).open(handshake=False)
            flight = line.hello()
            if number % 2:
                await line.raw(flight)
            else:
                tricklers.append(group.create_task(trickle(line, flight)))
            return line

        figures = await _until_closed(ground, count, begin)
        for task in tricklers:
            task.cancel()
    return figures


async def login(ground: Ground, *, count: int) -> dict[str, Any]:
    """A CONNECT with the right password, so slow that it is never whole; half of them over TLS."""

    async def trickle(line: Line, words: bytes) -> None:
        pause_s = 2 * ground.connect_timeout_s / len(words)
        try:
            for at in range(len(words)):
                await line.send(words[at : at + 1])
                await asyncio.sleep(pause_s)
        except OSError:
            pass

    async with asyncio.TaskGroup() as group:
        tricklers: list[asyncio.Task[None]] = []

        async def begin(number: int) -> Line:
            line = await Line(ground, tls=bool(number % 2)).open()
            tricklers.append(group.create_task(trickle(line, connect(ground.docks[number % len(ground.docks)]))))
            return line

        figures = await _until_closed(ground, count, begin)
        for task in tricklers:
            task.cancel()
    return figures


async def packet(ground: Ground, *, count: int, seconds: float) -> dict[str, Any]:
    """Logged in, then a PUBLISH of one MiB that comes a byte at a time. No memory is kept for what has not come."""
    before = ground.resident_bytes()
    docks = ground.docks[:count]
    words = publish(f"thing/product/{docks[0].sn}/osd", b"x" * _MIB)
    lines = [await Line(ground).open(source=f"127.0.{2 + number % 200}.1") for number in range(count)]
    try:
        for line, dock in zip(lines, docks, strict=True):
            promise(await line.login(dock) == 0, "a dock was not let in")
        until, at = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            for line in lines:
                await line.raw(words[at : at + 1])
            at += 1
            await asyncio.sleep(_TRICKLE_S)
        grown = ground.resident_bytes() - before
        promise(grown < count * 128 * 1024 + 8 * _MIB, f"{count} slow packets hold {grown:,} bytes")
    finally:
        for line in lines:
            line.reset()
    return {"slow": count, "bytes_each": at, "grown_kb": grown // 1024}


async def silence_in_a_packet(ground: Ground, *, count: int) -> dict[str, Any]:
    """Logged in, half a packet, then nothing: put out after one and a half times the keep alive [MQTT-3.1.2-24]."""
    docks = ground.docks[:count]
    lasted: list[float] = []

    async def one(number: int) -> None:
        async with Line(ground) as line:
            await line.open()
            promise(await line.login(docks[number], keepalive_s=1) == 0, "a dock was not let in")
            await line.send(publish(f"thing/product/{docks[number].sn}/osd", b"x" * 1000)[:500])
            began = time.monotonic()
            promise(await line.closed(1.5 + _MARGIN_S), "a client that fell silent is still connected")
            lasted.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return {"silent": count, "closed_after_s": round(max(lasted), 2)}
