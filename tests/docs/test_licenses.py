"""docs/licenses.md is what the installed packages tell, none asks for more than to keep its notice, and secrets are found."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"supply_{name}", ROOT / "packaging" / "supply" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LICENSES = tool("licenses")
# One of them has to be enough for each package; a library under MPL asks only for its own files back
PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip


def is_permissive(expression: str) -> bool:
    """An SPDX expression: with AND all, with OR one."""
    tokens = re.findall(r"\(|\)|[\w.+-]+", expression)

    def either() -> bool:
        held = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            held = both() or held
        return held

    def both() -> bool:
        held = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            held = one() and held
        return held

    def one() -> bool:
        token = tokens.pop(0)
        if token != "(":
            return token in PERMISSIVE
        held = either()
        assert tokens.pop(0) == ")"
        return held

    found = either()
    return found and not tokens


def test_the_page_is_current() -> None:
    assert LICENSES.PAGE.read_text(encoding="utf-8") == LICENSES.page(), "python packaging/supply/licenses.py"


def test_every_package_may_be_passed_on() -> None:
    names = [name for name, _ in LICENSES.locked()]
    assert len(names) > 30
    for name in names:
        assert is_permissive(LICENSES.license_of(name)), f"{name}: {LICENSES.license_of(name)}"


def test_what_is_installed_is_what_is_locked() -> None:
    """Else the page would tell the license of another version."""
    for name, version in LICENSES.locked():
        assert distribution(name).version == version, name


@pytest.mark.parametrize(
    ("expression", "is_so"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("AGPL-3.0-or-later", False), ("MIT OR GPL-2.0-only", True),
        ("MIT AND GPL-2.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("(GPL-3.0-only OR LGPL-3.0-only) AND MIT", False), ("not told", False),
        ("GNU General Public License v3 (GPLv3)", False),
    ],
)  # fmt: skip
def test_a_license_that_asks_for_more_is_seen(expression: str, is_so: bool) -> None:
    assert is_permissive(expression) is is_so


def test_a_secret_that_was_left_in_a_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = tool("secrets")
    monkeypatch.setattr(scan, "ROOT", tmp_path)
    key = "-----BEGIN " + "RSA PRIVATE KEY-----\n"  # put together, so that this file is none
    for folder in ("gateway", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text(f'PASSWORD = "hunter2hunter2"\nKEY = """{key}"""\n')
    seen = {(name, kind) for name, _, kind, _ in scan.findings()}
    assert seen == {("gateway/a.py", "Secret Keyword"), ("gateway/a.py", "Private Key"), ("tests/a.py", "Private Key")}
