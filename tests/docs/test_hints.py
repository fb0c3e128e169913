"""Every command that the program tells somebody to type is one that it has, with the options that it has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.app import COMMANDS, command

from .reference_tables import ROOT, commands, parameters

PATHS: dict[str, Any] = dict(commands())
GLOBAL = {name for one in command().params for name in one.opts} | {"--help"}
# Where a command begins in a text: at its start, in quotes, after a colon; everywhere else "dockgate" is the program's name.
_BEGINS = re.compile(r"(?:^|[`'\"(|>]|: |; |, |\bor |\brun )\$? ?dockgate ([^`'\"\n|]*)")
_WORD = re.compile(r"[a-z]+")
# What f-strings fill in
HOLE = "\x00"


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every text of a module; the expressions within an f-string are holes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(value.value) if isinstance(value, ast.Constant) else HOLE for value in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def told() -> Iterator[tuple[str, str]]:
    """Where, and what stands after ``dockgate``."""
    for room in ("gateway", "broker_plugins"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for line, text in texts(path):
                for found in _BEGINS.finditer(text):
                    yield f"{path.relative_to(ROOT)}:{line}", found[1].strip(" .,;:)")


def fault_of(words: str) -> str | None:
    """Why this is no command, or None."""
    rest = [word.rstrip(",;.") for word in words.split()]
    while rest and rest[0].startswith("-"):  # before the command: --config FILE, -o json
        name = rest.pop(0)
        if name not in GLOBAL:
            return f"no option {name}"
        if rest and name not in {"--version", "--help", "-v", "--verbose"}:
            rest.pop(0)
    if not rest or not rest[0][0].islower():  # "dockgate CA", "dockgate COMMAND", a hole
        return None
    path = ""
    while rest and _WORD.fullmatch(rest[0]) and f"{path} {rest[0]}".strip() in PATHS:
        path = f"{path} {rest.pop(0)}".strip()
    if not path:
        return f"no command {rest[0]}"
    leaf = PATHS[path]
    if hasattr(leaf, "list_commands"):
        if rest and _WORD.fullmatch(rest[0]):
            return f"no command {path} {rest[0]}"
        return None
    known = {name for one in parameters(leaf) for name in one.opts} | GLOBAL
    given = [word for word in rest if word.startswith("--")]
    return next((f"{path} has no option {word}" for word in given if word not in known), None)


def test_every_command_that_somebody_is_told_exists() -> None:
    found = list(told())
    assert len(found) > 150, "the texts are not where they should be"
    wrong = [f"{where}: dockgate {words}: {fault}" for where, words in found if (fault := fault_of(words))]
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("cert renew", None),
        ("--config a/b.yaml -o json cert renew --host x", None),
        ("org code add fleet", None),
        ("account", None),
        ("--version", None),
        ("cert frobnicate", "no command cert frobnicate"),
        ("frobnicate", "no command frobnicate"),
        ("cert renew --frob", "cert renew has no option --frob"),
        ("--frob cert renew", "no option --frob"),
    ],
)
def test_the_test_finds_what_it_looks_for(words: str, fault: str | None) -> None:
    assert fault_of(words) == fault


def test_every_mistake_of_a_hint_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        'a = Error("x", hint=f"dockgate cert isue {name}")\nb = "use `dockgate nope` now: dockgate no such"\n'
    )
    found = [found[1] for _, text in texts(file) for found in _BEGINS.finditer(text)]
    assert {fault_of(words) for words in found} == {"no command cert isue", "no command nope", "no command no"}


def test_the_documents_name_commands_that_exist() -> None:
    """In code: what stands in prose is not to be typed."""
    wrong = []
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = document.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL))
        pieces = re.findall(r"`(?:\$ )?dockgate ([^`\n]+)`", text)
        pieces += re.findall(r"^\s*(?:\$ )?dockgate (.+)$", blocks, re.MULTILINE)
        for words in pieces:
            first = words.split("|")[0].split("#")[0].split(">")[0].replace("\\", "")
            if fault := fault_of(first.replace("[", "").replace("]", "")):
                wrong.append(f"{document.relative_to(ROOT)}: dockgate {words}: {fault}")
    assert wrong == []


def test_the_table_of_commands_is_whole() -> None:
    assert set(COMMANDS) == {path.split()[0] for path in PATHS if path}
