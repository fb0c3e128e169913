"""No operator changes anything without an entry in the audit trail: there is one way to change, and it asks for that entry."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.operations.change import Change, Who, perform
from gateway.store import migrate, organizations

ROOT = Path(__file__).parents[2]
FACES = ("cli", "web", "operations")


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for room in FACES:
        for path in sorted((ROOT / "gateway" / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def takes_a_change(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """The name of the parameter, if there is one."""
    everything = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return next((one.arg for one in everything if one.annotation and ast.unparse(one.annotation) == "Change"), None)


def test_whoever_is_given_a_change_tells_of_it() -> None:
    seen = 0
    silent = []
    for where, node in functions():
        name = takes_a_change(node)
        if name is None:
            continue
        seen += 1
        calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        tells = any(ast.unparse(each.func) == f"{name}.audit" for each in calls)
        hands_on = any(ast.unparse(word) == name for each in calls for word in each.args)
        if not tells and not hands_on:
            silent.append(where)
    assert seen > 30
    assert silent == []


def test_the_command_line_opens_the_database_for_changes_in_one_place() -> None:
    found = []
    for path in sorted((ROOT / "gateway" / "cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {"Store.open", "Store"}:
                continue
            if not any(word.arg == "read_only" and ast.unparse(word.value) == "True" for word in node.keywords):
                found.append(path.name)
    assert found == ["context.py"]


def test_a_change_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    def silent(change: Change) -> None:
        organizations.add(change.db, id="o", name="O", now=1)

    with closing(sqlite3.connect(tmp_path / "d.db", isolation_level=None)) as db:
        migrate.bring_up(db, path=tmp_path / "d.db", now=1)
        with pytest.raises(RuntimeError, match="without an audit entry"):
            perform(db, silent, 1, Who("cli:root"))
