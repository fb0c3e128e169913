"""``python -m proof.clock [NAME …]``: the cases, or those whose names begin so; figures go to ``--out`` as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from proof.broken import texts
from proof.disk.stage import Figures, stage
from proof.network.ground import BrokenPromise

from .cases import CASES, settings

PATIENCE_S = 1.0


async def run(folder: Path, names: list[str], figures: Figures) -> None:
    async with stage(folder, patience_s=PATIENCE_S, change=settings) as made:
        for case in CASES:
            if not names or any(case.name.startswith(name) for name in names):
                figures[case.name] = await case.run(made)
                print(json.dumps({case.name: figures[case.name]}), file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*")
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()
    figures: Figures = {}
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
        try:
            asyncio.run(run(Path(folder), told.name, figures))
        except* BrokenPromise as group:
            broken = texts(group)
    print(json.dumps({"broken": broken, **figures}))
    if told.out is not None:
        told.out.write_text(json.dumps({"broken": broken, **figures}, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
