"""The doors somebody with a login may knock at: an installation is given all of them, and a connection through one is made.

What is said through a door is up to the rows; here is only how bytes get there: in the clear, over TLS, with a client certificate,
in WebSocket frames, or both.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme
from websockets.client import ClientProtocol
from websockets.frames import OP_BINARY, OP_CONT
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

PLAIN, TLS, CERTIFICATE, WEBSOCKET, SECURE_WEBSOCKET = (
    "plain", "tls", "certificate", "websocket", "secure websocket",
)  # fmt: skip
DOORS = (PLAIN, TLS, CERTIFICATE, WEBSOCKET, SECURE_WEBSOCKET)
# Where a certificate has to be shown.
CERTIFIED = (CERTIFICATE, SECURE_WEBSOCKET)
_LISTENERS = {PLAIN: "plain", TLS: "tls", CERTIFICATE: "certified", WEBSOCKET: "ws", SECURE_WEBSOCKET: "wss"}
_FRAME = 64 * 1024


class Framed:
    """A socket, or one with TLS around it, whose bytes travel in the frames of a WebSocket: what ``wire.Wire`` needs of one."""

    def __init__(self, sock: Any, host: str) -> None:
        self._sock = sock
        self._came = b""
        self._talk = ClientProtocol(parse_uri(f"ws://{host}/"), subprotocols=[Subprotocol("mqtt")], max_size=None)
        self._talk.send_request(self._talk.connect())
        self._flush()
        while self._talk.state is State.CONNECTING and self._take():
            pass
        if self._talk.state is not State.OPEN:
            raise ConnectionError("the WebSocket was not opened")

    def _flush(self) -> None:
        for data in self._talk.data_to_send():
            if data:
                self._sock.sendall(data)

    def _take(self) -> bool:
        """Whatever has come. False: that was the end."""
        data = self._sock.recv(262_144)
        if data:
            self._talk.receive_data(data)
        else:
            self._talk.receive_eof()
        for event in self._talk.events_received():
            if getattr(event, "opcode", None) in (OP_BINARY, OP_CONT):
                self._came += event.data  # type: ignore[union-attr] # a frame, as only those have one
        self._flush()
        return bool(data)

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), _FRAME):
            if self._talk.state is not State.OPEN:
                raise ConnectionError("the WebSocket is closed")
            self._talk.send_binary(data[start : start + _FRAME])
            self._flush()

    def recv(self, _size: int) -> bytes:
        while not self._came:
            if not self._take() or (self._talk.state is not State.OPEN and not self._came):
                break
        came, self._came = self._came, b""
        return came

    def settimeout(self, seconds: float) -> None:
        self._sock.settimeout(seconds)

    def close(self) -> None:
        self._sock.close()


class Keys:
    """An authority of the operator's for client certificates, and one for each account that the attacker has."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._file = folder / "client-ca.pem"
        self._authority.cert_pem.write_to_path(self._file)
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def open_doors(self, settings: dict[str, Any]) -> None:
        """Edits broker.yaml's content."""
        listeners = settings["listeners"]
        theirs = {"bind": "127.0.0.1:0", "ssl": True, "cafile": str(self._file), "client_auth": "required"}
        own = {name: listeners["tls"][name] for name in ("certfile", "keyfile")}
        listeners["ws"] = {"type": "ws", "bind": "127.0.0.1:0"}
        listeners["certified"] = {"type": "tcp", **own, **theirs}
        listeners["wss"] = {"type": "ws", **own, **theirs}

    def context(self, ca: Path, account: str | None) -> ssl.SSLContext:
        """For a client that shows the certificate of ``account``, or none."""
        if account not in self._contexts:
            context = self._contexts[account] = ssl.create_default_context(cafile=ca)
            if account is not None:
                self._authority.issue_cert("attacker.example", common_name=account).configure_cert(context)
        return self._contexts[account]


def listener_of(door: str) -> str:
    return _LISTENERS[door]
