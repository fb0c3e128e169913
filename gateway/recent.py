"""Remembers what docks were answered: a request comes in, and if it is the same as before, its reply goes out.

A dock that got no reply in time sends its request again with the same tid (seen on the wire for ``state``,
docs/protocol.md 5.1), so nothing may be done twice and both replies must say the same. It must never grow without bound,
whatever a dock sends: keys have a fixed size, and entries are limited per dock, in total, in age and in weight.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from gateway.model import Identity, Reply

PER_DOCK = 64  # a dock makes a handful of requests on its way in and one before each take-off
TOTAL = 100_000  # 10,000 docks with ten requests each
KEEP_MS = 600_000  # ten times the longest retry seen (56 s, docs/protocol.md 5.1)
WEIGHT = 64 * 1024 * 1024  # characters of all remembered answers; a bind status of 1,000 devices has 150,000


class Key(NamedTuple):
    gateway_sn: str
    digest: bytes


def key_of(gateway_sn: str, asker: Identity, method: str | None, tid: object, data: object) -> Key | None:
    """What makes two requests the same: dock, login, method, tid and data. None when there is no tid to know it by.

    Data counts because simulators and old firmware send the same tid for everything (cases 17): another question is
    another request, while a true repetition is the same in all but its timestamp. The login counts because an answer
    can hold a license: an account that was changed, or made anew for the same dock, is answered anew.
    """
    if tid is None:
        return None
    return Key(gateway_sn, digest_of((asker.account, asker.version, method, tid, data)))


def digest_of(value: object) -> bytes:
    """A short stand-in for JSON of any size, so that a dock cannot make the memory larger by a longer tid."""
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _Entry(NamedTuple):
    reply: Reply
    at: int
    weight: int


class Recent:
    """The replies of the last minutes, oldest first."""

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        per_dock: int = PER_DOCK,
        total: int = TOTAL,
        keep_ms: int = KEEP_MS,
        weight: int = WEIGHT,
    ) -> None:
        self._clock = clock
        self._per_dock = per_dock
        self._total = total
        self._keep_ms = keep_ms
        self._weight_limit = weight
        self._weight = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._of_dock: dict[str, dict[Key, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Reply | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() - entry.at >= self._keep_ms:
            self._forget(key)
            return None
        return entry.reply

    def put(self, key: Key, reply: Reply, weight: int) -> None:
        """Remember ``reply``; what was there before under ``key`` goes, as does whatever no longer fits.

        ``weight``: its characters, about.
        """
        if key in self._entries:
            self._forget(key)
        entry = _Entry(reply, self._clock(), weight)
        self._entries[key] = entry
        self._weight += weight
        mine = self._of_dock.get(key.gateway_sn)
        if mine is None:
            mine = self._of_dock[key.gateway_sn] = {}
        mine[key] = None
        if len(mine) > self._per_dock:
            self._forget(next(iter(mine)))
        while self._entries and self._too_much(entry.at):
            self._forget(next(iter(self._entries)))

    def forget_dock(self, gateway_sn: str) -> None:
        """What it was answered may not hold any more."""
        for key in list(self._of_dock.get(gateway_sn, ())):
            self._forget(key)

    def _too_much(self, now: int) -> bool:
        oldest = next(iter(self._entries.values()))
        return len(self._entries) > self._total or self._weight > self._weight_limit or now - oldest.at >= self._keep_ms

    def _forget(self, key: Key) -> None:
        entry = self._entries.pop(key)
        self._weight -= entry.weight
        mine = self._of_dock[key.gateway_sn]
        del mine[key]
        if not mine:
            del self._of_dock[key.gateway_sn]
