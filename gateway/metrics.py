"""Counters and gauges. Increments come in from every room; ``Metrics.samples`` gives them out with name, kind and help.

Nothing here may cost more than an attribute or a dictionary write, grow with what peers send, or hold a secret.
"""

# ruff: noqa: RUF009  the functions called in the class bodies make dataclass fields

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

PREFIX = "dockgate"
# A label set that is new after this many goes under OTHER: peers choose method names, and must not fill our memory.
MAX_LABEL_SETS = 256
OTHER = "other"
# A request is answered from memory or by one transaction: 1 ms to the default time limit of 5 s.
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# A password check waits behind others for up to the whole queue: 5 ms to a minute.
# A dock's PINGREQ is answered by the next turn of the loop; from a quarter of a second on logins are held back.
DELAY_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
WAIT_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Labelled:
    """One counter for each combination of label values."""

    __slots__ = ("_limit", "names", "values")

    def __init__(self, *names: str, limit: int = MAX_LABEL_SETS) -> None:
        self.names = names
        self.values: dict[tuple[str, ...], int] = {}
        self._limit = limit

    def add(self, *labels: str, n: int = 1) -> None:
        """``labels`` stand in the order of ``names``."""
        values = self.values
        if labels in values:
            values[labels] += n
            return
        if len(labels) != len(self.names):
            raise ValueError(f"labels {self.names} expected")
        if len(values) >= self._limit:
            labels = (OTHER,) * len(self.names)
        values[labels] = values.get(labels, 0) + n

    def get(self, *labels: str) -> int:
        return self.values.get(labels, 0)

    def total(self) -> int:
        return sum(self.values.values())


class Histogram:
    """How long something took, in seconds."""

    __slots__ = ("bounds", "counts", "total_seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_seconds += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> tuple[int, ...]:
        """For each bound how many took at most that long; the last is all of them."""
        return tuple(accumulate(self.counts))


class LabelledHistogram:
    """One histogram for each combination of label values."""

    __slots__ = ("_limit", "bounds", "names", "values")

    def __init__(self, bounds: tuple[float, ...], *names: str, limit: int = MAX_LABEL_SETS) -> None:
        self.bounds = bounds
        self.names = names
        self.values: dict[tuple[str, ...], Histogram] = {}
        self._limit = limit

    def observe(self, *labels: str, seconds: float) -> None:
        """``labels`` stand in the order of ``names``."""
        histogram = self.values.get(labels)
        if histogram is None:
            if len(labels) != len(self.names):
                raise ValueError(f"labels {self.names} expected")
            if len(self.values) >= self._limit:
                labels = (OTHER,) * len(self.names)
            histogram = self.values.setdefault(labels, Histogram(self.bounds))
        histogram.observe(seconds)

    @property
    def count(self) -> int:
        return sum(histogram.count for histogram in self.values.values())


class Sample(NamedTuple):
    """One documented name. ``values``: label values -> number; ``()`` is the only key of an unlabelled one.

    A histogram has ``histograms`` in their place.
    """

    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...]
    values: dict[tuple[str, ...], int]
    histograms: dict[tuple[str, ...], Histogram] = {}  # noqa: RUF012 - a NamedTuple's default, never written to


def _counter(text: str) -> int:
    return field(default=0, metadata={"kind": "counter", "help": text})


def _gauge(text: str, *, exported: bool = True) -> int:
    return field(default=0, metadata={"kind": "gauge", "help": text, "exported": exported})


def _labelled(text: str, *names: str) -> Labelled:
    return field(default_factory=lambda: Labelled(*names), metadata={"kind": "counter", "help": text})


def _histogram(text: str, bounds: tuple[float, ...], name: str) -> Histogram:
    return field(default_factory=lambda: Histogram(bounds), metadata={"kind": "histogram", "help": text, "name": name})


def _histograms(text: str, bounds: tuple[float, ...], name: str, *labels: str) -> LabelledHistogram:
    return field(
        default_factory=lambda: LabelledHistogram(bounds, *labels),
        metadata={"kind": "histogram", "help": text, "name": name},
    )


@dataclass(slots=True)
class Connections:
    open: int = _gauge("MQTT connections that are logged in now.")
    pending: int = _gauge("Sockets that have not logged in yet.")
    accepted: int = _counter("Sockets accepted by all listeners.")
    opened: int = _counter("Connections that logged in.")
    loop_lag_ms: int = _gauge("By how many ms the event loop came late when it was last looked at.", exported=False)
    closed: Labelled = _labelled("Connections that ended, by cause.", "cause")
    refused: Labelled = _labelled(
        "Sockets closed before they logged in, by cause (login refusals are counted apart).", "cause"
    )
    taken_over: int = _counter("Connections closed because the same account connected again with the same client id.")


@dataclass(slots=True)
class Logins:
    accepted: int = _counter("Logins that were let in.")
    refused: Labelled = _labelled("Logins that were refused, by reason.", "reason")
    from_cache: int = _counter("Logins whose password was known from an earlier check.")
    hashed: int = _counter("Password checks done by the slow hash.")
    waiting: int = _gauge("Logins that wait for a password check now.")
    wait: Histogram = _histogram(
        "Seconds that a login waited for the check of its password, check included.", WAIT_BUCKETS, "login_wait_seconds"
    )
    locked: Labelled = _labelled(
        "Locks set after repeated failures: an account at an address (pair), an operator at one, or an address.", "what"
    )
    lines_held_back: int = _counter("Refused logins not logged one by one because their address had many.")
    pinned: int = _counter("Accounts pinned to the first SN they used.")
    pins_refused: Labelled = _labelled("Accounts that asked for an SN they cannot have, by reason.", "reason")


@dataclass(slots=True)
class Messages:
    received: int = _counter("PUBLISH packets from clients that the rules allowed.")
    received_bytes: int = _counter("Payload bytes of those.")
    sent: int = _counter("PUBLISH packets written to clients.")
    sent_bytes: int = _counter("Payload bytes of those.")
    denied: Labelled = _labelled("What the topic rules refused, by action and reason.", "action", "reason")
    dropped: Labelled = _labelled("Messages for a client that were given up, by cause.", "cause")
    queued: int = _gauge("Messages kept for slow or absent sessions.")
    queued_bytes: int = _gauge("Payload bytes of those.")
    retained: int = _gauge("Retained messages.")
    retained_bytes: int = _gauge("Payload bytes of those.")
    subscriptions: int = _gauge("Subscriptions of all sessions.")
    sessions: int = _gauge("Sessions, those of absent clients included.")


@dataclass(slots=True)
class Requests:
    answered: Labelled = _labelled(
        "Requests of docks that the gateway answered, by method and result (0 is success; of a bind the first code of a device "
        "that was refused).",
        "method",
        "result",
    )
    in_flight: int = _gauge("Requests that are worked on now.")
    repeated: int = _counter("Requests sent again with the same tid and answered as before.")
    left: Labelled = _labelled("Requests passed on to a platform, by method.", "method")
    unreadable: Labelled = _labelled("Messages to the gateway that could not be read, by reason.", "reason")
    timed_out: int = _counter("Requests whose handler took longer than the limit.")
    failed: int = _counter("Requests whose handler failed in a way that was not foreseen.")
    acknowledged: Labelled = _labelled("Events and states that the gateway acknowledged, by kind.", "kind")
    foreign: int = _counter("Replies that somebody else sent to a request which the gateway had answered.")
    seconds: LabelledHistogram = _histograms(
        "Seconds from a request to its reply, by method.", SECONDS_BUCKETS, "request_duration_seconds", "method"
    )


@dataclass(slots=True)
class Fleet:
    docks_connected: int = _gauge("Docks with a live connection.")
    docks_online: int = _gauge("Docks with a live connection that sent topology or telemetry.")
    aircraft_online: int = _gauge("Aircraft that their docks reported as on.")
    events: int = _counter("Events handed out on dockgate/events/{gateway_sn}.")
    claims_refused: int = _counter("Aircraft that a dock named and may not have.")


@dataclass(slots=True)
class Database:
    reloads: int = _counter("Times the data was read again because another process had changed it.")
    failures: Labelled = _labelled("Database jobs of the gateway that failed, by error.", "error")
    audit_written: int = _counter("Audit entries written.")
    audit_collapsed: int = _counter("Audit entries folded into an equal one.")
    audit_lost: int = _counter("Audit entries given up because the database could not take them.")
    seconds: LabelledHistogram = _histograms(
        "Seconds of a database job, by kind: one read, or one transaction that writes for all who waited.",
        SECONDS_BUCKETS,
        "database_duration_seconds",
        "kind",
    )


@dataclass(slots=True)
class Http:
    """The admin HTTP."""

    requests: Labelled = _labelled("Requests to the admin HTTP, by route and status.", "route", "status")
    refused: Labelled = _labelled("Requests to the admin HTTP that were not let in, by reason.", "reason")
    connections: int = _gauge("Connections to the admin HTTP that are open now.")
    streams: int = _gauge("Event streams of the admin HTTP that are open now.")
    stream_lost: int = _counter("Events that a stream's reader was too slow for.")


@dataclass(slots=True)
class Loop:
    delay: Histogram = _histogram(
        "Seconds that the event loop came late for a timer, ten times a second.",
        DELAY_BUCKETS,
        "event_loop_delay_seconds",
    )


@dataclass(slots=True)
class Metrics:
    """One group for each subject. The exported name is ``dockgate_{group}_{field}``, with ``_total`` for counters, or as
    declared: https://prometheus.io/docs/practices/naming wants base units, and one subject for a name.
    """

    connections: Connections = field(default_factory=Connections)
    logins: Logins = field(default_factory=Logins)
    messages: Messages = field(default_factory=Messages)
    requests: Requests = field(default_factory=Requests)
    fleet: Fleet = field(default_factory=Fleet)
    database: Database = field(default_factory=Database)
    http: Http = field(default_factory=Http)
    loop: Loop = field(default_factory=Loop)

    def samples(self) -> Iterator[Sample]:
        """Every name, in the order they are declared in."""
        for group in fields(self):
            subject = getattr(self, group.name)
            for metric in fields(subject):
                told = metric.metadata
                if not told.get("exported", True):
                    continue
                kind: Kind = told["kind"]
                name = f"{PREFIX}_{told.get('name') or f'{group.name}_{metric.name}'}" + (
                    "_total" if kind == "counter" else ""
                )
                text: str = told["help"]
                value = getattr(subject, metric.name)
                if isinstance(value, Histogram):
                    yield Sample(name, kind, text, (), {}, {(): value})
                elif isinstance(value, LabelledHistogram):
                    yield Sample(name, kind, text, value.names, {}, dict(value.values))
                elif isinstance(value, Labelled):
                    yield Sample(name, kind, text, value.names, dict(value.values))
                else:
                    yield Sample(name, kind, text, (), {(): value})


class Rates:
    """How many each second, over the last interval."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = self._now()
        self._at: float | None = None
        self.per_second: dict[str, float] = dict.fromkeys(self._before, 0.0)

    def _now(self) -> dict[str, int]:
        return {
            "received": self._metrics.messages.received,
            "sent": self._metrics.messages.sent,
            "requests": self._metrics.requests.answered.total(),
            "logins": self._metrics.logins.accepted,
        }

    def measure(self, at: float) -> None:
        """``at``: seconds of any steady clock."""
        now = self._now()
        if self._at is not None and at > self._at:
            self.per_second = {name: round((now[name] - self._before[name]) / (at - self._at), 1) for name in now}
        self._before, self._at = now, at
