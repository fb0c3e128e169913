"""The short form of the fuzzer (see README.md beside it), with another seed each day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from .fuzzing import fuzz, shrink
from .registry import READERS, TARGETS

SEED = int(datetime.now(UTC).strftime("%Y%m%d"))
# About a second of each, or a little more.
INPUTS = {
    "codecs": 100_000,
    "connections": 15_000,
    "envelope": 30_000,
    "methods": 8_000,
    "proxy": 100_000,
    "certificates": 2_000,
    "configuration": 400,
    "http": 600,
}
EXAMPLES = 60


def test_every_target_has_a_short_form() -> None:
    assert INPUTS.keys() == TARGETS.keys()


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    assert fuzz(target, INPUTS[target], SEED, tmp_path / "fuzz").inputs == INPUTS[target]


@pytest.mark.parametrize("target", READERS)
def test_nothing_is_found_by_hypothesis(target: str, tmp_path: Path) -> None:
    assert shrink(target, EXAMPLES, tmp_path / "fuzz") >= EXAMPLES
