"""The table of result codes."""

from __future__ import annotations

import pytest

from gateway import results
from gateway.methods import METHODS, STATUS_METHODS
from gateway.results import MEANINGS, NUMBERS, Result, failure_of, number, problems_of


def test_every_name_has_a_number_and_a_meaning() -> None:
    assert set(NUMBERS) == set(MEANINGS) == set(Result)


def test_only_success_is_zero() -> None:
    assert [name for name, value in NUMBERS.items() if value == 0] == [Result.OK]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ok", 0),
        ("illegal_argument", 200001),
        ("organization_unavailable", 210230),
        ("binding_failed", 210231),
        ("bound_elsewhere", 210232),
        ("bind_status_unavailable", 210233),
    ],
)
def test_the_official_numbers(name: str, value: int) -> None:
    assert number(name, {}) == value


def test_an_operator_can_give_a_name_another_number() -> None:
    assert number("bound_elsewhere", {"bound_elsewhere": 210231}) == 210231
    assert number("binding_failed", {"bound_elsewhere": 1}) == 210231


def test_success_stays_zero_whatever_is_configured() -> None:
    assert number("ok", {"ok": 5}) == 0


def test_a_name_that_does_not_exist_is_a_slip_of_ours() -> None:
    with pytest.raises(KeyError):
        number("no_such_name", {"no_such_name": 5})


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("config", 200001),
        ("airport_bind_status", 210233),
        ("airport_organization_get", 210230),
        ("airport_organization_bind", 210231),
        ("flight_areas_get", 200001),
        ("update_topo", 200001),
        ("", 200001),
    ],
)
def test_what_a_method_is_answered_with_when_it_failed_here(method: str, value: int) -> None:
    assert number(failure_of(method), {}) == value


def test_every_handled_method_fails_with_something() -> None:
    assert all(number(failure_of(method), {}) > 0 for method in (*METHODS, *STATUS_METHODS))


def test_usable_overrides_have_no_problems() -> None:
    assert problems_of({}) == []
    assert problems_of({name: 1 for name in Result if name != "ok"}) == []
    assert problems_of({"failed": results.MAX_NUMBER}) == []


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        ({"faild": 1}, "faild"),
        ({"ok": 1}, "ok"),
        ({"failed": 0}, "failed"),
        ({"failed": -1}, "failed"),
        ({"failed": results.MAX_NUMBER + 1}, "failed"),
        ({"failed": True}, "failed"),
        ({"failed": "1"}, "failed"),
    ],
)
def test_unusable_overrides_are_named(overrides: dict[str, object], word: str) -> None:
    (problem,) = problems_of(overrides)
    assert word in problem


def test_each_problem_is_told() -> None:
    assert len(problems_of({"a": 1, "failed": 0, "ok": 0})) == 3
