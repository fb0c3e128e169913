"""One connection of an attacker or of a dock, down to the single byte: MQTT 3.1.1 out and in, over TCP or TLS, cut wherever wanted.

TLS is run in memory, so that what goes over the wire can be counted and stopped at any byte of it, handshake included. Every
wait has an end. Nothing of this is shared with the gateway's codec.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from types import TracebackType
from typing import Any, Self

from .ground import HOST, Ground, Login

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
DISCONNECT, PINGREQ = b"\xe0\x00", b"\xc0\x00"
METHODS = ("config", "airport_bind_status", "airport_organization_get", "airport_organization_bind")
_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST (socket(7))


class Cut(ConnectionError):  # noqa: N818 - what happened
    """The line was cut after as many bytes as had been asked for."""


def text(value: str) -> bytes:
    return struct.pack("!H", len(value)) + value.encode()


def packet(first: int, body: bytes) -> bytes:
    length, size = len(body), b""
    while True:
        length, low = divmod(length, 128)
        size += bytes([low | 0x80 if length else low])
        if not length:
            return bytes([first]) + size + body


def connect(login: Login, *, client_id: str | None = None, clean: bool = True, keepalive_s: int = 60) -> bytes:
    head = b"\0\4MQTT\4" + bytes([0xC0 | 2 * clean]) + struct.pack("!H", keepalive_s)
    return packet(0x10, head + text(client_id or login.account) + text(login.account) + text(login.password))


def subscribe(topic_filter: str, *, qos: int = 0, packet_id: int = 1) -> bytes:
    return packet(0x82, struct.pack("!H", packet_id) + text(topic_filter) + bytes([qos]))


def publish(topic: str, payload: bytes, *, qos: int = 0, packet_id: int = 1, dup: bool = False) -> bytes:
    ident = struct.pack("!H", packet_id) if qos else b""
    return packet(0x30 | 8 * dup | 2 * qos, text(topic) + ident + payload)


def requests_topic(sn: str) -> str:
    return f"thing/product/{sn}/requests"


def request(ground: Ground, sn: str, method: str, tid: str) -> bytes:
    """The payload of one of the four requests of an access (docs/protocol.md 1)."""
    aircraft = f"1581F{sn[5:]}"
    named = {"device_binding_code": ground.code, "organization_id": ground.organization}
    asked: dict[str, Any] = {
        "config": {"config_type": "json", "config_scope": "product"},
        "airport_bind_status": {"devices": [{"sn": sn}, {"sn": aircraft}]},
        "airport_organization_get": named,
        "airport_organization_bind": {
            "bind_devices": [
                {**named, "device_callsign": "Dock", "sn": sn, "device_model_key": "3-2-0"},
                {**named, "device_callsign": "Bird", "sn": aircraft, "device_model_key": "0-91-1"},
            ]
        },
    }
    data = asked[method]
    return json.dumps({"tid": tid, "bid": tid, "timestamp": 1, "method": method, "data": data}).encode()


def is_good(method: str, reply: dict[str, Any]) -> bool:
    """Whether a reply says what it says to a dock that is welcome."""
    data = reply["data"]
    if method == "config":
        return bool(data.get("app_license"))
    if method == "airport_organization_bind":
        return data["result"] == 0 and [each["err_code"] for each in data["output"]["err_infos"]] == [0, 0]
    return bool(data["result"] == 0)


class Line:
    """``cut_after``: the line is cut (RST) as soon as so many bytes have gone out, and ``Cut`` is raised."""

    def __init__(
        self, ground: Ground, *, tls: bool = False, cut_after: int | None = None, timeout_s: float = 10.0
    ) -> None:
        self.ground = ground
        self.sent = 0
        self.passed_over = 0
        self._cut_after = cut_after
        self._timeout_s = timeout_s
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._buffer = b""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = ground.tls().wrap_bio(self._in, self._out, server_hostname="localhost") if tls else None
        self._is_open = False

    async def open(self, *, source: str | None = None, port: int | None = None, handshake: bool = True) -> Self:
        """``source``: the address to come from; every 127.x.y.z is this machine."""
        port = port or self.ground.ports["tls" if self._tls is not None else "plain"]
        async with asyncio.timeout(self._timeout_s):
            self._reader, self._writer = await asyncio.open_connection(
                HOST, port, local_addr=None if source is None else (source, 0)
            )
        self._is_open = True
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._cut_after == 0:
            self.reset()
            raise Cut
        if self._tls is not None and handshake:
            await self._shake(self._tls)
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.drop()

    @property
    def sock(self) -> Any:  # noqa: ANN401 - a socket, or the event loop's stand-in for it
        return self._writer.get_extra_info("socket")

    # -- out

    async def raw(self, data: bytes) -> None:
        """To the wire as it is."""
        if self._cut_after is not None and self.sent + len(data) >= self._cut_after:
            data = data[: self._cut_after - self.sent]
        if self._writer.transport.is_closing():
            raise ConnectionResetError("closed by the gateway")
        self._writer.write(data)
        self.sent += len(data)
        if self._cut_after is not None and self.sent >= self._cut_after:
            self.reset()
            raise Cut
        async with asyncio.timeout(self._timeout_s):
            await self._writer.drain()

    async def send(self, data: bytes) -> None:
        if self._tls is None:
            await self.raw(data)
        else:
            self._tls.write(data)
            await self._flush()

    def hello(self) -> bytes:
        """The first flight of a TLS handshake, for those who mean to be slow with it."""
        assert self._tls is not None  # noqa: S101 - the caller's part
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._out.read()
        raise ssl.SSLError("a handshake of one flight")

    async def _shake(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._feed(await self._bytes())
            else:
                await self._flush()
                return

    async def _flush(self) -> None:
        if data := self._out.read():
            await self.raw(data)

    # -- in

    async def _bytes(self) -> bytes:
        async with asyncio.timeout(self._timeout_s):
            data = await self._reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("closed by the gateway")
        return data

    def _feed(self, data: bytes) -> None:
        if self._tls is None:
            self._buffer += data
            return
        self._in.write(data)

    async def packet(self) -> tuple[int, bytes]:
        """The next packet: its first byte and its body. Raises ConnectionError when there is none any more."""
        while (cut := self._cut()) is None:
            if self._tls is None:
                self._buffer += await self._bytes()
                continue
            try:
                data = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                self._in.write(await self._bytes())
                continue
            except ssl.SSLError as error:
                raise ConnectionResetError("closed by the gateway") from error
            if not data:
                raise ConnectionResetError("closed by the gateway")
            self._buffer += data
        return cut

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

    def unread(self) -> int:
        """Bytes of packets that nobody has asked for yet, or that were passed over."""
        return len(self._buffer) + self.passed_over

    def send_without_reading(self, data: bytes) -> None:
        """Written, and not waited for: what the gateway does not take waits here."""
        self._writer.write(data)

    async def wait_for(self, kind: int) -> bytes:
        while True:
            first, body = await self.packet()
            if first >> 4 == kind:
                return body
            self.passed_over += len(body)

    async def reply(self) -> dict[str, Any]:
        """The next message, as JSON; one of QoS 1 is acknowledged."""
        while True:
            first, body = await self.packet()
            if first >> 4 != PUBLISH:
                continue
            (size,) = struct.unpack("!H", body[:2])
            rest = body[2 + size :]
            if first & 6:
                await self.send(packet(0x40, rest[:2]))
                rest = rest[2:]
            found: dict[str, Any] = json.loads(rest)
            return found

    async def closed(self, within_s: float) -> bool:
        """Whether the gateway closes within that time, whatever it says before."""
        try:
            async with asyncio.timeout(within_s):
                while await self._reader.read(_CHUNK):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    # -- what docks do

    async def login(self, login: Login, **options: Any) -> int:  # noqa: ANN401 - of ``connect``
        """The code in CONNACK."""
        await self.send(connect(login, **options))
        return (await self.wait_for(CONNACK))[1]

    async def come_in(self, login: Login, **options: Any) -> None:  # noqa: ANN401 - of ``connect``
        """Log in and subscribe to the replies."""
        if (code := await self.login(login, **options)) != 0:
            raise ConnectionRefusedError(f"CONNACK {code}")
        await self.send(subscribe(f"{requests_topic(login.sn)}_reply"))
        if (await self.wait_for(SUBACK))[-1] >= 0x80:
            raise ConnectionRefusedError("subscription refused")

    async def ask(self, login: Login, method: str, tid: str) -> dict[str, Any]:
        """One request and its reply; another's would raise."""
        await self.send(publish(requests_topic(login.sn), request(self.ground, login.sn, method, tid)))
        reply = await self.reply()
        if reply["tid"] != tid or not is_good(method, reply):
            raise ValueError(f"{method}: an answer that is none: {reply}")
        return reply

    async def access(self, login: Login, *, tids: str = "a") -> None:
        """The whole access: log in, subscribe, four requests, each after the reply to the one before; DISCONNECT."""
        await self.come_in(login)
        for method in METHODS:
            await self.ask(login, method, f"{tids}-{method}")
        await self.send(DISCONNECT)

    async def ping(self) -> None:
        await self.send(PINGREQ)
        await self.wait_for(PINGRESP)

    # -- the end

    def half_close(self) -> None:
        """No more from us (FIN); what comes is still read."""
        self._writer.write_eof()

    def reset(self) -> None:
        """As when the power goes: RST, and whatever was under way is lost."""
        if self._is_open:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()

    def drop(self) -> None:
        """Close without a goodbye; idempotent."""
        if self._is_open:
            self._is_open = False
            self._writer.transport.abort()
