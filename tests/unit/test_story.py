"""The story of each attempt of a dock: what is told of audit entries, and what has probably gone wrong."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.operations import story
from gateway.refusals import Reason
from gateway.store import audit
from gateway.store.audit import Entry
from gateway.store.bindings import BindRefusal
from gateway.store.connection import Store

SN, BIRD = "7CTDM7100B1234", "1581F6Q8D23CT00A5N49"
T0 = 1_767_225_600_000
LATER = T0 + 3_600_000

Told = tuple[int, str, str, dict[str, Any]]


def entries(*told: Told | tuple[int, str, str, dict[str, Any], str]) -> list[Entry]:
    """``(second, action, outcome, detail[, target])`` of account dock-7, in the order they were written."""
    return [
        Entry(T0 + second * 1000, "dock-7", action, (rest or (SN,))[0], outcome, detail, id=number)
        for number, (second, action, outcome, detail, *rest) in enumerate(told, start=1)
    ]


def told(*steps: Any, now: int = LATER) -> list[dict[str, Any]]:
    return [story.describe(attempt, SN, now) for attempt in story.attempts(entries(*steps), SN)]


CONNECT: Told = (0, "connect", "ok", {"address": "192.0.2.7"})
LICENSED: Told = (1, "config", "ok", {"organization_id": None, "ntp": True})
ASKED: Told = (2, "bind_status", "ok", {"bound": False})
SHOWN: Told = (20, "organization_get", "ok", {"organization_id": "fleet"})
BOUND: Told = (30, "bind", "ok", {"dock": SN, "organization_id": "fleet", "fresh": True})
TOPOLOGY: Told = (31, "update_topo", "ok", {"aircraft": 1})
ONLINE: Told = (32, "online", "ok", {})


def gone(second: int, reason: str = "closed") -> Told:
    return (second, "disconnect", "ok", {"reason": reason})


@pytest.mark.parametrize(
    ("steps", "verdict", "hint"),
    [
        ([CONNECT, LICENSED, ASKED, SHOWN, BOUND, TOPOLOGY, ONLINE], "it is in service", None),
        ([CONNECT, LICENSED, TOPOLOGY, ONLINE, gone(40)], "it was in service", None),
        ([CONNECT, LICENSED, gone(2)], "it does not accept it", "dockgate license show"),
        ([CONNECT, LICENSED], "it does not accept it", "dockgate license show"),
        ([CONNECT], "asked for nothing", f"dockgate audit list --dock {SN}"),
        ([CONNECT, LICENSED, ASKED], "were not typed", "dockgate card"),
        ([CONNECT, LICENSED, (2, "bind_status", "ok", {"bound": True})], "knows that it is bound", f"dockgate dock show {SN}"),
        ([CONNECT, LICENSED, ASKED, SHOWN], "nobody confirmed", "dockgate card"),
        ([CONNECT, LICENSED, ASKED, SHOWN, BOUND], "no telemetry since", None),
        (
            [CONNECT, (1, "config", "refused", {"reason": "license_missing"}), gone(2)],
            "no license to give",
            "dockgate license set --file license.json",
        ),
    ],
)  # fmt: skip
def test_what_an_attempt_came_to(steps: Sequence[Told], verdict: str, hint: str | None) -> None:
    (attempt,) = told(*steps)
    assert verdict in attempt["verdict"]
    assert attempt["hint"] == hint
    assert (attempt["account"], attempt["address"]) == ("dock-7", "192.0.2.7")
    assert len(attempt["steps"]) == len(steps)
    assert all(step["what"] for step in attempt["steps"])


@pytest.mark.parametrize("steps", [[CONNECT], [CONNECT, LICENSED], [CONNECT, LICENSED, ASKED, SHOWN]])
def test_no_verdict_before_its_time(steps: Sequence[Told]) -> None:
    (attempt,) = told(*steps, now=T0 + 22_000)
    assert attempt["verdict"] in {"it has just connected", "under way"}
    assert attempt["hint"] is None
    assert attempt["ended_at"] is None


@pytest.mark.parametrize("reason", [*BindRefusal], ids=str)
@pytest.mark.parametrize("action", ["organization_get", "bind"])
def test_every_refusal_of_a_binding_has_words(reason: BindRefusal, action: str) -> None:
    detail = {"reason": reason.value, "organization_id": "fleet", "dock": SN}
    (attempt,) = told(CONNECT, LICENSED, (9, action, "refused", detail))
    assert attempt["steps"][-1]["ok"] is False
    assert reason.value not in attempt["verdict"]
    assert attempt["hint"].startswith("dockgate ")
    assert "{" not in attempt["hint"]


LOGIN_REASONS = [
    Reason.UNKNOWN_ACCOUNT, Reason.WRONG_PASSWORD, Reason.DISABLED, Reason.LOCKED_OUT, Reason.CERTIFICATE_MISMATCH,
    Reason.NO_CREDENTIALS, Reason.BUSY,
]  # fmt: skip


@pytest.mark.parametrize("reason", LOGIN_REASONS, ids=str)
def test_every_refusal_of_a_login_has_words(reason: Reason) -> None:
    detail = {"reason": reason.value, "address": "192.0.2.7", "client_id": "c", "dock": SN}
    (attempt,) = told((0, "login", "refused", detail, "dock-7"))
    assert len(attempt["verdict"].split()) > 3
    assert attempt["hint"].startswith("dockgate ")
    assert (attempt["account"], attempt["address"]) == ("dock-7", "192.0.2.7")


def test_an_aircraft_that_was_refused_is_named_though_the_dock_was_bound() -> None:
    refused = (30, "bind", "refused", {"reason": "bound_elsewhere", "dock": SN}, BIRD)
    (attempt,) = told(CONNECT, LICENSED, ASKED, SHOWN, BOUND, refused, TOPOLOGY)
    assert attempt["verdict"] == f"{BIRD}: it is bound to another organization"
    assert attempt["hint"] == f"dockgate dock unbind {BIRD}"


def test_a_refusal_that_was_mended_on_the_same_connection_is_not_the_verdict() -> None:
    mistyped = (25, "bind", "refused", {"reason": "code_unknown", "dock": SN})
    bird = (25, "bind", "refused", {"reason": "code_unknown", "dock": SN}, BIRD)
    (attempt,) = told(CONNECT, LICENSED, ASKED, SHOWN, mistyped, bird, BOUND, (30, *BOUND[1:], BIRD), TOPOLOGY, ONLINE)
    assert (attempt["verdict"], attempt["hint"]) == ("it is in service", None)
    (attempt,) = told(CONNECT, LICENSED, ASKED, SHOWN, mistyped, bird, BOUND, TOPOLOGY, ONLINE)
    assert attempt["verdict"].startswith(f"{BIRD}: no such binding code")


def test_no_dock_can_have_the_operator_take_an_aircraft_from_another() -> None:
    refused = (30, "bind", "refused", {"reason": "not_yours", "dock": SN}, BIRD)
    (attempt,) = told(CONNECT, LICENSED, ASKED, SHOWN, BOUND, refused)
    assert attempt["hint"] == "dockgate dock list"


def test_each_connection_is_an_attempt() -> None:
    first = [CONNECT, LICENSED, gone(2)]
    second = [(60, *CONNECT[1:]), (61, *LICENSED[1:]), (62, *TOPOLOGY[1:]), (63, *ONLINE[1:])]
    one, two = told(*first, *second)
    assert [step["step"] for step in one["steps"]] == ["connect", "config", "disconnect"]
    assert [step["step"] for step in two["steps"]] == ["connect", "config", "update_topo", "online"]
    assert one["ended_at"] == "2026-01-01T00:00:02.000Z"
    assert two["ended_at"] is None


def test_the_same_again_is_told_once_with_its_number() -> None:
    """What repeats itself within a minute is written together, when the minute is over."""
    again = {"count": 11, "since": T0}
    (attempt,) = told(
        CONNECT, LICENSED, gone(2),
        (55, "connect", "ok", {"address": "192.0.2.7", **again}),
        (56, "config", "ok", {"count": 11, "since": T0 + 1000}),
        (57, "disconnect", "ok", {"reason": "closed", "count": 11, "since": T0 + 2000}),
    )  # fmt: skip
    assert [step["step"] for step in attempt["steps"]] == ["connect", "config", "disconnect"]
    assert attempt["repeats"] == 11
    assert attempt["ended_at"] == "2026-01-01T00:00:57.000Z"

    refused = {"reason": "wrong_password", "address": "192.0.2.7", "client_id": "c"}
    (attempt,) = told(
        (0, "login", "refused", refused, "dock-7"),
        (40, "login", "refused", {**refused, "count": 7, "since": T0}, "dock-7"),
        (70, "login", "refused", refused, "dock-7"),
    )
    assert attempt["repeats"] == 8
    other = (80, "login", "refused", {**refused, "reason": "locked_out"}, "dock-7")
    assert len(told((0, "login", "refused", refused, "dock-7"), other)) == 2


def test_what_is_not_recorded_leaves_a_gap_and_no_more() -> None:
    """A database of before: binds and refusals only."""
    (attempt,) = told(BOUND)
    assert attempt["account"] == "dock-7"
    assert [step["what"] for step in attempt["steps"]] == ["bind the dock: bound to fleet"]
    _, late = told(BOUND, (9000, *BOUND[1:3], {**BOUND[3], "fresh": False}))
    assert "already" in late["steps"][0]["what"]
    assert told((5, "disconnect", "ok", {})) == []
    assert told((5, "dock.rename", "ok", {"callsign": "x"}), (6, "account.add", "ok", {"dock": SN}, "dock-7")) == []


def test_what_a_stranger_chose_is_no_part_of_a_command() -> None:
    evil = "x; rm -rf ~ $(touch /tmp/x) `id` {sn} '"
    detail = {"reason": "code_expired", "organization_id": evil}
    (attempt,) = told(CONNECT, (9, "organization_get", "refused", detail))
    assert shlex.split(attempt["hint"]) == ["dockgate", "org", "code", "add", evil]
    (attempt,) = told((0, "login", "refused", {"reason": "disabled"}, evil))
    assert shlex.split(attempt["hint"]) == ["dockgate", "account", "enable", evil]


def test_from_a_database_only_the_latest(tmp_path: Path) -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with await Store.open(tmp_path / "d.db", clock=lambda: T0, create=True) as store:
            for minute in range(story.SHOWN + 3):
                second = minute * 120
                await store.write(
                    audit.append, entries((second, *CONNECT[1:]), (second + 1, *LICENSED[1:]), gone(second + 2))
                )
            return await store.read(story.of_dock, SN, LATER)

    found = asyncio.run(scenario())
    assert len(found) == story.SHOWN
    assert found == sorted(found, key=lambda attempt: str(attempt["began_at"]))
    assert set(found[0]) == {
        "began_at", "ended_at", "account", "address", "repeats", "steps", "verdict", "hint",
    }  # fmt: skip
    assert all(set(step) == {"at", "step", "ok", "what"} for step in found[0]["steps"])
