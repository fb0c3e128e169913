"""``python -m proof.network [NAME …]``: the attacks of the table, or those whose names begin so; figures as JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import uvloop

from .attacks import ATTACKS, ground_for, under_fire
from .ground import BrokenPromise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*")
    parser.add_argument("--short", action="store_true")
    told = parser.parse_args()
    broken = 0
    for attack in ATTACKS:
        if told.name and not any(attack.name.startswith(name) for name in told.name):
            continue
        with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
            try:
                with ground_for(attack, Path(folder), short=told.short) as ground:
                    figures = uvloop.run(under_fire(ground, attack, short=told.short))
                ground.check_database()
            except* BrokenPromise as broken_ones:
                broken += 1
                figures = {"broken": [str(each) for each in broken_ones.exceptions]}
        print(json.dumps({"attack": attack.name, **figures}), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
