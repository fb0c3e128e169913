"""What the simulator says must look like the wire: keys, their order, types and sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import UsageError
from gateway.simulator import MODELS, DockProfile, Run, Step, dock_model, make_profile, number_profiles, payloads
from gateway.simulator.fleet import Percentiles, summarize


def profile(model: str = "dock3", **changes: Any) -> DockProfile:
    given = {"account": "dock-1", "password": "pw-secret", "organization_id": "org-7", "binding_code": "H4RB0R"}
    return make_profile(dock_model(model), **given | changes)


def without_aircraft() -> DockProfile:
    made = profile()
    return DockProfile(
        made.model, made.sn, None, made.account, made.password, made.organization_id, made.binding_code, made.callsign
    )


@pytest.mark.parametrize("name", MODELS)
def test_models_have_serial_numbers_of_the_right_shape(name: str) -> None:
    model = MODELS[name]
    for number in (1, 42, 999_999):
        assert re.fullmatch(r"[A-Z0-9]{14}", model.sn(number))
        assert re.fullmatch(r"[A-Z0-9]{20}", model.aircraft.sn(number))
    assert re.fullmatch(r"3-\d+-\d+", model.key)
    assert re.fullmatch(r"0-\d+-\d+", model.aircraft.key)
    assert len({model.sn(number) for number in range(1, 200)}) == 199


def test_no_two_models_share_a_serial_number() -> None:
    assert len({model.sn(1) for model in MODELS.values()} | {model.aircraft.sn(1) for model in MODELS.values()}) == 8


def test_a_number_beyond_the_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="1 to 999999"):
        dock_model("dock1").sn(1_000_000)


def test_an_unknown_model_name_lists_the_names() -> None:
    with pytest.raises(UsageError, match="dock1, dock2, dock3, unknown"):
        dock_model("dock9")


def test_a_profile_shows_no_secret() -> None:
    assert "pw-secret" not in repr(profile())
    assert "H4RB0R" not in repr(profile())


def test_numbered_profiles_differ_where_docks_differ() -> None:
    made = number_profiles(profile(account="dock-{n}", callsign="Dock {n}"), 3)
    assert [each.account for each in made] == ["dock-1", "dock-2", "dock-3"]
    assert [each.callsign for each in made] == ["Dock 1", "Dock 2", "Dock 3"]
    assert len({each.sn for each in made} | {each.aircraft_sn for each in made}) == 6
    assert number_profiles(without_aircraft(), 1)[0].aircraft_sn is None


KEY_ORDERS: dict[str, tuple[Callable[[DockProfile], dict[str, Any]], list[str]]] = {
    "config": (
        lambda made: payloads.request("config", payloads.config_data(), gateway=made.sn),
        ["bid", "data", "gateway", "tid", "timestamp", "method"],
    ),
    "airport_bind_status": (
        lambda made: payloads.request("airport_bind_status", payloads.bind_status_data(made), gateway=made.sn),
        ["bid", "tid", "timestamp", "method", "data"],
    ),
    "update_topo": (payloads.update_topo, ["tid", "bid", "timestamp", "gateway", "method", "data"]),
    "dock OSD 1": (lambda made: payloads.dock_osd(made, 0), ["tid", "bid", "timestamp", "data", "gateway"]),
    "dock OSD 2": (lambda made: payloads.dock_osd(made, 1), ["tid", "bid", "timestamp", "data", "gateway"]),
    "dock OSD 3": (lambda made: payloads.dock_osd(made, 2), ["bid", "data", "tid", "timestamp", "gateway"]),
    "aircraft OSD": (payloads.aircraft_osd, ["bid", "data", "tid", "timestamp", "gateway"]),
    "hms": (payloads.hms, ["bid", "data", "method", "tid", "timestamp", "gateway"]),
    "state": (payloads.state, ["bid", "data", "need_reply", "tid", "timestamp", "gateway"]),
    "event": (payloads.event, ["bid", "data", "method", "need_reply", "tid", "timestamp", "gateway"]),
    "airsense": (payloads.airsense, ["bid", "data", "method", "need_reply", "tid", "timestamp", "gateway"]),
}


@pytest.mark.parametrize("name", KEY_ORDERS)
@pytest.mark.parametrize("model", MODELS)
def test_messages_have_the_keys_of_the_wire_in_its_order(name: str, model: str) -> None:
    make, keys = KEY_ORDERS[name]
    made = profile(model)
    message = json.loads(payloads.encode(make(made)))
    assert list(message) == keys
    assert isinstance(message["timestamp"], int)
    assert len(str(message["timestamp"])) == 13
    if "gateway" in keys:
        assert message["gateway"] == made.sn
    again = make(made)
    assert again["tid"] != message["tid"]


def test_given_ids_are_kept_whatever_they_are() -> None:
    message = payloads.request("config", {}, gateway="G", tid=7, bid="flight-9")
    assert (message["tid"], message["bid"]) == (7, "flight-9")
    assert payloads.state(profile(), tid="t", bid="b")["tid"] == "t"


def test_the_dock_s_osd_comes_in_three_fragments_with_the_aircraft_in_one() -> None:
    made = profile()
    parts = [payloads.dock_osd(made, number)["data"] for number in range(payloads.DOCK_OSD_FRAGMENTS)]
    assert [set(one) & set(two) for one, two in zip(parts, parts[1:] + parts[:1], strict=True)] == [set(), set(), set()]
    assert [part.get("sub_device") for part in parts] == [
        {"device_sn": made.aircraft_sn, "device_model_key": "0-100-1", "device_online_status": 1, "device_paired": 1},
        None,
        None,
    ]
    assert "sub_device" not in payloads.dock_osd(without_aircraft(), 0)["data"]


def test_the_aircraft_s_osd_is_about_a_kilobyte() -> None:
    assert 1000 <= len(payloads.encode(payloads.aircraft_osd(profile()))) <= 1500


def test_requests_name_the_devices_in_both_orders() -> None:
    made = profile()
    assert [device["sn"] for device in payloads.bind_status_data(made)["devices"]] == [made.aircraft_sn, made.sn]
    wishes = payloads.organization_bind_data(made)["bind_devices"]
    assert [(wish["sn"], wish["device_model_key"]) for wish in wishes] == [
        (made.sn, "3-3-0"),
        (made.aircraft_sn, "0-100-1"),
    ]
    assert all(
        list(wish) == ["device_binding_code", "organization_id", "device_callsign", "sn", "device_model_key"]
        for wish in wishes
    )
    alone = without_aircraft()
    assert payloads.bind_status_data(alone) == {"devices": [{"sn": alone.sn}]}
    assert len(payloads.organization_bind_data(alone)["bind_devices"]) == 1


def test_the_topology_says_domain_as_text_and_types_as_numbers() -> None:
    data = payloads.update_topo(profile())["data"]
    assert (data["domain"], data["type"], data["sub_type"]) == ("3", 3, 0)
    (bird,) = data["sub_devices"]
    assert (bird["domain"], bird["type"], bird["sub_type"], bird["index"]) == ("0", 100, 1, "A")
    assert payloads.update_topo(profile(), with_aircraft=False)["data"]["sub_devices"] == []
    assert payloads.update_topo(without_aircraft())["data"]["sub_devices"] == []


def test_events_as_they_are_on_the_wire() -> None:
    made = profile()
    assert "need_reply" not in payloads.hms(made)
    assert payloads.hms(made)["data"]["list"][0]["device_type"] == "0-100-0"
    airsense = payloads.airsense(made)
    assert isinstance(airsense["data"], list)
    assert len(airsense["data"]) == 9
    assert airsense["need_reply"] == 0
    assert airsense["bid"] == "FLIGHT-SIM-1"
    assert payloads.event(made)["need_reply"] == 1
    assert "need_reply" not in payloads.state(made, need_reply=None)


def test_topics() -> None:
    assert payloads.topic("G", "property/set") == "thing/product/G/property/set"
    assert payloads.dock_subscriptions("G") == (
        "sys/product/G/status_reply",
        "thing/product/G/requests_reply",
        "thing/product/G/events_reply",
        "thing/product/G/state_reply",
        "thing/product/G/services",
        "thing/product/G/property/set",
    )
    assert payloads.aircraft_subscriptions("S") == ("thing/product/S/state_reply", "thing/product/S/events_reply")


def run(sn: str, *steps: tuple[str, bool, float]) -> Run:
    return Run(sn, tuple(Step(name, ok, ms, f"{name} of {sn}") for name, ok, ms in steps))


def test_a_run_tells_its_failure_and_its_access_time() -> None:
    good = run(
        "A", ("connect", True, 2.04), ("update_topo", True, 3.0), ("telemetry", True, 900.0), ("disconnect", True, 1.0)
    )
    assert good.ok
    assert good.failure is None
    assert good.access_ms == pytest.approx(5.04)
    assert good.as_dict()["steps"][0] == {"step": "connect", "ok": True, "ms": 2.0, "detail": "connect of A"}
    bad = run("B", ("connect", True, 1.0), ("config", False, 1.0), ("disconnect", True, 1.0))
    assert not bad.ok
    assert bad.failure is bad.step("config")
    assert not Run("C", ()).ok


def test_a_fleet_is_summed_up_by_nearest_rank() -> None:
    runs = [run(f"D{number}", ("connect", True, float(number))) for number in range(1, 101)]
    runs += [run(f"F{number}", ("connect", False, 5000.0)) for number in range(25)]
    summary = summarize(runs).as_dict()
    assert (summary["docks"], summary["ok"], summary["failed"]) == (125, 100, 25)
    assert summary["access_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert len(summary["failures"]) == 20
    assert summary["failures"][0] == {"sn": "F0", "step": "connect", "detail": "connect of F0", "hint": None}
    assert Percentiles.of([]).as_dict() == {"p50": None, "p95": None, "p99": None, "max": None}
    assert Percentiles.of([7.0]) == Percentiles(7.0, 7.0, 7.0, 7.0)
