"""``python -m proof.hostile FOLDER``: a hundred million inputs, or ``--share`` of them; goes on where a run in FOLDER was."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .run import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    told = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    figures = run(told.folder, share=told.share, seed=told.seed, processes=told.processes, say=say)
    print(json.dumps(figures, indent=1))
    return 1 if figures["found"] or figures["growth"] else 0


if __name__ == "__main__":
    sys.exit(main())
