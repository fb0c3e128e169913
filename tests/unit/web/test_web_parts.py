"""The bounded pieces of the admin HTTP by themselves: shares, names of hosts, what is taken out of what docks say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import Http
from gateway.model import Answered
from gateway.operations import story
from gateway.web import refusals
from gateway.web.guard import Hosts, name_of
from gateway.web.limits import Buckets
from gateway.web.requests import MOST_BYTES, OF_ONE_DOCK, RequestLog, redacted
from gateway.web.streams import Channel


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_share_is_used_up_and_comes_back() -> None:
    clock = Clock()
    buckets = Buckets(10, clock=clock)
    assert [buckets.take("a") for _ in range(20)] == [0.0] * 20
    assert buckets.take("a") == pytest.approx(0.1)
    assert buckets.take("b") == 0.0
    clock.now = 0.1
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    clock.now = 1000.0
    assert [buckets.take("a") for _ in range(20)] == [0.0] * 20
    assert buckets.take("a") > 0


def test_what_costs_more_leaves_a_debt() -> None:
    clock = Clock()
    buckets = Buckets(1, clock=clock)
    assert buckets.take("a", 10) == 0.0
    assert buckets.take("a") == pytest.approx(9.0)
    clock.now = 9.1
    assert buckets.take("a") == 0.0


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("abcdef"), st.floats(0.1, 20)), max_size=60))
def test_nobody_gets_more_than_his_share(asked: list[tuple[float, str, float]]) -> None:
    """In any span no more than what it refills, and the burst; and memory is bounded."""
    clock = Clock()
    buckets = Buckets(3, clock=clock, capacity=4)
    taken: dict[str, float] = {}
    for wait, name, _ in asked:
        clock.now += wait
        if buckets.take(name) == 0.0:
            taken[name] = taken.get(name, 0) + 1
        assert len(buckets) <= 4
    if len({name for _, name, _ in asked}) <= 4:
        assert all(count <= 6 + clock.now * 3 + 1e-6 for count in taken.values())


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:8080", "localhost"),
        ("LOCALHOST", "localhost"),
        ("gate.example.org.", "gate.example.org"),
        ("[::1]:8080", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("", ""),
        (":80", ""),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert name_of(host) == name


def test_hosts_of_certificates_count_with_their_wildcards() -> None:
    hosts = Hosts(["gate.example.org", "2001:db8::1"])
    assert all(hosts(name) for name in ("localhost", "127.0.0.1", "::1", "gate.example.org", "2001:db8::1"))
    assert not any(hosts(name) for name in ("", "example.org", "a.docks.example.org", "192.0.2.10"))
    hosts.take(["192.0.2.10", "*.docks.example.org"])
    assert hosts("192.0.2.10")
    assert hosts("a.docks.example.org")
    assert not hosts("a.b.docks.example.org")
    assert not hosts("docks.example.org")


# -- what docks have asked


SECRETS = {
    "app_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "app_license": "bGljZW5zZS1mb3ItdGVzdHM==",
    "device_binding_code": "H4RB0RTEAM",
    "password": "hunter2",
    "secretAccessKey": "wJalrXUtnFEMI",
    "nonce": "n0nce",
}


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_secret_gets_through_wherever_it_stands(around: object) -> None:
    value = {"around": around, "inner": [{"deeper": SECRETS}], **SECRETS, "list": [SECRETS, [SECRETS]]}
    text = repr(redacted(value))
    for secret in SECRETS.values():
        assert secret not in text


def test_what_is_no_secret_is_shown() -> None:
    value = {"devices": [{"sn": "SN1", "device_callsign": "North"}], "app_id": "123", "empty": None, "password": ""}
    assert redacted(value) == value


@pytest.mark.parametrize(
    "value",
    [
        {"a": ["x"] * 100_000},
        {str(number): number for number in range(100_000)},
        "x" * 1_000_000,
        {"x" * 1_000_000: 1},
        [[[[[[[[[[[[["deep"]]]]]]]]]]]]],
    ],
    ids=["list", "dict", "text", "key", "deep"],
)
def test_what_is_kept_is_bounded_whatever_a_dock_sends(value: object) -> None:
    assert len(orjson.dumps(redacted(value))) < 50_000


def answered(sn: str, value: object = None) -> Answered:
    request, reply = (orjson.dumps({"tid": "t", "data": data}) for data in (value, {"result": 0}))
    return Answered(1, sn, "config", 0, 0.0015, request, reply)


def test_the_log_keeps_the_latest_of_each_dock() -> None:
    log = RequestLog(Channel(Http()))
    for number in range(OF_ONE_DOCK + 5):
        log.note(answered("A", number))
    log.note(answered("B"))
    assert [entry["request"] for entry in log.of("A")] == list(range(5, OF_ONE_DOCK + 5))
    assert log.of("A")[0] == {
        "at": "1970-01-01T00:00:00.001Z", "sn": "A", "method": "config", "result": 0, "ms": 1.5, "request": 5,
        "reply": {"result": 0},
    }  # fmt: skip
    assert log.of("C") == []


def test_the_log_forgets_the_docks_that_asked_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_BYTES < 64 * 1024 * 1024
    monkeypatch.setattr("gateway.web.requests.MOST_BYTES", 2000)
    log = RequestLog(Channel(Http()))
    for number in range(50):
        log.note(answered(f"SN{number}"))
    assert log.of("SN0") == []
    assert log.of("SN49")
    assert sum(len(orjson.dumps(entry)) for number in range(50) for entry in log.of(f"SN{number}")) <= 2000


def test_one_large_request_takes_no_more_room_than_many_small_ones() -> None:
    log = RequestLog(Channel(Http()))
    log.note(answered("A", {"list": ["x" * 100] * 10_000, "password": "hunter2"}))
    log.note(answered("A", {"password": "hunter2"}))
    large, small = log.of("A")
    assert len(orjson.dumps(large)) < 50_000
    assert small["request"] == {"password": "[redacted]"}
    assert "hunter2" not in str(log.of("A"))


def refused(account: str, at: int, address: str = "192.0.2.7") -> dict[str, Any]:
    return {"event": "refused", "sn": None, "at": at, "account": account, "reason": "x", "address": address}


def written(target: str, *, is_known: bool = True, at: int = 1, address: str = "192.0.2.7") -> story.Refusal:
    key = story.key_of("login", target, "x", address, is_known=is_known)
    return story.Refusal(at, target, address, None, "", None, 1, key, is_known)


def test_refusals_are_counted_from_the_moment_on_at_which_they_happen() -> None:
    kept, hour = refusals.Refusals(lambda name: name.startswith("dock")), story.REFUSALS_MS
    for at in (10, 20, hour + 15):
        kept.note(None, refused("dock-7", at))
    kept.note("SN", {"event": "bind_refused", "sn": "SN", "at": 30, "device_sn": "BIRD", "reason": "y"})
    kept.note("SN", {"event": "refused", "sn": "SN", "at": 40, "method": "config", "reason": "license_missing"})
    kept.note("SN", {"event": "refused", "sn": "SN", "at": 40, "method": "something else", "reason": "z"})
    kept.note("SN", {"event": "online", "sn": "SN", "at": 50, "device_sn": "SN"})
    told = kept.later(written("dock-7"), hour + 16)
    assert (told.at, told.times) == (hour + 15, 2)  # the first is an hour ago
    # what is written may know more: of before a restart, or of what came too fast to be told one by one
    assert kept.later(written("dock-7")._replace(times=9, at=hour + 99), hour + 16)[-3:] == (
        9,
        ("login", "dock-7", "x"),
        True,
    )
    assert kept.later(written("dock-8"), 60) == written("dock-8")
    bird = story.Refusal(1, "BIRD", "", "SN", "", None, 1, ("bind", "BIRD", "y"))
    assert kept.later(bird, 60).at == 30
    assert kept.later(bird._replace(key=("config", "SN", "license_missing")), 60).at == 40


def test_names_without_end_push_out_no_dock_and_take_no_room() -> None:
    kept = refusals.Refusals(lambda name: name.startswith("dock"))
    kept.note(None, refused("dock-7", 10))
    for number in range(5000):
        kept.note(None, refused(f"name-{number}", 20 + number, f"198.51.{number // 250}.{number % 250}"))
    assert kept.later(written("dock-7"), 60).at == 10
    assert len(kept._others) == refusals.MOST_OTHERS
    for number in range(5000):
        kept.note(None, refused(f"dock-{number}", 20))
        kept.note(None, refused("dock-last", 20 + number))
    assert len(kept._known) == refusals.MOST
    assert kept.later(written("dock-last"), 60).times < 100
