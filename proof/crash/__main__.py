"""``python -m proof.crash``: a thousand kills, a disk that loses what it may lose, and one that fails. Figures go to ``--out``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from proof.broken import texts
from proof.network.ground import BrokenPromise

from .failing import failing
from .lost import lost
from .run import START_S, crash


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=90.0, help="at most")
    parser.add_argument("--cuts", type=int, default=6000, help="states of the disk that are looked at")
    parser.add_argument("--starts", type=int, default=40, help="of a gateway on such states")
    parser.add_argument("--lives", type=int, default=300, help="of a process on a disk that fails now and then")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    figures: dict[str, Any] = {"broken": []}
    try:
        with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
            figures["lost_writes"] = lost(
                Path(folder),
                cuts=told.cuts,
                docks=60,
                rounds=6,
                seed=told.seed,
                starts=told.starts,
                within_s=START_S,
            )
        say(json.dumps(figures["lost_writes"]))
        with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
            figures["failing"] = failing(Path(folder), lives=told.lives, seed=told.seed)
        say(json.dumps(figures["failing"]))
        if told.cycles:
            with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
                figures["kills"] = crash(
                    Path(folder),
                    cycles=told.cycles,
                    seconds=told.minutes * 60,
                    seed=told.seed,
                    within_s=START_S,
                    say=say,
                )
    except* BrokenPromise as broken:
        figures["broken"] = texts(broken)
    print(json.dumps(figures))
    if told.out is not None:
        told.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    too_slow = [figures.get(part, {}).get("starts_too_slow") for part in ("lost_writes", "kills")]
    return 1 if figures["broken"] or any(too_slow) else 0


if __name__ == "__main__":
    sys.exit(main())
