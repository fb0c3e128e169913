"""``/login`` and ``/logout``: a form or JSON comes in, a session's cookie goes out, or is taken back.

A form is answered with the way to a page, JSON with JSON. Both come from our own pages only.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import UsageError
from gateway.operations.times import iso
from gateway.store import operators
from gateway.web import guard
from gateway.web.access import CSRF_HEADER, cookie_name, cookie_of, is_foreign, known_caller
from gateway.web.declarations import json_of
from gateway.web.errors import ForbiddenError, HttpError, MediaTypeError, UnauthorizedError

if TYPE_CHECKING:
    from gateway.web.context import Context
    from gateway.web.sessions import Session

LOGIN, LOGOUT = "/login", "/logout"
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_SEE_OTHER = 303
_MOST_FIELDS = 16


def routes(context: Context) -> list[Route]:
    async def login(request: Request) -> Response:
        request.scope[guard.ROUTE] = LOGIN
        return await _login(context, request)

    async def logout(request: Request) -> Response:
        request.scope[guard.ROUTE] = LOGOUT
        return await _logout(context, request)

    return [Route(LOGIN, login, methods=["POST"]), Route(LOGOUT, logout, methods=["POST"])]


async def _login(context: Context, request: Request) -> Response:
    is_form = _media_type(request) == _FORM
    fields = await fields_of(request)
    if is_foreign(request) or (is_form and not _tells_origin(request)):
        raise ForbiddenError(
            "the login does not come from this server's own page",
            hint="behind a TLS proxy: set dockgate.admin.trusted_proxies, and have it send X-Forwarded-Proto and Host",
        )
    name, password = fields.get("operator"), fields.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise UsageError("operator and password are needed")
    address = guard.address_of(request.scope)
    try:
        cookie, session = await context.sessions.login(name, password, address=address)
    except HttpError as error:
        context.runtime.services.metrics.http.refused.add(error.code)
        if not is_form:
            raise
        return RedirectResponse(
            f"{LOGIN}?failed={error.code}&next={quote(local(fields.get('next')), safe='')}", _SEE_OTHER
        )
    await context.note(operators.touch, session.operator, context.now)
    context.sessions.end(cookie_of(request))
    if is_form:
        response: Response = RedirectResponse(local(fields.get("next")), _SEE_OTHER)
    else:
        response = Response(orjson.dumps(described(session)), media_type=_JSON)
    set_cookie(context, request, response, cookie)
    return response


async def _logout(context: Context, request: Request) -> Response:
    is_form = _media_type(request) == _FORM
    fields = await fields_of(request) if is_form else {}
    caller = await known_caller(context, request)
    if caller is None or caller.session is None:
        if is_form:
            return RedirectResponse(LOGIN, _SEE_OTHER)
        raise UnauthorizedError
    given = request.headers.get(CSRF_HEADER) or str(fields.get("csrf", ""))
    if is_foreign(request) or not compare_digest(given.encode(), caller.session.csrf.encode()):
        raise ForbiddenError("the request does not come from this server's own page")
    context.sessions.end(caller.cookie)
    response: Response = RedirectResponse(LOGIN, _SEE_OTHER) if is_form else Response(b"{}", media_type=_JSON)
    response.delete_cookie(
        cookie_name(request.scope),
        path="/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def described(session: Session) -> dict[str, Any]:
    """The keys are a promise."""
    return {"operator": session.operator, "csrf": session.csrf, "expires_at": iso(session.ends_at)}


def set_cookie(context: Context, request: Request, response: Response, cookie: str) -> None:
    response.set_cookie(
        cookie_name(request.scope),
        cookie,
        max_age=context.config.dockgate.admin.session_s,
        path="/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )


async def fields_of(request: Request) -> dict[str, Any]:
    """A form's or a JSON object's. Raises MediaTypeError, UsageError."""
    if _media_type(request) == _FORM:
        body = await guard.body_of(request.receive)
        try:
            found = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
        except ValueError:  # UnicodeDecodeError is one
            raise UsageError("the form can't be read") from None
        return {name: values[-1] for name, values in found.items()}
    if _media_type(request) != _JSON:
        raise MediaTypeError("a form or JSON is needed", hint=f"Content-Type: {_JSON}")
    value = await json_of(request)
    if not isinstance(value, dict):
        raise UsageError("the body has to be an object")
    return value


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _tells_origin(request: Request) -> bool:
    """Every browser of today does, with a form; without, there is no telling whose page it was."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def local(target: object) -> str:
    """A place on this server: an address that somebody else has put into the form must lead nowhere else."""
    if not isinstance(target, str) or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    return target if target.isprintable() and "\\" not in target else "/"
