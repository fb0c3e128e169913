"""The admin HTTP put together: configuration, runtime and broker come in; what is started and closed beside them goes out.

A failure here is told, and takes nothing away from docks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from gateway.errors import ConfigError, DockgateError
from gateway.operations.card import certificate_names_of
from gateway.store.tokens import Scope
from gateway.web import console, declarations, errors, exposition, guard, health, login, openapi
from gateway.web.access import caller_of
from gateway.web.api import ENDPOINTS
from gateway.web.console import Samples
from gateway.web.context import CatchUp, Context
from gateway.web.door import Door
from gateway.web.errors import HttpError
from gateway.web.limits import Buckets
from gateway.web.refusals import Refusals
from gateway.web.requests import RequestLog, rendered
from gateway.web.sessions import Sessions
from gateway.web.streams import Channel
from gateway.web.tail import Tail

if TYPE_CHECKING:
    from gateway.broker.broker import GatewayBroker
    from gateway.config import Config, Problem
    from gateway.runtime import Runtime

# How late a timer comes tells how long a dock waits for its next turn.
_SAMPLE_S = 0.1
_JSON = "application/json"


class Admin:
    """``start`` once the broker is there; ``close`` before the broker. ``context`` is what further routes are made with."""

    def __init__(
        self, config: Config, runtime: Runtime, broker: GatewayBroker, *, check: Callable[[Config, int], list[Problem]]
    ) -> None:
        """Raises ConfigError: see ``Door``."""
        settings = config.dockgate.admin
        bind = settings.bind
        if bind is None:
            raise ConfigError("admin.bind is off")
        services = runtime.services
        metrics = services.metrics.http
        clock = asyncio.get_running_loop().time
        self._runtime = runtime
        self._worker, self._slow_worker = ThreadPoolExecutor(1, "admin"), ThreadPoolExecutor(1, "admin-slow")
        self.context = Context(
            config=config,
            runtime=runtime,
            broker=broker,
            sessions=Sessions(services, settings, config.dockgate.login, self._worker),
            callers=Buckets(settings.requests_per_second, clock=clock),
            addresses=Buckets(settings.requests_per_second, clock=clock),
            events=Channel(metrics),
            audit=Tail(services.store, metrics),
            requests=RequestLog(Channel(metrics, rendered)),
            refusals=Refusals(lambda name: services.directory.account(name) is not None),
            catching_up=CatchUp(runtime),
            check=check,
            worker=self._worker,
            slow_worker=self._slow_worker,
            reload_certificates=self._reload_certificates,
        )
        self._integrity = health.Integrity(runtime, self.context.at_leisure, self.context.off_loop)
        self._hosts = guard.Hosts([*settings.hosts, *([] if bind.is_wildcard else [bind.host])])
        self._hosts.take(certificate_names_of(settings.certfile))
        self._samples = Samples(services.metrics)
        self._router = Router(self._routes(), redirect_slashes=False)
        app = ExceptionMiddleware(self._router, handlers={DockgateError: self._on_error, HTTPException: _on_http_error})
        guarded = guard.Guard(app, metrics, is_host=self._hosts, addresses=self.context.addresses)
        self.door = Door(settings, bind, guarded, metrics, services.tasks)
        self._tasks: list[asyncio.Task[Any]] = []
        self._unlisten: list[Callable[[], None]] = []

    def add_routes(self, routes: Sequence[BaseRoute]) -> None:
        """Further ones, after those that are here."""
        self._router.routes.extend(routes)

    def start(self) -> None:
        """Raises ConfigError: see ``Door.open``."""
        spawn = self._runtime.services.tasks.spawn
        self.door.open()
        self._unlisten = [
            # first: a page that is told of an event asks at once what was refused
            self._runtime.services.events.listen(self.context.refusals.note),
            self._runtime.services.events.listen(self.context.events.tell),
            self._runtime.services.events.listen(self._samples.note),
            self._runtime.dispatcher.listen(self.context.requests.note),
        ]
        self._tasks = [
            spawn(self._measure_delay(), name="event loop delay"),
            spawn(self._integrity.run(), name="integrity of the database"),
            spawn(self._integrity.writing.run(), name="whether the database can be written"),
            spawn(self._samples.run(), name="samples for the charts"),
        ]

    def reload(self) -> None:
        """Read certificate and key again."""
        self.door.reload()
        self._hosts.take(certificate_names_of(self.context.config.dockgate.admin.certfile))

    async def _reload_certificates(self) -> None:
        await self.context.broker.listening.reload()
        self.reload()

    async def close(self) -> None:
        """Idempotent."""
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten = []
        for task in self._tasks:
            task.cancel()
        self.context.events.close()
        self.context.audit.close()
        self.context.requests.channel.close()
        await self.door.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.context.sessions.close()
        for worker in (self._worker, self._slow_worker):
            worker.shutdown(wait=False, cancel_futures=True)

    async def _measure_delay(self) -> None:
        loop = asyncio.get_running_loop()
        observe = self._runtime.services.metrics.loop.delay.observe
        while True:
            due = loop.time() + _SAMPLE_S
            await asyncio.sleep(_SAMPLE_S)
            observe(max(0.0, loop.time() - due))

    # -- routes

    def _routes(self) -> list[Route]:
        return [
            Route(guard.HEALTH, self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
            Route(f"{declarations.PREFIX}/openapi.json", self._openapi),
            *declarations.routes(self.context, ENDPOINTS),
            *login.routes(self.context),
            *console.routes(self.context, self._samples, self._integrity),
        ]

    async def _healthz(self, request: Request) -> Response:
        """The event loop runs: that is all it says, to everybody."""
        request.scope[guard.ROUTE] = guard.HEALTH
        return Response(b'{"ok":true}', media_type=_JSON)

    async def _readyz(self, request: Request) -> Response:
        request.scope[guard.ROUTE] = "/readyz"
        found = await health.readiness(self.context, self._integrity)
        status = 200 if found["ready"] else 503
        if not await self._may_look(request):
            found = {"ready": found["ready"]}
        return Response(orjson.dumps(found), status, media_type=_JSON)

    async def _metrics(self, request: Request) -> Response:
        request.scope[guard.ROUTE] = "/metrics"
        if not await self._may_look(request):
            await caller_of(self.context, request, scope=Scope.READ)
        body, media_type = await self.context.off_loop(
            exposition.text,
            self.context,
            request.headers.get("accept", ""),
            self.context.now,
            exposition.take(self.context),
        )
        return Response(body, headers={"Content-Type": media_type})

    async def _openapi(self, request: Request) -> Response:
        request.scope[guard.ROUTE] = f"{declarations.PREFIX}/openapi.json"
        if not await self._may_look(request):
            await caller_of(self.context, request, scope=Scope.READ)
        return Response(_document(), media_type=_JSON)

    async def _may_look(self, request: Request) -> bool:
        """What this machine's own programs may read without credentials."""
        if guard.is_of_this_machine(request.scope):
            return True
        try:
            await caller_of(self.context, request, scope=Scope.READ)
        except HttpError:
            return False
        return True

    async def _on_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, DockgateError)  # noqa: S101 - as it was registered
        if isinstance(error, HttpError):
            self._runtime.services.metrics.http.refused.add(error.code)
        return errors.respond(error)


@cache
def _document() -> bytes:
    return orjson.dumps(openapi.document(ENDPOINTS))


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as it was registered
    return errors.translate(error)
