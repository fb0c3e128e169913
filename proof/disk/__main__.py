"""``python -m proof.disk [NAME …]``: the cases, or those whose names begin so; figures go to ``--out`` as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from proof.broken import texts
from proof.crash.lost import CHECKPOINT_PAGES
from proof.network.ground import BrokenPromise

from .cases import CASES, LAST, NOTED
from .stage import Figures, stage

PATIENCE_S = 1.0
EXPECTED = ("/dockgate.db: ", "not answered within the time limit")  # what errors in the log tell of


async def run(folder: Path, names: list[str], figures: Figures) -> None:
    """Each case on a stage of its own."""
    for case in (*CASES, *NOTED, *LAST):
        if names and not any(case.name.startswith(name) for name in names):
            continue
        place = folder / case.name.replace(" ", "-").replace(",", "")
        place.mkdir()
        async with stage(
            place, patience_s=PATIENCE_S, expected=EXPECTED, pages=CHECKPOINT_PAGES if case in NOTED else None
        ) as made:
            figures[case.name] = await case.run(made, short=False)
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
