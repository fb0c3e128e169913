"""``python -m proof.disk [NAME …]``: the cases, or those whose names begin so; figures go to ``--out`` as JSON."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from proof.by_case import Wanted, main
from proof.crash.lost import CHECKPOINT_PAGES

from .cases import CASES, LAST, NOTED
from .stage import stage

PATIENCE_S = 1.0
EXPECTED = ("/dockgate.db: ", "not answered within the time limit")  # what errors in the log tell of


async def run(folder: Path, wanted: Wanted) -> AsyncIterator[tuple[str, Any]]:
    """Each case on a stage of its own."""
    for case in (*CASES, *NOTED, *LAST):
        if not wanted(case.name):
            continue
        place = folder / case.name.replace(" ", "-").replace(",", "")
        place.mkdir()
        async with stage(
            place, patience_s=PATIENCE_S, expected=EXPECTED, pages=CHECKPOINT_PAGES if case in NOTED else None
        ) as made:
            figures = await case.run(made, short=False)
        yield case.name, figures


if __name__ == "__main__":
    sys.exit(main(__doc__, run))
