"""MQTT by hand: what a test says goes out byte for byte, every packet that comes back is kept. Knows nothing of the gateway's code.

For what ordinary clients refuse to do or hide: sessions that last, wills, strangers, exact codes, the moment of the close.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = (
    2, 3, 4, 5, 6, 7, 9, 11, 13, 14,
)  # fmt: skip


@dataclass(frozen=True)
class Will:
    topic: str
    payload: bytes = b"will"
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True)
class Connack:
    present: bool
    code: int


@dataclass(frozen=True)
class Got:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool


def _text(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(raw)) + raw


def number(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + number(len(body)) + body


def connect_packet(
    client_id: str,
    username: str | None = None,
    password: str | None = None,
    *,
    version: int = 4,
    clean: bool = True,
    keepalive: int = 60,
    will: Will | None = None,
    expiry_s: int | None = None,
) -> bytes:
    flags = 0x02 * clean + 0x80 * (username is not None) + 0x40 * (password is not None)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | 0x20 * will.retain
    body = _text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
    if version == 5:
        properties = b"" if expiry_s is None else b"\x11" + struct.pack(">I", expiry_s)
        body += number(len(properties)) + properties
    body += _text(client_id)
    if will is not None:
        body += (b"\0" if version == 5 else b"") + _text(will.topic) + _text(will.payload)
    for text in (username, password):
        if text is not None:
            body += _text(text)
    return packet(0x10, body)


class Wire:
    """One connection. Every wait ends at ``timeout_s`` with an AssertionError that says what did not come."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        version: int = 4,
        timeout_s: float = 10.0,
        source: str | None = None,
    ) -> None:
        """``source``: the address to come from; every 127.x.y.z is this machine."""
        self.version = version
        self.timeout_s = timeout_s
        self.inbox: deque[Got] = deque()
        self.goodbye: int | None = None  # the reason in the server's DISCONNECT (MQTT 5)
        self._buffer = b""
        self._ended = False
        self._next_id = 0
        sock = socket.create_connection((host, port), timeout_s, None if source is None else (source, 0))
        try:
            self.sock = sock if tls is None else tls.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.drop()

    # -- saying

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def login(
        self,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        *,
        clean: bool = True,
        keepalive: int = 60,
        will: Will | None = None,
        expiry_s: int | None = None,
    ) -> Connack:
        self.send(
            connect_packet(
                client_id, username, password,
                version=self.version, clean=clean, keepalive=keepalive, will=will, expiry_s=expiry_s,
            )
        )  # fmt: skip
        body = self._wait(CONNACK, "CONNACK")
        return Connack(bool(body[0] & 1), body[1])

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """The code for each filter."""
        packet_id = self._id()
        body = struct.pack(">H", packet_id) + (b"\0" if self.version == 5 else b"")
        self.send(packet(0x82, body + b"".join(_text(name) + bytes([qos]) for name in filters)))
        answer = self._wait(SUBACK, "SUBACK", packet_id)
        return list(answer[2 + (1 + answer[2] if self.version == 5 else 0) :])

    def publish(self, topic: str, payload: bytes = b"", *, qos: int = 1, retain: bool = False) -> int:
        """The reason code of the acknowledgement (3.1.1 has none: 0)."""
        packet_id = self._id() if qos else 0
        self.send_publish(topic, payload, qos=qos, retain=retain, packet_id=packet_id)
        if qos == 1:
            return self._reason(self._wait(PUBACK, f"PUBACK for {topic}", packet_id))
        if qos == 2:
            reason = self._reason(self._wait(PUBREC, f"PUBREC for {topic}", packet_id))
            if reason < 0x80:
                self.send(packet(0x62, struct.pack(">H", packet_id)))
                self._wait(PUBCOMP, f"PUBCOMP for {topic}", packet_id)
            return reason
        return 0

    def send_publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, packet_id: int = 0
    ) -> None:
        body = _text(topic) + (struct.pack(">H", packet_id) if qos else b"") + (b"\0" if self.version == 5 else b"")
        self.send(packet(0x30 | qos << 1 | retain, body + payload))

    def ping(self) -> None:
        """Whatever the server had sent before is in the inbox afterwards."""
        self.send(b"\xc0\0")
        self._wait(PINGRESP, "PINGRESP")

    def disconnect(self) -> None:
        self.send(b"\xe0\0")
        self.drop()

    def drop(self) -> None:
        """Without a goodbye."""
        self.sock.close()

    # -- hearing

    def receive(self, timeout_s: float | None = None) -> Got:
        """The next message."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while not self.inbox:
            self._read(deadline, "a message")
        return self.inbox.popleft()

    def receive_until(self, payload: bytes) -> list[Got]:
        """All messages before the one with this payload, which is taken too."""
        before: list[Got] = []
        while (got := self.receive()).payload != payload:
            before.append(got)
        return before

    def wait_closed(self, timeout_s: float) -> bool:
        """True when the server has closed; messages that come before are kept."""
        deadline = time.monotonic() + timeout_s
        while not self._ended:
            try:
                self._read(deadline, "the close")
            except AssertionError:
                return self._ended
        return True

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _reason(self, body: bytes) -> int:
        return body[2] if len(body) > 2 else 0

    def _wait(self, kind: int, what: str, packet_id: int | None = None) -> bytes:
        deadline = time.monotonic() + self.timeout_s
        while True:
            got, body = self._read(deadline, what)
            if got == kind and (packet_id is None or struct.unpack(">H", body[:2])[0] == packet_id):
                return body

    def _read(self, deadline: float, what: str) -> tuple[int, bytes]:
        """One packet, seen to if it is a message."""
        while (cut := self._cut()) is None:
            if self._ended:
                raise AssertionError(f"the server closed before {what} came")
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{what} did not come in time")
            self.sock.settimeout(left)
            try:
                chunk = self.sock.recv(262_144)
            except TimeoutError:
                raise AssertionError(f"{what} did not come in time") from None
            except (ConnectionError, ssl.SSLError):
                chunk = b""
            self._ended = not chunk
            self._buffer += chunk
        first, body = cut
        if first >> 4 == PUBLISH:
            self._message(first, body)
        elif first >> 4 == PUBREL:
            self.send(packet(0x70, body[:2]))
        elif first >> 4 == DISCONNECT:
            self.goodbye = body[0] if body else 0
        return first >> 4, body

    def _cut(self) -> tuple[int, bytes] | None:
        data = self._buffer
        length = shift = 0
        for position in range(1, min(len(data), 5)):
            length |= (data[position] & 0x7F) << shift
            shift += 7
            if data[position] < 0x80:
                end = position + 1 + length
                if len(data) < end:
                    return None
                self._buffer = data[end:]
                return data[0], data[position + 1 : end]
        return None

    def _message(self, first: int, body: bytes) -> None:
        qos = first >> 1 & 3
        size = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        packet_id = rest[:2] if qos else b""
        rest = rest[len(packet_id) :]
        if self.version == 5:
            length = shift = position = 0
            while True:
                digit = rest[position]
                length |= (digit & 0x7F) << shift
                shift, position = shift + 7, position + 1
                if digit < 0x80:
                    break
            rest = rest[position + length :]
        self.inbox.append(Got(topic, rest, qos, bool(first & 1), bool(first & 8)))
        if qos:
            self.send(packet(0x40 if qos == 1 else 0x50, packet_id))


def payloads(messages: Iterable[Got]) -> list[bytes]:
    return [message.payload for message in messages]


def topics(messages: Sequence[Got]) -> list[str]:
    return [message.topic for message in messages]
