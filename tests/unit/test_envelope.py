"""Envelopes as docks, simulators and the documentation write them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from gateway import envelope
from gateway.envelope import MAX_BYTES, MAX_DEPTH, SubDevice
from gateway.errors import EnvelopeError

NOW = 1_767_225_600_123


def nested(depth: int, inner: bytes = b"0") -> bytes:
    """An object whose deepest container is at level ``depth``."""
    return b'{"data":' + b"[" * (depth - 1) + inner + b"]" * (depth - 1) + b"}"


def replied(payload: bytes, data: dict[str, Any] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(envelope.reply(envelope.parse(payload), data or {"result": 0}, now_ms=NOW))
    return answer


def test_a_request_is_read() -> None:
    parsed = envelope.parse(
        b'{"bid":"b","data":{"config_type":"json"},"gateway":"G","tid":"t","timestamp":1767225600123,"method":"config"}'
    )
    assert (parsed.method, parsed.tid, parsed.bid, parsed.data) == ("config", "t", "b", {"config_type": "json"})
    assert parsed.raw["gateway"] == "G"


@pytest.mark.case(17)
@pytest.mark.parametrize(
    ("payload", "tid", "bid"),
    [
        (b"{}", None, None),
        (b'{"tid":5}', 5, None),
        (b'{"tid":"t","bid":"not a uuid","timestamp:":"1767225600123"}', "t", "not a uuid"),
        (b'{"bid":["x"],"tid":{"a":null}}', {"a": None}, ["x"]),
        (b' {"tid" : "t" , "unknown" : {"k" : [1]} , "bid" : null } ', "t", None),
    ],
)
def test_what_docks_do_differently_is_accepted(payload: bytes, tid: Any, bid: Any) -> None:
    parsed = envelope.parse(payload)
    assert (parsed.tid, parsed.bid) == (tid, bid)


@pytest.mark.parametrize("data", ["null", "[]", '[{"a":1}]', '"text"', "0", "{}"])
def test_data_is_any_json(data: str) -> None:
    assert envelope.parse(f'{{"method":"airsense_warning","data":{data}}}'.encode()).data == json.loads(data)


@pytest.mark.parametrize("method", ["null", "5", '["config"]'])
def test_a_method_that_is_no_text_is_none_but_goes_back_as_it_came(method: str) -> None:
    payload = f'{{"method":{method}}}'.encode()
    assert envelope.parse(payload).method is None
    assert replied(payload)["method"] == json.loads(method)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_json"),
        (b"\0", "not_json"),
        (b"{", "not_json"),
        (b"{'tid':1}", "not_json"),
        (b'{"tid":NaN}', "not_json"),
        (b'{"tid":"\\ud800"}', "not_json"),
        (b'{"tid":"\xff"}', "not_json"),
        (b'{"tid":1}{"tid":2}', "not_json"),
        (b'\xef\xbb\xbf{"tid":1}', "not_json"),
        (b"[]", "not_object"),
        (b"null", "not_object"),
        (b'"text"', "not_object"),
        (b"1", "not_object"),
        (b" " * (MAX_BYTES + 1), "too_large"),
        (nested(MAX_DEPTH + 1), "too_deep"),
        (nested(1000), "too_deep"),
        (nested(1024), "too_deep"),
        (nested(1025), "too_deep"),
        (nested(400_000), "too_deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
        (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "too_deep"),
        (b"[" * 40 + b"]" * 40, "too_deep"),
        (b'{"tid":' + b"[" * 2000 + b"]" * 2000 + b"}", "too_deep"),
    ],
)
def test_what_is_refused_and_why(payload: bytes, reason: str) -> None:
    with pytest.raises(EnvelopeError) as raised:
        envelope.parse(payload)
    assert raised.value.reason == reason
    assert raised.value.__cause__ is None


def test_the_limits_themselves_are_allowed() -> None:
    assert envelope.parse(nested(MAX_DEPTH))
    assert envelope.parse(b'{"data":"' + b"x" * (MAX_BYTES - 11) + b'"}')


@pytest.mark.parametrize("unclosed", [b"[", b'{"a":', b'{"a":[', b'"\\'])
def test_endless_openings_are_refused_quietly(unclosed: bytes) -> None:
    for count in (1, 33, 1000, 1025, 100_000):
        with pytest.raises(EnvelopeError):
            envelope.parse(unclosed * count)


def test_many_brackets_are_not_depth() -> None:
    assert len(envelope.parse(b'{"data":[' + b"{}," * 1000 + b"[]]}").data) == 1001
    assert envelope.parse(b'{"data":"' + b"[{" * 1000 + b'"}').data == "[{" * 1000


@pytest.mark.case(4)
def test_a_large_state_with_unknown_keys_is_read() -> None:
    payload = orjson.dumps({"data": {f"unknown_{index}": {"v": index} for index in range(5000)}})
    assert len(payload) > 100_000
    assert envelope.parse(payload).data["unknown_4999"] == {"v": 4999}


def test_neither_repr_nor_error_shows_what_a_device_sent() -> None:
    secret = "H4RB0R"
    assert secret not in repr(envelope.parse(f'{{"tid":"t","data":{{"device_binding_code":"{secret}"}}}}'.encode()))
    with pytest.raises(EnvelopeError) as raised:
        envelope.parse(f'{{"device_binding_code":"{secret}"'.encode())
    assert secret not in f"{raised.value} {raised.value!r} {raised.value.__dict__}"
    assert raised.value.__suppress_context__


@pytest.mark.case(17)
@pytest.mark.case(18)
def test_a_reply_repeats_what_was_sent_and_brings_its_own_time() -> None:
    payload = (
        b'{"bid":"b","tid":7,"timestamp":"1","gateway":"G","method":"config","need_reply":1,"data":{"x":1},"from":"y"}'
    )
    answer = envelope.reply(envelope.parse(payload), {"app_id": "1"}, now_ms=NOW)
    assert answer == (
        b'{"tid":7,"bid":"b","timestamp":1767225600123,"gateway":"G","method":"config","data":{"app_id":"1"}}'
    )


@pytest.mark.parametrize("left_out", ["tid", "bid", "gateway", "method"])
def test_a_reply_leaves_out_what_was_not_sent(left_out: str) -> None:
    sent = {"tid": "t", "bid": "b", "gateway": "G", "method": "config"}
    del sent[left_out]
    assert replied(orjson.dumps(sent)) == {**sent, "timestamp": NOW, "data": {"result": 0}}


def test_a_null_was_sent_too() -> None:
    assert replied(b'{"tid":null}') == {"tid": None, "timestamp": NOW, "data": {"result": 0}}


@pytest.mark.parametrize(
    "number",
    [
        "1.50",
        "1E5",
        "1e+05",
        "0.10000000000000000001",
        "18446744073709551616",
        "-9223372036854775809",
        "9" * 300,
        "-0.0",
    ],
)
@pytest.mark.parametrize("shape", ["{}", "[{}]", '{{"n":{},"text":"{}"}}'])
def test_numbers_go_back_character_by_character(number: str, shape: str) -> None:
    value = shape.format(number, number)
    payload = f'{{"tid":{value},"bid":{value},"data":{{"tid":1.25}}}}'.encode()
    answer = envelope.reply(envelope.parse(payload), {"result": 0}, now_ms=NOW)
    assert answer == f'{{"tid":{value},"bid":{value},"timestamp":{NOW},"data":{{"result":0}}}}'.encode()


def test_a_fraction_in_a_huge_message_keeps_its_value() -> None:
    payload = b'{"tid":1.50,"data":"' + b"x" * 70_000 + b'"}'
    answer = envelope.reply(envelope.parse(payload), {"result": 0}, now_ms=NOW)
    assert answer.startswith(b'{"tid":1.5,')


def test_a_reply_with_something_that_is_no_json_is_our_fault_and_loud() -> None:
    with pytest.raises(TypeError):
        envelope.reply(envelope.parse(b"{}"), {"result": object()}, now_ms=NOW)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"need_reply":1,"tid":"t"}',
        b'{"tid":"t","need_reply" :\n 1}',
        b'{"tid":"t","need_reply":true}',
        b'{"tid":"t","data":{"need_reply":0},"need_reply":1}',
        b'{"tid":"t","need_reply":1,"data":[]}',
    ],
)
def test_need_reply_is_seen(payload: bytes) -> None:
    wanted = envelope.wants_reply(payload)
    assert wanted is not None
    assert wanted.tid == "t"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"need_reply":0}',
        b'{"need_reply":10}',
        b'{"need_reply":1.5}',
        b'{"need_reply":"1"}',
        b'{"need_reply":null}',
        b'{"need_reply":-1}',
        b'{"data":{"need_reply":1}}',
        b'{"data":{"need_reply":1},"need_reply":0}',
        b'{"need_reply":1,"need_reply":0}',
        b'{"data":"\\"need_reply\\":1"}',
        b'[{"need_reply":1}]',
        b'{"need_reply":1',
        b'{"need_reply":1,"data":' + b"[" * 5000,
        b'{"need_reply":1,"data":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"need_reply":1}' + b" " * MAX_BYTES,
        b'\xff"need_reply":1',
    ],
)
def test_no_reply_is_wanted(payload: bytes) -> None:
    assert envelope.wants_reply(payload) is None


def test_telemetry_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = orjson.dumps({"tid": "t", "data": {f"key_{index}": index / 3 for index in range(60)}, "gateway": "G"})
    assert len(telemetry) > 1000

    def no_parsing(_: bytes) -> Any:
        raise AssertionError("telemetry was parsed")

    monkeypatch.setattr(orjson, "loads", no_parsing)
    assert envelope.wants_reply(telemetry) is None
    assert envelope.wants_reply(telemetry[:-1] + b',"need_reply":0}') is None
    assert envelope.sub_device_of(telemetry) is None


@pytest.mark.parametrize(
    ("sub_device", "found"),
    [
        (
            {"device_sn": "BIRD", "device_model_key": "0-100-1", "device_online_status": 1, "device_paired": 1},
            SubDevice("BIRD", "0-100-1", online=True),
        ),
        (
            {"device_sn": "BIRD", "device_model_key": "0-100-1", "device_online_status": 0},
            SubDevice("BIRD", "0-100-1", online=False),
        ),
        ({"device_sn": "BIRD", "device_model_key": 5}, SubDevice("BIRD", "", online=None)),
        ({"device_sn": "BIRD", "device_online_status": True}, SubDevice("BIRD", "", online=True)),
        ({"device_sn": "BIRD", "device_online_status": "1"}, SubDevice("BIRD", "", online=None)),
        ({"device_sn": "BIRD", "device_online_status": 2}, SubDevice("BIRD", "", online=None)),
        ({"device_sn": "BIRD", "device_online_status": [1]}, SubDevice("BIRD", "", online=None)),
        ({"device_sn": ""}, None),
        ({"device_sn": 5}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_aircraft_of_a_dock(sub_device: Any, found: SubDevice | None) -> None:
    assert envelope.sub_device_of(orjson.dumps({"data": {"mode_code": 0, "sub_device": sub_device}})) == found


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'{"data":{}}',
        b'{"sub_device":{"device_sn":"BIRD"}}',
        b'{"data":["sub_device"]}',
        b'{"data":"sub_device"}',
        b'{"data":{"sub_device":{"device_sn":"BIRD"}}',
    ],
)
def test_no_aircraft_is_named(payload: bytes) -> None:
    assert envelope.sub_device_of(payload) is None
