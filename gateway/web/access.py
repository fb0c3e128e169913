"""Who asks, and what may he: a request comes in, a Caller goes out, or the one refusal that looks the same for every cause.

A token comes in the Authorization header, a session in a cookie; what a cookie carries changes nothing without the session's own
word in a header, since browsers send cookies for pages of others, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from gateway.lockout import place_of
from gateway.operations import tokens
from gateway.operations.change import Who
from gateway.refusals import shown
from gateway.store import operators
from gateway.store import tokens as stored
from gateway.store.tokens import Scope, Token
from gateway.web.errors import ForbiddenError, TooManyError, UnauthorizedError
from gateway.web.guard import address_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope as AsgiScope

    from gateway.web.context import Context
    from gateway.web.sessions import Session

CSRF_HEADER = "x-csrf-token"
# Over TLS the prefix has browsers see to it that nobody else can have set it (RFC 6265bis, 4.1.3.2).
SECURE_COOKIE = "__Host-dockgate"
PLAIN_COOKIE = "dockgate"
_SAFE = frozenset({"GET", "HEAD"})
# Guessing is hopeless, and shall be slow: a wrong token costs as much of an address's share as ten requests.
_WRONG_COST = 10.0
_USED_MS = 60_000


@dataclass(frozen=True, slots=True)
class Caller:
    """A token or a session; ``address`` is where it is used from."""

    scope: Scope
    address: str
    token: Token | None = None
    session: Session | None = None
    cookie: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        return self.token.name if self.token is not None else self.session.operator if self.session is not None else ""

    @property
    def actor(self) -> str:
        """As the audit names it."""
        return f"{'operator' if self.token is None else 'token'}:{self.name}"

    @property
    def who(self) -> Who:
        return Who(self.actor, {"address": shown(self.address)})

    @property
    def may_write(self) -> bool:
        return self.scope is Scope.WRITE


async def caller_of(context: Context, request: Request, *, scope: Scope) -> Caller:
    """Raises UnauthorizedError, ForbiddenError (not so much, or without the word against forgery), TooManyError."""
    found = await known_caller(context, request)
    if found is None:
        _refused(context, request, "no_credentials")
        raise UnauthorizedError
    if scope is Scope.WRITE and not found.may_write:
        _refused(context, request, "scope", found)
        raise ForbiddenError(f"the token {found.name} may only read", hint="dockgate token add NAME --scope write")
    if found.session is not None and request.method not in _SAFE:
        require_no_forgery(context, request, found.session)
    wait = context.callers.take(found.actor)
    if wait:
        raise TooManyError(f"too many requests of {found.actor}", retry_s=wait)
    return found


async def known_caller(context: Context, request: Request) -> Caller | None:
    """None: it shows nothing. Raises UnauthorizedError for what does not count."""
    address = address_of(request.scope)
    given = request.headers.getlist("authorization")
    if given:
        scheme, _, presented = given[0].partition(" ")
        token = None
        if len(given) == 1 and scheme.lower() == "bearer":
            token = await context.read(tokens.match, presented.strip(), context.now)
        if token is None:
            context.addresses.take(place_of(address), _WRONG_COST)
            _refused(context, request, "bad_token")
            raise UnauthorizedError
        if context.now - (token.last_used_at or 0) >= _USED_MS:
            await context.note(stored.touch, token.name, context.now)
        return Caller(token.scope, address, token=token)
    cookie = cookie_of(request)
    session = context.sessions.find(cookie) if cookie else None
    if session is None:
        return None
    if not context.sessions.is_current(session, await context.read(operators.find, session.operator)):
        context.sessions.end(cookie)
        return None
    return Caller(Scope.WRITE, address, session=session, cookie=cookie)


async def still(context: Context, caller: Caller) -> bool:
    """Whether what a stream began with counts still."""
    if caller.session is not None:
        return context.sessions.is_current(caller.session, await context.read(operators.find, caller.session.operator))
    if caller.token is None:
        return False
    known = await context.read(stored.list_all)
    return any(each.digest == caller.token.digest and each.is_usable(context.now) for each in known)


def require_no_forgery(context: Context, request: Request, session: Session) -> None:
    """For what a page does with a cookie: the page has to be ours, and know the session's word."""
    given = request.headers.get(CSRF_HEADER, "")
    if is_foreign(request) or not compare_digest(given.encode(), session.csrf.encode()):
        _refused(context, request, "csrf")
        raise ForbiddenError(f"the request does not come from this server's own page ({CSRF_HEADER})")


def is_foreign(request: Request) -> bool:
    """Whether a browser says that another site's page has sent it."""
    origin = request.headers.get("origin")
    if origin is not None:
        return origin.lower() != f"{request.scope['scheme']}://{request.headers.get('host', '')}".lower()
    return request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}


def cookie_name(scope: AsgiScope) -> str:
    return SECURE_COOKIE if scope["scheme"] == "https" else PLAIN_COOKIE


def cookie_of(request: HTTPConnection) -> str:
    return request.cookies.get(cookie_name(request.scope), "")


def has_credentials(scope: AsgiScope) -> bool:
    headers = Headers(scope=scope)
    return "authorization" in headers or "cookie" in headers


def _refused(context: Context, request: Request, reason: str, caller: Caller | None = None) -> None:
    services = context.runtime.services
    if reason == "no_credentials":  # a browser before its login, a scanner: counted, and no more
        return
    services.audit.record(
        actor=caller.actor if caller is not None else shown(address_of(request.scope)),
        action="api",
        target=shown(request.url.path),
        outcome="refused",
        detail={"reason": reason, "address": shown(address_of(request.scope)), "method": shown(request.method)},
    )
