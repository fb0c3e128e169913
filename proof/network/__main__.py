"""``python -m proof.network [NAME …]``: the attacks of the table, or those whose names begin so; figures as JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from .attacks import ATTACKS, ground_for, under_fire
from .ground import BrokenPromise


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON, too")
    told = parser.parse_args()
    broken = 0
    kept: dict[str, Any] = {}
    for attack in ATTACKS:
        if told.name and not any(attack.name.startswith(name) for name in told.name):
            continue
        with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
            try:
                with ground_for(attack, Path(folder), short=told.short) as ground:
                    figures = uvloop.run(under_fire(ground, attack, short=told.short))
                ground.check_database()
            # a dock that is not let in, or not answered, is a broken promise, and no reason to leave the others out
            except* (BrokenPromise, AssertionError, OSError) as group:
                broken += 1
                figures = {"broken": [f"{type(each).__name__}: {each}" for each in _leaves(group)]}
        print(json.dumps({"attack": attack.name, **figures}), flush=True)
        kept[attack.name] = figures
        if told.out is not None:  # each time, as a run may be ended
            told.out.write_text(json.dumps({"short": told.short, "attacks": kept}, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
