"""``python -m proof.hostile FOLDER``: a hundred million inputs, or ``--share`` of them; goes on where a run in FOLDER was.

Ends with 1 when something was found or grew, and when a part of the inputs was not done.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .run import is_kept, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", default=[], metavar="TARGET")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    told = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    only = frozenset(told.only)
    outcome = run(told.folder, share=told.share, seed=told.seed, only=only, processes=told.processes, say=say)
    text = json.dumps({"share": told.share, "seed": told.seed, **outcome}, indent=1)
    print(text)
    if told.out is not None:
        told.out.write_text(text + "\n", encoding="utf-8")
    if outcome["not_done"]:
        say(f"{outcome['not_done']:,} inputs were not done")
    return 0 if is_kept(outcome) else 1


if __name__ == "__main__":
    sys.exit(main())
