"""The manual pages are made from the commands: each is there, with every option, in roff that says nothing by mistake."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.app import COMMANDS

from .reference_tables import ROOT, commands


def _pages() -> Any:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "packaging" / "man" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = _pages()
MADE: dict[str, str] = PAGES.pages()


def plain(text: str) -> str:
    return text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\(ga", "`").replace(r"\e", "\\")


def test_a_page_for_each_command() -> None:
    assert set(MADE) == {"dockgate.1", *(f"dockgate-{name}.1" for name in COMMANDS)}


@pytest.mark.parametrize(("path", "found"), [one for one in commands() if one[0]], ids=lambda one: str(one)[:20])
def test_every_option_and_argument_is_in_its_page(path: str, found: Any) -> None:
    page = plain(MADE[f"dockgate-{path.split(maxsplit=1)[0]}.1"])
    if hasattr(found, "list_commands"):
        return
    assert f"dockgate {path}" in page
    for one in found.params:
        names = one.opts if one.param_type_name == "option" else [(one.metavar or one.name.upper()).strip("[]")]
        assert all(name in page for name in names if name != "--help"), f"{path} {names}"


@pytest.mark.parametrize("name", sorted(MADE))
def test_roff_takes_nothing_for_its_own(name: str) -> None:
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".br", ".nf", ".fi"}
    for line in MADE[name].splitlines():
        if line.startswith((".", "'")):
            assert line.split()[0] in known, line
        assert not re.search(r"\\(?![-e&fI(]|\(aq|\(ga)", line), line
    assert MADE[name].startswith(".TH ")


def test_written_where_it_is_asked_for(tmp_path: Path) -> None:
    PAGES.main(tmp_path / "man")
    assert {path.name for path in (tmp_path / "man").iterdir()} == set(MADE)
    assert PAGES.pages() == MADE
