"""A look at a gateway from the outside, as a dock has it: address in, what happened at each step out. Sockets and bytes only: the
server's own code has no part in it, so that a mistake of that cannot hide itself.

A password goes into the CONNECT packet and nowhere else.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway import pki
from gateway.cli.times import now_ms
from gateway.errors import DockgateError
from gateway.pki import CertificateInfo
from gateway.simulator.causes import explain_connect_error
from gateway.simulator.target import TlsFiles, tls_context

ACCEPTED = 0
# CONNACK return codes of MQTT 3.1.1 (3.2.2.3)
_CODES = {
    0: "accepted",
    1: "this version of MQTT is not spoken here",
    2: "the client id is not accepted",
    3: "the server is not ready",
    4: "wrong account or password",
    5: "not authorized",
}
_CONNACK, _PINGRESP = 0x20, 0xD0
_KEEPALIVE_S = 30
# Words of OpenSSL's reasons: TLSV13_ALERT_CERTIFICATE_REQUIRED, SSLV3_ALERT_HANDSHAKE_FAILURE
_WANTS_CERTIFICATE = frozenset({"REQUIRED", "FAILURE"})
# What a server says first in plain text when it is no MQTT server; enough to recognise it by.
_OTHERS = ((b"HTTP/", "HTTP"), (b"SSH-", "SSH"), (b"220", "SMTP or FTP"))


class ProbeError(DockgateError):
    """A step did not succeed; the text is for the operator."""


@dataclass(slots=True)
class Step:
    """``ms``: what it took; ``detail``: what was found, or why not."""

    name: str
    ok: bool
    ms: float
    detail: str

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ms": round(self.ms, 1)}


@dataclass(frozen=True, slots=True)
class Credentials:
    account: str
    password: str = field(repr=False)


class Probe:
    """``steps`` grows with each step that is taken; the first that fails ends it with ProbeError."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 5.0) -> None:
        self.steps: list[Step] = []
        self.certificate: CertificateInfo | None = None
        self._host, self._port = host, port
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    def connect(self) -> None:
        with self._step("connect") as step:
            self._socket = self._open()
            step.detail = f"{self.address} answers"

    def shake_hands(self, *, name: str | None = None, client: tuple[Path, Path] | None = None) -> None:
        """TLS, whatever the certificate: that is looked at by itself. ``name``: what a dock would ask for."""
        with self._step("tls") as step:
            # Nothing is believed that comes over this connection; what a dock would think of the certificate is another step
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if client is not None:
                context.load_cert_chain(*client)
            secure = self._wrap(context, name)
            self._socket = secure
            self.certificate = pki.describe_der(secure.getpeercert(binary_form=True) or b"", now=now_ms())
            cipher = secure.cipher()
            step.detail = f"{secure.version()}, {cipher[0] if cipher else 'no cipher'}"

    def trust(self, *, name: str, ca: Path | None) -> None:
        """Would a client that trusts ``ca`` (None: this system's authorities) accept it for ``name``. On its own connection."""
        with self._step("trust") as step:
            context = tls_context(TlsFiles(ca=ca))
            with self._open() as plain:
                try:
                    context.wrap_socket(plain, server_hostname=name).close()
                except ssl.SSLCertVerificationError as error:
                    raise ProbeError(self._explain(error, f"the CA in {ca}" if ca else _SYSTEM)) from error
                except (
                    OSError
                ) as error:  # a server that wants a certificate of the client ends it after its own was accepted
                    step.detail = f"accepted; then: {error}"
                    return
            step.detail = f"accepted by who trusts {f'the CA in {ca}' if ca else _SYSTEM}"

    def login(self, credentials: Credentials | None, *, client_id: str) -> int:
        """The code of CONNACK. ``None``: without any credentials, which a gateway has to refuse."""
        with self._step("login") as step:
            self._send(_connect_packet(client_id, credentials))
            answer = self._receive(4)
            if answer[0] != _CONNACK or answer[1] != 2:
                raise ProbeError(f"what answers does not speak MQTT{_spoken(answer)}")
            code = answer[3]
            step.detail = f"{_CODES.get(code, 'refused')} (CONNACK {code})"
            step.ok = (code == ACCEPTED) == (credentials is not None)
            return code

    def ping(self) -> None:
        with self._step("ping") as step:
            self._send(b"\xc0\x00")
            if self._receive(2)[0] != _PINGRESP:
                raise ProbeError("no answer to a ping")
            step.detail = "answered"

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendall(b"\xe0\x00")
            self._socket.close()
            self._socket = None

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[Step]:
        step = Step(name, ok=True, ms=0.0, detail="")
        self.steps.append(step)
        started = time.perf_counter()
        try:
            yield step
        except DockgateError as error:
            step.ok, step.detail = False, str(error)
            raise
        finally:
            step.ms = (time.perf_counter() - started) * 1000

    def _open(self) -> socket.socket:
        try:
            return socket.create_connection((self._host, self._port), timeout=self._timeout_s)
        except OSError as error:
            raise ProbeError(self._explain(error, None)) from error

    def _wrap(self, context: ssl.SSLContext, name: str | None) -> ssl.SSLSocket:
        try:
            return context.wrap_socket(self._connected, server_hostname=name or self._host)
        except OSError as error:
            raise ProbeError(self._explain(error, _SYSTEM)) from error

    @property
    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ProbeError("not connected")
        return self._socket

    def _send(self, data: bytes) -> None:
        try:
            self._connected.sendall(data)
        except OSError as error:
            raise ProbeError(self._lost(error)) from error

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            try:
                part = self._connected.recv(length - len(received))
            except OSError as error:
                raise ProbeError(self._lost(error)) from error
            if not part:
                raise ProbeError(f"{self.address} closed the connection without an answer")
            received += part
        return received

    def _lost(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            return f"{self.address} gave no answer within {self._timeout_s:g} s: is that port for MQTT?"
        return self._explain(error, _SYSTEM if isinstance(self._socket, ssl.SSLSocket) else None)

    def _explain(self, error: OSError, authority: str | None) -> str:
        return explain_connect_error(error, self.address, tls_ca=authority, timeout_s=self._timeout_s)


_SYSTEM = "the system's authorities"


def _connect_packet(client_id: str, credentials: Credentials | None) -> bytes:
    """CONNECT of MQTT 3.1.1 (3.1) with a clean session."""
    flags, payload = 0x02, _text(client_id)
    if credentials is not None:
        flags |= 0xC0
        payload += _text(credentials.account) + _text(credentials.password)
    body = _text("MQTT") + bytes((4, flags)) + _KEEPALIVE_S.to_bytes(2, "big") + payload
    return b"\x10" + _length(len(body)) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def _length(value: int) -> bytes:
    """2.2.3: seven bits at a time."""
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def _spoken(answer: bytes) -> str:
    return next((f" but {name}" for start, name in _OTHERS if answer.startswith(start[: len(answer)])), "")
