"""``python -m proof.soak``: two hours, or ``--short`` three minutes; figures as JSON, ``--out FILE`` and ``--plot FILE``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from proof.broken import texts
from proof.network.ground import BrokenPromise, Ground

from .plot import svg
from .run import SHORT, Soak, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    told = parser.parse_args()
    soak = SHORT if told.short else Soak()
    if told.seconds:
        soak = replace(soak, seconds=told.seconds)

    figures: dict[str, Any] = {"broken": []}

    def write() -> None:
        if told.out:
            told.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    def keep(found: dict[str, Any]) -> None:
        figures.update(found)
        write()
        if told.plot:
            told.plot.write_text(svg(figures["samples"]), encoding="utf-8")
        print(json.dumps({name: value for name, value in figures.items() if name != "samples"}, indent=1), flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder,
        Ground(Path(folder), docks=soak.docks) as ground,
    ):
        try:
            uvloop.run(run(ground, soak, keep))
        except* BrokenPromise as group:
            figures["broken"] = texts(group)
            write()
            print(json.dumps(figures["broken"]), file=sys.stderr, flush=True)
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
