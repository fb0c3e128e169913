"""The soak: a fleet's ordinary traffic at ten times its rate for hours; what the gateway holds and how fast it answers, sampled.

Memory has to be flat (its slope with its standard error), descriptors, threads and tasks have to be what they were, every reply
has to come once, every message has to arrive, and the last hour has to be as quick as the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from proof.network.ground import BrokenPromise, Ground, Held, promise
from proof.network.witness import BOUND_S, Witness

from .fleet import Fleet
from .traffic import PER_DOCK
from .trend import Slope, percentile, slope

# Growth of the memory in an hour, as a share of it, that counts as none.
FLAT = 0.02
# Twice the standard error of that growth may be as much, or the samples tell nothing.
KNOWN = 0.04
# A shorter run cannot tell, whatever it sees.
_LEAST_JUDGED_S = 600.0
# The first part of a run is no part of the trend: answers are remembered for ten minutes, and fill their places until then.
_WARM_S = 660.0
_WARM_SHARE = 0.5
_LEAST_FOR_A_TREND = 20
_SLOWER = 2.0  # the last quarter's median beside the first's


@dataclass(frozen=True, slots=True)
class Soak:
    """``rate``: how many times what docks at rest send. ``sample_s``: how often is looked. ``flap_s``: how often one dock
    goes and comes back.
    """

    docks: int = 1000
    rate: float = 10.0
    seconds: float = 7200.0
    sample_s: float = 10.0
    flap_s: float = 2.0


SHORT = Soak(docks=300, seconds=180.0, sample_s=3.0)


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    held: Held
    cpu_s: float
    messages: int
    reply_p50_ms: float
    reply_p99_ms: float
    delivery_p50_ms: float
    delivery_p99_ms: float


async def run(ground: Ground, soak: Soak, keep: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """The figures, which ``keep`` is given whatever they say. Raises BrokenPromise."""
    fleet = Fleet(ground, soak.docks, soak.rate, mixed=True)
    account = fleet.account
    samples: list[Sample] = []
    left = ""
    async with Witness(ground, bound_s=math.inf) as witness:
        await fleet.come()
        await fleet.introduce()
        gc.collect()
        gc.freeze()
        quiet = await ground.calm()
        async with _traffic(fleet, soak):
            await _watch(ground, fleet, soak, samples)
        await fleet.hear_out()
        lost, stock = fleet.waiting, fleet.take_stock()
        try:
            await ground.nothing_left(quiet, within_s=30.0)
        except BrokenPromise as error:
            left = str(error)
        after = await asyncio.to_thread(ground.held)
    await fleet.leave()
    figures = {
        "docks": soak.docks,
        "rate": soak.rate,
        "seconds": round(samples[-1].at_s, 1),
        "messages": account.sent,
        "messages_per_s": round(account.sent / samples[-1].at_s, 1),
        "messages_per_s_and_dock": round(PER_DOCK * soak.rate, 2),
        "not_delivered": stock.missing,
        "delivered_twice": stock.doubled,
        "orders": account.ordered,
        "orders_answered": account.obeyed,
        "replies": account.answered,
        "replies_lost": lost,
        "replies_doubled": account.doubled,
        "docks_that_went_and_came": account.returned,
        "gateway_busy": round((samples[-1].cpu_s - samples[0].cpu_s) / (samples[-1].at_s - samples[0].at_s), 3),
        "before": _told(quiet),
        "after": _told(after),
        "witness": witness.figures,
        **trends(samples),
        "samples": [_row(sample) for sample in samples],
    }
    if keep is not None:
        keep(figures)
    promise(lost == 0, f"{lost} replies never came")
    promise(account.doubled == 0, f"{account.doubled} replies came to nobody's question")
    promise(account.refused == 0, f"{account.refused} requests were refused")
    promise(account.put_out == 0, f"{account.put_out} connections were ended by the gateway")
    sent = account.routed + account.ordered
    promise(stock.missing == 0, f"{stock.missing} messages of {sent} did not arrive")
    promise(stock.doubled == 0, f"{stock.doubled} messages of {sent} came twice")
    promise(account.obeyed == account.ordered, f"{account.obeyed} of {account.ordered} orders were answered")
    promise(not left, left)
    promise(not ground.faults(), f"the log tells of faults: {ground.faults()[:3]}")
    promise(witness.slowest_s < BOUND_S, f"the connected dock waited {witness.slowest_s:.2f} s for an answer")
    judge_trends(figures)
    return figures


@contextlib.asynccontextmanager
async def _traffic(fleet: Fleet, soak: Soak) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(fleet.talk(stop))
        group.create_task(fleet.come_and_go(stop, soak.flap_s))
        try:
            yield
        finally:
            stop.set()


async def _watch(ground: Ground, fleet: Fleet, soak: Soak, samples: list[Sample]) -> None:
    loop = asyncio.get_running_loop()
    started = due = loop.time()
    while due < started + soak.seconds:
        due = min(due + soak.sample_s, started + soak.seconds)
        await asyncio.sleep(max(0.0, due - loop.time()))
        replies, deliveries = fleet.account.window()
        seen = f"{len(replies)} replies and {len(deliveries)} messages"
        promise(replies and deliveries, f"{seen} in the {soak.sample_s:g} s before second {loop.time() - started:.0f}")
        held = await asyncio.to_thread(ground.held)
        samples.append(
            Sample(
                at_s=loop.time() - started,
                held=held,
                cpu_s=_cpu_s(ground.pid),
                messages=fleet.account.sent,
                reply_p50_ms=percentile(replies, 0.5) * 1e3,
                reply_p99_ms=percentile(replies, 0.99) * 1e3,
                delivery_p50_ms=percentile(deliveries, 0.5) * 1e3,
                delivery_p99_ms=percentile(deliveries, 0.99) * 1e3,
            )
        )


def trends(samples: list[Sample]) -> dict[str, Any]:
    """Of what came after the warm-up; of a short run there is none to tell."""
    warm_s = min(_WARM_S, _WARM_SHARE * samples[-1].at_s)
    warm = [sample for sample in samples if sample.at_s >= warm_s]
    held = [sample.held for sample in warm]
    figures: dict[str, Any] = {
        "measured_s": round(warm[-1].at_s - warm[0].at_s, 1),
        "reply_p50_ms": round(statistics.median(sample.reply_p50_ms for sample in warm), 3),
        "reply_p99_ms": round(statistics.median(sample.reply_p99_ms for sample in warm), 3),
        "reply_p99_worst_ms": round(max(sample.reply_p99_ms for sample in warm), 1),
        "delivery_p50_ms": round(statistics.median(sample.delivery_p50_ms for sample in warm), 3),
        "delivery_p99_ms": round(statistics.median(sample.delivery_p99_ms for sample in warm), 3),
        "resident_mb": round(held[-1].resident_bytes / 1e6, 1),
        "descriptors": [min(each.descriptors for each in held), max(each.descriptors for each in held)],
        "threads": [min(each.threads for each in held), max(each.threads for each in held)],
    }
    figures["trend_judged"] = figures["measured_s"] >= _LEAST_JUDGED_S and len(warm) >= _LEAST_FOR_A_TREND
    if len(warm) < _LEAST_FOR_A_TREND:
        return figures
    hours = [sample.at_s / 3600 for sample in warm]
    memory = slope(hours, [each.resident_bytes / 1e6 for each in held])
    latency = slope(hours, [sample.reply_p50_ms for sample in warm])
    figures["memory_mb_per_hour"] = _signed(memory)
    figures["reply_p50_ms_per_hour"] = _signed(latency)
    quarter = len(warm) // 4
    figures["reply_p50_ms_of_quarters"] = [
        round(statistics.median(sample.reply_p50_ms for sample in part), 3)
        for part in (warm[:quarter], warm[-quarter:])
    ]
    return figures


def judge_trends(figures: dict[str, Any]) -> None:
    """Of a run that was long enough. Raises BrokenPromise."""
    if not figures["trend_judged"]:
        return
    memory = Slope(*figures["memory_mb_per_hour"].values())
    promise(memory.is_flat(FLAT), f"memory grows by {memory.per_unit:.2f} MB/h (standard error {memory.error:.2f})")
    promise(memory.is_known(KNOWN), f"how memory grows cannot be told: standard error {memory.error:.2f} MB/h")
    first, last = figures["reply_p50_ms_of_quarters"]
    promise(
        last < _SLOWER * first + 1, f"replies took {first:.2f} ms in the first quarter and {last:.2f} ms in the last"
    )


def _signed(trend: Slope) -> dict[str, float]:
    return {"slope": round(trend.per_unit, 3), "standard_error": round(trend.error, 3), "mean": round(trend.mean, 3)}


def _told(held: Held) -> dict[str, int]:
    return {name: getattr(held, name) for name in held.__slots__}


def _row(sample: Sample) -> dict[str, float]:
    return {
        "at_s": round(sample.at_s, 1),
        "resident_mb": round(sample.held.resident_bytes / 1e6, 2),
        "descriptors": sample.held.descriptors,
        "threads": sample.held.threads,
        "tasks": sample.held.tasks,
        "messages": sample.messages,
        "reply_p50_ms": round(sample.reply_p50_ms, 3),
        "reply_p99_ms": round(sample.reply_p99_ms, 3),
        "delivery_p50_ms": round(sample.delivery_p50_ms, 3),
        "delivery_p99_ms": round(sample.delivery_p99_ms, 3),
    }


def _cpu_s(pid: int) -> float:
    """The CPU clock of another process, with the threads that have ended (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)
