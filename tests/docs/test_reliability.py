"""docs/reliability.md: each promise names a test that is there, and a long form that can be run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ") and "promise |" not in line]


def test_each_promise_has_a_test_that_is_there() -> None:
    assert len(ROWS) > 10
    for promise, tests, _ in ROWS:
        named = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert named, promise
        assert all((ROOT / name).is_file() for name in named), promise


def test_each_long_form_can_be_run() -> None:
    named = re.findall(r"python -m (proof\.\w+)", PAGE)
    assert named
    for name in set(named):
        assert importlib.util.find_spec(f"{name}.__main__"), name
