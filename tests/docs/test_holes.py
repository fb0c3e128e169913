"""Known holes in what the locks name: they fail, and what could not be asked about says so. What pip-audit and npm say is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .test_licenses import ROOT, tool

HOLES = tool("holes")
CLEAN = {"name": "one", "version": "1", "vulns": []}
BAD = {"name": "two", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "three", "skip_reason": "Dependency not found"}


def program(folder: Path, says: Any, *, complains: str = "", exit_code: int = 0) -> str:
    """One that says this whatever it is asked, and leaves its words behind."""
    (folder / "says").write_text(says if isinstance(says, str) else json.dumps(says))
    path = folder / "program"
    path.write_text(
        f'#!/bin/sh\necho "$@" >{folder}/words\ncat {folder}/says\necho "{complains}" >&2\nexit {exit_code}\n'
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ([CLEAN], ["1 packages asked about, no known holes"]),
        ([CLEAN, BAD], ["2 packages asked about, 1 known holes", "HOLE: two 2: CVE-1, mended in 2.1"]),
        ([CLEAN, SKIPPED], ["1 packages asked about, no known holes", "not asked: three"]),
        ([SKIPPED], ["not asked: no service reachable (Dependency not found)"]),
    ],
)
def test_what_pip_audit_says(tmp_path: Path, found: list[Any], lines: list[str]) -> None:
    verdict = HOLES.of_python(program(tmp_path, {"dependencies": found}, exit_code=1), ["-s", "osv"])
    assert [line.partition(": ")[2] for line in verdict.lines()] == lines
    words = (tmp_path / "words").read_text()
    assert all(f"--requirement {ROOT / name}" in words for name in ("requirements.lock", "requirements-dev.lock"))
    assert words.endswith("-s osv\n")


@pytest.mark.parametrize(
    ("says", "lines"),
    [
        (
            {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 31}}},
            ["31 packages asked about, no known holes"],
        ),
        (
            {
                "vulnerabilities": {
                    "ws": {"range": "<8", "severity": "high", "via": [{"title": "falls over"}, "other"]}
                },
                "metadata": {"dependencies": {"total": 3}},
            },
            ["3 packages asked about, 1 known holes", "HOLE: ws <8: high, falls over"],
        ),
        (
            {"message": "405 Method Not Allowed", "error": {}},
            ["not asked: no service reachable (405 Method Not Allowed)"],
        ),
    ],
)
def test_what_npm_says(tmp_path: Path, says: Any, lines: list[str]) -> None:
    verdict = HOLES.of_node(program(tmp_path, says, exit_code=1), "bench/aedes/package-lock.json")
    assert [line.partition(": ")[2] for line in verdict.lines()] == lines
    assert "--omit=dev" in (tmp_path / "words").read_text()


def test_who_says_nothing_or_is_not_there(tmp_path: Path) -> None:
    silent = HOLES.of_python(program(tmp_path, "", complains="no such host", exit_code=1))
    assert silent.lines()[0].endswith("lock: not asked: no service reachable (no such host)")
    (gone,) = HOLES.of_node(str(tmp_path / "npm"), "x/package-lock.json").lines()
    assert gone == "x/package-lock.json: not asked: npm is not installed"
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    assert "no answer within" in HOLES.of_python(str(slow), patience_s=0.1).not_asked


def test_without_a_network_each_lock_is_told_and_only_who_insists_fails() -> None:
    nowhere = "http://127.0.0.1:9"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "npm_config_proxy", "npm_config_https_proxy")
    environment = {**os.environ, **dict.fromkeys(names, nowhere), "NO_PROXY": "", "no_proxy": ""}
    for insists in ([], ["--must-ask"]):
        words = [sys.executable, str(ROOT / "packaging" / "supply" / "holes.py"), *insists]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == len(insists), done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 1 + len(HOLES.NODE_LOCKS), done.stdout
        assert all(": not asked: " in line for line in lines), done.stdout


@pytest.mark.parametrize(("found", "code"), [([CLEAN], 0), ([CLEAN, BAD], 1), ([SKIPPED], 0)])
def test_a_hole_fails_the_run(tmp_path: Path, found: list[Any], code: int) -> None:
    said = program(tmp_path, {"dependencies": found})
    words = [sys.executable, str(ROOT / "packaging" / "supply" / "holes.py"), "--pip-audit", said, "--npm", "/nowhere"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stdout
    assert done.stdout.count("package-lock.json: not asked: nowhere is not installed") == len(HOLES.NODE_LOCKS)


def test_lint_asks() -> None:
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    lint = targets[targets.index("\nlint:") :].partition("\n\n")[0]
    for program_ in ("bandit", "supply/secrets.py", "supply/holes.py"):
        assert program_ in lint
    assert "--must-ask" not in lint
    assert "gateway broker_plugins packaging docs/examples proof" in lint
