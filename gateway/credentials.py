"""The costly part of a login: remembered right passwords (as keyed digests), and the bounded line to the slow hash.

Knows accounts but not who may log in. It must never hold a password, grow without bound, or hash on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import compare_digest
from typing import TypeVar

from gateway.metrics import Logins
from gateway.model import Account

T = TypeVar("T")

# Places at which an account's password was right: a dock has one or two ways out, a service a few replicas.
PLACES = 8


@dataclass(slots=True)
class _Entry:
    version: int
    digest: bytes
    places: OrderedDict[str, None] = field(default_factory=OrderedDict)


class VerifiedCredentials:
    """The last right password of each account, as a digest under a key that this process made up and nobody else has.

    The account's version and hash are part of the digest, so what changed does not match any more.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._key = secrets.token_bytes(32)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def knows(self, account: Account, password: str) -> bool:
        entry = self._entries.get(account.name)
        return entry is not None and compare_digest(entry.digest, self._digest(account, password))

    def was_at(self, account: Account, place: str) -> bool:
        """Whether the remembered password was right at ``place`` too, and the account has not changed since."""
        entry = self._entries.get(account.name)
        return entry is not None and entry.version == account.version and place in entry.places

    def remember(self, account: Account, password: str, place: str) -> None:
        if self._capacity == 0:
            return
        digest = self._digest(account, password)
        entry = self._entries.get(account.name)
        if entry is None or entry.version != account.version:
            entry = self._entries[account.name] = _Entry(account.version, digest)
        entry.digest = digest  # the same password under a new hash keeps its places
        entry.places[place] = None
        entry.places.move_to_end(place)
        if len(entry.places) > PLACES:
            entry.places.popitem(last=False)
        self._entries.move_to_end(account.name)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, name: str) -> None:
        self._entries.pop(name, None)

    def _digest(self, account: Account, password: str) -> bytes:
        digest = blake2b(key=self._key, digest_size=32)
        for part in (account.name, str(account.version), account.password_hash, password):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(4, "big"))
            digest.update(raw)
        return digest.digest()


class BusyError(Exception):
    """The line is full, or closed."""

    def __init__(self) -> None:
        super().__init__("too many password checks are waiting")


class HashLine:
    """As many at a time as there are threads; the others wait in the order they came, up to ``queue``.

    Waiting happens here and not in the pool, so that who gets a turn can look again whether the hash is still needed,
    and who gives up leaves nothing behind.
    """

    def __init__(self, metrics: Logins, *, threads: int, queue: int, pool: Executor | None) -> None:
        self._metrics = metrics
        self._own = ThreadPoolExecutor(threads, "hash") if pool is None else None
        self._pool = pool or self._own
        self._free = asyncio.Semaphore(threads)
        self._queue = queue

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """:raises BusyError:"""
        if self._pool is None or (self._free.locked() and self._metrics.waiting >= self._queue):
            raise BusyError
        started = asyncio.get_running_loop().time()
        self._metrics.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._metrics.waiting -= 1
        try:
            yield
        finally:
            self._free.release()
            self._metrics.wait.observe(asyncio.get_running_loop().time() - started)

    async def run(self, fn: Callable[..., T], *args: object) -> T:
        """``fn`` in the pool, within a turn."""
        if self._pool is None:
            raise BusyError
        self._metrics.hashed += 1
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)

    def close(self) -> None:
        """Idempotent. A hash that is running takes its 15 ms to end."""
        self._pool = None
        if self._own is not None:
            self._own.shutdown(cancel_futures=True)
