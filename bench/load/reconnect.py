"""All docks at once, as after a power cut: they connect and subscribe, then their lines are cut, and all of them come back at once.

Every dock tries until it is in; each attempt that is refused, lost or fails is counted. In between: what an idle dock costs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .figures import percentile
from .stage import Gathering, Stage


def _report(gathering: Gathering) -> dict[str, Any]:
    seconds = sorted(gathering.seconds)
    return {
        **gathering.report(),
        "p50_s": round(percentile(seconds, 0.5), 3) if seconds else None,
        "p99_s": round(percentile(seconds, 0.99), 3) if seconds else None,
    }


async def run(stage: Stage, *, docks: int, settle_s: float, tls: bool = True) -> dict[str, Any]:
    before = stage.usage()
    first = await stage.gather(0, docks, tls=tls, at_once=docks)
    joined = before.until(stage.usage())
    report = _report(first)
    await asyncio.sleep(settle_s)
    idle = before.until(stage.usage())
    present = first.connected
    result: dict[str, Any] = {
        "docks": docks,
        "join": {
            **report,
            "cpu_ms_per_dock": round(sum(joined.cpu_s.values()) * 1e3 / docks, 3),
            "generator_busy": round(joined.generator_busy, 3),
        },
        "memory_kb_per_dock": round(sum(idle.memory.values()) / 1024 / max(present, 1), 2),
        "kb_per_dock": {name: round(held / 1024 / max(present, 1), 2) for name, held in idle.memory.items()},
        "lost_idle": first.lost - report["lost"],
        "tls": stage.tls,
    }
    before = stage.usage()
    first.vanish()
    again = await stage.gather(0, docks, tls=tls, at_once=docks)
    back = before.until(stage.usage())
    result["again"] = {
        **_report(again),
        "cpu_ms_per_dock": round(sum(back.cpu_s.values()) * 1e3 / docks, 3),
        "generator_busy": round(back.generator_busy, 3),
    }
    result["not_let_in"] = sum(
        part[what] for part in (result["join"], result["again"]) for what in ("refused", "lost", "failed")
    )
    again.leave()
    return result
