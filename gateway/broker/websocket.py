"""MQTT over WebSocket (MQTT 3.1.1, 6): the ``websockets`` library's sans-io protocol between the socket and a Connection.

MQTT packets may be cut anywhere into binary frames [MQTT-6.0.0-2]; text frames end the connection [MQTT-6.0.0-1].
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidState, ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from .connection import Connection, State

if TYPE_CHECKING:
    from .broker import GatewayBroker

# What a client that has not logged in may leave unread: the answer to its upgrade, and some pongs.
_ANSWERS_BYTES = 16 * 1024

_quiet = logging.getLogger("websockets.quiet")
_quiet.setLevel(logging.CRITICAL)


class _WebSocketTransport:
    """What a Connection writes to: it wraps bytes into binary frames. The rest is the socket's transport."""

    def __init__(self, transport: asyncio.Transport, protocol: ServerProtocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        try:
            self._protocol.send_binary(data)
        except InvalidState:
            return  # the closing handshake has begun: nothing more can be said
        self.flush()

    def flush(self) -> None:
        for chunk in self._protocol.data_to_send():
            if chunk:
                self._transport.write(chunk)
            elif self._transport.can_write_eof():
                # Nothing more from us; a full close would reset a client that is still sending, and lose it the reason.
                self._transport.write_eof()
            else:
                self._transport.close()

    def can_write_eof(self) -> bool:
        """No: a WebSocket ends with a closing frame."""
        return False

    def close(self) -> None:
        try:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        except InvalidState:
            pass
        else:
            self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the transport's
        return getattr(self._transport, name)


class WebSocketConnection(asyncio.Protocol):
    def __init__(self, broker: GatewayBroker, listener: str, origin: tuple[str, int] | None = None) -> None:
        self._mqtt = Connection(broker, listener, origin)
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol("mqtt")],  # [MQTT-6.0.0-3]
            max_size=broker.limits.packet_bytes,
            logger=_quiet,
        )
        self._transport: _WebSocketTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = _WebSocketTransport(transport, self._protocol)  # type: ignore[arg-type] # uvloop's own class
        self._mqtt.connection_made(self._transport)  # type: ignore[arg-type] # has what Connection uses of a transport

    def data_received(self, data: bytes) -> None:
        if self._mqtt.spend(len(data)):
            self._protocol.receive_data(data)
            self._events()

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._events()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._mqtt.connection_lost(exc)

    def pause_writing(self) -> None:
        self._mqtt.pause_writing()

    def resume_writing(self) -> None:
        self._mqtt.resume_writing()

    def _events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame):
                self._frame(event)
        if self._transport is None:
            return
        self._transport.flush()
        # pings are answered whatever they are, and who does not read the answers may not have them kept
        most = _ANSWERS_BYTES if self._mqtt.exchange is None else self._mqtt.broker.limits.outbound_bytes
        if self._transport.get_write_buffer_size() > most:
            self._mqtt.abort()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.BINARY, Opcode.CONT):
            if self._mqtt.state is not State.CLOSED and frame.data:
                self._mqtt.feed(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            try:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "MQTT is carried in binary frames")
            except (InvalidState, ProtocolError):
                return
