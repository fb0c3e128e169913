"""The generator as a process of its own: a plan as JSON on standard input, what was measured as JSON on standard output."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from . import accesses, latency, reconnect, telemetry
from .stage import Fleet, Stage

SCENARIOS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "accesses": accesses.run,
    "latency": latency.run,
    "reconnect": reconnect.run,
    "telemetry": telemetry.run,
}


async def play(plan: dict[str, Any]) -> dict[str, Any]:
    stage = Stage(
        fleet=Fleet.read(Path(plan["fleet"])),
        pids=plan["pids"],
        port=plan["port"],
        tls_port=plan["tls_port"],
        ca=Path(plan["ca"]),
        limit_s=plan["limit_s"],
    )
    # The fleet stays; a collection that walks over it would only disturb
    gc.collect()
    gc.freeze()
    return await SCENARIOS[plan["scenario"]](stage, **plan["options"])


if __name__ == "__main__":
    json.dump(uvloop.run(play(json.load(sys.stdin))), sys.stdout)
