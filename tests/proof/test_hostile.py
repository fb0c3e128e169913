"""The long form of the fuzzer in small: its plan, that it goes on where it was, and that it sees what it should not see."""

from __future__ import annotations

import json
from pathlib import Path

from proof.hostile import run as hostile
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
    (growing,) = hostile._growing(tmp_path)
    assert growing["slice"] == "growing-made-0"
    assert growing["grown_mib"] > 30
