"""What a request can fail of, and how that is told: an error comes in, a status and one JSON shape go out; never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.errors import (
    ConflictError,
    DatabaseBusyError,
    DatabaseError,
    DockgateError,
    NotFoundError,
    RefusedError,
    UsageError,
)

RETRY_S = 1


class HttpError(DockgateError):
    """A request that HTTP itself has a word for."""

    status: ClassVar[int] = 400
    headers: Mapping[str, str] = {}


class UnreadableError(HttpError):
    """What never becomes a request: its first line or a header is none, or it has two hosts (RFC 9112, 3.2)."""

    code = "bad_request"
    headers = {"Connection": "close"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__("this is no HTTP request that can be read")


class UnauthorizedError(HttpError):
    """One text for every cause: unknown, altered, expired and revoked look the same (docs/cases.md 20)."""

    code = "unauthorized"
    status = 401
    headers = {"WWW-Authenticate": 'Bearer realm="dockgate"'}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(
            "a token or a login is needed, and one that counts", hint="dockgate token add NAME --scope read"
        )


class LoginFailedError(HttpError):
    code = "login_failed"
    status = 401

    def __init__(self) -> None:
        super().__init__("name or password is wrong", hint="dockgate operator passwd NAME")


class ForbiddenError(HttpError):
    code = "forbidden"
    status = 403


class RouteNotFoundError(HttpError):
    code = "not_found"
    status = 404


class MethodNotAllowedError(HttpError):
    code = "method_not_allowed"
    status = 405


class TooSlowError(HttpError):
    code = "timeout"
    status = 408
    headers = {"Connection": "close"}  # noqa: RUF012


class TooLargeError(HttpError):
    code = "too_large"
    status = 413
    headers = {"Connection": "close"}  # noqa: RUF012


class MediaTypeError(HttpError):
    code = "unsupported_media_type"
    status = 415


class WrongHostError(HttpError):
    code = "wrong_host"
    status = 421


class TooManyError(HttpError):
    """``retry_s``: when it is worth another try."""

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, *, retry_s: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.headers = {"Retry-After": str(max(1, round(retry_s)))}


class LockedOutError(TooManyError):
    code = "locked_out"


class BusyError(HttpError):
    code = "busy"
    status = 503
    headers = {"Retry-After": str(RETRY_S)}  # noqa: RUF012


_STATUS: tuple[tuple[type[DockgateError], int], ...] = (
    (UsageError, 400),
    (NotFoundError, 404),
    (ConflictError, 409),
    (RefusedError, 422),  # understood, and not accepted
    (DatabaseError, 503),
)
_OF_STATUS = {404: RouteNotFoundError, 405: MethodNotAllowedError}


def status_of(error: DockgateError) -> int:
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def body_of(error: DockgateError) -> dict[str, Any]:
    """The shape that commands print, too."""
    return {"error": {"code": error.code, "message": str(error), "hint": error.hint}}


def respond(error: DockgateError) -> Response:
    headers = dict(error.headers) if isinstance(error, HttpError) else {}
    if isinstance(error, DatabaseBusyError):
        headers["Retry-After"] = str(RETRY_S)
    return Response(orjson.dumps(body_of(error)), status_of(error), headers, media_type="application/json")


def translate(error: HTTPException) -> Response:
    """Starlette's own: no such route, or not with this method."""
    kind = _OF_STATUS.get(error.status_code)
    if kind is None:
        return Response(status_code=error.status_code, headers=error.headers)
    made = kind("no such thing here" if kind is RouteNotFoundError else "not with this method")
    made.headers = dict(error.headers or {})
    return respond(made)


def unexpected() -> Response:
    """Nobody has foreseen it; the log has the details."""
    return respond(DockgateError("failed here; the gateway's log has the cause"))
