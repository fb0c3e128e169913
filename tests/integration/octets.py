"""An MQTT 3.1.1 client made of bytes and one blocking socket: it says anything, and shows exactly what comes back.

Written from the specification and without the gateway's own codec, so that no mistake can agree with itself.
"""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 5.0  # less than the gateway gives a connection without a login

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x00"


def text(content: str | bytes) -> bytes:
    """A string with its two bytes of length (1.5.3); bytes for what is no string."""
    raw = content.encode() if isinstance(content, str) else content
    return len(raw).to_bytes(2, "big") + raw


def remaining_length(number: int) -> bytes:
    """2.2.3, after the pseudo code that stands there."""
    encoded = b""
    while True:
        number, digit = divmod(number, 128)
        encoded += bytes([digit | (0x80 if number else 0)])
        if not number:
            return encoded


def packet(first: int, body: bytes = b"") -> bytes:
    return bytes([first]) + remaining_length(len(body)) + body


def connect(
    client_id: str | bytes = "wire",
    *,
    username: str | bytes | None = None,
    password: str | bytes | None = None,
    clean: bool = True,
    keepalive: int = 60,
    will: tuple[str | bytes, bytes, int, bool] | None = None,
    name: str = "MQTT",
    level: int = 4,
    flags: int = 0,
    first: int = 0x10,
    tail: bytes = b"",
) -> bytes:
    """``will``: topic, payload, QoS, retain. ``flags`` are set on top of those that the rest asks for."""
    flags |= 0x02 if clean else 0
    body = text(client_id)
    if will is not None:
        topic, payload, qos, retain = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        body += text(topic) + text(payload)
    if username is not None:
        flags |= 0x80
        body += text(username)
    if password is not None:
        flags |= 0x40
        body += text(password)
    return packet(first, text(name) + bytes([level, flags]) + keepalive.to_bytes(2, "big") + body + tail)


def connack(code: int = 0, *, present: bool = False) -> bytes:
    return bytes([0x20, 2, present, code])


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    *,
    qos: int = 0,
    packet_id: int = 1,
    retain: bool = False,
    dup: bool = False,
) -> bytes:
    first = 0x30 | (0x08 if dup else 0) | qos << 1 | (0x01 if retain else 0)
    identifier = packet_id.to_bytes(2, "big") if qos else b""
    return packet(first, text(topic) + identifier + payload)


def puback(packet_id: int = 1) -> bytes:
    return packet(0x40, packet_id.to_bytes(2, "big"))


def pubrec(packet_id: int = 1) -> bytes:
    return packet(0x50, packet_id.to_bytes(2, "big"))


def pubrel(packet_id: int = 1) -> bytes:
    return packet(0x62, packet_id.to_bytes(2, "big"))


def pubcomp(packet_id: int = 1) -> bytes:
    return packet(0x70, packet_id.to_bytes(2, "big"))


def subscribe(*filters: tuple[str | bytes, int], packet_id: int = 1) -> bytes:
    wanted = b"".join(text(topic_filter) + bytes([qos]) for topic_filter, qos in filters)
    return packet(0x82, packet_id.to_bytes(2, "big") + wanted)


def suback(packet_id: int = 1, *codes: int) -> bytes:
    return packet(0x90, packet_id.to_bytes(2, "big") + bytes(codes))


def unsubscribe(*filters: str | bytes, packet_id: int = 1) -> bytes:
    return packet(0xA2, packet_id.to_bytes(2, "big") + b"".join(text(each) for each in filters))


def unsuback(packet_id: int = 1) -> bytes:
    return packet(0xB0, packet_id.to_bytes(2, "big"))


_LAST = unsubscribe("nothing of that name", packet_id=0xFFFE)
_LAST_ANSWER = unsuback(0xFFFE)


class Octets:
    """One TCP or TLS connection. Nothing is sent that the test does not send."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        plain = socket.create_connection((host, port), timeout=TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: socket.socket = plain
        if tls is not None:
            self.socket = tls.wrap_socket(plain, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *packets: bytes, bytewise: bool = False) -> None:
        data = b"".join(packets)
        if not bytewise:
            self.socket.sendall(data)
            return
        for index in range(len(data)):
            try:
                self.socket.sendall(data[index : index + 1])
            except (BrokenPipeError, ConnectionResetError):
                return  # refused before its end; what came back tells the rest

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError(f"closed by the peer, after {data!r}")
            data += piece
        return data

    def packet(self) -> bytes:
        """The next whole packet. ConnectionError when the peer closes instead, TimeoutError in silence."""
        head = self._exactly(2)
        length, shift = head[1] & 0x7F, 0
        while head[-1] & 0x80:
            head += self._exactly(1)
            shift += 7
            length |= (head[-1] & 0x7F) << shift
        return head + self._exactly(length)

    def answers(self, *packets: bytes, bytewise: bool = False) -> bytes:
        """Send; everything that has come until a last packet is answered. Packets of one client are handled in order."""
        self.send(*packets, _LAST, bytewise=bytewise)
        answers = b""
        while (answer := self.packet()) != _LAST_ANSWER:
            answers += answer
        return answers

    def until_closed(self, *packets: bytes, bytewise: bool = False) -> bytes:
        """Send; everything that comes until the peer closes. TimeoutError when it does not."""
        answers = b""
        try:
            self.send(*packets, bytewise=bytewise)
            while piece := self.socket.recv(65_536):
                answers += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answers

    def login(self, client_id: str, account: str, password: str, **options: Any) -> bytes:
        """Send CONNECT; returns the answer, which has to be a CONNACK."""
        self.send(connect(client_id, username=account, password=password, **options))
        answer = self.packet()
        assert answer[:2] == b"\x20\x02", answer
        return answer

    def is_silent(self) -> bool:
        """Whether nothing has come that was not asked for."""
        return self.answers() == b""

    def close(self) -> None:
        """Say DISCONNECT, and end."""
        self.socket.sendall(DISCONNECT)
        self.socket.close()

    def drop(self) -> None:
        """End without a goodbye."""
        self.socket.close()
