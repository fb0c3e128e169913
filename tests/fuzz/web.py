"""Raw bytes at the socket of the admin HTTP, from nearly good requests to none, with a token and without."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from gateway.web.api import ENDPOINTS
from tests.integration.lasting import LastingInstallation, served

from .mutation import Mutator
from .targets import Errors, listening

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-4]\d\d|503) ")
_WAIT_S = 20.0
_BODIES = (
    b"", b"{}", b"[]", b"null", b'{"name":"x"}', b'{"sn":"7CTDM7100B0001","name":"x"}', b'{"operator":"a","password":"b"}',
    b"{" * 2000,
    b'{"name":"\\ud800"}', b'{"days":1e999}', b"\xff", b'{"name":' + b"9" * 500 + b"}",
)  # fmt: skip
_WORDS = (
    b"\r\n", b"\n", b"\x00", b" ", b":", b"HTTP/1.0", b"HTTP/2.0", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"%00", b"%2e%2e/",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n", b"\xff",
    b"Connection: upgrade\r\n", b"?limit=-1", b"?since=x&limit=9999999999999999999", b"Host: evil\r\n", b"Cookie: a=b\r\n",
    b"\xc3\xa9", b"//",
    b"Last-Event-ID: x\r\n", b"Accept: application/openmetrics-text;q=x\r\n", b"Origin: null\r\n", b"Range: bytes=0-\r\n",
    b"x" * 9000,
)  # fmt: skip


class Doors:
    """A served gateway; each input is a connection of its own, ended from this side once everything is sent."""

    def __init__(self, gateway: Any, token: str, errors: Errors) -> None:
        self._errors = errors
        host, port = gateway.ask(lambda: gateway.admin.door.address)
        self._address = host, port
        paths = sorted({endpoint.path for endpoint in ENDPOINTS if "stream" not in endpoint.path})
        # Those that take something away from the fuzzer itself, or from the machine, are for other tests.
        wanted = [
            (endpoint.method, f"/api/v1{endpoint.path}")
            for endpoint in ENDPOINTS
            if endpoint.path in paths and not re.search("token|backup|restart|stream", endpoint.path)
        ]
        plain = [("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json", "/", "/login")]
        self._requests = [
            *wanted,
            *plain,
            ("POST", "/login"),
            ("POST", "/logout"),
            ("OPTIONS", "*"),
            ("CONNECT", "x:1"),
        ]
        self._authority = f"{host}:{port}".encode()
        self._token = token.encode()
        self._nearly = Mutator([self._request(Random(seed)) for seed in range(200)], _WORDS)

    def _request(self, random: Random) -> bytes:
        method, path = random.choice(self._requests)
        path = re.sub(r"\{\w+\}", lambda _: random.choice(("7CTDM7100B0001", "a", "..", "%00", "x" * 100, "0")), path)
        body = random.choice(_BODIES) if method != "GET" or random.random() < 0.1 else b""
        head = [f"{method} {path} HTTP/1.1".encode(), b"Host: " + self._authority, b"Content-Type: application/json"]
        if random.random() < 0.8:
            head.append(b"Authorization: Bearer " + self._token)
        if body:
            head.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*head, b"", body])

    def make(self, random: Random) -> bytes:
        draw = random.random()
        if draw < 0.3:
            return self._request(random)
        return self._nearly.make(random) if draw < 0.97 else random.randbytes(random.randint(0, 200))

    def feed(self, random: Random) -> None:
        self.read(self.make(random))

    def read(self, data: bytes) -> None:
        with socket.create_connection(self._address, timeout=_WAIT_S) as client:
            answer = b""
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while more := client.recv(65_536):
                    answer += more
            except ConnectionError:
                pass  # it closed before it had read all; what it said is lost with that
        assert not self._errors.records, (self._errors.records[0].getMessage(), self._errors.records[0].exc_info)
        assert not answer or _STATUS.match(answer), answer[:300]


@contextmanager
def doors(folder: Path) -> Iterator[Doors]:
    installation = LastingInstallation(folder)
    installation.license()

    def change(settings: dict[str, Any]) -> None:
        settings["dockgate"]["admin"] = {"bind": "127.0.0.1:0", "requests_per_second": 100_000}

    installation.configure(change)
    token = str(installation.dockgate("token", "add", "fuzz", "--scope", "write")["token"])
    errors = Errors()
    with served(installation) as gateway, listening(errors):
        yield Doors(gateway, token, errors)
