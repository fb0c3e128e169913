"""What the fuzzer feeds it to: the framer and both codecs; and whole connections of a real broker, on transports that are lists.

A target raises when something is not as it has to be; ``MqttError`` is the one exception that bytes may cause.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import mqtt5
from amqtt.contexts import Action as AmqttAction
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from gateway.broker.broker import GatewayBroker
from gateway.broker.codec import v5, v311
from gateway.broker.codec.framing import Framer
from gateway.broker.codec.packets import MqttError, Reason
from gateway.broker.connection import Connection, State
from gateway.config import Config, load
from gateway.model import Action
from gateway.runtime import Runtime
from gateway.serve import build_broker
from tests.integration.lasting import LastingInstallation

from .inputs import Inputs

LIMIT = 4096


def feed_codecs(inputs: Inputs) -> None:
    """One stream, cut twice: the same packets come out, and each is read by both codecs, or refused in words."""
    stream = inputs.stream()
    read_codecs(stream, inputs.pieces(stream))


def read_codecs(stream: bytes, in_pieces: list[bytes]) -> None:
    whole, pieces = Framer(LIMIT), Framer(LIMIT)
    packets = whole.feed(stream)
    assert packets == [packet for piece in in_pieces for packet in pieces.feed(piece)]
    assert (whole.error is None) == (pieces.error is None)
    assert whole.buffered == pieces.buffered
    for packet, header in packets:
        for read in (v311.decode, v5.decode, v311.decode_connect, v5.decode_connect, v311.protocol_level):
            try:
                read(packet, header)
            except MqttError as error:
                assert isinstance(error.reason, Reason)  # noqa: PT017
                str(error).encode()


class ListTransport:
    """What a Connection uses of a transport; what is written is kept."""

    def __init__(self, protocol: Connection) -> None:
        self.protocol = protocol
        self.written: list[bytes] = []
        self.closing = False
        self.reading = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        if not self.closing:
            self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class Errors(logging.Handler):
    """Lines that say that something has failed inside."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Hesitant(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        await asyncio.sleep(0)
        return session.username == "fuzz"


class Doubtful(BaseTopicPlugin):
    """Everything is allowed, at once or a little later, but for topics in one letter."""

    def topic_filtering_now(self, *, session: Session, topic: str, action: Action) -> bool | None:  # noqa: ARG002
        return None if len(topic) % 2 else True

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,  # noqa: ARG002
        topic: str | None = None,
        action: AmqttAction | None = None,  # noqa: ARG002
    ) -> bool | None:
        await asyncio.sleep(0)
        return topic != "\u00e9"


class Connections:
    """A broker whose clients are streams of bytes; some stay, come back, take each other over, or hear of each other."""

    _MOST = 4

    def __init__(self, broker: GatewayBroker, errors: Errors) -> None:
        self._broker = broker
        self._errors = errors
        self._open: list[ListTransport] = []
        self._fed = 0

    async def feed(self, inputs: Inputs) -> None:
        pick = inputs.random
        self._open = [transport for transport in self._open if not transport.closing]
        if len(self._open) < self._MOST and (not self._open or pick.random() < 0.4):
            transport = self._connect()
            level = pick.choice((4, 5))
            client_id = pick.choice((b"a", b"b", b"c", b"d", b""))
            first = inputs.connect(level, client_id=client_id) if pick.random() < 0.9 else inputs.stream()
        else:
            transport = pick.choice(self._open)
            level = 5 if transport.protocol.codec is v5 else 4
            first = b""
        more = b"".join(inputs.packet(level) for _ in range(pick.randint(0, 4)))
        if pick.random() < 0.3:
            more += inputs.stream()
        for piece in inputs.pieces(first + more):
            if transport.closing:
                break
            transport.protocol.data_received(piece)
            if not transport.reading:
                await self._settle()
        await self._settle()
        if pick.random() < 0.2:
            transport.close()
        if pick.random() < 0.05:
            now = asyncio.get_running_loop().time()
            self._broker.table.tick(now + pick.choice((0, 1, 100, 100_000)))
        self._fed += 1
        await self._settle()
        self._look(transport, self._fed % 64 == 0)

    def _connect(self) -> ListTransport:
        protocol = Connection(self._broker, "plain")
        transport = ListTransport(protocol)
        protocol.connection_made(transport)  # type: ignore[arg-type] # has what a Connection uses
        self._open.append(transport)
        return transport

    async def _settle(self) -> None:
        for turn in range(1000):
            await asyncio.sleep(0)
            if turn > 2 and not any(each.protocol.busy for each in self._open):
                return
        raise AssertionError("a packet is never done")

    def _look(self, used: ListTransport, everything: bool) -> None:
        self._broker.admission.tick(asyncio.get_running_loop().time(), 0.0)
        assert not self._errors.records, (self._errors.records[0].getMessage(), self._errors.records[0].exc_info)
        protocol = used.protocol
        assert used.closing == (protocol.state is State.CLOSED)
        check_said(b"".join(used.written), protocol.codec)
        used.written.clear()
        for other in self._open:
            check_said(b"".join(other.written), other.protocol.codec)
            other.written.clear()
        if everything:
            self._look_at_everything()

    def _look_at_everything(self) -> None:
        broker = self._broker
        open_ones = [each.protocol for each in self._open if not each.closing]
        assert set(broker.admission) == set(open_ones)
        linked = {each.exchange for each in open_ones if each.exchange is not None}
        sessions = list(broker.table)
        assert {session.link for session in sessions if session.link is not None} == linked
        assert broker.delivery.router.count == sum(len(session.subscriptions) for session in sessions)
        assert broker.metrics.connections.open == len(linked)
        for session in sessions:
            assert len(session.inflight_out) <= broker.limits.inflight
            assert session.queued <= broker.limits.offline_messages


def check_said(said: bytes, codec: ModuleType) -> None:
    """What the gateway has written can be read: by its frames, and for MQTT 5 by another implementation."""
    position = 0
    while position < len(said):
        length, shift, start = 0, 0, position + 1
        while True:
            byte = said[start]
            start += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        end = start + length
        assert end <= len(said), said[position:]
        assert said[position] >> 4 in (2, 3, 4, 5, 6, 7, 9, 11, 13, 14), said[position:end]
        if (
            codec is v5 and said[position : position + 2] != b"\x20\x02"
        ):  # CONNACK of 3.1.1, for a level that is not served
            _, size = mqtt5.read(memoryview(said)[position:end])
            assert size == end - position
        position = end


@contextmanager
def listening(errors: Errors) -> Iterator[None]:
    """To our log, to that of the library that speaks HTTP for us, and to the event loop's."""
    with ExitStack() as stack:
        for name in ("gateway", "uvicorn.error", "asyncio"):
            log = logging.getLogger(name)
            stack.callback(log.setLevel, log.level)
            stack.callback(setattr, log, "propagate", log.propagate)
            log.addHandler(errors)
            stack.callback(log.removeHandler, errors)
            log.setLevel(logging.ERROR)
            log.propagate = False
        yield


def installed(folder: Path) -> Config:
    """Of a gateway that lets everybody do everything, within narrow limits."""
    installation = LastingInstallation(folder)
    most = {
        "packet_bytes": LIMIT, "messages_per_second": 1_000_000, "logins_per_second": 1_000_000, "connections_per_account": 0,
        "offline_messages": 20, "inflight": 5, "subscriptions": 20, "retained_messages": 20,
    }  # fmt: skip

    def change(settings: dict[str, Any]) -> None:
        settings["plugins"] = {"fuzz_doors.Hesitant": {}, "fuzz_doors.Doubtful": {}}
        settings["dockgate"]["limits"] = most

    installation.configure(change)
    return load(installation.config_file, {})


@asynccontextmanager
async def opened_connections(config: Config) -> AsyncIterator[Connections]:
    """Of a broker that listens nowhere."""
    errors = Errors()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.emit(logging.makeLogRecord({"msg": repr(context)})))
    with patch.dict(sys.modules, {"fuzz_doors": sys.modules[__name__]}), listening(errors):
        runtime = await Runtime.build(config)
        try:
            broker = build_broker(config, runtime)
            yield Connections(broker, errors)
            await broker.shutdown()
        finally:
            await runtime.close()
    assert not errors.records, errors.records[0].getMessage()
