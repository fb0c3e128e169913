"""TLS and PROXY before MQTT: sockets come in and go on as connections; who failed, and by what mistake, goes to the log.

The event loop's own server is silent about a TLS handshake that fails, and that is the likeliest trouble on a site: a dock that
does not trust the certificate. And without free descriptors it spins, or closes its socket for good. No peer may hold a
handshake open beyond the time limit, or more of them than there is room.
"""

from __future__ import annotations

import asyncio
import errno
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway import logs

from .proxy_protocol import ProxyError, read_header

if TYPE_CHECKING:
    from .broker import GatewayBroker
    from .proxy_protocol import Network

# Without a free descriptor accepting fails at once and for every socket that waits: try again when some may be free.
_FULL_S = 0.1
# When there is no room, look again so soon; after so long without anybody getting on, those who are there are silent.
_CROWDED_S, _PATIENCE_S = 0.02, 0.5
# A timer that comes so late tells of a busy loop.
_BUSY_S = 0.005
# Sockets accepted in one go; connected docks want the loop too.
_AT_ONCE = 64
# The peer has gone before it was accepted (accept(2)).
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})

# OpenSSL's reasons -> what happened and what to do about it; *_ALERT_* is what the client told us.
_MISTAKES = {
    "HTTP_REQUEST": "HTTP was spoken to a TLS listener: a browser, or a WebSocket client on the wrong port",
    "UNSUPPORTED_PROTOCOL": "the client speaks only TLS versions before 1.2, which is the oldest served",
    "NO_SHARED_CIPHER": "the client and this listener have no cipher in common",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no client certificate was shown, and this listener requires one",
    "ALERT_UNKNOWN_CA": "the client does not trust the authority of our certificate: give it that CA, or use a certificate "
    "of an authority that it knows ('dockgate cert import')",
    "ALERT_BAD_CERTIFICATE": "the client does not accept our certificate: it is made out for other names than the address "
    "that the client uses, it may be",
    "ALERT_CERTIFICATE_UNKNOWN": "the client does not accept our certificate",
    "ALERT_CERTIFICATE_EXPIRED": "the client does not accept our certificate: expired, by the client's clock",
    "ALERT_UNSUPPORTED_CERTIFICATE": "the client does not accept the kind of our certificate",
    "ALERT_PROTOCOL_VERSION": "the client and this listener have no TLS version in common; served are 1.2 and 1.3",
    "ALERT_HANDSHAKE_FAILURE": "the client and this listener have no TLS settings in common",
}
_NO_TLS = (
    "something without TLS was spoken to a TLS listener: use the plain port, or switch TLS on in the client "
    "(MQTT without TLS, it may be)"
)
# OpenSSL's X509_V_ERR_… numbers (openssl/x509_vfy.h).
_NO_AUTHORITY = frozenset({2, 18, 19, 20, 21, 24, 27})


Make = Callable[[tuple[str, int] | None], asyncio.Protocol]


class Handshakes:
    """A server on a listening socket, with TLS if there is a ``context``; it may be replaced: new handshakes use the new one.

    ``proxies``: those whose PROXY header is believed; with it every connection has to begin with one. ``make`` is given the
    client's address if such a header told it.
    """

    def __init__(
        self,
        broker: GatewayBroker,
        listener: str,
        bound: socket.socket,
        context: ssl.SSLContext | None,
        make: Make,
        *,
        timeout_s: float,
        proxies: Sequence[Network] = (),
    ) -> None:
        self.context = context
        self._broker = broker
        self._listener = listener
        self._socket = bound
        self._make = make
        self._timeout_s = timeout_s
        self._proxies = proxies
        self._running: dict[asyncio.Task[Any], float] = {}  # since when, oldest first
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._stuck_since: float | None = None  # there is no room, and nobody gets on
        self._listen()

    def close(self) -> None:
        """No new handshakes, and no further step of those under way; idempotent."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._socket)
        for task in list(self._running):
            task.cancel()

    def _listen(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._has_room():
                self._pause(_CROWDED_S)
                return
            try:
                client, peer = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._warn("", f"no further connection can be accepted: {error.strerror or error}")
                self._pause(_FULL_S)
                return
            client.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            self._begin(client, str(peer[0]))

    def _pause(self, seconds: float) -> None:
        """Leave who comes now in the kernel's queue for a moment."""
        self._loop.remove_reader(self._socket)
        self._retry = self._loop.call_later(seconds, self._look_again, self._loop.time() + seconds)

    def _look_again(self, due: float) -> None:
        now = self._loop.time()
        if now - due > _BUSY_S:
            # The loop has more to do than there is time: that nobody gets on is our doing, and they are not silent.
            self._broker.admission.progress_at = now
        self._listen()

    def _has_room(self) -> bool:
        """For one more that has not sent CONNECT yet. While others get on, places come free by themselves: when 5,000 docks
        come back at once they are let in one after another, and none is turned away. When nobody gets on, those who hold
        the places are silent, and the oldest has to go.
        """
        waiting = len(self._running) + self._broker.admission.pending
        if waiting < self._broker.limits.pending_connections:
            self._stuck_since = None
            return True
        now = self._loop.time()
        # From the first look on, and not from the last that got on: it may have been us who were busy until now
        if self._stuck_since is None or self._broker.admission.progress_at > self._stuck_since:
            self._stuck_since = now
        return now - self._stuck_since > _PATIENCE_S

    def _begin(self, client: socket.socket, address: str) -> None:
        if len(self._running) + self._broker.admission.pending >= self._broker.limits.pending_connections:
            self._crowd_out()
        task = self._broker.tasks.spawn(self._greet(client, address), name=f"handshake {address}")
        self._running[task] = self._loop.time()
        task.add_done_callback(partial(self._ended, client))

    def _crowd_out(self) -> None:
        task, since = next(iter(self._running.items()), (None, math.inf))
        if task is None or self._broker.admission.oldest_at() < since:
            self._broker.admission.crowd_out()
            return
        self._broker.metrics.connections.refused.add("crowded_out")
        del self._running[task]
        task.cancel()

    def _ended(self, client: socket.socket, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        if task.cancelled():
            client.close()

    async def _greet(self, client: socket.socket, address: str) -> None:
        context, origin = self.context, None
        try:
            if self._proxies:
                async with asyncio.timeout(self._timeout_s):
                    origin = await read_header(client, address, self._proxies)
            await self._loop.connect_accepted_socket(
                partial(self._make, origin),
                client,
                ssl=context,
                ssl_handshake_timeout=self._timeout_s if context is not None else None,
            )
        except ProxyError as error:
            client.close()
            self._broker.metrics.connections.refused.add("proxy_header")
            self._warn(address, str(error))
        except TimeoutError:
            client.close()
            self._failed(address, f"no PROXY header within {self._timeout_s:g} s of connecting: closed")
        except ConnectionAbortedError:
            self._failed(
                origin[0] if origin else address, f"no TLS handshake within {self._timeout_s:g} s of connecting: closed"
            )
        except OSError as error:  # ssl.SSLError is one
            self._failed(origin[0] if origin else address, _mistake(error))

    def _failed(self, address: str, mistake: str | None) -> None:
        self._broker.metrics.connections.refused.add("tls_failed")
        if mistake is None:
            return
        self._warn(address, mistake)
        # A dock that does not trust the certificate says so here and nowhere else: an operator who looks has to see it
        services = self._broker.runtime.services
        detail = {"reason": mistake, "address": address, "listener": self._listener}
        if services.audit.record(actor=address, action="tls", target=address, outcome="refused", detail=detail):
            services.events.emit(None, "refused", **detail)

    def _warn(self, address: str, text: str) -> None:
        self._broker.warn(address, text, {logs.ADDRESS: address or None, logs.LISTENER: self._listener})


def _mistake(error: OSError) -> str | None:
    """None for a peer that has only hung up, as port checks of load balancers do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not accepted: {_why_not(error)}"
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or ""
    if "ALERT" in reason:
        reason = reason[reason.index("ALERT") :]
    elif reason in {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE"}:
        return _NO_TLS
    return _MISTAKES.get(reason) or f"the TLS handshake failed: {reason.replace('_', ' ').lower() or error}"


def _why_not(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _NO_AUTHORITY:
        return f"it is not of an authority that this listener knows ({error.verify_message})"
    return error.verify_message
