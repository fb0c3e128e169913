"""A well-behaved dock in a process of its own: logs in, pings and asks all the time, and says how long it waited.

A process, because an attacker's busy event loop would be measured otherwise. Its login comes on standard input; it goes on until
that is closed, then prints what it saw as JSON. It must not share a line of code with the gateway.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from .ground import Ground

_PERIOD_S = 0.05
_ASK_EVERY = 5  # pings
_GIVE_UP_S = 10.0
_SLOW_S = 0.25  # of such it is told when
BOUND_S = 1.0  # what a connected dock is promised

_CONNACK, _PUBLISH, _SUBACK, _PINGRESP = 2, 3, 9, 13


def _text(value: str) -> bytes:
    return struct.pack("!H", len(value)) + value.encode()


def _packet(first: int, body: bytes) -> bytes:
    length, size = len(body), b""
    while True:
        length, low = divmod(length, 128)
        size += bytes([low | 0x80 if length else low])
        if not length:
            return bytes([first]) + size + body


class _Dock:
    def __init__(self, told: dict[str, Any]) -> None:
        self._sock = socket.create_connection((told["host"], told["port"]), _GIVE_UP_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._topic = f"thing/product/{told['sn']}/requests"
        flags, keepalive_s = b"\xc2", struct.pack("!H", 60)
        login = _text(told["client_id"]) + _text(told["account"]) + _text(told["password"])
        self._sock.sendall(_packet(0x10, b"\0\4MQTT\4" + flags + keepalive_s + login))
        if self._next(_CONNACK)[1] != 0:
            raise ConnectionError("not let in")
        self._sock.sendall(_packet(0x82, b"\0\1" + _text(f"{self._topic}_reply") + b"\0"))
        self._next(_SUBACK)

    def _next(self, kind: int, holding: bytes = b"") -> bytes:
        until = time.monotonic() + _GIVE_UP_S
        while True:
            while (cut := self._cut()) is not None:
                if cut[0] >> 4 == kind and holding in cut[1]:
                    return cut[1]
            self._sock.settimeout(max(0.001, until - time.monotonic()))
            chunk = self._sock.recv(65_536)
            if not chunk:
                raise ConnectionError("closed by the gateway")
            self._buffer += chunk

    def _cut(self) -> tuple[int, bytes] | None:
        data, length, shift = self._buffer, 0, 0
        for at in range(1, min(len(data), 5)):
            length |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                end = at + 1 + length
                if len(data) < end:
                    return None
                self._buffer = data[end:]
                return data[0], data[at + 1 : end]
        return None

    def ping(self) -> float:
        began = time.monotonic()
        self._sock.sendall(b"\xc0\0")
        self._next(_PINGRESP)
        return time.monotonic() - began

    def ask(self, number: int) -> float:
        tid = f"witness-{os.getpid()}-{number}"  # another witness's question would be answered as repeated, and counted so
        body = {"tid": tid, "bid": tid, "timestamp": 1, "method": "config",
                "data": {"config_type": "json", "config_scope": "product"}}  # fmt: skip
        began = time.monotonic()
        self._sock.sendall(_packet(0x30, _text(self._topic) + json.dumps(body).encode()))
        if b"app_license" not in self._next(_PUBLISH, f'"{tid}"'.encode()):
            raise ConnectionError("a reply that is none")
        return time.monotonic() - began


def main() -> None:
    told = json.loads(sys.stdin.buffer.readline())
    pings: list[float] = []
    asked: list[float] = []
    slow: list[tuple[float, float]] = []
    trouble, began = "", time.monotonic()
    try:
        dock = _Dock(told)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        is_over = False
        while not is_over or len(pings) < _ASK_EVERY:
            is_over = is_over or bool(select.select([sys.stdin], [], [], _PERIOD_S)[0])
            pings.append(dock.ping())
            if pings[-1] > _SLOW_S:
                slow.append((round(time.monotonic() - began, 1), round(pings[-1], 3)))
            if len(pings) % _ASK_EVERY == 0:
                asked.append(dock.ask(len(asked)))
    except OSError as error:  # TimeoutError is one
        trouble = f"{type(error).__name__}: {error}"
    print(json.dumps({"pings": pings, "asked": asked, "slow": slow, "trouble": trouble}))


class Witness:
    """``async with``: it is connected from the first line to the last, and has no reason to complain, or BrokenPromise."""

    def __init__(self, ground: Ground, *, bound_s: float = BOUND_S) -> None:
        """``slowest_s`` is what it waited at most. ``bound_s``: how long that may be, infinity to leave that to the caller."""
        self.slowest_s = 0.0
        self._ground = ground
        self._bound_s = bound_s
        self._process: asyncio.subprocess.Process
        self.figures: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        login = self._ground.witness
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", str(Path(__file__)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**26
        )
        told = {
            "host": "127.0.0.1",
            "port": self._ground.ports["plain"],
            "sn": login.sn,
            "client_id": "witness",
            "account": login.account,
            "password": login.password,
        }
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - pipes
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if line != b"ready\n":
            await self._end()
            raise AssertionError(f"the witness is not let in: {line!r}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        told = json.loads(await self._end() or "{}")
        if kind is not None:
            return
        pings, asked = sorted(told["pings"]), sorted(told["asked"])
        if told["trouble"]:
            raise AssertionError(f"the connected dock was not served: {told['trouble']}")
        if not pings or not asked:
            raise AssertionError("the connected dock had no time to ask anything")
        self.figures = {
            "pings": len(pings),
            "ping_p50_ms": round(pings[len(pings) // 2] * 1e3, 2),
            "ping_max_ms": round(pings[-1] * 1e3, 1),
            "requests": len(asked),
            "request_max_ms": round(asked[-1] * 1e3, 1),
        }
        if told["slow"]:
            self.figures["slow_pings_at_s"] = told["slow"][:20]
        self.slowest_s = max(pings[-1], asked[-1])
        if self.slowest_s >= self._bound_s:
            raise AssertionError(f"the connected dock waited {self.slowest_s:.2f} s for an answer")

    async def _end(self) -> bytes:
        out, _ = await self._process.communicate(b"")  # closes its standard input
        return out


if __name__ == "__main__":
    main()
