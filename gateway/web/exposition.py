"""``/metrics``: what the gateway counts, in the text that Prometheus reads. Counts are taken on the event loop, text is not.

Names: https://prometheus.io/docs/practices/naming
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import gateway
from gateway import pki, results
from gateway.broker.connection import State
from gateway.errors import DatabaseError, DockgateError
from gateway.methods import METHODS, STATUS_METHODS
from gateway.metrics import PREFIX, Sample
from gateway.model import AccessStep
from gateway.refusals import Reason
from gateway.results import Result

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.web.context import Context

_VERSIONS = {4: "3.1.1", 5: "5"}
# What is not counted but looked up: name, kind, labels, help.
BESIDES = (
    (f"{PREFIX}_build_info", "gauge", ("version", "python"), "Version of dockgate, and of the Python that runs it."),
    (
        f"{PREFIX}_listener_connections",
        "gauge",
        ("listener", "version"),
        "MQTT connections that are logged in now, by listener and MQTT version.",
    ),
    (f"{PREFIX}_docks", "gauge", ("step",), "Docks by how far they have come."),
    (f"{PREFIX}_event_loop_tasks", "gauge", (), "Tasks on the event loop now; one that never ends would show here."),
    (f"{PREFIX}_database_commits_total", "counter", (), "Transactions that were committed."),
    (f"{PREFIX}_database_jobs_total", "counter", (), "Jobs that shared those transactions."),
    (
        f"{PREFIX}_certificate_not_after_timestamp_seconds",
        "gauge",
        ("listener",),
        "When the certificate of a listener expires, as seconds since 1970; listener admin is the admin HTTP's.",
    ),
)
_TEXTS = {name: text for name, _, _, text in BESIDES}


# With what a counter can have as labels it begins at 0: increase() sees nothing of a series that begins with its first event
# (https://prometheus.io/docs/practices/instrumentation, "Avoid missing metrics").
_PINS = (
    Reason.ACCOUNT_CHANGED, Reason.NOT_A_DOCK, Reason.BAD_SN, Reason.HAS_OTHER_SN, Reason.SN_TAKEN, Reason.SN_IS_AIRCRAFT,
    Reason.SN_OF_OTHER_ORGANIZATION, Reason.UNAVAILABLE,
)  # fmt: skip
_EXPECTED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    f"{PREFIX}_logins_refused_total": tuple((reason.value,) for reason in Reason if reason not in _PINS),
    f"{PREFIX}_logins_pins_refused_total": tuple((reason.value,) for reason in (*_PINS, Reason.UNKNOWN_ACCOUNT)),
    f"{PREFIX}_logins_locked_total": (("pair",), ("address",), ("operator",)),
    f"{PREFIX}_messages_dropped_total": (("slow_reader",), ("packet_too_large",), ("retained_limit",)),
    f"{PREFIX}_database_failures_total": (
        (DatabaseError.code,),
        *((kind.code,) for kind in DatabaseError.__subclasses__()),
    ),
}
# Beside what each method can be answered with.
_REFUSALS: Mapping[str, tuple[Result, ...]] = {
    "config": (Result.LICENSE_MISSING,),
    "airport_organization_bind": (Result.ORGANIZATION_UNAVAILABLE, Result.BOUND_ELSEWHERE),
}


def expected(config: Config) -> dict[str, tuple[tuple[str, ...], ...]]:
    """By name of a counter the labels that it has from the start on."""
    numbers = config.dockgate.requests.result_codes
    answered = {
        (method, str(results.number(name, numbers)))
        for method in (*METHODS, *STATUS_METHODS)
        for name in (Result.OK, Result.ILLEGAL_ARGUMENT, results.failure_of(method), *_REFUSALS.get(method, ()))
    }
    return {**_EXPECTED, f"{PREFIX}_requests_answered_total": tuple(sorted(answered))}


def text(context: Context, accept: str, now: int, taken: list[Metric]) -> tuple[bytes, str]:
    """The text, and its media type, for a client that accepts ``accept``. Blocks: reads certificates and /proc."""
    registry = CollectorRegistry()
    registry.register(_Taken([*taken, certificates(context.config, now)]))
    ProcessCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def take(context: Context) -> list[Metric]:
    """Everything that only the event loop may look at."""
    metrics = context.runtime.services.metrics
    zeros = expected(context.config)
    return [*(_family(sample, zeros.get(sample.name, ())) for sample in metrics.samples()), *_of_the_gateway(context)]


class _Taken(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(sample: Sample, zeros: tuple[tuple[str, ...], ...]) -> Metric:
    if sample.kind == "histogram":
        histograms = HistogramMetricFamily(sample.name, sample.help, labels=sample.label_names)
        for labels, one in sample.histograms.items():
            counts = one.cumulative()
            bounds = [*map(str, one.bounds), "+Inf"]
            histograms.add_metric(labels, list(zip(bounds, counts, strict=True)), one.total_seconds)
        return histograms
    kind = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
    family = kind(sample.name, sample.help, labels=sample.label_names)
    for labels, value in {**dict.fromkeys(zeros, 0), **sample.values}.items():
        family.add_metric(labels, value)
    return family


def _of_the_gateway(context: Context) -> Iterator[Metric]:
    build = InfoMetricFamily(f"{PREFIX}_build", _TEXTS[f"{PREFIX}_build_info"])
    build.add_metric((), {"version": gateway.__version__, "python": platform.python_version()})
    yield build

    connections = GaugeMetricFamily(
        f"{PREFIX}_listener_connections",
        _TEXTS[f"{PREFIX}_listener_connections"],
        labels=("listener", "version"),
    )
    counts = Counter(
        (connection.listener, _VERSIONS.get(connection.codec.LEVEL, "other"))
        for connection in context.broker.admission
        if connection.state is State.OPEN
    )
    for listener in context.config.listeners:
        for version in _VERSIONS.values():
            connections.add_metric((listener, version), counts[listener, version])
    yield connections

    docks = GaugeMetricFamily(f"{PREFIX}_docks", _TEXTS[f"{PREFIX}_docks"], labels=("step",))
    steps = context.runtime.presence.latest.get("docks", {})
    for step in AccessStep:
        docks.add_metric((step.value,), steps.get(step.value, 0))
    yield docks

    tasks = f"{PREFIX}_event_loop_tasks"
    yield GaugeMetricFamily(tasks, _TEXTS[tasks], value=len(asyncio.all_tasks()))

    store = context.runtime.services.store
    for name, value in (
        (f"{PREFIX}_database_commits_total", store.commits),
        (f"{PREFIX}_database_jobs_total", store.jobs),
    ):
        yield CounterMetricFamily(name, _TEXTS[name], value=value)


def certificates(config: Config, now: int) -> Metric:
    """By listener, ``admin`` for the admin HTTP; one that can't be read is not there."""
    name = f"{PREFIX}_certificate_not_after_timestamp_seconds"
    family = GaugeMetricFamily(name, _TEXTS[name], labels=("listener",))
    files = {name: one.certfile for name, one in config.listeners.items()}
    for listener, certfile in {**files, "admin": config.dockgate.admin.certfile}.items():
        if certfile is None:
            continue
        try:
            family.add_metric((listener,), pki.inspect(certfile, now=now).not_after / 1000)
        except DockgateError:
            continue
    return family
