"""Room for connections: how many, from where, how fast, and how long one may be silent. Docks that are connected come first.

Sockets that have not sent CONNECT have a budget of their own in which the oldest goes first, so that silent ones never keep a
dock out. Logins take turns: when they come too fast, or the process is short of time or memory, they wait, then are refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import resource
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import logs
from gateway.lockout import place_of

from .codec.packets import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config import Config
    from gateway.metrics import Connections
    from gateway.tasks import Tasks

    from .connection import Connection

_log = logging.getLogger(__name__)

# Connections over a limit that are kept until they can be told so; the oldest goes first.
_MOST_TURNED_AWAY = 64
# A client that has not made room in its full outbound buffer for so long does not read any more.
_STALLED_S = 30.0
# Logins queue for the slow hash, a second for some thirty of them; a plugin that has not decided by then never will.
_DECIDED_S = 120.0
# The event loop comes so late: PINGREQs of connected docks are near waiting a second, and logins have to wait instead.
_LATE_S, _IN_TIME_S = 0.25, 0.05
# Of the memory that is allowed: from here on logins wait.
_MEMORY_NEAR = 0.9
# How often waiting logins are let in; even an overloaded gateway lets in some, or a slow one would never serve anybody.
_PACE_S = 0.02
_LEAST_PER_S = 10.0


class Admission:
    def __init__(
        self,
        config: Config,
        metrics: Connections,
        tasks: Tasks,
        *,
        clock: Callable[[], float],
        warn: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        self._limits = config.dockgate.limits
        self._connect_timeout_s = config.dockgate.login.connect_timeout_s
        self._of_listener = {name: listener.max_connections for name, listener in config.listeners.items()}
        self._metrics = metrics
        self._tasks = tasks
        self._clock = clock
        self._warn = warn
        self._all: dict[Connection, None] = {}
        self._pending: OrderedDict[Connection, None] = OrderedDict()
        self._turned_away: dict[Connection, None] = {}  # over a limit, and not told yet
        self._by_address: Counter[str] = Counter()
        self._by_listener: Counter[str] = Counter()
        # by address, each in its turn: who comes a thousand times at once makes only himself wait
        self._turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._turn_of: dict[Connection, asyncio.Future[None]] = {}
        self._tokens = float(self._limits.logins_per_second)
        self._tokens_at = clock()
        self._pacer: asyncio.Task[Any] | None = None
        self.progress_at = 0.0  # when a CONNECT last came
        self.overloaded = False
        self.lingering: dict[Connection, float] = {}  # closed by us, and not gone yet; until when that may last
        self._is_shut = False

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._all))

    # -- sockets

    def admit(self, connection: Connection) -> bool:
        """A new socket: False when there is no room. Room is made by the oldest of those that have not sent CONNECT."""
        self._metrics.accepted += 1
        if self._is_shut:
            return False
        if (full := self._make_room(connection)) is not None:
            self._metrics.refused.add("limit")
            self._warn("limit", "too many connections: a new one is refused", {logs.ADDRESS: connection.address})
            return self._turn_away(connection, full)
        self._all[connection] = None
        self._by_address[connection.address] += 1
        self._by_listener[connection.listener] += 1
        self._pending[connection] = None
        self._metrics.pending = len(self._pending)
        return True

    def _turn_away(self, connection: Connection, reason: Reason) -> bool:
        """Let it say CONNECT, so that it can be told why it can't stay. It counts for nothing else."""
        if self.overloaded:
            return False
        connection.over_limit = reason
        if len(self._turned_away) >= _MOST_TURNED_AWAY:
            next(iter(self._turned_away)).abort()
        self._turned_away[connection] = None
        return True

    def _make_room(self, connection: Connection) -> Reason | None:
        """None: there is room. A Reason: why not."""
        limits, listener = self._limits, connection.listener
        of_address, of_listener = limits.connections_per_address, self._of_listener[listener]
        if of_address and self._by_address[connection.address] >= of_address:
            return Reason.QUOTA_EXCEEDED
        is_full = len(self._all) >= limits.connections or len(self._pending) >= limits.pending_connections
        is_listener_full = bool(of_listener) and self._by_listener[listener] >= of_listener
        if is_full or is_listener_full:
            oldest = next((each for each in self._pending if not is_listener_full or each.listener == listener), None)
            if oldest is None:
                return Reason.QUOTA_EXCEEDED if is_listener_full else Reason.SERVER_BUSY
            self._metrics.refused.add("crowded_out")
            oldest.abort()
        return None

    @property
    def pending(self) -> int:
        """How many have not sent CONNECT yet."""
        return len(self._pending)

    def oldest_at(self) -> float:
        """Since when the oldest of those is there."""
        oldest = next(iter(self._pending), None)
        return math.inf if oldest is None else oldest.opened_at

    def crowd_out(self) -> None:
        """The oldest of those has to go."""
        oldest = next(iter(self._pending), None)
        if oldest is not None:
            self._metrics.refused.add("crowded_out")
            oldest.abort()

    def shut(self) -> None:
        """Nobody more: a socket may still come that was accepted before the listeners closed."""
        self._is_shut = True

    def knocked(self, connection: Connection) -> None:
        """Its CONNECT is here: what takes time now is the check of the password, which has a bound of its own."""
        if self._pending.pop(connection, self) is not self:
            self.progress_at = self._clock()
        self._metrics.pending = len(self._pending)

    def forget(self, connection: Connection) -> None:
        """The connection is closed or closing; idempotent."""
        if (turn := self._turn_of.pop(connection, None)) is not None:
            turn.cancel()
        self._turned_away.pop(connection, None)
        if self._all.pop(connection, self) is self:
            return
        self._by_listener[connection.listener] -= 1
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        self._pending.pop(connection, None)
        self._metrics.pending = len(self._pending)

    # -- turns to log in

    async def turn(self, connection: Connection) -> Reason | None:
        """Wait until a login may go on; a Reason: it can't, within the time that a login has. It ends with its connection, too."""
        if not self._turns and not self.overloaded and self._take():
            return None
        turn = self._turn_of[connection] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(place_of(connection.address), deque()).append(turn)
        if self._pacer is None or self._pacer.done():
            self._pacer = self._tasks.spawn(self._pace(), name="logins in turn")
        await asyncio.wait({turn}, timeout=self._connect_timeout_s)
        self._turn_of.pop(connection, None)
        if not turn.done():
            turn.cancel()
            reason = Reason.SERVER_BUSY if self.overloaded else Reason.CONNECTION_RATE_EXCEEDED
            self._metrics.refused.add(reason.name.lower())
            self._warn("turn", "logins come faster than they can be served: some are refused", {})
            return reason
        return None

    def _take(self) -> bool:
        now, most = self._clock(), float(self._limits.logins_per_second)
        if self.overloaded:
            most = min(most, _LEAST_PER_S)
        self._tokens = min(most, self._tokens + (now - self._tokens_at) * most)
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def _pace(self) -> None:
        while self._turns:
            place, waiting = next(iter(self._turns.items()))
            while waiting and waiting[0].done():  # it gave up, or its connection did
                waiting.popleft()
            if not waiting:
                del self._turns[place]
            elif self._take():
                waiting.popleft().set_result(None)
                self._turns.move_to_end(place)
            else:
                await asyncio.sleep(_PACE_S)

    # -- time

    def tick(self, now: float, late_s: float) -> None:
        """``late_s``: by how much the clock of the loop has come too late."""
        self._look_at_load(late_s)
        for connection in [each for each, until in self.lingering.items() if now >= until]:
            connection.give_up()
        for connection in list(self._pending):
            if now - connection.began_at < self._connect_timeout_s:
                continue  # not the last: they are in the order in which their handshakes ended
            self._metrics.refused.add("connect_timeout")
            self._warn(
                connection.address,
                f"no login within {self._connect_timeout_s:g} s of connecting: closed",
                {logs.ADDRESS: connection.address, logs.LISTENER: connection.listener},
            )
            connection.abort()
        for connection in [each for each in self._turned_away if now - each.began_at >= self._connect_timeout_s]:
            connection.abort()
        for connection in self:
            connection.rate = connection.spent_messages
            connection.spent_messages = connection.spent_bytes = 0
            if connection.exchange is None and now - connection.opened_at > _DECIDED_S:
                self._metrics.refused.add("undecided")
                connection.abort()
                continue
            limit = connection.keepalive_limit_s
            if limit is not None and now - connection.heard_at > limit and not connection.held:
                connection.close(Reason.KEEP_ALIVE_TIMEOUT)  # 3.1.2.10: half as long again as the keep alive
            elif connection.congested_at is not None and now - connection.congested_at > _STALLED_S:
                connection.close(Reason.QUOTA_EXCEEDED)

    def _look_at_load(self, late_s: float) -> None:
        self._metrics.loop_lag_ms = int(late_s * 1000)
        most = self._limits.memory_bytes
        is_full = bool(most) and _resident_bytes() > _MEMORY_NEAR * most
        was, self.overloaded = self.overloaded, late_s > (_IN_TIME_S if self.overloaded else _LATE_S) or is_full
        if self.overloaded and not was:
            _log.warning(
                "overloaded: logins wait, connected clients are served first",
                extra={"late_ms": int(late_s * 1000), "memory": is_full},
            )
        elif was and not self.overloaded:
            _log.info("no longer overloaded")


def _resident_bytes() -> int:
    """proc(5); where there is none, the most that it ever was."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(pages) * resource.getpagesize()
