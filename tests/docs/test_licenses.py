"""docs/licenses.md is what the installed packages tell, none asks for more than to keep its notice, and secrets are found."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
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
    sys.modules[spec.name] = module  # as dataclasses look for theirs there
    spec.loader.exec_module(module)
    return module


LICENSES = tool("licenses")
# One of them has to be enough for each package; a library under MPL asks only for its own files back
PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip


# What is built into the one file besides: more licenses of the same kind, and two whose exception is for just that
BUILT_IN = {"BSL-1.0", "CC0-1.0", "Unicode-3.0", "Unicode-DFS-2016", "blessing", "bzip2-1.0.6"}
EXCEPTIONS = {
    "Apache-2.0 WITH LLVM-exception",
    "GPL-3.0-or-later WITH GCC-exception-3.1",
    "GPL-2.0-or-later WITH Bootloader-exception",
}


def is_permissive_built_in(expression: str) -> bool:
    for each in EXCEPTIONS:
        expression = expression.replace(each, "MIT")
    return is_permissive(expression, PERMISSIVE | BUILT_IN)


def is_permissive(expression: str, permissive: set[str] = PERMISSIVE) -> bool:
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
            return token in permissive
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


def test_what_is_compiled_in_may_be_passed_on() -> None:
    named = {package for part in LICENSES.PARTS for package in part.inside}
    assert LICENSES.compiled() == named | LICENSES.OWN_ONLY
    crates = list(LICENSES.crates())
    assert {package for package, _, _ in crates} == {"cryptography", "orjson", "pydantic_core", "pyrage"}
    assert len(crates) > 200
    for package, crate, license_ in crates:
        assert is_permissive_built_in(license_), f"{package}: {crate}: {license_}"
    for part in LICENSES.PARTS:
        if part.name not in {"Rust crates", "glibc"}:
            assert is_permissive_built_in(part.license), part


def test_glibc_is_linked_into_the_launcher_alone_as_the_page_says() -> None:
    assert [part.where for part in LICENSES.PARTS if "LGPL" in part.license] == ["the launcher alone"]
    build = (ROOT / "packaging" / "binary" / "build.py").read_text(encoding="utf-8")
    assert build.count('"-static"') == 1
    assert not [name for part in LICENSES.PARTS for name in part.libraries if name in {"libc", "libm", "libpthread"}]


def test_what_the_page_does_not_name_is_seen_in_what_was_built(tmp_path: Path) -> None:
    inside = tmp_path / "tree" / "_internal"
    for name in (
        "libssl.so.3", "libreadline.so.8", "libc.so.6", "orjson/orjson.so", "psycopg.libs/libpq.so.5", "gateway/x.sql",
        "python3.11/lib-dynload/_ssl.so", "werkzeug-3.1.9.dist-info/METADATA", "click-8.5.1.dist-info/METADATA",
    ):  # fmt: skip
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_text("")
    (tmp_path / "tree" / "dockgate").write_text("")
    (tmp_path / "tree" / "other").write_text("")
    click = distribution("click").version
    (inside / "click-8.5.1.dist-info").rename(inside / f"click-{click}.dist-info")
    modules = tmp_path / "PYZ-00.toc"
    site = Path(pytest.__file__).parents[1]
    listed = [(name, str(site / name / "__init__.py"), "PYMODULE") for name in ("click", "watchdog")]
    listed += [("gateway", str(ROOT / "gateway" / "__init__.py"), "PYMODULE"), ("json", json.__file__, "PYMODULE")]
    listed += [("stray", "/elsewhere/stray.py", "PYMODULE")]
    modules.write_text(repr(("PYZ-00.pyz", listed)))
    assert LICENSES.strangers(tmp_path / "tree", modules) == [
        "/elsewhere/stray.py", "libc.so.6", "libreadline.so.8", "other", "psycopg.libs", "watchdog", "werkzeug-3.1.9.dist-info",
    ]  # fmt: skip


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
    assert is_permissive_built_in(expression) is is_so


def test_an_exception_is_for_its_own_license_alone() -> None:
    assert is_permissive_built_in("MIT OR GPL-3.0-or-later WITH GCC-exception-3.1")
    assert not is_permissive_built_in("GPL-3.0-or-later")
    assert not is_permissive_built_in("GPL-3.0-or-later WITH Bootloader-exception")


def test_a_secret_that_was_left_in_a_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = tool("secrets")
    monkeypatch.setattr(scan, "ROOT", tmp_path)
    key = "-----BEGIN " + "RSA PRIVATE KEY-----\n"  # put together, so that this file is none
    for folder in ("gateway", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text(f'PASSWORD = "hunter2hunter2"\nKEY = """{key}"""\n')
    seen = {(name, kind) for name, _, kind, _ in scan.findings()}
    assert seen == {("gateway/a.py", "Secret Keyword"), ("gateway/a.py", "Private Key"), ("tests/a.py", "Private Key")}


def test_every_tracked_file_is_searched_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = tool("secrets")
    monkeypatch.setattr(scan, "ROOT", tmp_path)
    key, word = "-----BEGIN " + "PRIVATE KEY-----\nMIIB\n", "pass" + "word = hunter2hunter2\n"
    a_key, a_word, quoted = (key, "Private Key"), (word, "Secret Keyword"), f'api_key = "{word[-15:-1]}";'
    planted = {
        **dict.fromkeys(("certs/ca.pem", "tests/a.key", "docs/a.crt", "gateway/noname"), a_key),
        **dict.fromkeys(("requirements.lock", "tests/package-lock.json"), a_key),
        **dict.fromkeys(("packaging/a.conf", "packaging/a.cnf", "gateway/a.ini"), a_word),
        **dict.fromkeys(("packaging/a.c", "packaging/a.spec", "gateway/a.mjs"), (quoted, "Secret Keyword")),
        "gateway/store.p12": ("\0\1", scan.UNREADABLE),
    }
    for name, (content, _) in planted.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    innocent = {"docs/picture.png": "\0", "docs/a.conf": word, "requirements-dev.lock": f"# {word}", "gateway/a.c": "x"}
    for name, content in innocent.items():
        (tmp_path / name).write_text(content)
    # keys are left out of version control by their names, and can be put there all the same
    (tmp_path / ".gitignore").write_text("*.pem\n*.key\n")
    git = ["git", "-c", "init.defaultBranch=main", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--force", "."], check=True)
    (tmp_path / "not-tracked.key").write_text(key)
    seen = {name: kind for name, _, kind, _ in scan.findings()}
    assert seen == {**{name: kind for name, (_, kind) in planted.items()}, "docs/a.conf": "Secret Keyword"}
    assert scan.main() == 1
