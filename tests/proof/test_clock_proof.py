"""``proof/clock``: the wall clock of a gateway's process steps by hours, and nothing ends or is locked for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proof.clock.cases import CASES, Case, settings
from proof.disk.stage import Stage, stage

_PATIENCE_S = 10.0

Act = Callable[[Callable[[Stage], Any]], Any]


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Act]:
    with asyncio.Runner() as runner:
        setting = stage(tmp_path_factory.mktemp("clock"), patience_s=_PATIENCE_S, change=settings)
        made = runner.run(setting.__aenter__())
        yield lambda act: runner.run(act(made))
        runner.run(setting.__aexit__(None, None, None))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_ends_for_it(on_stage: Act, case: Case) -> None:
    assert on_stage(case.run)
