"""How much it takes until something gives: docks, messages and accesses a second, more and more of each; and how it gives way.

Promised: who is connected goes on being served while the limit is passed, whoever has to wait or is turned away is so by rule, the
process lives, and when the load is gone everything is as before. The figures are those of the machine they were taken on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.load import accesses as access_load
from bench.load.stage import Gathering
from proof.network.crowds import stage_of
from proof.network.ground import Ground, promise
from proof.network.line import PINGREQ, Line
from proof.network.witness import Witness
from proof.soak.fleet import Fleet
from proof.soak.traffic import PER_DOCK
from proof.soak.trend import percentile

# A connected dock may wait longer than promised for calmer times while a limit is passed; not so long that it would give up.
_UNDER_LIMIT_S: Final = 10.0
_SLOW_S: Final = 1.0  # deliveries that take longer have given
_SPENT: Final = 0.9  # of a thing is all of it, as far as can be told from outside
_MARGIN: Final = 400  # descriptors beside those of docks


@dataclass(frozen=True, slots=True)
class Size:
    """``docks``: as many are allowed, and ``over`` more come. ``rates``: messages a second. ``at_once``: accesses under way."""

    docks: int
    over: int
    step: int
    senders: int
    rates: tuple[int, ...]
    at_once: tuple[int, ...]
    seconds: float


# 19,000 and what comes beyond are no more than 20,000 descriptors, which is all that many machines allow.
LONG: Final = Size(
    19_000, 200, 1_900, 1_000, (5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000), (10, 50, 200, 1_000, 4_000), 6.0
)
SHORT: Final = Size(150, 20, 50, 20, (500, 1_000), (5, 20), 1.0)


@contextlib.contextmanager
def _descriptors(wanted: int) -> Iterator[int]:
    """As many as are wanted, or as the machine allows; for the gateway too, which inherits it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    if hard < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            hard = wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    try:
        yield min(wanted, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def _is_well(ground: Ground) -> float:
    """A dock that comes now goes through its access, soon: after how long."""
    began = time.monotonic()
    async with Line(ground, tls=True, timeout_s=30.0) as line:
        await line.open()
        await line.access(ground.untied.pop())
    return round(time.monotonic() - began, 3)


# -- docks


def docks(folder: Path, size: Size) -> dict[str, Any]:
    """TLS docks that come and stay, up to ``limits.connections`` and beyond it."""

    def change(settings: dict[str, Any]) -> None:
        settings["dockgate"]["limits"]["connections"] = size.docks + 1  # and the witness

    with _descriptors(size.docks + size.over + _MARGIN) as descriptors:
        made = Ground(folder, docks=size.docks + size.over, untied=3, change=change)
        with made as ground:
            return {"descriptors_allowed": descriptors, **uvloop.run(_docks(ground, size, descriptors))}


async def _docks(ground: Ground, size: Size, descriptors: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    stage = stage_of(ground, ground.docks)
    crowds = []
    async with Witness(ground, bound_s=_UNDER_LIMIT_S) as witness:
        # Beside the witness: what it asks again and again has the audit wait a minute for its repetitions
        before = await ground.calm()
        for first in range(0, size.docks, size.step):
            crowd = await stage.gather(first, size.step, tls=True, at_once=200)
            crowds.append(crowd)
            for each in crowds:
                _ping(each)
            promise(
                crowd.complete, f"{first + crowd.connected} docks are in, not {first + size.step}: {crowd.report()}"
            )
            steps.append(
                {
                    "connected": first + size.step,
                    "a_second": round(size.step / crowd.took_s, 1),
                    "resident_mb": round(ground.resident_bytes() / 1e6, 1),
                }
            )
        full = ground.metrics()
        used = {
            "limits.connections": full["dockgate_connections_open"] / (size.docks + 1),
            "descriptors": (await asyncio.to_thread(ground.held)).descriptors / descriptors,
            "memory": ground.resident_bytes() / _memory_bytes(),
        }
        ended = {name: value for name, value in full.items() if name.startswith("dockgate_connections_closed_total{")}
        promise(_lost(crowds) == 0, f"{_lost(crowds)} connected docks were lost: {ended}")
        stage.limit_s = 5.0
        beyond = await stage.gather(size.docks, size.over, tls=True, at_once=100)
        promise(beyond.connected == 0, f"{beyond.connected} docks more than allowed are in")
        refused = _refused(ground.metrics()) - _refused(full)
        promise(refused > 0, "nobody was refused")
        promise(_lost(crowds) == 0, f"{_lost(crowds)} connected docks were lost when more came")
    for crowd in (*crowds, beyond):
        crowd.leave()
    after = await ground.nothing_left(before, within_s=60.0)
    return {
        "steps": steps,
        "used": {name: round(share, 3) for name, share in used.items()},
        "gives_first": gives_first(used),
        "refused": int(refused),
        "attempts_beyond": beyond.refused + beyond.lost + beyond.errors,
        "kb_per_dock": round((steps[-1]["resident_mb"] * 1e6 - before.resident_bytes) / 1024 / size.docks, 1),
        "access_afterwards_s": await _is_well(ground),
        "resident_mb_afterwards": round(after.resident_bytes / 1e6, 1),
        "witness": witness.figures,
    }


def _lost(crowds: list[Gathering]) -> int:
    return sum(crowd.lost for crowd in crowds)


def _ping(crowd: Gathering) -> None:
    """Docks of the generator say nothing by themselves, and would be put out when their keep alive is over."""
    for dock in crowd.docks.values():
        if dock.transport is not None:
            dock.transport.write(PINGREQ)


def _refused(told: dict[str, float]) -> float:
    return told.get("dockgate_connections_refused_total", 0.0)


# -- messages


def messages(folder: Path, size: Size) -> dict[str, Any]:
    """Traffic of the ordinary shape, faster and faster, to one platform that is subscribed to all of it."""
    with _descriptors(size.senders + _MARGIN), Ground(folder, docks=size.senders, untied=3) as ground:
        return uvloop.run(_messages(ground, size))


async def _messages(ground: Ground, size: Size) -> dict[str, Any]:
    fleet = Fleet(ground, size.senders, 1.0)
    steps: list[dict[str, Any]] = []
    async with Witness(ground, bound_s=_UNDER_LIMIT_S) as witness:
        await fleet.come()
        await fleet.introduce()
        before = await ground.calm()
        was_dropped = ground.metrics().get("dockgate_messages_dropped_total", 0.0)
        for rate in size.rates:
            steps.append(await _at(ground, fleet, rate, size.seconds))
            await fleet.hear_out(30.0)
            told = fleet.take_stock()
            dropped = ground.metrics().get("dockgate_messages_dropped_total", 0.0)
            steps[-1] |= {"not_delivered": told.missing, "delivered_twice": told.doubled}
            steps[-1]["told_as_dropped"] = round(dropped - was_dropped)
            was_dropped = dropped
            judge_step(steps[-1])
            if steps[-1]["delivery_p99_ms"] > _SLOW_S * 1e3 or told.missing:
                break
        promise(fleet.account.put_out == 0, f"{fleet.account.put_out} connections were ended by the gateway")
        promise(fleet.waiting == 0, f"{fleet.waiting} replies never came")
        promise(fleet.account.doubled == 0, f"{fleet.account.doubled} replies came twice")
        calm = await _at(ground, fleet, size.rates[0], size.seconds / 2)
        promise(calm["delivery_p99_ms"] < _SLOW_S * 1e3, f"afterwards a message takes {calm['delivery_p99_ms']} ms")
        await fleet.hear_out(30.0)
        lost = fleet.take_stock().missing
        promise(lost == 0, f"afterwards {lost} messages were lost")
        await ground.nothing_left(before, within_s=30.0)
    await fleet.leave()
    kept = [step["arrived_per_s"] for step in steps if step["delivery_p99_ms"] <= _SLOW_S * 1e3]
    last = steps[-1]
    return {
        "docks": size.senders,
        "steps": steps,
        "most_in_time_per_s": max(kept, default=0),
        "gives_first": gives_first(_used(ground, last)),
        "afterwards": calm,
        "access_afterwards_s": await _is_well(ground),
        "witness": witness.figures,
    }


def judge_step(step: dict[str, Any]) -> None:
    """Nothing may be lost while messages come in time; beyond that, what is lost has to be counted by the gateway as dropped.

    Nothing may come twice, ever. Raises BrokenPromise.
    """
    missing, told = step["not_delivered"], step["told_as_dropped"]
    promise(step["delivered_twice"] == 0, f"{step['delivered_twice']} messages came twice")
    if step["delivery_p99_ms"] <= _SLOW_S * 1e3:
        promise(
            missing == 0, f"{missing} messages were lost at {step['offered_per_s']} a second, which is within capacity"
        )
    promise(missing <= told, f"{missing} messages were lost, and {told} told of as dropped")


async def _at(ground: Ground, fleet: Fleet, rate: int, seconds: float) -> dict[str, Any]:
    fleet.rate = rate / PER_DOCK / len(fleet)
    account, stop = fleet.account, asyncio.Event()
    account.window()
    sent, arrived, cpu, own, at = (
        account.sent,
        account.forwarded,
        _cpu_s(ground.pid),
        time.process_time(),
        time.monotonic(),
    )
    routed, machine = account.routed, _machine_s()
    async with asyncio.TaskGroup() as group:
        group.create_task(fleet.talk(stop))
        await asyncio.sleep(seconds)
        stop.set()
    took = time.monotonic() - at
    replies, deliveries = account.window()
    share = (account.sent - sent) / max(1, account.routed - routed)
    return {
        "offered_per_s": rate,
        "sent_per_s": round((account.sent - sent) / took),
        "arrived_per_s": round((account.forwarded - arrived) * share / took),
        "delivery_p50_ms": round(percentile(deliveries, 0.5) * 1e3, 2),
        "delivery_p99_ms": round(percentile(deliveries, 0.99) * 1e3, 2),
        "reply_p99_ms": round(percentile(replies, 0.99) * 1e3, 2),
        "gateway_busy": round((_cpu_s(ground.pid) - cpu) / took, 2),
        "generator_busy": round((time.process_time() - own) / took, 2),
        "machine_busy": round((_machine_s() - machine) / took / cores(), 2),
    }


# -- accesses


def accesses(folder: Path, size: Size) -> dict[str, Any]:
    """Whole accesses of new docks, over TLS, more and more of them at the same time."""
    needed = int(len(size.at_once) * size.seconds * 1500) if size is not SHORT else 600
    with _descriptors(max(size.at_once) + _MARGIN), Ground(folder, docks=needed, untied=3) as ground:
        return uvloop.run(_accesses(ground, size))


async def _accesses(ground: Ground, size: Size) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    share = len(ground.docks) // len(size.at_once)
    async with Witness(ground, bound_s=_UNDER_LIMIT_S) as witness:
        before = await ground.calm()
        for number, at_once in enumerate(size.at_once):
            stage = stage_of(ground, ground.docks[number * share : (number + 1) * share])
            cpu, machine, at = _cpu_s(ground.pid), _machine_s(), time.monotonic()
            found = await access_load.run(stage, tls=True, seconds=size.seconds, at_once=at_once, warm_up=0)
            promise(
                found["failed"] == 0, f"{found['failed']} accesses failed with {at_once} at once: {found['last_error']}"
            )
            steps.append(
                {
                    "at_once": at_once,
                    "accesses": found["accesses"],
                    "per_s": found["accesses_per_s"],
                    "p50_ms": found["access"].get("p50_ms"),
                    "p99_ms": found["access"].get("p99_ms"),
                    "gateway_busy": round((_cpu_s(ground.pid) - cpu) / (time.monotonic() - at), 2),
                    "generator_busy": found["generator_busy"],
                    "machine_busy": round((_machine_s() - machine) / (time.monotonic() - at) / cores(), 2),
                }
            )
        turned_away = ground.metrics().get("dockgate_logins_refused_total", 0.0)
        promise(turned_away == 0, f"{turned_away:g} logins were refused")
        after = await ground.nothing_left(before, within_s=60.0)
    return {
        "steps": steps,
        "most_per_s": max(step["per_s"] for step in steps),
        "gives_first": gives_first(_used(ground, max(steps, key=lambda step: float(step["gateway_busy"])))),
        "access_afterwards_s": await _is_well(ground),
        "resident_mb_afterwards": round(after.resident_bytes / 1e6, 1),
        "witness": witness.figures,
    }


# -- what gives


def gives_first(used: dict[str, float]) -> str:
    """``used``: of each thing there is only so much of, the share that is in use. What has the least left, and how much is used."""
    name = max(used, key=lambda each: used[each])
    if used[name] < _SPENT:
        return f"nothing yet: of {name} {used[name]:.0%} are used"
    return f"{name}: {used[name]:.0%} used"


def _used(ground: Ground, step: dict[str, Any]) -> dict[str, float]:
    """Of a step of a ramp. Both programs run on one core each, and on those that the machine has, with whatever else does."""
    return {
        "the gateway's core": step["gateway_busy"],
        "the generator": step["generator_busy"],
        "the machine's cores": step["machine_busy"],
        "memory": ground.resident_bytes() / _memory_bytes(),
    }


def cores() -> int:
    return len(os.sched_getaffinity(0))


def _machine_s() -> float:
    """Seconds that all cores have been busy with anything, the host's own use of them included (proc(5), /proc/stat)."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cpu_s(pid: int) -> float:
    """The CPU clock of another process, with the threads that have ended (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)
