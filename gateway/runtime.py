"""The composition root: a Config comes in, everything that the program is made of goes out, wired; closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from gateway import retention
from gateway.auth import Authenticator
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.contacts import Contacts
from gateway.directory import Directory, Unbound
from gateway.dispatch import Dispatcher
from gateway.errors import DatabaseError
from gateway.metrics import Metrics
from gateway.presence import Presence
from gateway.services import AuditTrail, EventSink, Services
from gateway.store.connection import Store
from gateway.store.watch import watch
from gateway.tasks import Tasks

_log = logging.getLogger(__name__)

# A change by another process has to be obeyed within a second (interfaces, command line).
_WATCH_S = 0.25
# Logins that memory would refuse have the database looked at first, together at most so often.
_CATCH_UP_S = 0.02

now_ms = SystemClock()


class Runtime:
    """Everything below the broker. ``build`` opens the database; ``start`` begins to follow it; ``close`` ends both."""

    def __init__(self, config: Config, services: Services, presence: Presence, *, read_only: bool = False) -> None:
        self.config = config
        self._read_only = read_only
        self._following: list[asyncio.Task[Any]] = []
        self.services = services
        self.presence = presence
        self.authenticator = Authenticator(services, config.dockgate.login)
        self.dispatcher = Dispatcher(services)
        self.contacts = Contacts(services)
        self._reloaded: list[Callable[[], None]] = []
        self._unbound: list[Callable[[Sequence[Unbound]], None]] = []
        self._reloading = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._looked_at = 0.0
        self._next_look: asyncio.Task[Any] | None = None
        self.authenticator.on_doubt(self.catch_up)

    @classmethod
    async def build(cls, config: Config, *, read_only: bool = False, clock: Callable[[], int] = now_ms) -> Runtime:
        """Raises the errors of the database. ``read_only``: for checks; nothing is written, and it can't be started."""
        store = await Store.open(config.dockgate.database, clock=clock, read_only=read_only)
        try:
            metrics = Metrics()
            store.on_timed(lambda kind, seconds: metrics.database.seconds.observe(kind, seconds=seconds))
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
            presence.tell_to(services.audit.record)
            runtime = cls(config, services, presence, read_only=read_only)
            if not read_only:
                await runtime.authenticator.refresh()
        except BaseException:
            await store.close()
            raise
        return runtime

    def start(self) -> None:
        spawn = self.services.tasks.spawn
        self._following = [
            spawn(watch(self.services.store, self.reload, _WATCH_S), name="watch the database"),
            spawn(self.presence.run(), name="presence"),
            spawn(retention.run(self.services, self.config.dockgate.audit.keep_days), name="audit retention"),
        ]

    def on_unbound(self, callback: Callable[[Sequence[Unbound]], None]) -> None:
        """``callback`` is told of devices that an operator has unbound; it must not raise."""
        self._unbound.append(callback)

    def on_reload(self, callback: Callable[[], None]) -> None:
        """``callback`` is called after memory has taken over what another process changed; it must not raise."""
        self._reloaded.append(callback)

    async def catch_up(self) -> None:
        """See to it that memory is not older than the call. Does not raise: what can't be read is read by the watch later."""
        if self._next_look is None:
            self._next_look = self.services.tasks.spawn(self._look_soon(), name="look at the database")
        # a locked database must not hold up logins longer than the watch would
        await asyncio.wait({self._next_look}, timeout=_WATCH_S)

    async def _look_soon(self) -> None:
        """For all who ask until it begins; who asks later needs another one."""
        try:
            await asyncio.sleep(self._looked_at + _CATCH_UP_S - self._loop.time())
        finally:
            self._next_look = None
        self._looked_at = self._loop.time()
        await self._look()

    async def _look(self) -> None:
        try:
            if not await self.services.store.changed_elsewhere():
                async with self._reloading:  # somebody may have noticed first, and be at it
                    return
        except DatabaseError as error:
            self.services.metrics.database.failures.add(error.code)
            return
        while True:  # nobody else will notice any more
            try:
                await self.reload()
            except DatabaseError as error:
                self.services.metrics.database.failures.add(error.code)
                await asyncio.sleep(_WATCH_S)
            else:
                return

    async def reload(self) -> None:
        """Take over what another process has committed."""
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        changes = await self.services.directory.reload(self.services.store)
        self.services.metrics.database.reloads += 1
        # first what can't fail: the next reload would find no changes
        self.presence.follow(changes)
        for unbound in changes.unbound:
            self.dispatcher.forget(unbound.gateway_sn)
        if changes.unbound:
            for tell in self._unbound:
                tell(changes.unbound)
        for callback in self._reloaded:
            callback()
        await self.authenticator.refresh()
        await self.authenticator.forget(changes.accounts)

    async def close(self) -> None:
        """Idempotent. The broker is closed before."""
        self.dispatcher.close()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        if not self._read_only:
            await self.presence.close()
            await self.contacts.close()
        await self.authenticator.close()
        await self.services.audit.close()
        await self.services.tasks.close()
        await self.services.store.close()
