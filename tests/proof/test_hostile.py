"""The long form of the fuzzer in small: its plan, that it goes on where it was, and that it sees what it should not see."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from proof.hostile import run as hostile
from proof.hostile.__main__ import main
from tests.fuzz.registry import READERS, TARGETS

ONLY = frozenset({"proxy"})
SHARE = 1e-5


def test_a_hundred_million_are_planned_for_every_target() -> None:
    assert sum(hostile.MADE.values()) + sum(hostile.GUIDED.values()) == 100_000_000
    assert hostile.MADE.keys() == TARGETS.keys()
    assert hostile.GUIDED.keys() <= READERS.keys()
    planned = hostile.plan(1.0, 1)
    assert sum(each.inputs for each in planned) == 100_000_000
    assert len({each.name for each in planned}) == len(planned)


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    said: list[str] = []

    def run(share: float) -> dict[str, object]:
        return hostile.run(tmp_path, share=share, only=ONLY, cut=1, processes=2, say=said.append)

    assert run(SHARE / 2)["found"] == []
    first = hostile.figures(tmp_path)["proxy-made"]["inputs"]
    outcome = run(SHARE)
    assert (outcome["found"], outcome["growth"]) == ([], [])
    assert first < hostile.figures(tmp_path)["proxy-made"]["inputs"] == 300
    before = [path.read_text() for path in sorted(tmp_path.glob("*.jsonl"))]
    run(SHARE)
    assert [path.read_text() for path in sorted(tmp_path.glob("*.jsonl"))] == before
    assert any("nothing found" in line for line in said)


def test_a_process_that_fails_is_a_finding(tmp_path: Path) -> None:
    broken = hostile.Slice("no such target", guided=False, number=0, inputs=1, seed=1)
    assert "no such target" in hostile._work(broken, tmp_path)


def test_growth_is_seen_and_noise_is_not(tmp_path: Path) -> None:
    def told(name: str, held: list[float]) -> None:
        lines = [
            json.dumps({"run": "r", "inputs": 1000 * number, "seconds": 1.0 * number, "rss_mib": mib})
            for number, mib in enumerate(held, start=1)
        ]
        (tmp_path / f"{name}-made-0.jsonl").write_text("\n".join(lines))

    told("flat", [100 + number % 3 for number in range(60)])
    told("warming", [60.0 + min(number, 20) * 2 for number in range(60)])
    told("growing", [100.0 + number for number in range(60)])
    told("short", [100.0 + number for number in range(19)])
    (growing,), too_short = hostile._growing(tmp_path)
    assert growing["slice"] == "growing-made-0"
    assert growing["grown_mib"] > 30
    assert too_short == {"short-made-0": 19}


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [({}, True), ({"found": [1]}, False), ({"growth": [1]}, False), ({"not_done": 1}, False)],
)
def test_what_was_not_done_is_not_kept(outcome: dict[str, Any], kept: bool) -> None:
    assert hostile.is_kept({"found": [], "growth": [], "not_done": 0, **outcome}) is kept


def test_inputs_that_nobody_could_guide_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)  # as if it were not installed
    out = tmp_path / "figures.json"
    words = ["hostile", str(tmp_path / "work"), "--share", str(SHARE), "--only", *ONLY, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 1
    figures = json.loads(out.read_text())
    planned = sum(each.inputs for each in hostile.plan(SHARE, 1, ONLY) if each.guided)
    assert (figures["not_done"], figures["found"]) == (planned, [])
    assert figures["inputs"] == sum(each.inputs for each in hostile.plan(SHARE, 1, ONLY)) - planned > 0
    # seconds of work tell nothing of growth, and that is said
    assert figures["too_short_for_a_trend"] == [f"proxy-made-{number}" for number in range(hostile.SLICES)]
    said = capsys.readouterr().err
    assert f"{planned} inputs that it would guide are left out" in said
    assert "too short to tell whether it grows" in said


def test_what_is_guided_is_measured(tmp_path: Path) -> None:
    """A process that says what libFuzzer says, and holds something."""
    told = tmp_path / "proxy-guided-0.jsonl"
    child = (
        "import sys, time\nheld = bytearray(b'x') * 50_000_000\n"
        "print('#512\\tpulse  cov: 3 ft: 4 corp: 2/9b lim: 4 exec/s: 9 rss: 9Mb', flush=True)\n"
        "time.sleep(2.5)\nprint('#1000\\tDONE   cov: 3 ft: 4 corp: 2/9b lim: 4 exec/s: 9 rss: 77Mb', flush=True)\n"
    )
    assert hostile._watch([sys.executable, "-c", child], told, 1000) == ""
    first, last = [json.loads(line) for line in told.read_text().splitlines()]
    assert (first["inputs"], last["inputs"], last["rss_mib"]) == (512, 1000, 77.0)
    assert 45 < first["rss_mib"] < 200
    assert hostile.figures(tmp_path)["proxy-guided"]["most_held_mib"] >= 77
    broken = "import sys\nsys.stderr.write('what was found')\nsys.exit(77)"
    assert "what was found" in hostile._watch([sys.executable, "-c", broken], told, 1000)
