"""The socket of the admin HTTP: connections come in, requests go to the app. uvicorn speaks HTTP; how many, how long and with
which certificate is decided here, so that strangers cannot take descriptors away from docks. No signal handlers, no threads.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gateway import logs
from gateway.broker.tls import server_context
from gateway.config import ListenerSettings
from gateway.errors import ConfigError
from gateway.web import guard
from gateway.web.errors import HttpError, UnreadableError, respond
from gateway.web.limits import Buckets

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from gateway.config import AdminSettings, Bind
    from gateway.metrics import Http
    from gateway.tasks import Tasks

_log = logging.getLogger(__name__)

NAME = "admin"
MOST_CONNECTIONS = 256
_BACKLOG = 128
# From the first byte to the end of the head; a TLS handshake has as much.
HEAD_S = 10.0
# A reader that takes nothing of a full buffer for so long is given up.
STALLED_S = 30.0
_KEEP_ALIVE_S = 30
# The states of uvicorn's parser in which an answer may begin.
_MAY_ANSWER = frozenset({"IDLE", "SEND_RESPONSE"})
_BAD_REQUEST = f"{HTTPStatus.BAD_REQUEST.value} {HTTPStatus.BAD_REQUEST.phrase}"
_HEAD_BYTES = 32 * 1024
# What is still being answered when the gateway stops.
_GRACE_S = 3.0
# The port is somebody else's, or its address is not there yet: docks come first, and this is tried again.
_UNAVAILABLE = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
_RETRY_S = 10.0
_FULL_S = 0.1
# A TLS handshake costs the event loop a millisecond: more than this many a second wait in the kernel.
_ACCEPTS_PER_S = 200.0


class Door:
    """``open`` begins to listen, or to try; ``close`` ends it, and all that is open."""

    def __init__(self, settings: AdminSettings, bind: Bind, app: ASGIApp, metrics: Http, tasks: Tasks) -> None:
        """Raises ConfigError: others could listen in, or a certificate that can't be used."""
        self._settings = settings
        self._bind = bind
        self._metrics = metrics
        self._tasks = tasks
        self._config = _uvicorn(app, settings)
        self._state = ServerState()
        self._context = self._read_context()
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[Any] | None = None
        self._greeting: dict[asyncio.Task[Any], None] = {}  # oldest first
        self.idle: dict[Connection, None] = {}  # without a request that is being answered, oldest first
        self.all: set[Connection] = set()

    @property
    def is_tls(self) -> bool:
        return self._context is not None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it really listens; None while the address can't be had."""
        if self._socket is None:
            return None
        name = self._socket.getsockname()
        return str(name[0]), int(name[1])

    def _read_context(self) -> ssl.SSLContext | None:
        certfile, keyfile = self._settings.certfile, self._settings.keyfile
        if certfile is None and keyfile is None:
            if not self._bind.is_loopback:
                raise ConfigError(
                    f"admin.bind: {self._bind} can be reached by others, and there is no TLS",
                    hint="set admin.certfile and admin.keyfile, or bind it to 127.0.0.1",
                )
            return None
        if certfile is None or keyfile is None:
            raise ConfigError("admin: certfile and keyfile belong together", hint="set both, or none")
        return server_context(NAME, ListenerSettings(bind=self._bind, ssl=True, certfile=certfile, keyfile=keyfile))

    def open(self) -> None:
        """Raises ConfigError for an address that can never be had; one that is taken now is tried for again."""
        bound = self._listen()
        if bound is not None:
            self._opened(bound)
        self._task = self._tasks.spawn(self._serve(bound), name="admin HTTP")

    def reload(self) -> None:
        """Read certificate and key again; what can't be used leaves the old ones in use."""
        try:
            self._context = self._read_context()
        except ConfigError as error:
            _log.error("reload: the old certificate stays in use: %s", error)

    async def close(self) -> None:
        """Let what is being answered end, for a moment; idempotent."""
        for task in (*([self._task] if self._task is not None else []), *self._greeting):
            task.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for connection in list(self.all):
            connection.shutdown()
        running = [task for task in self._state.tasks if not task.done()]
        if running:
            await asyncio.wait(running, timeout=_GRACE_S)
        for connection in list(self.all):
            connection.abort()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # -- listening

    def _listen(self) -> socket.socket | None:
        host, port = self._bind.host, self._bind.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        try:
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
        except OSError as error:
            why = f"can't listen on {self._bind}: {error.strerror or error}"
            if error.errno not in _UNAVAILABLE:
                raise ConfigError(f"admin.bind: {why}", hint="change dockgate.admin.bind") from error
            _log.error("admin HTTP: %s; tried again every %d s", why, _RETRY_S)
            return None
        bound.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        return bound

    def _opened(self, bound: socket.socket) -> None:
        self._socket = bound
        host, port = self.address or ("", 0)
        _log.info("listening", extra={logs.LISTENER: NAME, logs.ADDRESS: f"{host}:{port}", "tls": self.is_tls})

    async def _serve(self, bound: socket.socket | None) -> None:
        while bound is None:
            await asyncio.sleep(_RETRY_S)
            bound = self._listen()
            if bound is not None:
                self._opened(bound)
        loop = asyncio.get_running_loop()
        pace = Buckets(_ACCEPTS_PER_S, clock=loop.time)
        while True:
            if wait := pace.take(NAME):
                await asyncio.sleep(wait)
            try:
                client, _ = await loop.sock_accept(bound)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    await asyncio.sleep(_FULL_S)
                continue
            if not self._make_room():
                client.close()
                continue
            task = self._tasks.spawn(self._greet(client), name="admin connection")
            self._greeting[task] = None
            task.add_done_callback(lambda task: self._greeting.pop(task, None))

    def _make_room(self) -> bool:
        """The oldest that asks for nothing goes first; False: all are being answered."""
        if len(self.all) + len(self._greeting) < MOST_CONNECTIONS:
            return True
        self._metrics.refused.add("crowded_out")
        if self._greeting:
            next(iter(self._greeting)).cancel()
        elif self.idle:
            next(iter(self.idle)).abort()
        else:
            return False
        return True

    async def _greet(self, client: socket.socket) -> None:
        context = self._context
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self, self._config, self._state),
                client,
                ssl=context,
                ssl_handshake_timeout=HEAD_S if context is not None else None,
            )
        except asyncio.CancelledError:
            client.close()
            raise
        except OSError:  # ssl.SSLError and a handshake's time limit are some: strangers' mistakes
            self._metrics.refused.add("tls_failed")

    def unreadable(self, error: HttpError) -> None:
        self._metrics.refused.add(error.code)
        self._metrics.requests.add("other", str(error.status))

    def counted(self) -> None:
        self._metrics.connections = len(self.all)


class Connection(H11Protocol):
    """uvicorn's connection, with the time limits it has none of: for the head of a request, and for a reader that stalls."""

    def __init__(self, door: Door, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._door = door
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.all.add(self)
        self._door.counted()
        super().connection_made(cast("asyncio.Transport", transport))  # uvloop's are not asyncio's by class
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_idle:
            self._door.idle[self] = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """A request's body can turn out to be broken while the app is at its answer, or has given it: then nothing more can be
        said, and what the app still says is for nobody. uvicorn would say both, and fail over the second; and as plain text,
        without the headers that every answer has.
        """
        cycle = cast("Any", self.cycle)
        if not self._is_idle:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state.__name__ in _MAY_ANSWER:
            self._refuse(UnreadableError())
        else:
            self.transport.close()

    def _refuse(self, error: HttpError) -> None:
        self._door.unreadable(error)
        answer = respond(error)
        told = guard.headers_of(is_https=self.scheme == "https") | dict(answer.headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self.transport.write(f"HTTP/1.1 {_BAD_REQUEST}\r\n{head}\r\n".encode("latin-1") + bytes(answer.body))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.all.discard(self)
        self._door.idle.pop(self, None)
        self._door.counted()
        self._cancel_deadline()
        self._cancel_stall()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALLED_S, self.abort)

    def resume_writing(self) -> None:
        self._cancel_stall()
        super().resume_writing()

    def abort(self) -> None:
        self.transport.abort()

    @property
    def _is_idle(self) -> bool:
        cycle = cast("Any", self.cycle)  # uvicorn says it is never None, and begins with None
        return cycle is None or bool(cycle.response_complete)

    def _look(self) -> None:
        """Bytes have come: of a request whose head has to be complete in time, or of one that is being answered."""
        if not self._is_idle:
            self._door.idle.pop(self, None)
            self._cancel_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._door.idle.setdefault(self, None)
            self._deadline = self.loop.call_later(HEAD_S, self._late)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _late(self) -> None:
        self._deadline = None
        if self._is_idle:
            self.abort()


def _uvicorn(app: ASGIApp, settings: AdminSettings) -> uvicorn.Config:
    config = uvicorn.Config(
        cast("Callable[..., Any]", app),
        http=Connection,
        ws=cast("Any", None),  # no WebSocket: an upgrade is answered like any request
        lifespan="off",
        interface="asgi3",
        log_config=None,  # logging is configured once, in gateway.logs
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    # below an error it tells of what strangers send wrong, a line for each
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config.load()
    return config
