"""A page of the console: who asks and what for comes in, HTML goes out; or the way to the login, or what went wrong, in words.

Nothing is shown to who is not logged in, and nothing is changed that a page of ours has not asked for. All is rendered here, with
every value escaped; a script on the page only fetches parts of it anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import DockgateError
from gateway.web import errors, guard
from gateway.web.access import Caller, is_foreign, known_caller
from gateway.web.console.assets import Assets
from gateway.web.declarations import Call
from gateway.web.errors import ForbiddenError, TooManyError
from gateway.web.login import LOGIN, fields_of

if TYPE_CHECKING:
    from gateway.web.context import Context
    from gateway.web.sessions import Session

# Only what this server itself serves: a console has to work on a closed network, and to be of no use to an injected script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
FRAGMENT = "x-fragment"
"""The header with which the page's script asks for the part that changes."""
_SEE_OTHER = 303
_HTML = "text/html; charset=utf-8"
_MOST_NOTICES = 256
# With "no-referrer" browsers send a form with "Origin: null" (Fetch, 3.2), which is refused as somebody else's.
_HEADERS = {"Content-Type": _HTML, "Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}

Handler = Callable[[Call], Awaitable[Response]]
Poster = Callable[[Call, dict[str, str]], Awaitable[Response]]

# Where the way to a page stands: name, address, and whether it is one of those beneath "More"
NAVIGATION = (
    ("Docks", "/"),
    ("Accounts", "/accounts"),
    ("Organizations", "/organizations"),
    ("Licenses", "/licenses"),
    ("Certificates", "/certificates"),
    ("Requests", "/requests"),
    ("Audit", "/audit"),
    ("Health", "/health"),
)


class Console:
    """What pages are made with. Lives on the event loop; ``notices`` are shown once, to the session they are for."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.assets = Assets()
        self._notices: OrderedDict[str, str] = OrderedDict()
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(asset=self.assets.url, navigation=NAVIGATION)
        self._templates.filters.update(moment=moment, place=quoted, sentence=sentence)
        self._parts = frozenset(name for name in self._templates.list_templates() if name.startswith("_"))

    # -- answers

    def render(self, template: str, request: Request, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401
        """``template`` with what every page is given: ``session``, ``path``, ``notice``."""
        session: Session | None = request.scope.get("dockgate.session")
        notice = None if session is None else self._notices.pop(session.csrf, None)
        html = self._templates.get_template(template).render(
            session=session,
            path=request.url.path,
            notice=notice,
            now=self.context.now,
            **values,
        )
        return Response(html, status, headers=_HEADERS)

    def page(self, name: str, call: Call, **values: Any) -> Response:  # noqa: ANN401
        """``name``.html, or with a request for a fragment only its part that changes, _``name``.html."""
        is_part = FRAGMENT in call.request.headers and f"_{name}.html" in self._parts
        return self.render(f"_{name}.html" if is_part else f"{name}.html", call.request, **values)

    def go(self, call: Call, to: str, notice: str) -> Response:
        """To another page, which says ``notice``."""
        if call.caller.session is not None:
            self._notices[call.caller.session.csrf] = notice
            if len(self._notices) > _MOST_NOTICES:
                self._notices.popitem(last=False)
        return RedirectResponse(to, _SEE_OTHER)

    # -- routes

    def get(self, path: str, handler: Handler) -> Route:
        async def answer(request: Request) -> Response:
            return await self._answer(request, path, handler)

        return Route(path, answer, methods=["GET"])

    def post(self, path: str, poster: Poster) -> Route:
        async def work(call: Call) -> Response:
            fields = {name: str(value) for name, value in (await fields_of(call.request)).items()}
            self._require_own_page(call, fields.pop("csrf", ""))
            return await poster(call, fields)

        async def answer(request: Request) -> Response:
            return await self._answer(request, path, work)

        return Route(path, answer, methods=["POST"])

    def _require_own_page(self, call: Call, given: str) -> None:
        session = call.caller.session
        if session is None or is_foreign(call.request) or not compare_digest(given.encode(), session.csrf.encode()):
            self.context.runtime.services.metrics.http.refused.add("csrf")
            raise ForbiddenError("the form does not come from this console's own page", hint="load the page again")

    async def _answer(self, request: Request, route: str, handler: Handler) -> Response:
        request.scope[guard.ROUTE] = route
        try:
            caller = await self._caller(request)
            if caller is None:
                return self._to_login(request)
            return await handler(Call(self.context, request, caller, dict(request.path_params)))
        except DockgateError as error:
            return self.failed(request, error)

    async def _caller(self, request: Request) -> Caller | None:
        caller = await known_caller(self.context, request)
        if caller is None or caller.session is None:
            return None
        wait = self.context.callers.take(caller.actor)
        if wait:
            raise TooManyError(f"too many requests of {caller.actor}", retry_s=wait)
        request.scope["dockgate.session"] = caller.session
        return caller

    def _to_login(self, request: Request) -> Response:
        """And back to where he was, if that was a page."""
        if FRAGMENT in request.headers:
            return Response(b"", 401, headers={"Content-Type": _HTML})
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = quote(here if request.method == "GET" else "/", safe="")
        return RedirectResponse(f"{LOGIN}?next={target}", _SEE_OTHER)

    def failed(self, request: Request, error: DockgateError) -> Response:
        status = errors.status_of(error)
        if isinstance(error, errors.HttpError):
            self.context.runtime.services.metrics.http.refused.add(error.code)
        return self.render(
            "error.html", request, status=status, title=_TITLES.get(status, "That did not work"), error=error
        )


_TITLES = {403: "Not allowed", 404: "Not found", 409: "Not now", 429: "Too fast"}


def quoted(value: object) -> str:
    """For one part of an address."""
    return quote(str(value), safe="")


def sentence(text: str) -> str:
    """As a sentence begins; the rest is left as it is."""
    return text[:1].upper() + text[1:]


def moment(value: str | int | None) -> str:
    """A time for people, in UTC: the page's script shows it in the browser's own zone."""
    if value is None:
        return "never"
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{value[:10]} {value[11:19]} UTC"
