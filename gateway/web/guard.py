"""What every request passes: the right host, not too often, not too large, not too slow; and what every answer carries.

Nothing of a request is believed before it has passed here; nothing is logged of one but counts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable, MutableMapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders

from gateway.lockout import place_of
from gateway.web import errors
from gateway.web.errors import HttpError, TooLargeError, TooManyError, TooSlowError, WrongHostError
from gateway.web.limits import Buckets

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.metrics import Http

_log = logging.getLogger(__name__)

MOST_BODY = 256 * 1024
"""The largest is a license of three texts; nothing is uploaded."""
BODY_S = 10.0
ROUTE = "dockgate.route"
"""Where in the scope a route leaves its name for the metrics."""
HEALTH = "/healthz"
_API = "/api/"

# No answer of the API is a page; what is one says itself what it needs.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": API_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_HSTS = ("strict-transport-security", "max-age=31536000")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_PROXY_TRACES = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Guard:
    """Stands around the whole app. ``is_host(name)``: is it one of ours."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Http,
        *,
        is_host: Callable[[str], bool],
        addresses: Buckets,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._is_host = is_host
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _Answer(send, is_https=scope["scheme"] == "https")
        scope["app"] = self  # so that the router leaves its errors to us
        if scope["path"].startswith(_API):
            # as it was sent: a name within a path may have an encoded slash
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        try:
            self._admit(scope)
            await self._app(scope, _Body(scope, receive), answer)
        except HttpError as error:
            if answer.status:
                raise
            self._metrics.refused.add(error.code)
            await errors.respond(error)(scope, receive, answer)
        except Exception:
            _log.exception("an HTTP request failed")
            if answer.status:
                raise
            await errors.unexpected()(scope, receive, answer)
        finally:
            self._metrics.requests.add(scope.get(ROUTE, "other"), str(answer.status or 499))

    def _admit(self, scope: Scope) -> None:
        wait = self._addresses.take(place_of(address_of(scope)))
        if wait:
            raise TooManyError("too many requests from this address", retry_s=wait)
        if scope["path"] != HEALTH and not self._is_host(host_of(scope)):
            raise WrongHostError(
                "this server is not known by that name", hint="set dockgate.admin.hosts in the configuration"
            )


class _Body:
    """``receive`` with bounds."""

    __slots__ = ("_left", "_receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > MOST_BODY:
            raise TooLargeError(f"a body has at most {MOST_BODY} bytes")
        self._left = MOST_BODY
        self._receive = receive

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise TooLargeError(f"a body has at most {MOST_BODY} bytes")
        return message


class _Answer:
    """``send``, which adds what is missing of the headers. ``status``: 0 as long as nothing was sent."""

    __slots__ = ("_is_https", "_send", "status")

    def __init__(self, send: Send, *, is_https: bool) -> None:
        self.status = 0
        self._send = send
        self._is_https = is_https

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in headers_of(is_https=self._is_https).items():
                headers.setdefault(name, value)
        await self._send(message)


def headers_of(*, is_https: bool) -> dict[str, str]:
    """What every answer has that says nothing else."""
    found = {**_HEADERS, "date": formatdate(time.time(), usegmt=True)}
    return found | dict([_HSTS]) if is_https else found


async def body_of(receive: Receive) -> bytes:
    """The whole of a body, within its time. Raises TooSlowError, TooLargeError."""
    parts = []
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise TooSlowError("the request was broken off")
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise TooSlowError(f"the body of the request did not come within {BODY_S:g} s") from None


def address_of(scope: Scope) -> str:
    """The client's, which a trusted proxy may have told."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def host_of(scope: Scope) -> str:
    """The name in the Host header, without port and brackets; "" when there is none, or more than one."""
    found = Headers(scope=scope).getlist("host")
    return name_of(found[0]) if len(found) == 1 else ""


def name_of(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_of_this_machine(scope: Scope) -> bool:
    """Asked from this machine, by a name of this machine, and by no proxy that shows itself."""
    try:
        is_loopback = ipaddress.ip_address(address_of(scope)).is_loopback
    except ValueError:
        return False
    headers = Headers(scope=scope)
    return is_loopback and host_of(scope) in _LOCAL_NAMES and not any(name in headers for name in _PROXY_TRACES)


class Hosts:
    """The names this server is known by. What a page of another site was resolved to is not among them (DNS rebinding)."""

    def __init__(self, own: Iterable[str]) -> None:
        """``own``: of the configuration; a certificate's are set by ``take``, and may have a wildcard as first label."""
        self._own = frozenset(name_of(f"[{name}]" if ":" in name else name) for name in own) | _LOCAL_NAMES
        self._certified: frozenset[str] = frozenset()

    def take(self, certified: Iterable[str]) -> None:
        self._certified = frozenset(name.lower() for name in certified)

    def __call__(self, name: str) -> bool:
        if not name:
            return False
        return name in self._own or name in self._certified or f"*.{name.partition('.')[2]}" in self._certified
