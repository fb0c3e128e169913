"""The platform's side: one service that is subscribed to the telemetry of all docks, and counts what it gets."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from . import packets
from .requests import stamp_of

_FILTER = "thing/product/+/osd"
# One look at the time a message took is enough for each piece that comes from the network.
_SAMPLE_BYTES = 160


class Service(asyncio.Protocol):
    """``count`` messages so far; ``seconds`` how long some of them took, from the dock's write to here.

    All telemetry of a run has the same length, ``packet_bytes``, so that counting it takes a division and not a walk:
    what is to be measured is the server's ceiling, not this reader's.
    """

    def __init__(self, username: str, password: str, packet_bytes: int) -> None:
        self._login = (username, password)
        self._packet_bytes = packet_bytes
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._bytes = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seconds: list[float] = []
        self.lost = False

    @property
    def count(self) -> int:
        return self._bytes // self._packet_bytes

    def close(self) -> None:
        if self._transport is not None:
            self._transport.write(packets.DISCONNECT)
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        username, password = self._login
        self._transport.write(packets.connect(f"{username}-1", username, password, 0))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"the service was not let in: {exc}"))

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self._greet(data)
            return
        # where the first whole packet in this piece begins
        offset = -self._bytes % self._packet_bytes
        self._bytes += len(data)
        if offset + _SAMPLE_BYTES > len(data):
            return
        if data[offset] >> 4 != packets.PUBLISH:
            raise RuntimeError("telemetry of another length than agreed, or none: it can't be counted")
        sent_at = stamp_of(data, offset, offset + _SAMPLE_BYTES)
        if sent_at is not None:
            self.seconds.append((time.perf_counter_ns() - sent_at) / 1e9)

    def _greet(self, data: bytes) -> None:
        data = self._buffer + data
        used = 0
        for first, body, end in packets.split(data):
            used = end
            kind = first >> 4
            if kind == packets.CONNACK and data[body + 1] == 0 and self._transport is not None:
                self._transport.write(packets.subscribe(_FILTER))
            elif kind == packets.SUBACK and data[end - 1] != packets.REFUSED_FILTER:
                self.ready.set_result(None)
            else:
                self.ready.set_exception(ConnectionError("the service was refused"))
        self._buffer = data[used:]
