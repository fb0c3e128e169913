"""One MQTT connection of one dock, on paho-mqtt: topics and bytes go out and come in, failures come out as an
operator's words.

Knows nothing of docks or JSON, keeps a password in paho only, never reconnects by itself. Every paho call after the
connect is made in the connection's own network thread, with paho's functions for foreign loops: its own thread helper
waits in ``select`` (no descriptor above 1023) and may fail when stopped while it ends. All public methods may be called
from any thread.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import DockgateError, RefusedError
from gateway.simulator import causes, remedies
from gateway.simulator.paho_client import PahoClient
from gateway.simulator.target import Target, tls_context

T = TypeVar("T")

# Enough for a dock that listens for an hour; beyond it the oldest go.
_INBOX_LIMIT = 10_000
# How long a goodbye may take before the connection is simply ended.
_CLOSE_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Link:
    """Opened once, closed once. ``closed_because`` says why it is over."""

    def __init__(
        self,
        target: Target,
        *,
        client_id: str,
        username: str,
        password: str,
        keepalive_s: int = 30,
        timeout_s: float = 10.0,
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._keepalive_s = keepalive_s
        self._username = username
        self._client = self._make_client(client_id, username, password)
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._posted: deque[Callable[[], None]] = deque()
        self._waiting: set[Future[Any]] = set()
        self._acks: dict[int, Future[int]] = {}
        self._grants: dict[int, Future[list[int]]] = {}
        self._inbox: deque[Message] = deque(maxlen=_INBOX_LIMIT)
        self._answered = threading.Event()
        self._closed = threading.Event()
        self._connack: ReasonCode | None = None
        self._logged = ""
        self._ending = False
        self._wake_read: socket.socket | None = None
        self._wake_write: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.closed_because = ""

    def _make_client(self, client_id: str, username: str, password: str) -> PahoClient:
        client = PahoClient(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=MQTTProtocolVersion(self._target.protocol),
            transport="websockets" if self._target.websocket else "tcp",
            reconnect_on_failure=False,
        )
        client.attempt = []
        client.username_pw_set(username, password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_log = self._on_log
        # Being set is all it is for: paho then leaves every write to our loop.
        client.on_socket_register_write = lambda _client, _data, _sock: None
        return client

    # -- opening and closing ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and log in. Raises RefusedError when the login is refused, ConfigError for bad TLS files,
        DockgateError otherwise.
        """
        if self._thread is not None or self._closed.is_set():
            raise DockgateError("a simulated dock's connection opens once")
        target, client = self._target, self._client
        if target.tls is not None:
            client.tls = tls_context(target.tls)
            client.tls_set_context(client.tls)
        client.connect_timeout = self._timeout_s
        try:
            client.connect(target.host, target.port, keepalive=self._keepalive_s)
        except (OSError, ValueError) as error:
            for opened in client.attempt:
                opened.close()
            self._closed.set()
            trusted = target.tls.trusted if target.tls else None
            self.closed_because = causes.explain_connect_error(
                error, target.address, tls_ca=trusted, timeout_s=self._timeout_s
            )
            hint = remedies.of_connecting(error, target.host, account=self._username, tls=target.tls is not None)
            raise DockgateError(self.closed_because, hint=hint) from error
        client.attempt.clear()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._wake_write.settimeout(0)
        self._thread = threading.Thread(target=self._serve, name=f"dock link to {target.address}", daemon=True)
        self._thread.start()
        answered = self._answered.wait(self._timeout_s)
        reason = self._connack
        if reason is not None and reason.value < causes.FAILURE:
            return
        why = self.closed_because
        self.close()
        if reason is not None:
            cause = causes.explain_connack(reason.value, target.protocol)
            hint = remedies.of_login(reason.value, self._username)
            raise RefusedError(f"the login of account {self._username} was refused: {cause}", hint=hint)
        if answered:
            tls, alert = target.tls is not None, self._logged
            if target.tls and not causes.cause_of_alert(alert) and target.tls.is_expired:
                alert = causes.EXPIRED_ALERT  # a server that hung up without a word had its reason
            raise DockgateError(
                causes.explain_silence(alert, why, target.address, tls=tls, version=target.protocol),
                hint=remedies.of_alert(alert, self._username) or remedies.of_silence(self._username, tls=tls),
            )
        raise DockgateError(
            f"{target.address} accepted the connection and did not answer the login within {self._timeout_s:g} s"
        )

    @property
    def connack(self) -> int | None:
        """The code that the CONNACK carried, as its MQTT version numbers it; None before there was one."""
        return None if self._connack is None else causes.connack_code(self._connack.value, self._target.protocol)

    @property
    def is_open(self) -> bool:
        return self._thread is not None and not self._closed.is_set()

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the connection is over, whoever ended it; False when it outlives the time."""
        return self._closed.wait(timeout_s)

    def close(self) -> None:
        """Say goodbye and end the thread; idempotent."""
        self._end(self._client.disconnect)

    def drop(self) -> None:
        """End without a goodbye, as a dock does that loses power or network."""

        def cut() -> None:
            sock = self._client.socket()
            if sock is not None:
                sock.close()
                self._client.loop_read()  # paho finds the socket gone and calls the connection lost

        self._end(cut)

    def _end(self, farewell: Callable[[], object]) -> None:
        thread = self._thread
        if thread is None:
            self._closed.set()
            return
        self._post(farewell)
        thread.join(_CLOSE_WAIT_S)
        if thread.is_alive():
            # A server that reads no more cannot be told goodbye.
            self._ending = True
            self._post(lambda: None)
            thread.join()

    # -- sending ------------------------------------------------------------------------------------------------------

    def subscribe(self, filters: Sequence[str], qos: int = 1) -> dict[str, int]:
        """Filter -> granted QoS, or a code from 128 up for a refused one."""
        future: Future[list[int]] = Future()

        def work() -> None:
            code, mid = self._client.subscribe([(each, qos) for each in filters])
            if mid is None:
                raise DockgateError(f"cannot subscribe: {mqtt.error_string(code)}")
            self._grants[mid] = future

        codes = self._do(work, future, None, f"{self._target.address} did not answer a subscription")
        return dict(zip(filters, codes, strict=False))

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, timeout_s: float | None = None) -> int:
        """Returns when acknowledged (QoS 0: when written): the reason code, from 128 up for a refusal, which only MQTT
        5 can tell.
        """
        future: Future[int] = Future()

        def work() -> None:
            info = self._client.publish(topic, payload, qos)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise DockgateError(f"cannot send on {topic}: {mqtt.error_string(info.rc)}")
            self._acks[info.mid] = future

        return self._do(work, future, timeout_s, f"{self._target.address} did not acknowledge a message on {topic}")

    def _do(self, work: Callable[[], None], future: Future[T], timeout_s: float | None, silence: str) -> T:
        """Run ``work`` in the network thread and wait for ``future``, which it or a later packet completes."""

        def guarded() -> None:
            try:
                work()
            except (DockgateError, ValueError) as error:
                future.set_exception(error)

        wait_s = self._timeout_s if timeout_s is None else timeout_s
        with self._lock:
            self._waiting.add(future)
        try:
            if not self._post(guarded):
                raise DockgateError(self._why_closed())
            return future.result(wait_s)
        except TimeoutError:
            raise DockgateError(f"{silence} within {wait_s:g} s") from None
        finally:
            with self._lock:
                self._waiting.discard(future)

    def _post(self, work: Callable[[], object]) -> bool:
        with self._lock:
            if self._closed.is_set() or self._wake_write is None:
                return False
            self._posted.append(lambda: (work(), None)[1])
            with contextlib.suppress(BlockingIOError):  # full: the loop has wake-ups enough waiting for it
                self._wake_write.send(b"\0")
            return True

    def _why_closed(self) -> str:
        return self.closed_because or "there is no connection"

    # -- receiving ----------------------------------------------------------------------------------------------------

    def take(self, topic: str, match: Callable[[Message], bool], timeout_s: float) -> Message | None:
        """The first message on exactly this topic that matches, waiting for it if need be; it leaves the inbox. None in
        silence.

        Raises DockgateError when the connection ends first.
        """
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while True:
                for message in self._inbox:
                    if message.topic == topic and match(message):
                        self._inbox.remove(message)
                        return message
                if not self.is_open:
                    raise DockgateError(self._why_closed())
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._arrived.wait(left)

    def waiting(self, topic: str) -> tuple[Message, ...]:
        """What has arrived on this topic and was not taken."""
        with self._lock:
            return tuple(message for message in self._inbox if message.topic == topic)

    # -- the network thread -------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            with selectors.PollSelector() as selector:
                self._pump(selector)
        finally:
            self._finish()

    def _pump(self, selector: selectors.BaseSelector) -> None:
        client, sock, wake = self._client, self._client.socket(), self._wake_read
        if sock is None or wake is None:
            return
        pending: Callable[[], int] = getattr(sock, "pending", lambda: 0)
        selector.register(wake, selectors.EVENT_READ)
        selector.register(sock, selectors.EVENT_READ)
        tick_s = max(0.05, min(5.0, self._keepalive_s / 4))
        while client.socket() is sock and not self._ending:
            selector.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0))
            ready = {key.fileobj: events for key, events in selector.select(tick_s)}
            if wake in ready:
                wake.recv(4096)
            while self._posted:
                self._posted.popleft()()
            if ready.get(sock, 0) & selectors.EVENT_READ:
                client.loop_read()
                # TLS may hold decrypted bytes that the kernel knows nothing of.
                while client.socket() is sock and pending() > 0:
                    client.loop_read()
            if client.want_write():
                client.loop_write()
            client.loop_misc()

    def _finish(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        with self._lock:
            self.closed_because = self.closed_because or "the connection was closed"
            self._closed.set()
            self._answered.set()
            for future in self._waiting:
                if not future.done():
                    future.set_exception(DockgateError(self.closed_because))
            for wake in (self._wake_read, self._wake_write):
                if wake is not None:
                    wake.close()
            self._arrived.notify_all()

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        self._connack = reason
        self._answered.set()

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: object,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.closed_because = f"the server ended the connection: {reason} (code {reason.value})"
        elif reason.value == 0:
            self.closed_because = "the dock closed the connection"
        else:
            timed_out = str(reason) == "Keep alive timeout"
            self.closed_because = causes.explain_loss(
                self._logged, ping_timeout=timed_out, keepalive_s=self._keepalive_s
            )

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        future = self._grants.pop(mid, None)
        if future is not None and not future.done():
            future.set_result([reason.value for reason in reasons])

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        future = self._acks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(reason.value)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "\N{REPLACEMENT CHARACTER}"  # never what a dock waits for
        with self._arrived:
            self._inbox.append(Message(topic, bytes(message.payload), message.qos, message.retain))
            self._arrived.notify_all()

    def _on_log(self, _client: mqtt.Client, _data: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._logged = text
