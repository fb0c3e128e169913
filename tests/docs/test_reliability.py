"""docs/reliability.md: each promise names a test that is there, a long form that can be run, and figures of such a run."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
_PLAIN = re.sub(r"`[^`]*`", lambda found: found[0].replace("|", "/"), PAGE)

# What a row of a section's table tells of: by the words that it begins with, the parts of the section's file of results.
_PARTS: dict[str, dict[str, list[str]]] = {
    "soak.json": {"Memory is flat": ["*"], "Each reply comes once": ["*"], "The end is as quick": ["*"]},
    "limits.json": {"Docks beyond": ["docks"], "Messages beyond": ["messages"], "Accesses beyond": ["accesses"]},
    "crash.json": {
        "Killed at any moment": ["kills"],
        "A backup that got": ["kills"],
        "The gateway is ready": ["kills"],
        "A disk that loses": ["lost_writes"],
        "Nor does one": ["failing"],
        "One gateway": [],
    },
    "disk.json": {
        "Full at any write": ["full at any write"],
        "So is one in which a write": ["broken at any write"],
        "And one in which an fsync": ["broken at any fsync"],
        "A disk that has become": ["read-only"],
        "A slow one": ["slow"],
        "One that is slow to read": ["slow to read"],
        "Pages that cannot be read": ["unreadable"],
        "The index of the WAL": ["index of the WAL full"],
        "A database that another": ["locked by another process"],
        "A database whose file": ["removed", "replaced"],
        "Damaged pages": ["damaged pages"],
    },
    "clock.json": {
        "Connected docks": ["connected docks stay"],
        "A lock after": ["locks last as long as they should"],
        "An operator stays": [],
        "Docks bind meanwhile": ["docks bind meanwhile"],
        "A code with a date": ["codes count until their date"],
        "A server certificate": ["a certificate expires"],
        "So does a client": ["a client certificate expires", "a list of revoked certificates expires"],
        "A machine that has no time": ["a clock that was never set"],
        "Refusals are told": [],
    },
}
# A number by itself; what is a part of a name or of a date is none.
_NUMBER = re.compile(r"(?<![\w.,-])(?:\d[\d,.]*\d|\d)(?![\w-])")
_RESULTS = ROOT / "proof" / "results"


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


def results(name: str) -> dict[str, Any]:
    """But for the samples, among which every number could be found."""
    told: dict[str, Any] = json.loads((_RESULTS / name).read_text(encoding="utf-8"))
    return {key: value for key, value in told.items() if key != "samples"}


def figures_in(told: object) -> Iterator[str]:
    """Every number of a part of a file of results, as the page writes it."""
    if isinstance(told, dict | list):
        for each in told.values() if isinstance(told, dict) else told:
            yield from figures_in(each)
    elif isinstance(told, int | float) and not isinstance(told, bool):
        yield f"{told:,}"


def sections() -> dict[str, str]:
    """Of the page, by the file of results that each names."""
    named = {}
    for part in PAGE.split("\n## "):
        if files := set(re.findall(r"`proof/results/(\w+\.json)`", part)):
            (name,) = files
            named[name] = part
    return named


def unfounded(part: str, name: str, told: dict[str, Any]) -> list[str]:
    """Rows of a section with numbers that are not in their own part of the results, and rows that have no part."""
    found = []
    lines = [line.strip("|").split("|") for line in re.sub(r"`[^`]*`", "", part).splitlines() if line.startswith("| ")]
    for promise, _, seen in lines[1:]:
        keys = [keys for begins, keys in _PARTS[name].items() if promise.strip().startswith(begins)]
        if len(keys) != 1:
            found.append(f"{promise.strip()[:40]}: {len(keys)} parts")
            continue
        known = {each for key in keys[0] for each in figures_in(told if key == "*" else told.get(key, {}))}
        found += [f"{promise.strip()[:40]}: {each}" for each in _NUMBER.findall(seen) if each not in known]
    return found


def failures(told: object) -> list[str]:
    """What of a run was broken, or too slow."""
    if isinstance(told, list):
        return [each for one in told for each in failures(one)]
    if not isinstance(told, dict):
        return []
    own = [f"{key}: {told[key]}" for key in ("broken", "starts_too_slow", "found") if told.get(key)]
    return own + [each for value in told.values() for each in failures(value)]


def test_figures_are_those_of_the_run() -> None:
    """In each section that names its file of results, and in each row those of its own part of it."""
    named = sections()
    assert set(named) == set(_PARTS)
    for name, part in named.items():
        assert not unfounded(part, name, results(name)), name


def test_a_figure_of_another_case_or_of_one_digit_is_seen() -> None:
    told = {"kills": {"cycles": 340, "early": 4}, "failing": {"lives": 300}}
    row = "| promise | short form | seen |\n|---|---|---|\n| Killed at any moment | `x` | %s |\n"
    assert not unfounded(row % "340 kills, 4 of them early", "crash.json", told)
    assert unfounded(row % "300 kills", "crash.json", told)
    assert unfounded(row % "340 kills, 3 s each", "crash.json", told)
    assert unfounded(row.replace("Killed", "Killed again") % "340", "crash.json", told)


def test_what_was_not_kept_is_told() -> None:
    """Of each run that is kept, whether or not its figures are on the page."""
    named = sections()
    for file in sorted(_RESULTS.glob("*.json")):
        if broken := failures(results(file.name)):
            assert "Not kept" in named.get(file.name, ""), (file.name, broken[:3])


@pytest.mark.parametrize(
    "told", [{"broken": ["x"]}, {"kills": {"starts_too_slow": 3}}, {"attacks": {"one": {"broken": "late"}}}]
)
def test_a_run_that_was_broken_is_known_as_such(told: dict[str, Any]) -> None:
    assert failures(told)
    assert not failures({"broken": [], "kills": {"starts_too_slow": 0}})
