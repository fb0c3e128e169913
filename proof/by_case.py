"""The command line of proofs that are made case by case: names of cases come in, figures and what broke go out as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from proof.broken import texts
from proof.network.ground import BrokenPromise

# Is a case of this name wanted?
Wanted = Callable[[str], bool]
Cases = Callable[[Path, Wanted], AsyncIterator[tuple[str, Any]]]


def main(doc: str | None, cases: Cases) -> int:
    """``cases`` makes those that are wanted, in a folder, and yields the name and the figures of each. The exit code."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("name", nargs="*")
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()
    figures: dict[str, Any] = {}
    broken: list[str] = []

    def wanted(name: str) -> bool:
        return not told.name or any(name.startswith(each) for each in told.name)

    async def run(folder: Path) -> None:
        async for name, found in cases(folder, wanted):
            figures[name] = found
            print(json.dumps({name: found}), file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
        try:
            asyncio.run(run(Path(folder)))
        except* BrokenPromise as group:
            broken = texts(group)
    found = {"broken": broken, **figures}
    print(json.dumps(found))
    if told.out is not None:
        told.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0
