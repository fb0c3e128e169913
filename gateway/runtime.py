"""The composition root: a Config comes in, everything that the program is made of goes out, wired; closed in reverse order."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

from gateway.auth import Authenticator
from gateway.config import Config
from gateway.directory import Directory
from gateway.dispatch import Dispatcher
from gateway.metrics import Metrics
from gateway.presence import Presence
from gateway.services import AuditTrail, EventSink, Services
from gateway.store.connection import Store
from gateway.store.watch import watch
from gateway.tasks import Tasks

_log = logging.getLogger(__name__)

# A change by another process has to be obeyed within a second (interfaces, command line).
_WATCH_S = 0.25


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Runtime:
    """Everything below the broker. ``build`` opens the database; ``start`` begins to follow it; ``close`` ends both."""

    def __init__(self, config: Config, services: Services, presence: Presence) -> None:
        self.config = config
        self.services = services
        self.presence = presence
        self.authenticator = Authenticator(services, config.dockgate.login)
        self.dispatcher = Dispatcher(services)
        self._reloaded: list[Callable[[], None]] = []

    @classmethod
    async def build(cls, config: Config, *, read_only: bool = False, clock: Callable[[], int] = now_ms) -> Runtime:
        """Raises the errors of the database. ``read_only``: for checks; nothing is written, and it can't be started."""
        store = await Store.open(config.dockgate.database, clock=clock, read_only=read_only)
        try:
            metrics = Metrics()
            directory = await Directory.load(store)
            events = EventSink(clock, metrics)
            tasks = Tasks()
            presence = Presence(store, directory, clock, metrics, events)
            services = Services(
                store=store,
                directory=directory,
                clock=clock,
                new_id=lambda: str(uuid.uuid4()),
                metrics=metrics,
                settings=config.dockgate.requests,
                events=events,
                audit=AuditTrail(store, clock, tasks, metrics),
                tasks=tasks,
                presence=presence,
            )
            runtime = cls(config, services, presence)
            if not read_only:
                await runtime.authenticator.refresh()
        except BaseException:
            await store.close()
            raise
        return runtime

    def start(self) -> None:
        self.services.tasks.spawn(watch(self.services.store, self.reload, _WATCH_S), name="watch the database")
        self.services.tasks.spawn(self.presence.run(), name="presence")

    def on_reload(self, callback: Callable[[], None]) -> None:
        """``callback`` is called after memory has taken over what another process changed; it must not raise."""
        self._reloaded.append(callback)

    async def reload(self) -> None:
        """Take over what another process has committed."""
        changes = await self.services.directory.reload(self.services.store)
        self.services.metrics.database.reloads += 1
        await self.authenticator.refresh()
        await self.authenticator.forget(changes.accounts)
        self.presence.follow(changes)
        for callback in self._reloaded:
            callback()

    async def close(self) -> None:
        """Idempotent. The broker is closed before."""
        self.dispatcher.close()
        await self.presence.close()
        await self.authenticator.close()
        await self.services.audit.close()
        await self.services.tasks.close()
        await self.services.store.close()
