"""Many docks at once: profiles go in, one summary comes out. Each dock is on its own; one that fails disturbs no
other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from gateway.simulator.dock import run_dock
from gateway.simulator.misbehave import Misbehaviour
from gateway.simulator.models import DockProfile, Run
from gateway.simulator.target import Target

DEFAULT_CONCURRENCY = 32
# Three descriptors a dock, and 1024 is a usual limit for a process.
MAX_CONCURRENCY = 256
_FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds, nearest rank; None when there was nothing to measure."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles:
        ordered = sorted(values)
        if not ordered:
            return cls(None, None, None, None)
        p50, p95, p99 = (ordered[math.ceil(share * len(ordered) / 100) - 1] for share in (50, 95, 99))
        return cls(round(p50, 1), round(p95, 1), round(p99, 1), round(ordered[-1], 1))

    def as_dict(self) -> dict[str, float | None]:
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.max}


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """``access_ms`` counts the docks that got in; ``failures`` are the first 20 failed steps."""

    docks: int
    ok: int
    failed: int
    access_ms: Percentiles
    failures: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "docks": self.docks,
            "ok": self.ok,
            "failed": self.failed,
            "access_ms": self.access_ms.as_dict(),
            "failures": list(self.failures),
        }


def run_fleet(
    target: Target,
    profiles: Sequence[DockProfile],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    telemetry_s: float = 0.0,
    misbehaviour: Misbehaviour | str | None = None,
    on_run: Callable[[Run], None] | None = None,
    timeout_s: float = 10.0,
) -> FleetSummary:
    """At most ``concurrency`` docks at a time (1 to 256). ``on_run`` is called in this thread, in the order of the
    profiles.
    """

    def one(profile: DockProfile) -> Run:
        return run_dock(target, profile, telemetry_s=telemetry_s, misbehaviour=misbehaviour, timeout_s=timeout_s)

    runs: list[Run] = []
    pool = ThreadPoolExecutor(max(1, min(concurrency, MAX_CONCURRENCY)), thread_name_prefix="simulated-dock")
    try:
        for run in pool.map(one, profiles):
            runs.append(run)
            if on_run is not None:
                on_run(run)
    finally:
        # On Ctrl-C the docks that have not started never do.
        pool.shutdown(cancel_futures=True)
    return summarize(runs)


def summarize(runs: Sequence[Run]) -> FleetSummary:
    good = [run for run in runs if run.ok]
    failures = [
        {"sn": run.sn, "step": step.step, "detail": step.detail, "hint": step.hint}
        for run in runs
        if (step := run.failure) is not None
    ]
    return FleetSummary(
        docks=len(runs),
        ok=len(good),
        failed=len(runs) - len(good),
        access_ms=Percentiles.of(run.access_ms for run in good),
        failures=tuple(failures[:_FAILURES_SHOWN]),
    )
