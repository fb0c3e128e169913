"""Any bytes, any JSON: an Envelope or an EnvelopeError, and tid and bid come back as they went in."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway import envelope
from gateway.envelope import MAX_DEPTH, Envelope
from gateway.errors import EnvelopeError

NOW = 1_767_225_600_123
ABSENT = object()

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=12)
)
any_json = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
keys = st.sampled_from(
    ("tid", "bid", "timestamp", "timestamp:", "method", "gateway", "need_reply", "data", "from", "x")
)
objects = st.dictionaries(keys, any_json, max_size=8)
written = st.sampled_from(
    (
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: json.dumps(value, ensure_ascii=True, indent=1),
        lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    )
)
# Bytes that are nearly JSON reach further than random ones.
SHARDS = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"1", b"-", b".", b"e", b"null", b"true", b"\\", b"\xff", b"\0", b" "),
    *(b'"tid"', b'"need_reply":1', b'"data":{"sub_device":{"device_sn":"A"}}', b"\\ud800"),
    *(b"[" * 40, b"]" * 40, b'{"a":' * 40),
)
shards = st.lists(st.sampled_from(SHARDS), max_size=14).map(b"".join)


def outcome_of(payload: bytes) -> Envelope | EnvelopeError:
    try:
        return envelope.parse(payload)
    except EnvelopeError as error:
        return error


@settings(max_examples=1500, deadline=None)
@given(shards | st.binary(max_size=60))
@example(b"")
@example(b"[" * 1025)
@example(b'{"a":' * 20_000)
def test_any_bytes_are_an_envelope_or_an_envelope_error(payload: bytes) -> None:
    outcome = outcome_of(payload)
    if isinstance(outcome, EnvelopeError):
        assert outcome.reason in {"not_json", "not_object", "too_large", "too_deep"}
        assert envelope.wants_reply(payload) is None
        assert envelope.sub_device_of(payload) is None
    else:
        assert type(outcome.raw) is dict
        assert orjson.loads(envelope.reply(outcome, {"result": 0}, now_ms=NOW))["data"] == {"result": 0}
        envelope.wants_reply(payload)
        envelope.sub_device_of(payload)


@settings(max_examples=600, deadline=None)
@given(objects, written)
def test_a_reply_echoes_any_json_exactly(sent: dict[str, Any], write: Any) -> None:
    payload = write(sent).encode()
    parsed = envelope.parse(payload)
    # The standard library reads integers of any size; equal texts are what a device compares.
    answer = json.loads(envelope.reply(parsed, {"result": 0}, now_ms=NOW))
    expected = {key: sent[key] for key in ("tid", "bid", "gateway", "method") if key in sent}
    expected |= {"timestamp": NOW, "data": {"result": 0}}
    assert json.dumps(answer, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert parsed.method == (sent["method"] if isinstance(sent.get("method"), str) else None)
    assert parsed.data == orjson.loads(payload).get("data")


@settings(max_examples=400, deadline=None)
@given(objects, st.sampled_from((ABSENT, 0, 1, 2, 10, True, False, 1.0, "1", None, [1])), st.booleans(), written)
def test_a_reply_is_wanted_when_the_top_level_says_so(sent: dict[str, Any], need: Any, inner: bool, write: Any) -> None:
    sent = {key: value for key, value in sent.items() if key != "need_reply"}
    if need is not ABSENT:
        sent["need_reply"] = need
    if inner:
        sent["data"] = {"need_reply": 1}
    wanted = envelope.wants_reply(write(sent).encode())
    assert (wanted is not None) == (need is not ABSENT and need == 1)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 80), st.booleans(), st.lists(st.sampled_from(("[]", "{}", '"[["', '"{"', "0")), max_size=60))
def test_depth_is_counted_in_containers(depth: int, of_objects: bool, beside: list[str]) -> None:
    inner = '{"a":' * depth + "0" + "}" * depth if of_objects else "[" * depth + "]" * depth
    payload = f'{{"beside":[{",".join(beside)}],"data":{inner}}}'.encode()
    outcome = outcome_of(payload)
    if depth + 1 > MAX_DEPTH:
        assert isinstance(outcome, EnvelopeError)
        assert outcome.reason == "too_deep"
    else:
        assert isinstance(outcome, Envelope)
