"""docs/mqtt-conformance.md names tests and rows of the packet tables: each is there, and each statement stands there once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.integration import packets, packets_v5

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "mqtt-conformance.md").read_text(encoding="utf-8")
_, *SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)
ROWS = {
    section.partition("\n")[0]: re.findall(r"^\| (\d[\d.]*-\d+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    for section in SECTIONS
}
TABLES = {
    "packets": [case.name for case in (*packets.FIRST_PACKETS, *packets.AFTER_THE_LOGIN)],
    "packets_v5": [case.name for case in (*packets_v5.FIRST_PACKETS, *packets_v5.AFTER_THE_LOGIN)],
}
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
}


def named(shown_by: str) -> list[str]:
    return re.findall(r"`([^`]+)`", shown_by)


def exists(name: str) -> bool:
    """A row's name may be followed by the section or statement that stands in brackets behind it."""
    table, _, row = name.partition(": ")
    if not row:
        return name in TESTS
    return any(case == row or re.fullmatch(re.escape(row) + r"[:,]? ?[\[(:].*", case) for case in TABLES[table])


@pytest.mark.parametrize("version", ROWS)
def test_everything_named_is_there(version: str) -> None:
    missing = [(number, name) for number, _, shown_by in ROWS[version] for name in named(shown_by) if not exists(name)]
    assert missing == []
    assert all(named(shown_by) for _, _, shown_by in ROWS[version])


@pytest.mark.parametrize(("version", "at_least"), [("MQTT 3.1.1", 120), ("MQTT 5", 200)])
def test_each_statement_stands_there_once_and_in_order(version: str, at_least: int) -> None:
    numbers = [number for number, _, _ in ROWS[version]]
    assert len(numbers) == len(set(numbers)) >= at_least
    assert numbers == sorted(numbers, key=lambda number: [int(part) for part in re.split(r"[.-]", number)])


def test_a_statement_that_a_row_quotes_is_in_the_list() -> None:
    listed = {number for rows in ROWS.values() for number, _, _ in rows}
    quoted = {
        number for table in TABLES.values() for name in table for number in re.findall(r"\[MQTT-(\d[\d.]*-\d+)\]", name)
    }
    assert quoted - listed - {"3.2.2-15"} == set()  # that one binds clients, and its breach is answered
