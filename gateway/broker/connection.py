"""One network connection up to its login: bytes in, packets to the exchange; nothing of anybody changes before the login.

It keeps the time limits and the size limits, and closes politely. What packets mean after the login is in ``exchange``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from gateway import logs
from gateway.tasks import Done, Rest, begin

from .codec import v5, v311
from .codec.framing import Framer
from .codec.packets import Connack, Connect, MqttError, Reason
from .codec.strings import check_topic
from .exchange import TOPIC_ALIASES, Exchange
from .wrong_port import mistake_in

if TYPE_CHECKING:
    from .broker import GatewayBroker
    from .session import Session

_log = logging.getLogger(__name__)

# How long a client that is told why it is closed may go on writing before it is closed for good.
_READ_ON_S = 1.0
# What a peer has not read so long after the close is given up with the socket, and so is a TLS peer that does not say that it
# closes, too; it would keep both for as long as it likes.
_LINGER_S = 5.0

# Protocol name and level of a CONNECT (3.1.2.1, 3.1.2.2).
_CODECS: dict[tuple[str, int], ModuleType] = {("MQTT", v311.LEVEL): v311, ("MQTT", v5.LEVEL): v5}

# The largest CONNECT there can be: six fields of 64 KiB. A stranger can't have more kept for it.
_CONNECT_BYTES = 400 * 1024


class State(Enum):
    NEW = "new"
    LOGIN = "login"
    OPEN = "open"
    CLOSED = "closed"


class Connection(asyncio.Protocol):
    """``address`` and ``port`` are the peer's. Of the loop's time: ``began_at`` is before the TLS handshake, ``opened_at`` after
    it, ``heard_at`` when the last packet was whole (3.1.2.10 counts packets, not bytes).
    """

    def __init__(self, broker: GatewayBroker, listener: str, origin: tuple[str, int] | None = None) -> None:
        """``origin``: the client's address when a proxy told it; the socket's peer is the proxy then."""
        self.broker = broker
        self.listener = listener
        self.state = State.NEW
        self.address, self.port = origin or ("", 0)
        self.began_at = self.opened_at = self.heard_at = asyncio.get_running_loop().time()
        self.spent_bytes = self.spent_messages = 0  # since the last tick
        self.rate = 0  # messages in the last second, for who looks
        self.keepalive_limit_s: float | None = None
        self.congested_at: float | None = None  # since when the peer does not read as fast as we write
        self.codec: ModuleType = v311
        self.exchange: Exchange | None = None
        self.over_limit: Reason | None = None  # no room for it: what its CONNECT is to be answered
        self.reason: Reason | None = None  # why we close it; None: the peer went
        self._transport: asyncio.Transport | None = None
        self._framer = Framer(min(broker.limits.packet_bytes, _CONNECT_BYTES))
        self._waiting: list[tuple[bytes, int]] = []  # packets, the next one last
        self.busy = False
        self._reading = True
        self.held = False  # not read because its requests wait

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not asyncio's by class
        peer = transport.get_extra_info("peername")
        if peer and not self.address:
            self.address, self.port = str(peer[0]), int(peer[1])
        # above it QoS 0 is dropped (exchange.congested)
        self._transport.set_write_buffer_limits(high=self.broker.limits.outbound_bytes)
        self.opened_at = self.heard_at = self.broker.now = asyncio.get_running_loop().time()
        if not self.broker.admission.admit(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self.spend(len(data)):
            self.feed(data)

    def spend(self, number: int) -> bool:
        """Bytes have come from the network. False: nothing more may come."""
        if self.state is State.CLOSED:
            return False
        self.spent_bytes += number
        if self.spent_bytes > self.broker.limits.bytes_per_second:
            self.fail(MqttError(Reason.MESSAGE_RATE_TOO_HIGH, "more bytes a second than limits.bytes_per_second"))
            return False
        return True

    def feed(self, data: bytes) -> None:
        """Bytes of MQTT, counted already."""
        if self.state is State.CLOSED:
            return
        if self.state is State.NEW and data[:1] != b"\x10" and not self._framer.buffered:
            self._wrong_protocol(data)
            return
        packets = self._framer.feed(data)
        if packets:
            self.heard_at = self.broker.now
            packets.reverse()
            self._waiting = packets + self._waiting if self._waiting else packets
        self._process()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self.broker.admission.lingering.pop(self, None)
        self._end()
        # Each names the other: a pair would stay, with its TLS, until the collector looks at what is old, which is seldom
        self.exchange = None

    def pause_writing(self) -> None:
        self.congested_at = self.broker.now
        if self.exchange is not None:
            self.exchange.congested = True

    def resume_writing(self) -> None:
        self.congested_at = None
        if self.exchange is not None:
            self.exchange.congested = False
            self.exchange.session.made_room()

    # -- input

    def _process(self) -> None:
        waiting = self._waiting
        while waiting and not self.busy and not self.held and self.state is not State.CLOSED:
            packet, header = waiting.pop()
            try:
                if self.exchange is not None:
                    self.exchange.handle(packet, header)
                elif self.state is State.NEW:
                    self._connect(packet, header)
            except MqttError as error:
                self.fail(error)
                return
        if self.state is State.CLOSED:
            return
        if self._framer.error is not None and not waiting and not self.busy:
            self.fail(self._framer.error)
            return
        # What comes while a packet is judged waits in the network: a stranger's login must not cost memory.
        reading = not waiting and not self.held
        if reading != self._reading:
            self._set_reading(reading=reading)

    def _set_reading(self, *, reading: bool) -> None:
        if reading == self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def later(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Finish this packet, in a task if it has to wait; the following ones of this connection wait for it."""
        self.busy = True
        begun = begin(self._guarded(work))
        if isinstance(begun, Done):
            self.busy = False
        else:
            self.broker.tasks.spawn(self._finish(begun), name=name)

    async def _finish(self, rest: Rest[None]) -> None:
        try:
            await rest
        finally:
            self.busy = False
            self._process()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except MqttError as error:
            self.fail(error)
        except Exception:  # noqa: BLE001 - one client's packet must not end more than its connection
            _log.exception("a packet could not be handled", extra={logs.ADDRESS: self.address})
            self.close(Reason.UNSPECIFIED_ERROR)

    def hold(self) -> None:
        """Stop reading: too many of its requests wait for their answers."""
        self.held = True
        self._set_reading(reading=False)

    def release(self) -> None:
        if self.held:
            self.held = False
            self._process()

    # -- login

    def _connect(self, packet: bytes, header: int) -> None:
        name, level = v311.protocol_level(packet, header)
        codec = _CODECS.get((name, level))
        if codec is None:
            # 3.1.2.2: the answer that every version understands
            self.broker.metrics.connections.refused.add("unsupported_protocol")
            self.refuse(
                Reason.UNSUPPORTED_PROTOCOL_VERSION,
                f"protocol {name[:16]!r} level {level}; served are MQTT 3.1.1 (level 4) and MQTT 5 (level 5)",
            )
            return
        self.codec = codec
        if self.over_limit is not None:
            self.refuse(self.over_limit, None)
            return
        connect: Connect = codec.decode_connect(packet, header)
        if connect.will is not None:
            check_topic(connect.will.topic)
        self.state = State.LOGIN
        self.broker.admission.knocked(self)
        self.later(self._login(connect), name=f"login {self.address}")

    async def _login(self, connect: Connect) -> None:
        if connect.authentication_method is not None:
            self.refuse(Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not offered (MQTT 5, 4.12)")
            return
        if not connect.client_id and not connect.clean_start and self.codec is v311:
            # 3.1.3.1: a client without an identifier can't have a session that lasts [MQTT-3.1.3-8]
            self.refuse(Reason.CLIENT_IDENTIFIER_NOT_VALID, "no client id, and a session that should last")
            return
        too_busy = await self.broker.admission.turn(self)
        if self.has_ended():
            return
        if too_busy is not None:
            self.refuse(too_busy, None)
            return
        session = self.broker.new_session(self, connect)
        accepted = await self.broker.hooks.authenticate(session)
        session.password = None
        connect.password = None
        if self.has_ended():
            return
        if not accepted:
            self.refuse(self.broker.refusal_of(session), None)
            return
        await self.broker.judge_will(session, connect.will)
        if self.has_ended():
            return
        opened = self.broker.open_session(self, session, connect)
        if isinstance(opened, Reason):
            self.refuse(opened, None)
            return
        session, present = opened
        self.exchange = Exchange(self, session, self.codec, connect)
        self.state = State.OPEN
        self._framer.limit = self.broker.limits.packet_bytes
        self.keepalive_limit_s = 1.5 * session.keep_alive
        welcome: bytes = self.codec.connack(self._welcome(connect, session, present=present))
        fits = connect.maximum_packet_size is None or len(welcome) <= connect.maximum_packet_size
        self.write(welcome if fits else b"")
        self.broker.opened(self, session)
        if not fits:  # [MQTT-3.1.2-24]: nothing may be sent that is larger than the client takes
            self.close(Reason.PACKET_TOO_LARGE, say=False)
            return
        session.resume(self.broker.now)

    def _welcome(self, connect: Connect, session: Session, *, present: bool) -> Connack:
        """What MQTT 5 lets a server say of itself (3.2.2.3); 3.1.1 has room for the first two."""
        limits = self.broker.limits
        asked_s = connect.session_expiry_s or 0
        return Connack(
            session_present=present,
            reason=Reason.SUCCESS,
            session_expiry_s=int(session.expiry_s) if session.expiry_s < asked_s else None,
            receive_maximum=limits.inflight,
            maximum_packet_size=limits.packet_bytes,
            assigned_client_id=None if connect.client_id else session.client_id,
            topic_alias_maximum=TOPIC_ALIASES,
            server_keepalive_s=None if connect.keepalive_s == session.keep_alive else session.keep_alive,
        )

    def refuse(self, reason: Reason, why: str | None) -> None:
        """Answer CONNECT with ``reason`` and close. ``why``: a line for the log, unless somebody has written one."""
        if why is not None:
            self._warn(f"CONNECT refused: {why}")
        self.write(self.codec.connack(Connack(session_present=False, reason=reason)))
        self.close(reason, say=False)

    # -- output and end

    def has_ended(self) -> bool:
        return self.state is State.CLOSED

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._transport

    def write(self, data: bytes) -> None:
        if self._transport is not None and data:
            self._transport.write(data)

    def acknowledge_now(self) -> None:
        """Have the kernel acknowledge what was read at once. A client with Nagle's algorithm on holds its next packet back
        until then, and the kernel's delayed acknowledgement would cost it 40 ms (tcp(7), TCP_QUICKACK).
        """
        if self._transport is not None and (tcp := self._transport.get_extra_info("socket")) is not None:
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def outbound_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self, reason: Reason, *, say: bool = True) -> None:
        """Close from our side; what has been written is still sent. ``say``: tell the reason where the version can."""
        if self.state is State.CLOSED or self._transport is None:
            return
        self.reason = reason
        told = self.exchange.codec.disconnect(reason) if say and self.exchange is not None else b""
        self.write(told)
        self._end()
        if self.outbound_bytes() > self.broker.limits.outbound_bytes:
            self._transport.abort()
            return
        if told and reason is not Reason.SERVER_SHUTTING_DOWN and self._transport.can_write_eof():
            # Closing while the client is still writing would reset the connection, and it would never read the reason.
            self._set_reading(reading=True)
            self._transport.write_eof()
            self._linger(_READ_ON_S)
            return
        is_plain = self._transport.can_write_eof()
        self._transport.close()
        if not is_plain or self.outbound_bytes():
            self._linger(_LINGER_S)

    def _linger(self, seconds: float) -> None:
        self.broker.admission.lingering[self] = self.broker.now + seconds

    def give_up(self) -> None:
        """What is still between us and the peer is lost."""
        if self._transport is not None:
            self._transport.abort()

    def abort(self) -> None:
        """Close at once; what has been written may be lost."""
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._waiting.clear()
        self.broker.admission.forget(self)
        if self.exchange is not None:
            self.exchange.lost()

    def fail(self, error: MqttError) -> None:
        """The peer broke the protocol."""
        if self.state is State.CLOSED:
            return
        if self.exchange is None:
            self.broker.metrics.connections.refused.add("protocol_error")
            if self.codec is v5 and self.state is State.NEW:
                # An ill-formed CONNECT; 3.1.1 has no code for it (MQTT 5, 3.1.4)
                self.write(v5.connack(Connack(session_present=False, reason=error.reason)))
        self._warn(f"protocol error: {error}")
        self.close(error.reason)

    def _wrong_protocol(self, data: bytes) -> None:
        self._warn(mistake_in(data))
        self.broker.metrics.connections.refused.add("wrong_protocol")
        self.close(Reason.PROTOCOL_ERROR, say=False)

    def _warn(self, text: str) -> None:
        session = self.exchange.session if self.exchange is not None else None
        self.broker.warn(
            self.address,
            text,
            {
                logs.ADDRESS: self.address,
                logs.LISTENER: self.listener,
                logs.CLIENT_ID: session.client_id if session is not None else "",
                logs.ACCOUNT: session.account if session is not None else "",
            },
        )
