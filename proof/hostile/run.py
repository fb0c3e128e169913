"""The fuzzer of ``tests/fuzz``, at length: a plan and a folder come in, figures by target go out. What was done before counts.

Promised: no crash, no unhandled exception, no line of a failure, no growth. Each target is cut into slices of seeds, each a
process; what each has done is in the folder, so that a run that was ended goes on where it was. It must not call kept what was not
looked at: inputs that were not done and processes that were too short for a trend are told of, by number and by name.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
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
_LEAST_SAMPLES = 20  # twelve of them are left for the trend
_GROWTH_SHARE = 0.05
_GROWTH_MIB = 8.0
_STDERR_LINES = 40
_LOOK_S = 2.0
# libFuzzer's line about itself: "#1024 pulse cov: 31 ft: 40 corp: 12/80b lim: 4 exec/s: 512 rss: 61Mb"
_PROGRESS = re.compile(r"^#(\d+)\s.*\brss: (\d+)Mb", re.ASCII)


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
    doable = slices
    if importlib.util.find_spec("atheris") is None:
        doable = [each for each in slices if not each.guided]
        left_out = sum(each.inputs for each in slices if each.guided)
        say(
            f"Atheris is not installed (pip install 'dockgate[proof]'): {left_out:,} inputs that it would guide are left out"
        )
    with ThreadPoolExecutor(processes) as workers:
        waiting = {workers.submit(_work, each, folder): each for each in doable}
        for done in as_completed(waiting):
            why = done.result()
            say(f"{waiting[done].name}: {'FOUND' if why else 'nothing found'}")
            if why:
                found.append({"slice": waiting[done].name, "seed": waiting[done].seed, "why": why})
    growing, too_short = _growing(folder)
    for name, samples in too_short.items():
        say(f"{name}: too short to tell whether it grows: {samples} samples, and {_LEAST_SAMPLES} are needed")
    return {
        "inputs": sum(_done(folder, each) for each in slices),
        "not_done": sum(max(0, each.inputs - _done(folder, each)) for each in slices),
        "found": found,
        "growth": growing,
        "too_short_for_a_trend": sorted(too_short),
        "targets": figures(folder),
    }


def is_kept(outcome: dict[str, Any]) -> bool:
    """All of it was done, nothing was found, and nothing grew as far as that could be told."""
    return not (outcome["found"] or outcome["growth"] or outcome["not_done"])


def _done(folder: Path, each: Slice) -> int:
    return sum(entry["inputs"] for entry in _last_of_each(folder / f"{each.name}.jsonl"))


def _work(each: Slice, folder: Path) -> str:
    """What a process of its own said when it found something; "" when it found nothing."""
    told = folder / f"{each.name}.jsonl"
    done = _done(folder, each)
    left = each.inputs - done
    if left <= 0:
        return ""
    words = [each.target, "--inputs", str(left), "--seed", str(each.seed + done // 1000)]
    words += ["--guided", str(folder / "corpora")] if each.guided else ["--tell", str(told)]
    words = [sys.executable, str(ROOT / "tests" / "fuzz"), *words]
    if each.guided:
        return _watch(words, told, left)
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    if process.returncode:
        return "\n".join(f"{process.stdout}\n{process.stderr}".splitlines()[-_STDERR_LINES:])
    return ""


def _watch(words: list[str], told: Path, inputs: int) -> str:
    """A process that is led by coverage, as ``_work`` has it: libFuzzer tells what it did, and here is looked what it holds."""
    began, run = time.monotonic(), f"{time.time():.3f}-{threading.get_ident()}"
    last_lines: deque[str] = deque(maxlen=_STDERR_LINES)
    progress = {"inputs": 0, "rss_mib": 0.0}

    def tell() -> None:
        _append(told, {"run": run, "seconds": round(time.monotonic() - began, 3), **progress})

    def read() -> None:
        for line in process.stdout or ():
            last_lines.append(line)
            if found := _PROGRESS.match(line):
                progress.update(inputs=min(inputs, int(found[1])), rss_mib=float(found[2]))

    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        reader = threading.Thread(target=read)
        reader.start()
        while True:
            try:
                process.wait(_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                held = _held_mib(process.pid)
                if held is not None and progress["inputs"]:  # before that it is still being instrumented
                    progress["rss_mib"] = held
                    tell()
        reader.join()
    if process.returncode:
        return "".join(last_lines)
    tell()
    return ""


def _held_mib(pid: int) -> float | None:
    """None: it has ended meanwhile."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


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
    """Inputs, seconds of a core, inputs a second, and the most that a process held, by target."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: {"inputs": 0, "seconds": 0.0, "most_held_mib": 0.0})
    for told in sorted(folder.glob("*.jsonl")):
        of = sums[told.stem.rpartition("-")[0]]
        for entry in _last_of_each(told):
            of["inputs"] += entry["inputs"]
            of["seconds"] += entry["seconds"]
        of["most_held_mib"] = max([of["most_held_mib"], *(entry["rss_mib"] for entry in _entries(told))])
    return {
        name: {
            **each,
            "seconds": round(each["seconds"]),
            "a_second": round(each["inputs"] / max(each["seconds"], 0.001)),
        }
        for name, each in sorted(sums.items())
    }


def _growing(folder: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The processes that held more and more: by how much over the second half of what they did. And the slices that no process
    worked on for long enough to tell, with the most samples that one gave.
    """
    growing = []
    too_short = {}
    for told in sorted(folder.glob("*.jsonl")):
        runs = defaultdict(list)
        for entry in _entries(told):
            runs[entry["run"]].append(entry)
        judged = False
        for entries in runs.values():
            warm = entries[int(len(entries) * _WARM) :]
            if len(entries) < _LEAST_SAMPLES:
                continue
            judged = True
            length = warm[-1]["seconds"] - warm[0]["seconds"]
            found = slope([entry["seconds"] / length for entry in warm], [entry["rss_mib"] for entry in warm])
            if found.per_unit - 2 * found.error > max(_GROWTH_MIB, _GROWTH_SHARE * found.mean):
                growing.append(
                    {"slice": told.stem, "grown_mib": round(found.per_unit, 1), "of_mib": round(found.mean, 1)}
                )
        if not judged:
            too_short[told.stem] = max(map(len, runs.values()), default=0)
    return growing, too_short
