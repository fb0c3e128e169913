"""``python -m proof.clock [NAME …]``: the cases, or those whose names begin so; figures go to ``--out`` as JSON."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from proof.by_case import Wanted, main
from proof.disk.stage import stage

from .cases import CASES, settings

PATIENCE_S = 1.0


async def run(folder: Path, wanted: Wanted) -> AsyncIterator[tuple[str, Any]]:
    async with stage(folder, patience_s=PATIENCE_S, change=settings) as made:
        for case in CASES:
            if wanted(case.name):
                yield case.name, await case.run(made)


if __name__ == "__main__":
    sys.exit(main(__doc__, run))
