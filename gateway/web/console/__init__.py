"""The console: pages for operators at ``/``, rendered here, on the same services as the API and the command line.

What it needs comes from this server alone. Nothing is shown before the login but the login itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import NotFoundError
from gateway.store import operators
from gateway.web import guard
from gateway.web.access import known_caller
from gateway.web.console import board, device, installation, people
from gateway.web.console.forms import Deed
from gateway.web.console.pages import Console
from gateway.web.console.samples import Samples
from gateway.web.errors import RouteNotFoundError
from gateway.web.login import LOGIN, local

if TYPE_CHECKING:
    from gateway.web.context import Context
    from gateway.web.health import Integrity

__all__ = ["Console", "Samples", "routes"]

_DEEDS: tuple[Deed, ...] = (*device.DEEDS, *people.DEEDS, *installation.DEEDS)

_WHY = {
    "login_failed": "Name or password is wrong.",
    "locked_out": "Too many wrong passwords: wait, and try again.",
    "too_many_requests": "Too many attempts: wait, and try again.",
    "busy": "The gateway is busy checking passwords: try again.",
}


def routes(context: Context, samples: Samples, integrity: Integrity) -> list[Route]:
    console = Console(context)
    pages = (
        ("/", board.board),
        ("/docks/{sn}", device.device),
        ("/accounts", people.every_account),
        ("/accounts/show", people.one_account),
        ("/organizations", people.every_organization),
        ("/organizations/{id}", people.one_organization),
        ("/licenses", people.every_license),
        ("/certificates", installation.certificates),
        ("/requests", installation.requests),
        ("/audit", installation.audit),
        ("/health", installation.health_page(samples, integrity)),
        ("/card", installation.card),
        ("/access", installation.access),
    )
    # what has no parameter comes first: /organizations/add is no organization called "add"
    deeds = sorted((deed for deed in _DEEDS), key=lambda deed: deed.path.count("{"))
    return [
        console.assets.route(),
        Route(LOGIN, partial(_login, console), methods=["GET"]),
        *(route for deed in deeds for route in deed.routes(console)),
        *(console.get(path, partial(page, console)) for path, page in pages),
        Route("/{rest:path}", partial(_nowhere, console), methods=["GET"]),
    ]


async def _login(console: Console, request: Request) -> Response:
    request.scope[guard.ROUTE] = LOGIN
    caller = await known_caller(console.context, request)
    target = local(request.query_params.get("next"))
    if caller is not None and caller.session is not None:
        return RedirectResponse(target, 303)
    failed = request.query_params.get("failed")
    why = None if failed is None else _WHY.get(failed, "That did not work: try again.")
    has_operators = bool(await console.context.read(operators.list_all))
    return console.render("login.html", request, why=why, next=target, has_operators=has_operators)


async def _nowhere(console: Console, request: Request) -> Response:
    request.scope[guard.ROUTE] = "nowhere"
    if request.url.path.startswith("/api/"):
        raise RouteNotFoundError("no such thing here")
    return console.failed(request, NotFoundError("there is no such page"))
