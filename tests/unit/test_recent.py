"""What is remembered of answers, and what is forgotten so that memory has an end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.model import Identity, Reply, Role
from gateway.recent import Key, Recent, key_of

ASKER = Identity(account="dock-one", role=Role.DOCK, sn="D", organization_id=None, can_read_sys=False, version=1)


class Clock:
    now = 1_000

    def __call__(self) -> int:
        return self.now


def key(tid: Any, *, sn: str = "D") -> Key:
    found = key_of(sn, ASKER, "config", tid, {})
    assert found is not None
    return found


def reply(text: str = "x") -> Reply:
    return Reply({"text": text}, 0)


def test_what_was_answered_is_found_again() -> None:
    recent = Recent(Clock())
    recent.put(key("1"), reply("a"), 1)
    assert recent.get(key("1")) == reply("a")
    assert recent.get(key("2")) is None


def test_a_later_answer_takes_the_place_of_the_earlier_one() -> None:
    recent = Recent(Clock())
    recent.put(key("1"), reply("a"), 1)
    recent.put(key("1"), reply("b"), 1)
    assert recent.get(key("1")) == reply("b")
    assert len(recent) == 1


def test_without_tid_there_is_nothing_to_know_a_request_by() -> None:
    assert key_of("D", ASKER, "config", None, {}) is None


@pytest.mark.parametrize(
    "other",
    [
        key_of("E", ASKER, "config", "1", {}),
        key_of("D", ASKER, "update", "1", {}),
        key_of("D", ASKER, None, "1", {}),
        key_of("D", ASKER, "config", "2", {}),
        key_of("D", ASKER, "config", 1, {}),
        key_of("D", ASKER, "config", ["1"], {}),
        key_of("D", ASKER, "config", "1", {"a": 1}),
        key_of("D", replace(ASKER, version=2), "config", "1", {}),
        key_of("D", replace(ASKER, account="other"), "config", "1", {}),
    ],
)
def test_another_request_is_another_key(other: Key) -> None:
    assert other != key_of("D", ASKER, "config", "1", {})


def test_keys_have_a_fixed_size() -> None:
    assert len(key("x" * 1_000_000).digest) == len(key("").digest) == 16


def test_answers_are_forgotten_when_they_are_old() -> None:
    clock = Clock()
    recent = Recent(clock, keep_ms=100)
    recent.put(key("1"), reply(), 1)
    clock.now += 99
    assert recent.get(key("1")) is not None
    clock.now += 1
    assert recent.get(key("1")) is None
    assert len(recent) == 0


def test_old_answers_go_with_the_next_new_one() -> None:
    clock = Clock()
    recent = Recent(clock, keep_ms=100)
    for tid in range(10):
        recent.put(key(tid, sn=f"D{tid}"), reply(), 1)
    clock.now += 100
    recent.put(key("new"), reply(), 1)
    assert len(recent) == 1


def test_a_dock_pushes_out_its_own_answers_only() -> None:
    recent = Recent(Clock(), per_dock=3)
    recent.put(key("kept", sn="E"), reply(), 1)
    for tid in range(5):
        recent.put(key(tid), reply(), 1)
    assert [recent.get(key(tid)) is not None for tid in range(5)] == [False, False, True, True, True]
    assert recent.get(key("kept", sn="E")) is not None


def test_in_total_the_oldest_goes() -> None:
    recent = Recent(Clock(), total=3)
    for tid in range(5):
        recent.put(key(tid, sn=f"D{tid}"), reply(), 1)
    assert [recent.get(key(tid, sn=f"D{tid}")) is not None for tid in range(5)] == [False, False, True, True, True]


def test_heavy_answers_are_limited_by_weight() -> None:
    recent = Recent(Clock(), weight=10_000)
    for tid in range(20):
        recent.put(key(tid, sn=f"D{tid}"), reply("x" * 3_000), 3_000)
    assert len(recent) == 3
    recent.put(key("huge"), reply("x" * 20_000), 20_000)
    assert len(recent) == 0
    recent.put(key("light"), reply(), 1)
    assert recent.get(key("light")) is not None
