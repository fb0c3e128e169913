"""Clients that do not read, and clients that close half of the connection.

Promised: memory for who does not read has a bound, QoS 0 is dropped beyond it and counted, everybody else gets everything, and a
closed half is the end of the connection on both sides.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from .ground import Ground, promise
from .line import CONNACK, PUBLISH, SUBACK, Line, connect, packet, publish, request, requests_topic, subscribe, text

_PAYLOAD = b'{"tid":"t","bid":"b","timestamp":1,"data":{"rest":"' + b"x" * 4000 + b'"}}'
_BURST = 20
_CLOSED_S = 8.0  # beyond the five seconds that the gateway lingers for who does not close
_MIB = 1024 * 1024
_STAGES = ("nothing", "half a CONNECT", "a CONNECT", "a request")


async def _platform(ground: Ground, name: str, *, is_deaf: bool = False) -> Line:
    line = Line(ground, timeout_s=30.0)
    await line.open()
    if is_deaf:
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    promise(await line.login(ground.service, client_id=name) == 0, "the platform was not let in")
    await line.send(subscribe("thing/product/+/osd"))
    promise((await line.wait_for(SUBACK))[-1] == 0, "the platform's subscription was refused")
    return line


async def deaf_platform(
    ground: Ground, *, deaf: int, docks: int, messages: int, until_closed_s: float = 0
) -> dict[str, Any]:
    """Platforms that subscribe to all telemetry and never read it, beside one that does.

    ``until_closed_s``: go on until the gateway has given up the deaf ones, which it does after half a minute.
    """
    before, dropped_before = ground.resident_bytes(), ground.metrics().get("dockgate_messages_dropped_total", 0)
    reader = await _platform(ground, "reads")
    quiet = [await _platform(ground, f"deaf-{number}", is_deaf=True) for number in range(deaf)]
    senders = [Line(ground) for _ in range(docks)]
    got = 0

    async def read() -> None:
        nonlocal got
        while got < messages:
            first, _ = await reader.packet()
            got += first >> 4 == PUBLISH

    try:
        for sender, dock in zip(senders, ground.docks, strict=False):
            await sender.open()
            promise(await sender.login(dock) == 0, "a dock was not let in")
        reading = asyncio.get_running_loop().create_task(read())
        for number in range(messages):
            dock = ground.docks[number % docks]
            await senders[number % docks].send(publish(f"thing/product/{dock.sn}/osd", _PAYLOAD))
            if number % _BURST == 0:
                for (
                    sender
                ) in senders:  # no faster than the gateway reads, or the reader would have a reason to lose some
                    await sender.ping()
        async with asyncio.timeout(30):
            await reading
        grown = ground.resident_bytes() - before
        allowed = deaf * ground.outbound_bytes * 2 + 32 * _MIB
        promise(grown < allowed, f"{deaf} clients that do not read hold {grown:,} bytes")
        dropped = ground.metrics().get("dockgate_messages_dropped_total", 0) - dropped_before
        promise(dropped > 0, "nothing was dropped for clients that do not read: they were not deaf enough")
        if until_closed_s:
            async with asyncio.timeout(until_closed_s):
                while ground.metrics()["dockgate_connections_open"] > docks + 2:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.5)
    finally:
        for line in (reader, *quiet, *senders):
            line.reset()
    return {
        "deaf": deaf,
        "messages": messages,
        "reader_got": got,
        "dropped_for_the_deaf": int(dropped),
        "grown_mb": round(grown / _MIB, 1),
    }


async def deaf_docks(ground: Ground, *, docks: int, requests: int) -> dict[str, Any]:
    """Docks that ask and ask and never read an answer."""
    before = ground.resident_bytes()
    lines = [Line(ground, timeout_s=30.0) for _ in range(docks)]
    try:
        for line, dock in zip(lines, ground.docks, strict=False):
            await line.open()
            line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await line.come_in(dock)
        for number in range(requests):
            for line, dock in zip(lines, ground.docks, strict=False):
                asked = request(ground, dock.sn, "config", f"deaf-{number}")
                line.send_without_reading(publish(requests_topic(dock.sn), asked))
            if number % _BURST == 0:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        grown = ground.resident_bytes() - before
        allowed = docks * ground.outbound_bytes * 2 + 32 * _MIB
        promise(grown < allowed, f"{docks} docks that do not read hold {grown:,} bytes")
    finally:
        for line in lines:
            line.reset()
    return {"deaf": docks, "requests": requests * docks, "grown_mb": round(grown / _MIB, 1)}


async def half_closed(ground: Ground, *, count: int) -> dict[str, Any]:
    """FIN after nothing, in the middle of CONNECT, after it, and right behind a request; the other half stays open for ever."""
    answered = 0

    async def one(number: int) -> None:
        nonlocal answered
        dock = ground.docks[number % len(ground.docks)]
        stage = _STAGES[number % len(_STAGES)]
        async with Line(ground) as line:
            await line.open()
            words = connect(dock, client_id=f"half-{number}")
            if stage == "half a CONNECT":
                await line.send(words[: len(words) // 2])
            elif stage == "a CONNECT":
                await line.send(words)
            elif stage == "a request":
                await line.come_in(dock, client_id=f"half-{number}")
                await line.send(publish(requests_topic(dock.sn), request(ground, dock.sn, "config", f"half-{number}")))
            line.half_close()
            if stage == "a request":
                promise((await line.reply())["tid"] == f"half-{number}", "another's answer")
                answered += 1
            promise(await line.closed(_CLOSED_S), f"half closed after {stage}: the gateway keeps its half open")

    for first in range(0, count, _BURST):
        async with asyncio.TaskGroup() as group:
            for number in range(first, min(count, first + _BURST)):
                group.create_task(one(number))
    return {"half_closed": count, "requests_answered": answered}


async def never_close(ground: Ground, *, count: int) -> dict[str, Any]:
    """MQTT 5 clients that break the protocol, are told so and closed, and never close their own half."""
    before = await ground.calm()
    lines = [Line(ground) for _ in range(count)]

    async def one(number: int) -> None:
        dock, line = ground.docks[number % len(ground.docks)], lines[number]
        await line.open()
        head = b"\0\4MQTT\5\xc2" + struct.pack("!H", 60) + b"\0"
        await line.send(packet(0x10, head + text(f"stays-{number}") + text(dock.account) + text(dock.password)))
        await line.wait_for(CONNACK)
        await line.send(b"\xf0\0")  # a packet type that is none
        promise(await line.closed(_CLOSED_S), "not closed after a protocol error")

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(number))
        await ground.nothing_left(before, within_s=_CLOSED_S)
    finally:
        for line in lines:
            line.drop()
    return {"clients": count}
