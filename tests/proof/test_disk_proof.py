"""``proof/disk`` in its short form: the disk of a process is broken in turn, with docks that are connected throughout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proof.crash.lost import CHECKPOINT_PAGES
from proof.disk.__main__ import EXPECTED
from proof.disk.cases import CASES, LAST, NOTED, Case
from proof.disk.stage import Stage, stage

_PATIENCE_S = 10.0  # a second is promised on a machine that has nothing else to do

Act = Callable[[Callable[[Stage], Any]], Any]


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Act]:
    """One gateway for all: none of the cases may need another."""
    with asyncio.Runner() as runner:
        setting = stage(tmp_path_factory.mktemp("disk"), patience_s=_PATIENCE_S, expected=EXPECTED)
        made = runner.run(setting.__aenter__())
        yield lambda act: runner.run(act(made))
        runner.run(setting.__aexit__(None, None, None))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nobody_is_lied_to(on_stage: Act, case: Case) -> None:
    figures = on_stage(lambda made: case.run(made, short=True))
    assert figures["answers"] > 0


@pytest.mark.parametrize("case", NOTED, ids=lambda case: case.name)
def test_nothing_is_acknowledged_that_is_not_on_the_disk(tmp_path: Path, case: Case) -> None:
    async def main() -> Any:
        async with stage(tmp_path, patience_s=_PATIENCE_S, expected=EXPECTED, pages=CHECKPOINT_PAGES) as made:
            return await case.run(made, short=True)

    assert asyncio.run(main())["cuts"] > 100


@pytest.mark.parametrize("case", LAST, ids=lambda case: case.name)
def test_damage_is_told(tmp_path: Path, case: Case) -> None:
    async def main() -> Any:
        async with stage(tmp_path, patience_s=_PATIENCE_S, expected=EXPECTED) as made:
            return await case.run(made, short=True)

    assert "damage" in asyncio.run(main())["told"]
