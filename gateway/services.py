"""What handlers and guards are given: data, time, identifiers, counters, and the two ways out (events and audit).

Decides nothing. An event or an audit entry must never delay or fail what it tells of, and must never hold a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import orjson

from gateway.clock import steady_of
from gateway.config import RequestSettings
from gateway.directory import Directory
from gateway.errors import DatabaseError
from gateway.metrics import Metrics
from gateway.model import AccessStep
from gateway.store import audit
from gateway.store.connection import Store
from gateway.tasks import Tasks
from gateway.topics import event_topic

_log = logging.getLogger(__name__)

Publisher = Callable[[str, bytes], None]
EventListener = Callable[[str | None, Mapping[str, Any]], None]

# An operator who looks sees a refusal within the second, and a burst still shares its transactions.
FLUSH_S = 0.2
FLUSH_ENTRIES = 256
COLLAPSE_MS = 60_000
# Strangers choose the names in refused logins: this many of one kind in a window are told apart, more are counted.
DISTINCT = 200
OTHERS = "(others)"
# Times in a minute that what is told of a dock or account begins anew because it changed between refused and not.
ANEW = 10
# What is kept while the database cannot be written; 10,000 entries are a few megabytes.
KEPT = 10_000
# Entries that wait for their repetitions; a fleet that comes back must not fill the memory with them.
MOST_WINDOWS = 20_000


class EventSink:
    """Says what happened to a dock, as JSON on ``dockgate/events/{gateway_sn}``; silent until there is a publisher.

    With nobody who listens an event costs next to nothing: it is put into words for who reads them.
    """

    def __init__(self, clock: Callable[[], int], metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._publish: Publisher | None = None
        self._has_subscribers: Callable[[], bool] = lambda: True
        self._listeners: list[EventListener] = []

    def set_publisher(self, publish: Publisher | None, has_subscribers: Callable[[], bool] = lambda: True) -> None:
        """``publish(topic, payload)`` is called for each event from then on, while ``has_subscribers()``; neither may raise."""
        self._publish = publish
        self._has_subscribers = has_subscribers

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """``listener(gateway_sn, event)`` is called for each event, too, with the object that is published, not to be changed;
        quick, and without raising. Returns what ends that.
        """
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def emit(self, gateway_sn: str | None, event: str, **fields: Any) -> None:  # noqa: ANN401  any JSON
        """``fields`` are JSON-friendly: str, int, float, bool, None, and lists and dicts of them. Without an SN, as when a stranger
        is refused, there is no topic for it, and only listeners are told.
        """
        if self._publish is None and not self._listeners:
            return
        self._metrics.fleet.events += 1
        told = {"event": event, "sn": gateway_sn, "at": self._clock(), **fields}
        if gateway_sn is not None and self._publish is not None and self._has_subscribers():
            self._publish(event_topic(gateway_sn), orjson.dumps(told))
        for listener in self._listeners:
            listener(gateway_sn, told)


class _Kind(NamedTuple):
    action: str
    outcome: str
    reason: str


_Key = tuple[_Kind, str]


class _Window:
    """An entry that was written as it is, and what has repeated it since. ``opened_at`` is of the steady clock."""

    __slots__ = ("first_at", "latest", "opened_at", "repeats")

    def __init__(self, entry: audit.Entry, opened_at: int) -> None:
        self.first_at = entry.at
        self.opened_at = opened_at
        self.latest = entry
        self.repeats = 0


class AuditTrail:
    """Entries come in without waiting and are written together, each second or at 256.

    The first of its kind is written as it is. Those equal in action, target, outcome and ``detail["reason"]`` (in all of the
    detail when the outcome is ``ok``) within a minute become one entry: the latest, with ``count`` and ``since`` (time of the
    first) in its detail. A dock that comes after it was refused, or is refused after it came, is told of anew: who reads its
    story has to see what came last. Close it before the store and before the task group that it was given.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        tasks: Tasks,
        metrics: Metrics,
        *,
        flush_s: float = FLUSH_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steady = steady_of(clock)
        self._tasks = tasks
        self._metrics = metrics.database
        self._flush_s = flush_s
        self._pending: list[audit.Entry] = []
        self._open: OrderedDict[_Key, _Window] = OrderedDict()
        self._of: dict[str, list[_Key]] = {}  # the open ones of each target
        self._anew: dict[str, int] = {}  # how often a target's have been ended early, in this minute
        self._anew_since = 0
        self._distinct: dict[_Kind, int] = {}
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()
        self._flusher: asyncio.Task[Any] | None = None
        self._failing = False
        self._closed = False

    def record(
        self,
        *,
        actor: str,
        action: str,
        target: str,
        outcome: str,
        detail: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether it is told by itself, and does not count as one more of those of the last minute."""
        if self._closed:
            self._metrics.audit_lost += 1
            return False
        now, up = self._clock(), self._steady()
        self._end_windows(up)
        detail = dict(detail) if detail else {}
        # What went well is the same only if all of it is; who is refused may write his name in many ways.
        is_fine = outcome == "ok"
        kind = _Kind(action, outcome, repr(detail) if is_fine else str(detail.get("reason", "")))
        if not is_fine and (kind, target) not in self._open and self._distinct.get(kind, 0) >= DISTINCT:
            target = OTHERS
        entry = audit.Entry(now, actor, action, target, outcome, detail)
        window = self._open.get((kind, target))
        if self._distinct and action == "connect":
            self._begin_anew(actor, up, refused=True)
            self._begin_anew(target, up, refused=True)
        if window is None:
            if not is_fine and isinstance(dock := detail.get("dock", target), str):
                self._begin_anew(dock, up, refused=False)
            self._open[kind, target] = _Window(entry, up)
            self._of.setdefault(target, []).append((kind, target))
            if not is_fine:
                self._distinct[kind] = self._distinct.get(kind, 0) + 1
            if len(self._open) > MOST_WINDOWS:
                self._end_oldest()
            self._append(entry)
        else:
            window.repeats += 1
            window.latest = entry
            self._metrics.audit_collapsed += 1
        if self._flusher is None or self._flusher.done():
            self._flusher = self._tasks.spawn(self._flush_until_idle(), name="audit")
        return window is None

    async def close(self) -> None:
        """Write what is left; idempotent."""
        self._closed = True
        self._end_windows(None)
        self._full.set()
        if self._flusher is not None:
            await asyncio.wait({self._flusher})
        await self.flush()
        self._metrics.audit_lost += len(self._pending)
        self._pending.clear()

    def _append(self, entry: audit.Entry) -> None:
        if len(self._pending) >= KEPT:
            self._metrics.audit_lost += 1
            return
        self._pending.append(entry)
        if len(self._pending) == FLUSH_ENTRIES:
            self._full.set()

    def _end_windows(self, now: int | None) -> None:
        """End those that are over at ``now`` of the steady clock; None ends all."""
        while self._open:
            if now is not None and now - next(iter(self._open.values())).opened_at < COLLAPSE_MS:
                return
            self._end_oldest()

    def _begin_anew(self, target: str, now: int, *, refused: bool) -> None:
        """End those of ``target`` that tell of refusals, or those that tell of what went well. Not often: a dock may come and be
        refused all day long.
        """
        keys = [key for key in self._of.get(target, ()) if (key[0].outcome != "ok") is refused]
        if not keys:
            return
        if now - self._anew_since >= COLLAPSE_MS:
            self._anew.clear()
            self._anew_since = now
        if (times := self._anew.get(target, 0)) < ANEW:
            self._anew[target] = times + 1
            for key in keys:
                self._end(key)

    def _end_oldest(self) -> None:
        self._end(next(iter(self._open)))

    def _end(self, key: _Key) -> None:
        kind, target = key
        window = self._open.pop(key)
        keys = self._of[target]
        keys.remove(key)
        if not keys:
            del self._of[target]
        if kind in self._distinct:
            self._distinct[kind] -= 1
            if self._distinct[kind] == 0:
                del self._distinct[kind]
        if window.repeats:
            told = {**window.latest.detail, "count": window.repeats, "since": window.first_at}
            self._append(window.latest._replace(detail=told))

    async def _flush_until_idle(self) -> None:
        while not self._closed and (self._pending or any(window.repeats for window in self._open.values())):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._flush_s):
                    await self._full.wait()
            self._full.clear()
            self._end_windows(self._steady())
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, after what is being written. What can't be written is kept for the next time."""
        async with self._writing:
            if not self._pending:
                return
            entries, self._pending = self._pending, []
            try:
                await self._store.write(audit.append, entries, bulk=True)
            except DatabaseError as error:
                self._pending = (entries + self._pending)[:KEPT]
                self._metrics.failures.add(error.code)
                if not self._failing:
                    _log.error("audit entries cannot be written and are kept in memory: %s", error)
                self._failing = True
            else:
                self._failing = False
                self._metrics.audit_written += len(entries)


class PresenceView(Protocol):
    """What handlers tell of a dock; ``gateway.presence`` keeps it. Never waits."""

    def step(self, sn: str, step: AccessStep) -> None:
        """The dock has come this far; an earlier step than it has reached changes nothing."""

    def topology(self, gateway_sn: str, children: Sequence[str]) -> None:
        """The dock has just named all aircraft that are on."""

    def sub_device(self, gateway_sn: str, child_sn: str, *, online: bool) -> None:
        """The dock has told of one aircraft whether it is on."""


@dataclass(frozen=True, slots=True)
class Services:
    """``new_id`` makes a fresh opaque identifier; ``clock`` is in ms since 1970."""

    store: Store
    directory: Directory
    clock: Callable[[], int]
    new_id: Callable[[], str]
    metrics: Metrics
    settings: RequestSettings
    events: EventSink
    audit: AuditTrail
    tasks: Tasks
    presence: PresenceView
