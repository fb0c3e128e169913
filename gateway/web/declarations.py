"""An endpoint of the JSON API, declared once: its route, its checks and its part of the OpenAPI document come from that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar
from urllib.parse import unquote

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import UsageError
from gateway.operations.change import Change, Db
from gateway.store.tokens import Scope
from gateway.web import guard
from gateway.web.access import Caller, caller_of
from gateway.web.errors import MediaTypeError, MethodNotAllowedError

if TYPE_CHECKING:
    from gateway.web.context import Context

P = ParamSpec("P")
T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
PREFIX = "/api/v1"
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an endpoint. ``path``: the values in its path."""

    context: Context
    request: Request
    caller: Caller
    path: dict[str, str]

    async def read(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - the query's
        return await self.context.read(query, *args, **kwargs)

    async def read_json(self, query: Callable[..., Any], *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401
        """For what may be large: it becomes JSON in the reader's thread, too."""

        def work(db: Db) -> bytes:
            return orjson.dumps(query(db, *args, **kwargs))

        return Response(await self.context.read(work), media_type="application/json")

    async def change(self, work: Callable[[Change], T]) -> T:
        return await self.context.change(self.caller.who, work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``takes``: the model of the body, or with GET and DELETE of the query. ``gives``: the type of the answer."""

    method: Method
    path: str
    tag: str
    summary: str
    handler: Handler
    scope: Scope
    takes: type[BaseModel] | None
    gives: Any
    status: int
    errors: tuple[int, ...]
    streams: bool

    @property
    def takes_body(self) -> bool:
        return self.takes is not None and self.method not in {"GET", "DELETE"}


class Endpoints:
    """Those of one subject."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._all: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    def add(
        self,
        method: Method,
        path: str,
        summary: str,
        *,
        gives: Any,  # noqa: ANN401 - a type, or what typing makes of types
        takes: type[BaseModel] | None = None,
        status: int = HTTPStatus.OK,
        errors: tuple[int, ...] = (),
        scope: Scope | None = None,
        streams: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Reading needs scope ``read``, all else ``write``."""

        def declare(handler: Handler) -> Handler:
            needs = scope or (Scope.READ if method == "GET" else Scope.WRITE)
            self._all.append(
                Endpoint(
                    method=method,
                    path=path,
                    tag=self._tag,
                    summary=summary,
                    handler=handler,
                    scope=needs,
                    takes=takes,
                    gives=gives,
                    status=int(status),
                    errors=errors,
                    streams=streams,
                )
            )
            return handler

        return declare


def routes(context: Context, endpoints: list[Endpoint]) -> list[Route]:
    """One for each path, since the answer to a wrong method names the right ones."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    # what has no parameter comes first: /requests/live is no request called "live"
    ordered = sorted(by_path.items(), key=lambda item: item[0].count("{"))
    return [_route(context, path, methods) for path, methods in ordered]


def _route(context: Context, path: str, methods: dict[str, Endpoint]) -> Route:
    allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})

    async def answer(request: Request) -> Response:
        request.scope[guard.ROUTE] = PREFIX + path
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            error = MethodNotAllowedError(f"{request.method} is not for this")
            error.headers = {"Allow": ", ".join(allowed)}
            raise error
        return await _answer(context, endpoint, request)

    return Route(PREFIX + path, answer, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])


async def _answer(context: Context, endpoint: Endpoint, request: Request) -> Response:
    caller = await caller_of(context, request, scope=endpoint.scope)
    # still encoded, as the router got it: a name may have a slash in it
    try:
        path = {name: unquote(str(value), errors="strict") for name, value in request.path_params.items()}
    except UnicodeDecodeError:
        raise UsageError("the path is not UTF-8") from None
    call = Call(context, request, caller, path)
    if endpoint.takes is None:
        result = await endpoint.handler(call)
    elif endpoint.takes_body:
        result = await endpoint.handler(call, parsed(endpoint.takes, await json_of(request)))
    else:
        result = await endpoint.handler(call, parsed(endpoint.takes, _query_of(request)))
    if isinstance(result, Response):
        return result
    return Response(orjson.dumps(result), endpoint.status, media_type="application/json")


async def json_of(request: Request) -> Any:  # noqa: ANN401 - any JSON
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise MediaTypeError("the body has to be JSON", hint="Content-Type: application/json")
    body = await guard.body_of(request.receive)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # the text around the place could be a secret
        raise UsageError(f"the body is not JSON (line {error.lineno}, column {error.colno})") from None


def _query_of(request: Request) -> dict[str, Any]:
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) < len(pairs):
        raise UsageError("a parameter is given twice")
    return dict(pairs)


def parsed(model: type[Model], values: Any) -> Model:  # noqa: ANN401 - any JSON
    """Raises UsageError that names what is wrong, and no value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        told = [f"{'.'.join(map(str, each['loc'])) or 'the body'}: {_told(each['msg'])}" for each in found[:5]]
        raise UsageError("; ".join(told)) from None


def _told(message: str) -> str:
    """A rule of ours speaks for itself; the checker calls each of them a value error."""
    return message.removeprefix("Value error, ").lower()
