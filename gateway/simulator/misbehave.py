"""What a dock can do wrong on request, to see that the gateway deals with it: names, unusable messages, and saying
nothing at all.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from gateway.errors import DockgateError
from gateway.simulator import causes, remedies
from gateway.simulator.target import Target, tls_context


class Misbehaviour(StrEnum):
    """With one of these a step is ok when the gateway does the right thing: refuses, or stays unmoved."""

    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a name, not a password
    WRONG_CODE = "wrong-code"
    BOUND_ELSEWHERE = "bound-elsewhere"
    NO_AIRCRAFT = "no-aircraft"
    DUPLICATE_TID = "duplicate-tid"
    SILENCE = "silence"
    GARBAGE = "garbage"


_DEPTH = 100_000
_HUGE = 2 * 1024 * 1024

# Name -> payload for the requests topic; each must leave the gateway unmoved (case 17). Built when sent: two of them
# are large.
GARBAGE: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "empty": lambda: b"",
        "not JSON": lambda: b"\x00\x01 config \xff\xfe",
        "half an object": lambda: b'{"tid":"garbage-1","bid":"garbage-1","method":"config","data":{"config_',
        "an array": lambda: b'[{"method":"config"}]',
        "not UTF-8": lambda: b'{"tid":"garbage-2","bid":"\xc3\x28","method":"config","data":{}}',
        "deep arrays": lambda: b"[" * _DEPTH + b"]" * _DEPTH,
        "deep object": lambda: b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH,
        "a method that is no text": lambda: b'{"tid":"garbage-3","bid":"garbage-3","method":{"a":[]},"data":{}}',
        "data that is text": lambda: (
            b'{"tid":"garbage-4","bid":"garbage-4","method":"airport_organization_bind","data":"x"}'
        ),
        "huge": lambda: b'{"tid":"garbage-5","bid":"garbage-5","method":"config","data":{"x":"' + b"x" * _HUGE + b'"}}',
    }
)

WRONG_CODE = "NO-SUCH-CODE"


def silent(target: Target, *, timeout_s: float) -> float:
    """Connect, say nothing and wait until the server has enough: the milliseconds that took.

    Raises DockgateError when the connection cannot be made, or still stands after ``timeout_s`` (case 26).
    """
    context = None if target.tls is None else tls_context(target.tls)
    try:
        sock = socket.create_connection((target.host, target.port), timeout=timeout_s)
        if context is not None:
            with sock as plain:  # its descriptor goes over to the TLS socket, or is closed with it
                sock = context.wrap_socket(plain, server_hostname=target.host)
    except (OSError, ValueError) as error:
        trusted = target.tls.trusted if target.tls else None
        raise DockgateError(
            causes.explain_connect_error(error, target.address, tls_ca=trusted, timeout_s=timeout_s),
            hint=remedies.of_connecting(error, target.host, account="", tls=target.tls is not None),
        ) from error
    started = time.monotonic()
    with sock:
        if not _ends(sock, started + timeout_s):
            raise DockgateError(f"{target.address} still held a connection that said nothing after {timeout_s:g} s")
    return (time.monotonic() - started) * 1000


def _ends(sock: socket.socket, deadline: float) -> bool:
    """Read until the server closes or resets; what it may say before that does not matter."""
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            if not sock.recv(4096):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False
