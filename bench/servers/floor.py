"""A bare server: every login is right, every request gets a constant, telemetry goes to whoever asked for all of it.

PORT TLS_PORT CERTIFICATE KEY on the command line. No database, no rules, no limits: nothing to serve docks with.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import struct
import sys
from typing import cast

import uvloop

_REPLIES = {
    b"config": (
        b'{"app_id":"123456","app_key":"0123456789abcdef0123456789abcdef","app_license":"VGhlIGxpY2Vuc2Ugb2YgeW91ciBhcHA==",'
        b'"ntp_server_host":"192.0.2.10","ntp_server_port":123}'
    ),
    b"airport_bind_status": (
        b'{"result":0,"output":{"bind_status":[{"sn":"1581F000000000","is_device_bind_organization":false,"organization_id":"",'
        b'"organization_name":"","device_callsign":""},{"sn":"7CTDM000000000","is_device_bind_organization":false,'
        b'"organization_id":"","organization_name":"","device_callsign":""}]}}'
    ),
    b"airport_organization_get": b'{"result":0,"output":{"organization_name":"Fleet"}}',
    b"airport_organization_bind": (
        b'{"result":0,"output":{"err_infos":[{"sn":"7CTDM000000000","err_code":0},{"sn":"1581F000000000","err_code":0}]}}'
    ),
}
_BACKLOG = 4096


def _remaining_length(length: int) -> bytes:
    return bytes((length,)) if length < 128 else bytes((length & 0x7F | 0x80, length >> 7))


class Connection(asyncio.Protocol):
    replies_to: dict[bytes, asyncio.Transport] = {}  # noqa: RUF012 - of all connections
    services: set[asyncio.Transport] = set()  # noqa: RUF012

    __slots__ = ("_buffer", "_filter", "_transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""
        self._filter = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.replies_to.pop(self._filter, None)
        self.services.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        at, size = 0, len(data)
        while size - at >= 2:
            length, body = data[at + 1], at + 2
            if length & 0x80:  # two bytes are enough for whoever is measured here
                if size - at < 3:
                    break
                length, body = length & 0x7F | data[at + 2] << 7, at + 3
            end = body + length
            if end > size:
                break
            self._packet(data[at] >> 4, data, at, body, end)
            at = end
        self._buffer = data[at:]

    def _packet(self, kind: int, data: bytes, start: int, body: int, end: int) -> None:
        if kind == 3:
            payload = body + 2 + (data[body] << 8 | data[body + 1])
            topic = data[body + 2 : payload]
            if topic.endswith(b"/osd"):
                packet = data[start:end]
                for service in self.services:
                    service.write(packet)
            else:
                self._reply(topic + b"_reply", data[payload:end])
        elif kind == 1:
            self._transport.write(b"\x20\x02\x00\x00")
        elif kind == 8:
            wanted = data[body + 4 : body + 4 + (data[body + 2] << 8 | data[body + 3])]
            if b"+" in wanted:
                self.services.add(self._transport)
            else:
                self._filter = wanted
                self.replies_to[wanted] = self._transport
            self._transport.write(b"\x90\x03" + data[body : body + 2] + b"\x00")
        elif kind == 14:
            self._transport.close()

    def _reply(self, topic: bytes, request: bytes) -> None:
        tid = _text(request, b'"tid":"')
        method = _text(request, b'"method":"')
        payload = b'{"tid":"%b","bid":"%b","timestamp":1767225600000,"method":"%b","data":%b}' % (
            tid,
            tid,
            method,
            _REPLIES[method],
        )
        transport = self.replies_to.get(topic)
        if transport is not None:
            head = struct.pack("!H", len(topic)) + topic
            transport.write(b"\x30" + _remaining_length(len(head) + len(payload)) + head + payload)


def _text(data: bytes, key: bytes) -> bytes:
    begin = data.index(key) + len(key)
    return data[begin : data.index(b'"', begin)]


async def serve(port: int, tls_port: int, certificate: str, key: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    await loop.create_server(Connection, "127.0.0.1", port, backlog=_BACKLOG)
    await loop.create_server(Connection, "127.0.0.1", tls_port, ssl=context, backlog=_BACKLOG)
    print("ready", flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
