"""Failed logins come in; who is locked out, and until when, goes out.

Failures are added up for each account at each address, and for each address over all accounts, within a sliding window. How long
that is, and how long a lock lasts, is told by a clock that nobody sets; what is stored has the wall clock's time.
Pure memory and bounded: what outlives a restart is for the caller to store, and nothing here may know a password.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.clock import steady_of

# The account of a lock that holds for an address and all accounts; no account has an empty name.
WHOLE_ADDRESS = ""
# Accounts at addresses that are remembered. With the address locks this takes an attacker 400 networks to overflow.
CAPACITY = 20_000
# How many entries are looked at for one that may be given up before a locked one is.
_LOOK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """``address`` is as ``place_of`` names it; ``account`` is ``WHOLE_ADDRESS`` when all accounts are locked. Wall clock times."""

    account: str
    address: str
    failures: int
    locked_until: int
    last_at: int


@lru_cache(maxsize=4096)
def place_of(address: str) -> str:
    """What the failures of an address are added up under.

    An IPv6 site has a whole /64 to come from, so that is one place (RFC 6177 2); IPv4 mapped into IPv6 is IPv4.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))


def is_address(text: str) -> bool:
    """An IP address, or a network as ``place_of`` writes it."""
    try:
        ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _Tally:
    """Steady times, but for ``stored_until``: the end of the lock as it is, or would be, in the database."""

    times: deque[int] = field(default_factory=deque)
    locked_until: int = 0
    stored_until: int = 0
    is_stored: bool = False

    def is_over(self, now: int, window_ms: int) -> bool:
        return self.locked_until <= now and (not self.times or now - self.times[-1] >= window_ms)


class _Table:
    """Tallies of one sort: ``limit`` failures within the window lock."""

    def __init__(self, limit: int, window_ms: int, lock_ms: int, capacity: int) -> None:
        self._limit = limit
        self._window_ms = window_ms
        self._lock_ms = lock_ms
        self._capacity = capacity
        self.tallies: OrderedDict[tuple[str, str], _Tally] = OrderedDict()

    def is_locked(self, key: tuple[str, str], now: int) -> bool:
        tally = self.tallies.get(key)
        return tally is not None and tally.locked_until > now

    def fail(self, key: tuple[str, str], now: int, wall: int) -> Lock | None:
        if self._limit == 0:
            return None
        tally = self.tallies.get(key)
        if tally is None:
            tally = self._new(key, now)
        elif tally.locked_until > now:
            return None
        self.tallies.move_to_end(key)
        times = tally.times
        while times and now - times[0] >= self._window_ms:
            times.popleft()
        times.append(now)
        if len(times) < self._limit:
            return None
        failures = len(times)
        times.clear()
        tally.locked_until = now + self._lock_ms
        tally.stored_until = wall + self._lock_ms
        tally.is_stored = False
        return Lock(account=key[0], address=key[1], failures=failures, locked_until=tally.stored_until, last_at=wall)

    def restore(self, lock: Lock, now: int, wall: int) -> None:
        key = (lock.account, lock.address)
        tally = self.tallies.get(key)
        if tally is not None and tally.stored_until == lock.locked_until:
            tally.is_stored = True  # and how long it lasts is known here better
            return
        if self._limit == 0 or lock.locked_until <= wall:
            return
        if tally is None:
            tally = self._new(key, now)
        # Who wrote it may have had another time: no lock lasts longer than one that begins now
        tally.locked_until = max(tally.locked_until, now + min(lock.locked_until - wall, self._lock_ms))
        tally.stored_until = lock.locked_until
        tally.is_stored = True

    def _new(self, key: tuple[str, str], now: int) -> _Tally:
        while len(self.tallies) >= self._capacity:
            oldest = list(zip(range(_LOOK), self.tallies.items(), strict=False))
            unlocked = (known for _, (known, tally) in oldest if tally.locked_until <= now)
            del self.tallies[next(unlocked, oldest[0][1][0])]
        tally = self.tallies[key] = _Tally()
        return tally

    def sweep(self, now: int, known: Mapping[tuple[str, str], Lock]) -> None:
        """Drop what is over, but not while it is in the database: it would be taken for a new one."""
        over = [key for key, tally in self.tallies.items() if tally.is_over(now, self._window_ms)]
        for key in over:
            if key not in known or known[key].locked_until != self.tallies[key].stored_until:
                del self.tallies[key]


class Lockout:
    """``failures`` and ``address_failures`` 0: never locks accounts, or addresses."""

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        failures: int,
        address_failures: int,
        window_s: float,
        lock_s: float,
        capacity: int = CAPACITY,
    ) -> None:
        self._clock = clock
        self._steady = steady_of(clock)
        window_ms, lock_ms = round(window_s * 1000), round(lock_s * 1000)
        self._pairs = _Table(failures, window_ms, lock_ms, capacity)
        self._addresses = _Table(address_failures, window_ms, lock_ms, capacity)

    def is_pair_locked(self, account: str, place: str) -> bool:
        return self._pairs.is_locked((account, place), self._steady())

    def is_address_locked(self, place: str) -> bool:
        return self._addresses.is_locked((WHOLE_ADDRESS, place), self._steady())

    def fail(self, account: str, place: str, *, counts_for_address: bool = True) -> tuple[Lock, ...]:
        """One more failure; the locks that it set. A failure under a lock neither counts nor makes it last longer."""
        now, wall = self._steady(), self._clock()
        locks = [self._pairs.fail((account, place), now, wall)]
        if counts_for_address:
            locks.append(self._addresses.fail((WHOLE_ADDRESS, place), now, wall))
        return tuple(lock for lock in locks if lock is not None)

    def succeed(self, account: str, place: str) -> None:
        """Forget the account's failures there. Those of the address stay: one known password must not clear them."""
        self._pairs.tallies.pop((account, place), None)

    def forget(self, account: str) -> bool:
        """Forget the account's failures everywhere. Whether that lifted a lock."""
        now = self._steady()
        gone = [self._pairs.tallies.pop(key) for key in list(self._pairs.tallies) if key[0] == account]
        return any(tally.locked_until > now for tally in gone)

    def stored(self, lock: Lock) -> None:
        """``lock`` is in the database now: if it is missing there later, it was lifted."""
        table = self._addresses if lock.account == WHOLE_ADDRESS else self._pairs
        tally = table.tallies.get((lock.account, lock.address))
        if tally is not None and tally.stored_until == lock.locked_until:
            tally.is_stored = True

    def reload(self, locks: Iterable[Lock]) -> None:
        """Take over what the database has: add what is new there, lift what is gone from there, drop what is over."""
        now, wall = self._steady(), self._clock()
        known = {(lock.account, lock.address): lock for lock in locks}
        for table in (self._pairs, self._addresses):
            table.sweep(now, known)
            lifted = [key for key, tally in table.tallies.items() if tally.is_stored and key not in known]
            for key in lifted:
                del table.tallies[key]
        for lock in known.values():
            (self._addresses if lock.account == WHOLE_ADDRESS else self._pairs).restore(lock, now, wall)
