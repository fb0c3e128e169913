"""`make docs`: the site is built strictly, has every document in its navigation, and asks nothing of any other place."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What a browser fetches by itself; a link that somebody clicks is something else
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import|"""
    r"""\bfetch\(\s*["']https?:|importScripts\(\s*["']https?:"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return target


def test_every_document_has_its_page(site: Path) -> None:
    for document in DOCS.rglob("*.md"):
        assert (site / document.relative_to(DOCS).with_suffix(".html")).is_file(), document


def test_the_navigation_names_every_document(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    for document in DOCS.rglob("*.md"):
        name = document.relative_to(DOCS).with_suffix(".html").as_posix()
        assert f'href="{name}"' in home or name == "index.html", f"{name} is not in the nav of mkdocs.yml"


def test_nothing_is_fetched_from_another_place(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"}]
    assert len(files) > 10
    for path in files:
        found = _FETCHED.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.relative_to(site)}: {found and found[0]}"


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js">',
        "<link rel=stylesheet href='//fonts.example/css'>",
        "a { background: url(http://x.example/a.png) }",
        '@import "x.css"',
    ],
)
def test_what_would_be_fetched_is_seen(text: str) -> None:
    assert _FETCHED.search(text)


def test_search_works_from_the_site_alone(site: Path) -> None:
    assert (site / "search" / "search_index.json").is_file()
    assert (site / "search" / "worker.js").is_file()


def _hooks() -> Any:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "packaging" / "site" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_to_sources_become_their_paths_and_others_stay() -> None:
    change = _hooks().without_sources
    assert change("[pyproject.toml](../pyproject.toml)", DOCS) == "`pyproject.toml`"
    assert change("[the unit](../packaging/systemd/dockgate.service)", DOCS) == (
        "the unit (`packaging/systemd/dockgate.service`)"
    )
    for kept in ("[x](reference.md)", "[x](../protocol.md)", "[x](../nowhere.txt)"):
        assert change(kept, DOCS / "decisions") == kept


def test_a_document_that_the_nav_does_not_name_is_found_all_the_same() -> None:
    nav = [{"Home": "index.md"}, {"Part": [{"One": "one.md"}, "two.md"]}]
    documents = ["decisions/0001.md", "index.md", "one.md", "three.md", "two.md"]
    assert _hooks().whole(nav, documents) == [*nav, {"More": ["three.md"]}, {"Decisions": ["decisions/0001.md"]}]
    assert _hooks().whole(nav, documents[1:3]) == nav
