"""Requests: what becomes of a dock's accepted publish, who hears of it, and who gets the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.lasting import wait_until
from tests.integration.octets import Octets, puback, publish, suback, subscribe

from .stage import BIRD, CONFIG, SN, Stage, asked, hear, next_message, topology

REQUESTS, REPLIES = f"thing/product/{SN}/requests", f"thing/product/{SN}/requests_reply"
LEFT_TO_A_PLATFORM = "storage_config_get"


@pytest.fixture
def dock(stage: Stage) -> Octets:
    """Dock A, that hears its replies."""
    stage.installation.license()
    client = stage.client("dock-a")
    hear(client, REPLIES, qos=1)
    return client


def answer_to(client: Octets) -> dict[str, Any]:
    got = next_message(client)
    assert got.topic == REPLIES
    if got.qos:
        client.send(puback(got.packet_id))
    body: dict[str, Any] = got.body
    return body


def test_the_answer_goes_to_the_connection_that_asked_and_to_no_other(stage: Stage, dock: Octets) -> None:
    """It holds the license."""
    twin = stage.client("dock-a", "twin of dock-a")
    hear(twin, REPLIES, qos=1)
    platform = stage.client("platform")
    hear(platform, "#")
    dock.send(asked(SN, "config", CONFIG, tid="mine"))
    reply = answer_to(dock)
    assert (reply["tid"], reply["bid"], reply["method"]) == ("mine", "b-1", "config")
    assert reply["data"]["app_license"]
    assert twin.is_silent()
    heard = platform.answers()
    assert b"config" not in heard
    assert b"app_license" not in heard


@pytest.mark.parametrize(("subscribed", "qos"), [(None, 0), (0, 0), (1, 1), (2, 1)])
def test_the_answer_comes_whether_or_not_its_topic_was_subscribed(
    stage: Stage, subscribed: int | None, qos: int
) -> None:
    client = stage.client("dock-a")
    if subscribed is not None:
        hear(client, REPLIES, qos=subscribed)
    client.send(asked(SN, "airport_bind_status", {"devices": [{"sn": SN}]}))
    got = next_message(client)
    assert (got.topic, got.qos) == (REPLIES, qos)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_answer_does_not_wait_for_the_acknowledgements_of_the_request(stage: Stage, dock: Octets, qos: int) -> None:
    dock.send(asked(SN, "config", CONFIG, qos=qos))
    kinds = [dock.packet()[0] >> 4 for _ in range(1 + bool(qos))]
    assert sorted(kinds) == sorted([3, *([4] if qos == 1 else [5] if qos == 2 else [])])


def test_a_topology_is_answered_and_its_aircraft_may_be_used(stage: Stage, dock: Octets) -> None:
    dock.send(topology(SN, BIRD))
    got = next_message(dock)
    assert (got.topic, got.body["data"]) == (f"sys/product/{SN}/status_reply", {"result": 0})
    assert dock.answers(subscribe((f"thing/product/{BIRD}/services", 0))) == suback(1, 0)


def test_events_that_ask_for_it_are_acknowledged_and_passed_on(stage: Stage, dock: Octets) -> None:
    platform = stage.client("platform")
    hear(platform, "thing/product/+/events")
    body = json.dumps({"tid": "e-1", "bid": "b", "need_reply": 1, "method": "anything_at_all", "data": {}}).encode()
    dock.send(publish(f"thing/product/{SN}/events", body))
    got = next_message(dock)
    assert (got.topic, got.body["tid"], got.body["data"]) == (
        f"thing/product/{SN}/events_reply", "e-1", {"result": 0},
    )  # fmt: skip
    assert next_message(platform).payload == body


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"', b"[" * 100_000])
def test_what_can_not_be_read_is_neither_answered_nor_passed_on(stage: Stage, dock: Octets, payload: bytes) -> None:
    platform = stage.client("platform")
    hear(platform, "thing/product/+/requests")
    assert dock.answers(publish(REQUESTS, payload, qos=1)) == puback()
    assert platform.is_silent()


# -- requests that are left to a platform


def test_a_request_that_nobody_answers_here_is_passed_on_unchanged(stage: Stage, dock: Octets) -> None:
    platform = stage.client("platform")
    hear(platform, "thing/product/+/requests")
    question = asked(SN, LEFT_TO_A_PLATFORM, {"module": 0}, tid="s-1")
    dock.send(question)
    assert platform.packet() == question
    answer = json.dumps({"tid": "s-1", "bid": "b-1", "method": LEFT_TO_A_PLATFORM, "data": {"result": 0}}).encode()
    assert platform.answers(publish(REPLIES, answer, qos=1)) == puback()
    assert answer_to(dock)["data"] == {"result": 0}


def test_without_a_platform_it_is_refused_at_once(stage: Stage, dock: Octets) -> None:
    dock.send(asked(SN, LEFT_TO_A_PLATFORM, tid="s-1"))
    reply = answer_to(dock)
    assert (reply["tid"], reply["data"]) == ("s-1", {"result": 200001, "output": {}})


def test_who_has_gone_or_may_not_receive_it_is_no_platform(stage: Stage, dock: Octets) -> None:
    stage.installation.dockgate("org", "add", "Elsewhere", "--id", "elsewhere")
    away = stage.client("platform", clean=False)
    hear(away, "thing/product/+/requests", qos=1)
    away.close()
    wait_until(stage.gateway, lambda: stage.gateway.broker.metrics.connections.open == 1)
    dock.send(asked(SN, LEFT_TO_A_PLATFORM))
    assert answer_to(dock)["data"]["result"] == 200001


def late(stage: Stage) -> None:
    stage.installation.configure(lambda settings: settings["dockgate"].update(requests={"handler_timeout_s": 0.3}))


def test_a_platform_that_stays_silent_is_answered_for(stage: Stage) -> None:
    late(stage)
    platform, dock = stage.client("platform"), stage.client("dock-a")
    hear(platform, "thing/product/+/requests")
    dock.send(asked(SN, LEFT_TO_A_PLATFORM, tid="s-1"))
    assert next_message(platform).body["tid"] == "s-1"
    reply = answer_to(dock)
    assert (reply["tid"], reply["data"]["result"]) == ("s-1", 200001)


def test_a_dock_that_has_gone_meanwhile_is_not_answered_by_another_connection(stage: Stage) -> None:
    late(stage)
    platform, dock, twin = stage.client("platform"), stage.client("dock-a"), stage.client("dock-a", "twin")
    hear(platform, "thing/product/+/requests")
    hear(twin, REPLIES)
    dock.send(asked(SN, LEFT_TO_A_PLATFORM, tid="s-1"))
    assert next_message(platform).body["tid"] == "s-1"
    dock.drop()
    answered = stage.gateway.runtime.services.metrics.requests.answered
    wait_until(stage.gateway, lambda: answered.total() == 1)
    assert twin.is_silent()


def test_platforms_that_share_the_requests_get_them_in_turn(stage: Stage, dock: Octets) -> None:
    platforms = [stage.client("platform", f"platform {number}") for number in range(2)]
    for platform in platforms:
        hear(platform, "$share/platforms/thing/product/+/requests")
    for number in range(6):
        dock.send(asked(SN, LEFT_TO_A_PLATFORM, tid=f"s-{number}"))
    assert dock.is_silent()
    assert [platform.answers().count(LEFT_TO_A_PLATFORM.encode()) for platform in platforms] == [3, 3]


def test_an_observer_is_no_platform(stage: Stage, dock: Octets) -> None:
    """It hears the request, and the dock would wait for its answer in vain."""
    stage.account("observer", "observer")
    wait_until(stage.gateway, lambda: stage.gateway.runtime.services.directory.account("observer"))
    observer = stage.client("observer")
    hear(observer, "thing/product/+/requests")
    dock.send(asked(SN, LEFT_TO_A_PLATFORM))
    assert answer_to(dock)["data"]["result"] == 200001
    assert observer.is_silent()


# -- who is no dock


@pytest.mark.parametrize("account", ["platform", "dock-b"])
def test_nobody_asks_in_a_docks_name(stage: Stage, dock: Octets, account: str) -> None:
    stranger = stage.client(account)
    assert stranger.answers(asked(SN, "config", CONFIG, qos=1)) == puback()
    assert dock.is_silent()
