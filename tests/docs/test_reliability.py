"""docs/reliability.md: each promise names a test that is there, a long form that can be run, and figures of such a run."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
_PLAIN = re.sub(r"`[^`]*`", lambda found: found[0].replace("|", "/"), PAGE)


def rows() -> Iterator[list[str]]:
    """Of the tables of promises."""
    is_promises = False
    for line in _PLAIN.splitlines():
        if not line.startswith("|"):
            is_promises = False
        elif line.startswith("| promise |"):
            is_promises = True
        elif is_promises and not line.startswith("|---"):
            yield line.strip("|").split("|")


def test_each_promise_has_a_test_that_is_there() -> None:
    found = list(rows())
    assert len(found) > 10
    for promise, tests, *_ in found:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::[^`]*)?`", tests)
        assert named, promise
        assert all((ROOT / name).is_file() for name in named), promise


def test_each_long_form_can_be_run() -> None:
    named = re.findall(r"python -m (proof\.\w+)", PAGE)
    assert named
    for name in set(named):
        assert importlib.util.find_spec(f"{name}.__main__"), name


def figures_in(told: object) -> Iterator[str]:
    """Every number of a file of results, as the page writes it."""
    if isinstance(told, dict | list):
        for each in told.values() if isinstance(told, dict) else told:
            yield from figures_in(each)
    elif isinstance(told, int | float) and not isinstance(told, bool):
        yield f"{told:,}"


def test_figures_are_those_of_the_run() -> None:
    """In each section that names its file of results."""
    sections = [part for part in PAGE.split("\n## ") if "`proof/results/" in part]
    assert sections
    for part in sections:
        (name,) = set(re.findall(r"`proof/results/(\w+\.json)`", part))
        known = set(figures_in(json.loads((ROOT / "proof" / "results" / name).read_text(encoding="utf-8"))))
        seen = [line.strip("|").split("|")[2] for line in part.splitlines() if line.startswith("| ")][1:]
        told = [number for cell in seen for number in re.findall(r"\d[\d,.]*\d|\d\d", cell)]
        assert told, name
        assert set(told) <= known, (name, sorted(set(told) - known))
