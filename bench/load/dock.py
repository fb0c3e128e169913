"""One dock: connects, subscribes to its replies, asks, and sends telemetry; what happens to it is told to its listener.

A Protocol with a few fields and no task of its own, so that 5,000 of them cost the generator little.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, cast

from . import packets
from .requests import is_good, request

KEEPALIVE_S = 60


class Listener(Protocol):
    """What a dock tells; any of it may do nothing."""

    def subscribed(self, dock: Dock) -> None: ...

    def replied(self, dock: Dock, step: int, seconds: float) -> None: ...

    def ended(self, dock: Dock) -> None:
        """The connection is over, and we did not close it. ``dock.refused`` says whether CONNACK said no."""


class Dock(asyncio.Protocol):
    __slots__ = (
        "_buffer",
        "_counter",
        "_next_tid",
        "_organization",
        "_password",
        "_sent_at",
        "_step",
        "_tid",
        "closing",
        "listener",
        "refused",
        "requests_topic",
        "sn",
        "transport",
        "wrong",
    )

    def __init__(
        self,
        sn: str,
        password: str,
        organization: tuple[str, str],
        listener: Listener,
        next_tid: Callable[[], str],
    ) -> None:
        self.sn = sn
        self._password = password
        self._organization = organization
        self.listener = listener
        self._next_tid = next_tid
        self.transport: asyncio.Transport | None = None
        self.requests_topic = f"thing/product/{sn}/requests"
        self.refused = False
        self.closing = False
        self.wrong = 0  # replies that did not say what they should
        self._buffer = b""
        self._tid = b""
        self._step = 0
        self._sent_at = 0.0

    # -- what it does

    def ask(self, step: int) -> None:
        """Request number ``step`` of an access; its reply is told to the listener. One at a time."""
        assert self.transport is not None  # noqa: S101 - the caller has seen it subscribed
        tid = self._next_tid()
        payload = request(step, self.sn, tid, time.time_ns() // 1_000_000, *self._organization)
        self._tid, self._step = tid.encode(), step
        self._sent_at = time.perf_counter()
        self.transport.write(packets.publish_head(self.requests_topic, len(payload)) + payload)

    @property
    def waiting(self) -> bool:
        """Whether it has asked something and has no reply yet."""
        return bool(self._tid)

    def give_up(self) -> None:
        """Wait for no reply any more."""
        self._tid = b""

    def leave(self) -> None:
        """DISCONNECT, and close."""
        self.closing = True
        if self.transport is not None:
            self.transport.write(packets.DISCONNECT)
            self.transport.close()

    def vanish(self) -> None:
        """The line is cut."""
        self.closing = True
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(packets.connect(self.sn, self.sn, self._password, KEEPALIVE_S))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None
        if not self.closing:
            self.listener.ended(self)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        used = 0
        for first, body, end in packets.split(data):
            used = end
            self._packet(first >> 4, data, body, end)
        self._buffer = data[used:]

    def _packet(self, kind: int, data: bytes, body: int, end: int) -> None:
        if kind == packets.PUBLISH:
            if self._tid and data.find(self._tid, body, end) >= 0:
                seconds = time.perf_counter() - self._sent_at
                self._tid = b""
                if not is_good(self._step, data[body:end]):
                    self.wrong += 1
                self.listener.replied(self, self._step, seconds)
        elif self.transport is None:
            return
        elif kind == packets.CONNACK:
            if data[body + 1] != 0:
                self.refused = True
                self.transport.close()
                return
            self.transport.write(packets.subscribe(f"{self.requests_topic}_reply"))
        elif kind == packets.SUBACK:
            if data[end - 1] == packets.REFUSED_FILTER:
                self.refused = True
                self.transport.close()
                return
            self.listener.subscribed(self)
