"""The fuzzer of ``tests/fuzz``, at length: a plan and a folder come in, figures by target go out. What was done before counts.

Promised: no crash, no unhandled exception, no line of a failure, no growth. Each target is cut into slices of seeds, each a
process; what each has done is in the folder, so that a run that was ended goes on where it was.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.soak.trend import slope

ROOT = Path(__file__).resolve().parents[2]
# Of 100 million. What is quick gets many, what has been found in gets more than its speed would say.
MADE = {
    "proxy": 30_000_000,
    "codecs": 26_000_000,
    "envelope": 25_000_000,
    "methods": 6_000_000,
    "connections": 5_000_000,
    "certificates": 800_000,
    "http": 300_000,
    "configuration": 150_000,
}
GUIDED = {
    "proxy": 2_500_000,
    "codecs": 2_000_000,
    "envelope": 2_000_000,
    "methods": 150_000,
    "certificates": 70_000,
    "configuration": 30_000,
}
# Far apart: a slice has a seed for each thousand inputs.
_SEEDS_APART = 1_000_000
SLICES = 4
# The first part of a process is no part of its trend: caches fill, the allocator takes its room.
_WARM = 0.4
_LEAST_FOR_A_TREND = 12
_GROWTH_SHARE = 0.05
_GROWTH_MIB = 8.0
_STDERR_LINES = 40


@dataclass(frozen=True, slots=True)
class Slice:
    target: str
    guided: bool
    number: int
    inputs: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.target}-{'guided' if self.guided else 'made'}-{self.number}"


def plan(share: float, seed: int, only: frozenset[str] = frozenset(), cut: int = SLICES) -> list[Slice]:
    """``share`` of the hundred million, what is led by coverage last. ``only``: these targets, when there are any."""
    slices = []
    for guided, table in ((False, MADE), (True, GUIDED)):
        for target, inputs in table.items():
            if only and target not in only:
                continue
            each = max(1, round(inputs * share / cut))
            slices += [Slice(target, guided, number, each, seed + _SEEDS_APART * number) for number in range(cut)]
    return slices


def run(
    folder: Path,
    *,
    share: float = 1.0,
    seed: int = 1,
    only: frozenset[str] = frozenset(),
    cut: int = SLICES,
    processes: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Work through the plan. The result has ``found``, a list that should be empty, and the figures of each target."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    slices = plan(share, seed, only, cut)
    not_done = 0
    if importlib.util.find_spec("atheris") is None:
        not_done = sum(each.inputs for each in slices if each.guided)
        slices = [each for each in slices if not each.guided]
        say(
            f"Atheris is not installed (pip install 'dockgate[proof]'): {not_done:,} inputs that it would guide are left out"
        )
    with ThreadPoolExecutor(processes) as workers:
        waiting = {workers.submit(_work, each, folder): each for each in slices}
        for done in as_completed(waiting):
            why = done.result()
            say(f"{waiting[done].name}: {'FOUND' if why else 'nothing found'}")
            if why:
                found.append({"slice": waiting[done].name, "seed": waiting[done].seed, "why": why})
    return {"found": found, "targets": figures(folder), "growth": [*_growing(folder)], "not_done": not_done}


def _work(each: Slice, folder: Path) -> str:
    """What a process of its own said when it found something; "" when it found nothing."""
    told = folder / f"{each.name}.jsonl"
    done = sum(entry["inputs"] for entry in _last_of_each(told))
    left = each.inputs - done
    if left <= 0:
        return ""
    began = time.monotonic()
    words = [each.target, "--inputs", str(left), "--seed", str(each.seed + done // 1000)]
    words += ["--guided", str(folder / "corpora")] if each.guided else ["--tell", str(told)]
    process = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fuzz"), *words], capture_output=True, text=True, check=False
    )
    if process.returncode:
        return "\n".join(f"{process.stdout}\n{process.stderr}".splitlines()[-_STDERR_LINES:])
    if each.guided:  # libFuzzer tells of itself at its end only
        _append(told, {"run": began, "inputs": left, "seconds": time.monotonic() - began, "rss_mib": None})
    return ""


def _append(told: Path, entry: dict[str, Any]) -> None:
    with told.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _entries(told: Path) -> list[dict[str, Any]]:
    if not told.exists():
        return []
    return [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _last_of_each(told: Path) -> Iterable[dict[str, Any]]:
    """The last word of each process that worked on a slice: it counts what it did."""
    return {entry["run"]: entry for entry in _entries(told)}.values()


def figures(folder: Path) -> dict[str, dict[str, float]]:
    """Inputs, seconds of a core, and inputs a second, by target."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: {"inputs": 0, "seconds": 0.0})
    for told in sorted(folder.glob("*.jsonl")):
        name = told.stem.rpartition("-")[0]
        for entry in _last_of_each(told):
            sums[name]["inputs"] += entry["inputs"]
            sums[name]["seconds"] += entry["seconds"]
    return {
        name: {
            **each,
            "seconds": round(each["seconds"]),
            "a_second": round(each["inputs"] / max(each["seconds"], 0.001)),
        }
        for name, each in sorted(sums.items())
    }


def _growing(folder: Path) -> Iterable[dict[str, Any]]:
    """The processes that held more and more: by how much over the second half of what they did."""
    for told in sorted(folder.glob("*.jsonl")):
        runs = defaultdict(list)
        for entry in _entries(told):
            if entry["rss_mib"] is not None:
                runs[entry["run"]].append(entry)
        for entries in runs.values():
            warm = entries[int(len(entries) * _WARM) :]
            if len(warm) < _LEAST_FOR_A_TREND:
                continue
            length = warm[-1]["inputs"] - warm[0]["inputs"]
            found = slope([entry["inputs"] / length for entry in warm], [entry["rss_mib"] for entry in warm])
            if found.per_unit - 2 * found.error > max(_GROWTH_MIB, _GROWTH_SHARE * found.mean):
                yield {"slice": told.stem, "grown_mib": round(found.per_unit, 1), "of_mib": round(found.mean, 1)}
