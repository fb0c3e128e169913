"""The strict dock's judgement, proved against right and wrong replies by a table of names."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.simulator import checks
from gateway.simulator.checks import Asked

DOCK, BIRD = "7CTDM7SM000001", "1581F6Q8SIM000000001"
TID, BID = "2a2f6f0b-7a52-4f06-b0a3-222222222222", "0c6a1d0e-5f64-4b0f-9d5e-111111111111"
REQUESTS = f"thing/product/{DOCK}/requests"
STATUS = f"sys/product/{DOCK}/status"

BOUND = {
    "sn": DOCK,
    "is_device_bind_organization": True,
    "organization_id": "org-7",
    "organization_name": "Harbour team",
    "device_callsign": "Dock North",
}
UNBOUND = {
    "sn": BIRD,
    "is_device_bind_organization": False,
    "organization_id": "",
    "organization_name": "",
    "device_callsign": "",
}
LICENSE = {
    "app_id": "100001",
    "app_key": "k-1",
    "app_license": "bGljLXBsYWNlaG9sZGVy==",
    "ntp_server_host": "192.0.2.10",
    "ntp_server_port": 123,
}
DATA: dict[str, Any] = {
    "config": {"config_scope": "product", "config_type": "json"},
    "airport_bind_status": {"devices": [{"sn": BIRD}, {"sn": DOCK}]},
    "airport_organization_get": {"device_binding_code": "C", "organization_id": "org-7"},
    "airport_organization_bind": {"bind_devices": [{"sn": DOCK}, {"sn": BIRD}]},
    "flight_areas_get": None,
    "update_topo": {"sub_devices": []},
}
GOOD: dict[str, Any] = {
    "config": LICENSE,
    "airport_bind_status": {"result": 0, "output": {"bind_status": [UNBOUND, BOUND]}},
    "airport_organization_get": {"result": 0, "output": {"organization_name": "Harbour team"}},
    "airport_organization_bind": {
        "result": 0,
        "output": {"err_infos": [{"sn": DOCK, "err_code": 0}, {"sn": BIRD, "err_code": 210232}]},
    },
    "flight_areas_get": {"result": 0, "output": {"files": []}},
    "update_topo": {"result": 0},
}


def asked(method: str, /, **changes: Any) -> Asked:
    fields: dict[str, Any] = {
        "topic": STATUS if method == "update_topo" else REQUESTS,
        "gateway": DOCK,
        "method": method,
        "tid": TID,
        "bid": BID,
        "data": DATA[method],
    }
    return Asked(**fields | changes)


def answer(method: str, data: Any = None, /, **changes: Any) -> dict[str, Any]:
    reply = {
        "tid": TID,
        "bid": BID,
        "timestamp": 1767225600160,
        "method": method,
        "data": GOOD[method] if data is None else data,
    }
    return {key: value for key, value in (reply | changes).items() if value is not ...}


def judge(question: Asked, reply: Any, topic: str | None = None) -> list[str]:
    payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return [complaint.rule for complaint in checks.check(question, topic or f"{question.topic}_reply", payload)]


@pytest.mark.parametrize("method", GOOD)
def test_right_replies_are_accepted(method: str) -> None:
    assert judge(asked(method), answer(method)) == []
    assert judge(asked(method), answer(method, gateway=DOCK)) == []


ACCEPTED: dict[str, tuple[Asked, dict[str, Any]]] = {
    "a license without time server": (
        asked("config"),
        answer("config", {key: LICENSE[key] for key in ("app_id", "app_key", "app_license")}),
    ),
    "config refused": (asked("config"), answer("config", {"result": 200001})),
    "config refused with output": (asked("config"), answer("config", {"result": 200001, "output": {}})),
    "a refusal without output": (
        asked("airport_organization_get"),
        answer("airport_organization_get", {"result": 210230}),
    ),
    "a refusal with output": (
        asked("airport_organization_get"),
        answer("airport_organization_get", {"result": 210230, "output": {}}),
    ),
    "a request without bid": (asked("config", bid=checks.ABSENT), answer("config", bid=...)),
    "a numeric tid": (asked("config", tid=7), answer("config", tid=7)),
    "an acknowledgement without method": (asked("update_topo"), answer("update_topo", method=...)),
    "a dock without aircraft": (
        asked("airport_bind_status", data={"devices": [{"sn": DOCK}]}),
        answer("airport_bind_status", {"result": 0, "output": {"bind_status": [BOUND]}}),
    ),
    "an unknown method refused": (
        asked("flight_areas_get", method="no_such_method"),
        answer("flight_areas_get", {"result": 200001}, method="no_such_method"),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_but_right_replies_are_accepted(name: str) -> None:
    question, reply = ACCEPTED[name]
    assert judge(question, reply) == []


def changed(method: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    data = copy.deepcopy(GOOD[method])
    change(data)
    return answer(method, data)


def status(index: int, **fields: Any) -> dict[str, Any]:
    return changed("airport_bind_status", lambda data: data["output"]["bind_status"][index].update(fields))


def licensed(**fields: Any) -> dict[str, Any]:
    return answer("config", {key: value for key, value in (LICENSE | fields).items() if value is not ...})


WRONG: dict[str, tuple[str, Any, list[str]]] = {
    # -- the envelope
    "other tid (C21)": ("config", answer("config", tid="x"), ["tid"]),
    "no tid": ("config", answer("config", tid=...), ["tid"]),
    "tid as another type": ("config", answer("config", tid=1), ["tid"]),
    "other bid": ("config", answer("config", bid=TID), ["bid"]),
    "no bid": ("config", answer("config", bid=...), ["bid"]),
    "null bid": ("config", answer("config", bid=None), ["bid"]),
    "no method": ("config", answer("config", method=...), ["method"]),
    "other method": ("config", answer("config", method="update_topo"), ["method"]),
    "other method in an acknowledgement": ("update_topo", answer("update_topo", method="config"), ["method"]),
    "seconds (C56)": ("config", answer("config", timestamp=1767225600), ["timestamp"]),
    "microseconds": ("config", answer("config", timestamp=1767225600160000), ["timestamp"]),
    "timestamp as text": ("config", answer("config", timestamp="1767225600160"), ["timestamp"]),
    "timestamp as fraction": ("config", answer("config", timestamp=1767225600160.0), ["timestamp"]),
    "no timestamp": ("config", answer("config", timestamp=...), ["timestamp"]),
    "another dock's gateway": ("config", answer("config", gateway=BIRD), ["gateway"]),
    "data as array": ("config", answer("config", [LICENSE]), ["data"]),
    "data as text": ("update_topo", answer("update_topo", "ok"), ["data"]),
    "no data": ("config", answer("config", data=...) | {}, ["data"]),
    "not JSON": ("config", b"OK", ["json"]),
    "not UTF-8": ("config", b'{"tid":"\xff"}', ["json"]),
    "an array": ("config", b"[]", ["json"]),
    "NaN": ("config", b'{"tid":NaN}', ["json"]),
    "a key twice": ("config", b'{"tid":"a","tid":"b"}', ["json"]),
    "nested without end": ("config", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ["json"]),
    # -- config
    "wrapped license (C8)": (
        "config",
        answer("config", {"result": 0, "output": LICENSE}),
        ["flat", "app_id", "app_key", "app_license"],
    ),
    "license beside a result": ("config", answer("config", {"result": 0} | LICENSE), ["flat"]),
    "success without license": (
        "config",
        answer("config", {"result": 0}),
        ["flat", "app_id", "app_key", "app_license"],
    ),
    "app_id as number (C9)": ("config", licensed(app_id=100001), ["app_id"]),
    "empty app_id (C7)": ("config", licensed(app_id=""), ["app_id"]),
    "placeholder (case 7)": ("config", licensed(app_id="Please enter the app id."), ["app_id"]),
    "null app_key (C7)": ("config", licensed(app_key=None), ["app_key"]),
    "empty app_license": ("config", licensed(app_license=""), ["app_license"]),
    "no app_license": ("config", licensed(app_license=...), ["app_license"]),
    "null time server": ("config", licensed(ntp_server_host=None), ["ntp_server_host"]),
    "empty time server": ("config", licensed(ntp_server_host=""), ["ntp_server_host"]),
    "port as text": ("config", licensed(ntp_server_port="123"), ["ntp_server_port"]),
    "port 0": ("config", licensed(ntp_server_port=0), ["ntp_server_port"]),
    "port true": ("config", licensed(ntp_server_port=True), ["ntp_server_port"]),
    # -- result and output
    "no result": ("update_topo", answer("update_topo", {}), ["result"]),
    "result as text": ("airport_organization_get", answer("airport_organization_get", {"result": "0"}), ["result"]),
    "result true": ("update_topo", answer("update_topo", {"result": True}), ["result"]),
    "message as output": (
        "airport_organization_get",
        answer("airport_organization_get", {"result": 210230, "output": "no"}),
        ["output"],
    ),
    "success without output": ("airport_bind_status", answer("airport_bind_status", {"result": 0}), ["output"]),
    # -- airport_bind_status
    "bound as 0 and 1": (
        "airport_bind_status",
        status(0, is_device_bind_organization=0),
        ["is_device_bind_organization"],
    ),
    "bound as text": (
        "airport_bind_status",
        status(1, is_device_bind_organization="true"),
        ["is_device_bind_organization"],
    ),
    "null organization_id (C16)": ("airport_bind_status", status(0, organization_id=None), ["organization_id"]),
    "null organization_name (C16)": ("airport_bind_status", status(0, organization_name=None), ["organization_name"]),
    "null callsign (C16)": ("airport_bind_status", status(0, device_callsign=None), ["device_callsign"]),
    "bound to nobody": ("airport_bind_status", status(1, organization_id=""), ["organization_id"]),
    "unbound with organization": ("airport_bind_status", status(0, organization_id="org-7"), ["organization_id"]),
    "a foreign SN": ("airport_bind_status", status(0, sn="1581F6Q8SIM000000002"), ["bind_status"]),
    "order turned (C18)": (
        "airport_bind_status",
        changed("airport_bind_status", lambda data: data["output"]["bind_status"].reverse()),
        ["order"],
    ),
    "a device left out": (
        "airport_bind_status",
        changed("airport_bind_status", lambda data: data["output"]["bind_status"].pop()),
        ["bind_status"],
    ),
    "an entry that is no object": (
        "airport_bind_status",
        changed("airport_bind_status", lambda data: data["output"]["bind_status"].append(None)),
        ["bind_status"],
    ),
    "bind_status as object": (
        "airport_bind_status",
        answer("airport_bind_status", {"result": 0, "output": {"bind_status": BOUND}}),
        ["bind_status"],
    ),
    # -- airport_organization_get
    "no name": (
        "airport_organization_get",
        answer("airport_organization_get", {"result": 0, "output": {}}),
        ["organization_name"],
    ),
    "empty name": (
        "airport_organization_get",
        answer("airport_organization_get", {"result": 0, "output": {"organization_name": ""}}),
        ["organization_name"],
    ),
    # -- airport_organization_bind
    "empty err_infos": (
        "airport_organization_bind",
        answer("airport_organization_bind", {"result": 0, "output": {"err_infos": []}}),
        ["err_infos"],
    ),
    "err_infos missing": (
        "airport_organization_bind",
        answer("airport_organization_bind", {"result": 0, "output": {}}),
        ["err_infos"],
    ),
    "err_code as text": (
        "airport_organization_bind",
        changed("airport_organization_bind", lambda data: data["output"]["err_infos"][0].update(err_code="0")),
        ["err_code"],
    ),
    "err_infos turned": (
        "airport_organization_bind",
        changed("airport_organization_bind", lambda data: data["output"]["err_infos"].reverse()),
        ["order"],
    ),
    "one device twice": (
        "airport_organization_bind",
        changed("airport_organization_bind", lambda data: data["output"]["err_infos"][1].update(sn=DOCK)),
        ["err_infos"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_replies_are_told_by_rule(name: str) -> None:
    method, reply, rules = WRONG[name]
    assert judge(asked(method), reply) == rules


def test_a_reply_must_come_on_the_topic_of_the_request() -> None:
    assert judge(asked("config"), answer("config"), f"thing/product/{BIRD}/requests_reply") == ["topic"]


def test_what_was_not_asked_may_not_be_invented() -> None:
    question = asked("config", tid=checks.ABSENT, bid=checks.ABSENT)
    assert judge(question, answer("config", tid=..., bid=None)) == ["bid"]


def test_complaints_show_nothing_of_a_license() -> None:
    secret = "s3cret license"
    reply = answer("config", {"result": 0, "app_id": 5, "app_key": secret, "app_license": secret})
    for payload in (
        json.dumps(reply).encode(),
        json.dumps(reply).encode()[:-3],
        b'{"app_key":"' + secret.encode() + b'\xff"}',
    ):
        found = checks.check(asked("config"), f"{REQUESTS}_reply", payload)
        assert found
        assert secret not in checks.describe(found)


@pytest.mark.parametrize(
    ("data", "result"),
    [(LICENSE, 0), ({"result": 210230}, 210230), ({"result": "0"}, None), ({}, None), ([], None), (None, None)],
)
def test_the_result_of_a_reply(data: Any, result: int | None) -> None:
    assert checks.result_of({"data": data}) == result


def test_codes_have_words() -> None:
    assert checks.meaning(checks.BOUND_ELSEWHERE) == "the device is bound to another organization"
    assert checks.meaning(513001) == "no public meaning"
