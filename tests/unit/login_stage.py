"""For the tests of logins and pins: a real database, real hashes, and a real pool whose work can be counted and held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import orjson

from gateway import passwords
from gateway.auth import Authenticator, Denied, PeerCertificate, Reason
from gateway.config import LoginSettings, RequestSettings
from gateway.directory import Changes, Directory
from gateway.metrics import Metrics
from gateway.model import Identity, Role
from gateway.presence import Presence
from gateway.services import AuditTrail, EventSink, Services
from gateway.store import accounts, audit, organizations
from gateway.store.connection import Store
from gateway.tasks import Tasks

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"
DOCK, OTHER_DOCK, BIRD = "7CTDM7100BAAAA", "7CTDM7100BBBBB", "1581F5BKAAAAAAAAAAAA"
PASSWORD, GENERATED = "Correct-Horse-7", "abcdefghjkmnpqrstuvwxyzabcdef"
CHOSEN_HASH = passwords.hash_chosen(PASSWORD)
OLD_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


class Clock:
    def __init__(self) -> None:
        self.now = 1_767_225_600_000

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


class CountedPool(ThreadPoolExecutor):
    """Counts what it is given, and holds it back while ``gate`` is closed."""

    def __init__(self) -> None:
        super().__init__(2, "hash")
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.runs += 1

        def gated() -> Any:
            assert self.gate.wait(30)
            return fn(*args, **kwargs)

        return super().submit(gated)


@dataclass
class Stage:
    path: Path
    clock: Clock
    store: Store
    services: Services
    pool: CountedPool
    auth: Authenticator
    told: list[dict[str, Any]] = field(default_factory=list)

    async def login(
        self,
        username: str | None = "dock",
        password: str | None = PASSWORD,
        *,
        address: str = HOME,
        client_id: str = "c1",
        names: tuple[str, ...] | None = None,
    ) -> Identity | Denied:
        certificate = None if names is None else PeerCertificate(names=names, serial=1, fingerprint_sha256="00")
        return await self.auth.login(
            username=username, password=password, address=address, client_id=client_id, certificate=certificate
        )

    async def refused(self, *args: Any, **kwargs: Any) -> Reason:
        result = await self.login(*args, **kwargs)
        assert isinstance(result, Denied)
        return result.reason

    async def accepted(self, *args: Any, **kwargs: Any) -> Identity:
        result = await self.login(*args, **kwargs)
        assert isinstance(result, Identity)
        return result

    async def start(self, count: int) -> list[asyncio.Task[Identity | Denied]]:
        """So many logins, each as far as it comes without waiting."""
        logins = [self.services.tasks.spawn(self.login(), name="login") for _ in range(count)]
        await asyncio.sleep(0)
        return logins

    async def by_operator(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Changes:
        """A change by another process, and what the gateway does when it notices."""
        other = await Store.open(self.path, clock=self.clock)
        try:
            await other.write(fn, *args, **kwargs)
        finally:
            await other.close()
        changes = await self.services.directory.reload(self.store)
        await self.auth.refresh()
        await self.auth.forget(changes.accounts)
        return changes

    async def settle(self) -> None:
        """Until what was started in the background has ended, but for what waits for its second."""
        while waiting := {task for task in asyncio.all_tasks() if task.get_name() in {"store lockout", "rehash"}}:
            await asyncio.wait(waiting)

    async def audited(self) -> list[audit.Entry]:
        await self.services.audit.close()
        return await self.store.read(audit.list_since)


async def add_account(store: Store, name: str, password_hash: str = CHOSEN_HASH, **fields: Any) -> None:
    values = {"role": Role.DOCK, "sn": None, "organization_id": None, "can_read_sys": False, "now": 1, **fields}
    await store.write(accounts.add, name=name, password_hash=password_hash, **values)


@asynccontextmanager
async def stage(path: Path, **settings: Any) -> AsyncIterator[Stage]:
    """Account ``dock`` with a chosen password, ``made`` with a generated one; ``path`` is a directory, kept if it is used."""
    clock, tasks, metrics = Clock(), Tasks(), Metrics()
    file = path / "dockgate.db"
    is_new = not file.exists()
    store = await Store.open(file, clock=clock, create=True, busy_timeout_ms=50)
    if is_new:
        await store.write(organizations.add, id="a", name="A", now=1)
        await store.write(organizations.add, id="b", name="B", now=1)
        await add_account(store, "dock")
        await add_account(store, "made", passwords.hash_generated(GENERATED))
    directory = await Directory.load(store)
    events = EventSink(clock, metrics)
    trail = AuditTrail(store, clock, tasks, metrics, flush_s=3600)
    presence = Presence(store, directory, clock, metrics, events)
    services = Services(
        store=store,
        directory=directory,
        clock=clock,
        new_id=lambda: "id",
        metrics=metrics,
        settings=RequestSettings(),
        events=events,
        audit=trail,
        tasks=tasks,
        presence=presence,
    )
    pool = CountedPool()
    auth = Authenticator(services, LoginSettings(**settings), pool)
    await auth.refresh()
    told: list[dict[str, Any]] = []
    events.set_publisher(lambda _topic, payload: told.append(orjson.loads(payload)))
    try:
        yield Stage(file, clock, store, services, pool, auth, told)
    finally:
        pool.gate.set()
        await auth.close()
        await trail.close()
        await tasks.close()
        await store.close()
        pool.shutdown()
