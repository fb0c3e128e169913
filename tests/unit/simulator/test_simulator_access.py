"""A whole access against a foreign broker: with a good cloud, with one that errs, misbehaving on request, and as a fleet."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.simulator import Misbehaviour, Run, Step, number_profiles, run_dock, run_fleet

from .rig import FIRST_ACCESS, Broker, Cloud, a_profile, detail, outcome

# -- the whole way in -------------------------------------------------------------------------------------------------

WAYS = {f"{kind} {protocol}": (kind, protocol) for kind in ("plain", "tls", "mtls", "ws", "wss") for protocol in (4, 5)}


@pytest.mark.parametrize("way", WAYS)
def test_a_dock_gets_in_and_finds_itself_bound_the_second_time(broker: Broker, cloud: Cloud, way: str) -> None:
    profile, target = a_profile(), broker.target(*WAYS[way])
    told: list[Step] = []
    first = run_dock(target, profile, on_step=told.append)
    assert outcome(first) == [(name, True) for name in FIRST_ACCESS], first.as_dict()
    assert told == list(first.steps)
    assert cloud.bound == {
        profile.sn: ("org-7", profile.callsign),
        profile.aircraft_sn: ("org-7", f"{profile.callsign} bird"),
    }
    assert "license of app 100001, time from 192.0.2.10:123" in detail(first, "config")
    assert "Harbour team" in detail(first, "bind_status_after")
    second = run_dock(target, profile)
    assert [name for name, _ok in outcome(second)] == [
        name for name in FIRST_ACCESS if name not in {"organization_get", "organization_bind", "bind_status_after"}
    ]
    assert second.ok, second.as_dict()


@pytest.mark.parametrize("model", ["dock1", "dock2", "unknown"])
def test_every_model_gets_in(broker: Broker, cloud: Cloud, model: str) -> None:
    run = run_dock(broker.target("plain"), a_profile(model))
    assert run.ok, run.as_dict()


def test_what_a_dock_says_is_heard(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    assert run_dock(broker.target("plain"), profile).ok
    dock, bird = cloud.topics(profile.sn), cloud.topics(profile.aircraft_sn)
    assert dock.count(f"thing/product/{profile.sn}/osd") == 3
    assert dock.count(f"thing/product/{profile.sn}/events") == 2
    assert bird == [f"thing/product/{profile.aircraft_sn}/{kind}" for kind in ("osd", "events", "state")]
    asked = [json.loads(payload)["method"] for topic, payload in cloud.seen if topic.endswith(f"{profile.sn}/requests")]
    assert asked == [
        "config", "airport_bind_status", "airport_organization_get", "airport_organization_bind", "airport_bind_status",
    ]  # fmt: skip


def test_telemetry_goes_on_for_the_time_it_was_given(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    run = run_dock(broker.target("plain"), profile, telemetry_s=0.2)
    assert run.ok, run.as_dict()
    assert detail(run, "telemetry") == "12 messages"
    assert run.access_ms < sum(step.ms for step in run.steps)


# -- what a gateway can get wrong -------------------------------------------------------------------------------------


def test_a_dock_without_a_usable_license_leaves(broker: Broker, cloud: Cloud) -> None:
    spoilers: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
        "wrapped in result and output": lambda _m, data: {"result": 0, "output": data},
        "config was refused": lambda _m, _data: {"result": 200001},
        "app_id must be text": lambda _m, data: data | {"app_id": 100001},
    }
    for words, spoil in spoilers.items():
        cloud.reset()
        cloud.spoil, profile = spoil, a_profile()
        run = run_dock(broker.target("plain"), profile)
        assert outcome(run) == [("connect", True), ("subscribe", True), ("config", False), ("disconnect", True)]
        assert words in detail(run, "config")
        assert len(cloud.seen) == 1, "a dock without license asks nothing more"


SPOILED: dict[str, tuple[str, str, Any, str]] = {
    # name: method that is spoiled, step that fails, the data to put in its place (or a function), words
    "organization unknown": ("airport_organization_get", "organization_get", {"result": 210230}, "do not belong together (210230)"),
    "a refusal as text": (
        "airport_organization_get", "organization_get", {"result": 210230, "output": "no"}, "output must be an object",
    ),
    "result 0 and a device refused": (
        "airport_organization_bind", "organization_bind",
        lambda data: {"result": 0, "output": {"err_infos": [info | {"err_code": 210232} for info in data["output"]["err_infos"]]}},
        "the device is bound to another organization (210232)",
    ),
    "a device forgotten": (
        "airport_organization_bind", "organization_bind", {"result": 0, "output": {"err_infos": []}}, "one entry for each of the 2",
    ),
    "binding refused as a whole": ("airport_organization_bind", "organization_bind", {"result": 210231}, "binding failed (210231)"),
    "status lookup failed": ("airport_bind_status", "bind_status", {"result": 210233}, "could not be looked up (210233)"),
    "topology refused": ("status", "update_topo", {"result": 1}, "the topology was refused"),
    "state not acknowledged with 0": ("state", "acknowledge", {"result": 5}, "acknowledged with no public meaning (5)"),
    "event acknowledged without result": ("events", "acknowledge", {}, "result must be a whole number"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_a_wrong_answer_fails_its_step_with_the_cause(broker: Broker, cloud: Cloud, name: str) -> None:
    method, step, data, words = SPOILED[name]
    cloud.spoil = lambda asked, good: good if asked != method else data(good) if callable(data) else data
    run = run_dock(broker.target("plain"), a_profile())
    assert [each for each in outcome(run) if not each[1]] == [(step, False)], run.as_dict()
    assert words in detail(run, step)
    assert outcome(run)[-2:] == [(step, False), ("disconnect", True)]


def test_a_binding_that_is_not_there_afterwards_is_noticed(broker: Broker, cloud: Cloud) -> None:
    def forget(_method: str, data: dict[str, Any]) -> dict[str, Any]:
        cloud.bound.clear()
        return data

    cloud.spoil = forget
    run = run_dock(broker.target("plain"), a_profile())
    assert run.failure is not None
    assert run.failure.step == "bind_status_after"
    assert "success and is not there" in run.failure.detail


def test_silence_is_told_with_topic_and_time(broker: Broker, cloud: Cloud) -> None:
    cloud.spoil = lambda _method, _data: None
    profile = a_profile()
    run = run_dock(broker.target("plain"), profile, timeout_s=0.2)
    assert detail(run, "config") == f"nothing answered config on thing/product/{profile.sn}/requests_reply within 0.2 s"


def test_an_answer_with_another_tid_is_no_answer(broker: Broker, cloud: Cloud) -> None:
    cloud.spoil_envelope = lambda reply: reply | {"tid": "another"}
    run = run_dock(broker.target("plain"), a_profile(), timeout_s=0.2)
    assert detail(run, "config").endswith("within 0.2 s; what came there (1) does not carry its tid")


def test_a_dock_that_is_bound_elsewhere_says_so_and_stops(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    cloud.bound[profile.sn] = ("org-8", "Dock South")
    run = run_dock(broker.target("plain"), profile)
    assert outcome(run)[-2:] == [("bind_status", False), ("disconnect", True)]
    assert (
        detail(run, "bind_status")
        == f"{profile.sn} is bound to organization org-8 (Other team), not to org-7: unbind it there first"
    )


def test_only_the_new_aircraft_is_bound_after_a_swap(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    cloud.bound[profile.sn] = ("org-7", "Dock North")
    assert outcome(run_dock(broker.target("plain"), profile)) == [(name, True) for name in FIRST_ACCESS]


# -- misbehaviour -----------------------------------------------------------------------------------------------------

TRICKS: dict[Misbehaviour, tuple[list[str], str, str]] = {
    Misbehaviour.WRONG_PASSWORD: (
        ["connect"],
        "connect",
        "refused as it should be: the login of account dock was refused",
    ),
    Misbehaviour.WRONG_CODE: ([*FIRST_ACCESS[:7], "disconnect"], "organization_bind", "refused as it should be"),
    Misbehaviour.NO_AIRCRAFT: (FIRST_ACCESS, "update_topo", "no aircraft"),
    Misbehaviour.DUPLICATE_TID: (FIRST_ACCESS, "acknowledge", "state and event"),
    Misbehaviour.GARBAGE: (FIRST_ACCESS, "config", "after 10 unusable messages (shown out after: huge)"),
}


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("trick", TRICKS)
def test_a_gateway_that_deals_with_misbehaviour_passes(
    broker: Broker, cloud: Cloud, trick: Misbehaviour, protocol: int
) -> None:
    names, step, words = TRICKS[trick]
    run = run_dock(broker.target("plain", protocol), a_profile(), misbehaviour=trick)
    assert outcome(run) == [(name, True) for name in names], run.as_dict()
    assert words in detail(run, step)


def test_bound_elsewhere_must_be_refused_and_leave_the_binding_alone(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    cloud.bound[profile.sn] = ("org-8", "Dock South")
    run = run_dock(broker.target("plain"), profile, misbehaviour="bound-elsewhere")
    assert outcome(run) == [(name, True) for name in [*FIRST_ACCESS[:7], "disconnect"]], run.as_dict()
    assert "(210232)" in detail(run, "organization_bind")
    assert cloud.bound[profile.sn] == ("org-8", "Dock South")


def test_a_wrong_code_leaves_a_dock_bound_that_was_before(broker: Broker, cloud: Cloud) -> None:
    profile = a_profile()
    cloud.bound[profile.sn] = (profile.organization_id, "Dock North")  # the dock, and not its new aircraft
    run = run_dock(broker.target("plain"), profile, misbehaviour=Misbehaviour.WRONG_CODE)
    assert run.failure is None, run.as_dict()


def test_bound_elsewhere_needs_a_dock_that_is(broker: Broker, cloud: Cloud) -> None:
    run = run_dock(broker.target("plain"), a_profile(), misbehaviour=Misbehaviour.BOUND_ELSEWHERE)
    assert run.failure is not None
    assert "bind this dock to another organization first" in run.failure.detail


def answered(method: str, data: dict[str, Any]) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    return lambda asked, good: data if asked == method else good


def bind_all(method: str, data: dict[str, Any]) -> dict[str, Any]:
    if method != "airport_organization_bind":
        return data
    return {"result": 0, "output": {"err_infos": [info | {"err_code": 0} for info in data["output"]["err_infos"]]}}


def other_each_time(method: str, data: dict[str, Any]) -> dict[str, Any]:
    return data | {"app_id": str(time.monotonic_ns())} if method == "config" else data


GULLIBLE: dict[str, tuple[Misbehaviour, Callable[[str, dict[str, Any]], Any], str, str]] = {
    "any code will do": (
        Misbehaviour.WRONG_CODE, answered("airport_organization_get", {"result": 0, "output": {"organization_name": "X"}}),
        "organization_get", "a binding code that does not exist was accepted",
    ),
    "binds with any code": (Misbehaviour.WRONG_CODE, bind_all, "organization_bind", "had to be refused"),
    "binds what is bound elsewhere": (Misbehaviour.BOUND_ELSEWHERE, bind_all, "organization_bind", "had to be refused"),
    "answers a repetition differently": (
        Misbehaviour.DUPLICATE_TID, other_each_time, "config", "config was answered differently when it came again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GULLIBLE)
def test_a_gateway_that_falls_for_it_fails(broker: Broker, cloud: Cloud, name: str) -> None:
    trick, cloud.spoil, step, words = GULLIBLE[name]
    profile = a_profile()
    if trick is Misbehaviour.BOUND_ELSEWHERE:
        cloud.bound[profile.sn] = ("org-8", "Dock South")
    run = run_dock(broker.target("plain"), profile, misbehaviour=trick)
    assert outcome(run)[-2:] == [(step, False), ("disconnect", True)], run.as_dict()
    assert words in detail(run, step)


# -- many -------------------------------------------------------------------------------------------------------------


def test_a_fleet_gets_in_and_one_failure_disturbs_nobody(broker: Broker, cloud: Cloud) -> None:
    template = replace(a_profile("dock2"), account="dock-{n}", callsign="Dock {n}")
    profiles = list(number_profiles(template, 20, first=1))
    profiles[7] = replace(profiles[7], password="wrong")
    runs: list[Run] = []
    summary = run_fleet(broker.target("tls"), profiles, concurrency=8, on_run=runs.append)
    assert [run.sn for run in runs] == [profile.sn for profile in profiles]
    shown = summary.as_dict()
    assert (shown["docks"], shown["ok"], shown["failed"]) == (20, 19, 1)
    assert shown["failures"][0]["sn"] == profiles[7].sn
    assert shown["failures"][0]["step"] == "connect"
    assert 0 < shown["access_ms"]["p50"] <= shown["access_ms"]["p95"] <= shown["access_ms"]["max"]
    assert len(cloud.bound) == 38
