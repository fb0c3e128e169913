"""Asks whether what the locks name has a known hole: locks come in, a line for each goes out, and 1 when there is a hole.

    python packaging/supply/holes.py [--must-ask] [--patience SECONDS] [-- OPTIONS OF pip-audit]

Who knows of holes is somewhere else and not always reachable. A lock that could not be asked about says so and why, never nothing;
it fails the run with ``--must-ask`` only. It must not take longer than its patience, nor change what is installed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYTHON_LOCKS = ("requirements.lock", "requirements-dev.lock")
NODE_LOCKS = ("tests/docs/node/package-lock.json", "bench/aedes/package-lock.json")
PATIENCE_S = 15.0
UNREACHABLE = "not asked: no service reachable"
_LONGEST_REASON = 160


@dataclass(frozen=True, slots=True)
class Verdict:
    """``asked``: of how many packages something is known now; ``not_asked``: why, or which, where that is not all of them."""

    lock: str
    asked: int = 0
    holes: tuple[str, ...] = ()
    not_asked: str = ""

    def lines(self) -> list[str]:
        said = [f"{self.lock}: {self.asked} packages asked about, {len(self.holes) or 'no'} known holes"]
        if self.not_asked:
            said = [*(said if self.asked else []), f"{self.lock}: {self.not_asked}"]
        return [*said, *(f"{self.lock}: HOLE: {each}" for each in self.holes)]


def of_python(program: str, options: Sequence[str] = (), *, patience_s: float = PATIENCE_S) -> Verdict:
    """All the Python locks together, by pip-audit, which asks the index about each package and version."""
    name = ", ".join(PYTHON_LOCKS)
    words = [program, "--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json"]
    for each in PYTHON_LOCKS:
        words += ["--requirement", str(ROOT / each)]
    told, trouble = _told(*words, *options, patience_s=patience_s)
    if told is None:
        return Verdict(name, not_asked=trouble)
    found = told["dependencies"]
    asked = [each for each in found if "vulns" in each]
    holes = tuple(
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for each in asked
        for hole in each["vulns"]
    )
    skipped = [each for each in found if "vulns" not in each]
    why = ""
    if skipped:
        why = f"not asked: {', '.join(each['name'] for each in skipped)}" if asked else _unreachable(skipped[0])
    return Verdict(name, len(asked), holes, why)


def _unreachable(skipped: dict[str, Any]) -> str:
    return f"{UNREACHABLE} ({skipped['skip_reason']})"


def of_node(program: str, lock: str, *, patience_s: float = PATIENCE_S) -> Verdict:
    """One package-lock.json, by npm; what is for development only is not asked about."""
    options = ("--omit=dev", "--package-lock-only", "--fetch-retries=0", f"--fetch-timeout={patience_s * 900:.0f}")
    told, trouble = _told(
        program, "audit", "--json", *options, "--prefix", str((ROOT / lock).parent), patience_s=patience_s
    )
    if told is None:
        return Verdict(lock, not_asked=trouble)
    if "vulnerabilities" not in told:
        return Verdict(lock, not_asked=f"{UNREACHABLE} ({_short(str(told.get('message', told)))})")
    holes = tuple(
        f"{name} {each['range']}: {each['severity']}"
        + "".join(f", {via['title']}" for via in each["via"] if isinstance(via, dict))
        for name, each in told["vulnerabilities"].items()
    )
    return Verdict(lock, int(told["metadata"]["dependencies"]["total"]), holes)


def _told(program: str, *words: str, patience_s: float) -> tuple[dict[str, Any] | None, str]:
    """What a program says as JSON, or why it says nothing."""
    if shutil.which(program) is None:
        return None, f"not asked: {Path(program).name} is not installed"
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, cwd=ROOT, timeout=patience_s
        )
    except subprocess.TimeoutExpired:
        return None, f"{UNREACHABLE} (no answer within {patience_s:.0f} s)"
    try:
        told = json.loads(done.stdout)
    except ValueError:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return None, f"{UNREACHABLE} ({_short(said[-1] if said else f'exit {done.returncode}')})"
    return told, ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--must-ask", action="store_true", help="fail where something could not be asked about")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="SECONDS")
    parser.add_argument("--pip-audit", default=str(Path(sys.executable).with_name("pip-audit")), metavar="PROGRAM")
    parser.add_argument("--npm", default="npm", metavar="PROGRAM")
    parser.add_argument("options", nargs="*", help="for pip-audit, as -s osv")
    told = parser.parse_args()
    questions: list[Callable[[], Verdict]] = [lambda: of_python(told.pip_audit, told.options, patience_s=told.patience)]
    questions += [lambda lock=lock: of_node(told.npm, lock, patience_s=told.patience) for lock in NODE_LOCKS]  # type: ignore[misc]
    with ThreadPoolExecutor(len(questions)) as asking:
        verdicts = [each.result() for each in [asking.submit(question) for question in questions]]
    for verdict in verdicts:
        print("\n".join(verdict.lines()), flush=True)
    failed = any(each.holes or (told.must_ask and each.not_asked) for each in verdicts)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
