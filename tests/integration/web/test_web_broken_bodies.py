"""Bodies that turn out to be broken before, while and after a request is answered: closed, and no line of a failure in the log."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.fuzz.targets import Errors, listening

BROKEN = "zz\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def said(site: Any, *pieces: str) -> bytes:
    """Each piece is sent once what the one before it led to has been read."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        answer = b""
        for number, piece in enumerate(pieces):
            client.sendall(piece.encode())
            if number < len(pieces) - 1:
                answer += client.recv(65_536)
        client.shutdown(socket.SHUT_WR)
        while more := client.recv(65_536):
            answer += more
    return answer


@pytest.mark.parametrize(
    "head",
    [
        "nonsense\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nname without a colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: some\r\n\r\n",
    ],
    ids=["no request", "no path", "two hosts", "no host", "no header", "no length"],
)
def test_what_is_no_request_is_answered_as_everything_is(site: Any, head: str) -> None:
    """In the one shape of an error, and with what binds a browser."""
    before = site.runtime.services.metrics.http.refused.get("bad_request")
    answer = said(site, head.format(host=f"127.0.0.1:{site.port}"))
    status, *lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert status == "HTTP/1.1 400 Bad Request"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    usual = site.http().get("/nowhere-at-all", headers={"Accept": "application/json"}).headers
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
    for name in ("cache-control", "cross-origin-resource-policy", "x-content-type-options", "x-frame-options"):
        assert headers[name] == usual[name]
    assert "server" not in headers
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error == {"code": "bad_request", "message": "this is no HTTP request that can be read", "hint": None}
    assert site.runtime.services.metrics.http.refused.get("bad_request") == before + 1


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/docks", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_broken_body_is_no_failure_of_ours(site: Any, method: str, path: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n{CHUNKED}\r\n"
    errors = Errors()
    with listening(errors):
        at_once = said(site, head + BROKEN)
        afterwards = said(site, head, BROKEN)
        later = said(site, head + "0\r\n\r\n", head + BROKEN)
        assert site.http().get("/healthz").json() == {"ok": True}
    assert at_once.startswith(b"HTTP/1.1 ")
    assert at_once.count(b"HTTP/1.1 ") == 1
    assert b"HTTP/1.1 5" not in at_once + afterwards + later
    assert not errors.records, errors.records[0].getMessage()
