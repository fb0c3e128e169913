"""docs/threat-model.md: each row says what somebody can or cannot do, and names tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = [
    (line, [cell.strip() for cell in line.strip().strip("|").split("|")])
    for line in PAGE.splitlines()
    if line.startswith("|")
    and not re.match(r"\|[-|]+\|$", line)
    and not line.rstrip(" |").endswith(("shown by", "is kept"))
]
# Who might want something, each with a chapter
ATTACKERS = (
    "A stranger on the network",
    "The holder of a dock's account",
    "The holder of a service's or an observer's account",
    "A program or a person with read rights",
    "A page in the operator's browser",
    "A user of the same machine",
    "Somebody with a backup or a copy of the disk",
)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_every_row_names_a_test() -> None:
    assert len(ROWS) > 50
    for line, cells in ROWS:
        assert _TEST.findall(cells[-1]), line


def test_every_test_that_is_named_is_there() -> None:
    named = _TEST.findall(PAGE)
    assert len(set(named)) > 60
    for file, function in named:
        assert (ROOT / file).is_file(), file
        assert function in functions_of(file), f"{file}::{function}"


def test_a_name_of_a_test_is_never_written_in_another_way() -> None:
    """Else it would not be looked at."""
    assert len(re.findall(r"::test_", PAGE)) == len(_TEST.findall(PAGE))


def test_every_attacker_has_his_rows() -> None:
    for attacker in ATTACKERS:
        assert f"\n## {attacker}\n" in PAGE
        part = PAGE.partition(f"\n## {attacker}\n")[2].partition("\n## ")[0]
        kinds = [cells[0] for line, cells in ROWS if line in part]
        assert "cannot" in kinds, attacker
        assert set(kinds) <= {"can", "cannot"}, attacker


def test_no_claim_is_made_twice() -> None:
    claims = [tuple(cells[:-1]) for _, cells in ROWS]
    assert len(set(claims)) == len(claims)
