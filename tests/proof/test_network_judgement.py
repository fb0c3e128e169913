"""What the network proofs call broken: too many handshakes that fail, memory that grows every round; and what is kept of it all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from proof.network import __main__ as command
from proof.network import crowds, memory
from proof.network.ground import BrokenPromise

MIB = memory.MIB
BEFORE = 110 * MIB


def rounds(*steps: float) -> list[int]:
    held = [BEFORE]
    for step in steps:
        held.append(held[-1] + int(step * MIB))
    return held[1:]


@pytest.mark.parametrize(
    ("steps", "at_once"),
    [
        ((49, 36, 30, 24, 20, 12, 12, 8), 800),  # as was measured
        ((3, 0.5, 0), 200),
        ((5, 5, 0, 6, 6), 0),  # a round that adds nothing: no leak
        ((60,), 0),
        ((10, -3, 4), 0),
    ],
)
def test_what_fills_up_once_is_no_growth(steps: tuple[float, ...], at_once: int) -> None:
    memory.judge(BEFORE, rounds(*steps), at_once=at_once)


@pytest.mark.parametrize(
    ("steps", "at_once", "why"),
    [
        ((5, 5, 5, 5), 0, "goes on growing"),  # 20 MiB are within what may be kept
        ((20, 17, 17, 18), 800, "goes on growing"),  # 22 KiB for each connection
        ((65,), 0, "memory after each round"),
        ((400, 0, 0), 800, "memory after each round"),
    ],
)
def test_a_leak_is_seen_from_round_to_round(steps: tuple[float, ...], at_once: int, why: str) -> None:
    with pytest.raises(BrokenPromise, match=why):
        memory.judge(BEFORE, rounds(*steps), at_once=at_once)


def test_handshakes_that_fail_are_within_three_in_a_hundred() -> None:
    assert crowds.judge_failed(832, 50_000) == 1.66
    assert crowds.judge_failed(18, 600) == 3.0
    with pytest.raises(BrokenPromise, match=r"19 handshakes failed, 3\.2 for each 100"):
        crowds.judge_failed(19, 600)


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_figures_are_kept_and_a_broken_promise_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    if not is_kept:
        monkeypatch.setattr(crowds, "_IDENTIFIER_REJECTED", 0)  # what no gateway says to a stranger
    out = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["network", "one client id", "--short", "--out", str(out)])
    assert command.main() == (0 if is_kept else 1)
    kept = json.loads(out.read_text())
    assert kept["short"] is True
    (figures,) = kept["attacks"].values()
    assert ("broken" in figures) is not is_kept
    if is_kept:
        assert figures["strangers_refused"] == 15
    else:
        assert "another account, the same client id: CONNACK 2" in figures["broken"][0]
