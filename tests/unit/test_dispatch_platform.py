"""Requests that the gateway does not answer: passed on to a platform, or refused, and never left without an answer."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.methods import METHODS
from gateway.model import Outcome
from gateway.topics import Kind, device_topic

from .dock_case import refused
from .dock_world import DOCK1, DOCK2, NOW, World, data_of, license_of, message, opened

LICENSED = {"with_licenses": (license_of(None),)}
ASK_STORAGE = message("storage_config_get", {"module": 0})


def test_a_request_is_passed_on_when_a_service_listens(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            world.listening = True
            assert world.publish(ASK_STORAGE) == Outcome(route=True)
            assert world.publish(message("no_such_method", {})) == Outcome(route=True)
            assert world.services.metrics.requests.left.values == {("storage_config_get",): 1, ("other",): 1}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("settings", "listening"), [({"unanswered": "refuse"}, True), ({"unanswered": "platform"}, False)]
)
def test_else_it_is_refused_at_once(settings: dict[str, Any], listening: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **settings) as world:
            world.listening = listening
            outcome = world.publish(ASK_STORAGE)
            assert data_of(outcome) == refused(200001)
            assert outcome is not None
            assert not outcome.route

    asyncio.run(scenario())


def test_refusals_have_names_of_their_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        numbers = {"no_platform": 1, "unknown_method": 2, "not_answered": 3}
        async with opened(tmp_path, handler_timeout_s=0.1, result_codes=numbers) as world:
            assert data_of(world.publish(ASK_STORAGE)) == refused(1)
            assert data_of(world.publish(message("other", {}))) == refused(2)
            world.listening = True
            world.publish(ASK_STORAGE)
            assert json.loads((await late(world)).payload)["data"] == refused(3)

    asyncio.run(scenario())


async def late(world: World) -> Any:
    """The refusal that comes when the time is over."""
    return await asyncio.wait_for(world.late.get(), 5)


def test_a_request_that_no_service_answers_is_refused_when_the_time_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            world.listening = True
            world.publish(message("storage_config_get", {"module": 0}, tid=7, gateway=DOCK1))
            world.clock.now += 100
            refusal = await late(world)
            assert refusal.topic == device_topic(DOCK1, Kind.REQUESTS_REPLY)
            assert json.loads(refusal.payload) == {
                "tid": 7,
                "bid": "b-1",
                "timestamp": NOW + 100,
                "gateway": DOCK1,
                "method": "storage_config_get",
                "data": refused(200001),
            }
            assert world.services.metrics.requests.answered.get("storage_config_get", "200001") == 1

    asyncio.run(scenario())
    assert "no service answered" in caplog.text


def test_after_that_the_same_request_gets_the_same_refusal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            world.listening = True
            world.publish(ASK_STORAGE)
            refusal = await late(world)
            again = world.publish(ASK_STORAGE)
            assert again is not None
            assert (again.route, again.replies) == (False, (refusal,))
            assert world.publish(message("storage_config_get", {"module": 0}, tid="t-2")) == Outcome(route=True)

    asyncio.run(scenario())


def test_a_service_that_answers_in_time_has_the_only_word(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            world.listening = True
            world.publish(ASK_STORAGE)
            world.publish(message("storage_config_get", {"module": 1}, tid="t-2"))
            answer = message("storage_config_get", {"result": 0, "output": {}})
            world.dispatcher.platform_answered(device_topic(DOCK2, Kind.REQUESTS_REPLY), answer)
            world.dispatcher.platform_answered(device_topic(DOCK1, Kind.SERVICES), answer)
            world.dispatcher.platform_answered(device_topic(DOCK1, Kind.REQUESTS_REPLY), answer)
            # only the other one is refused
            assert json.loads((await late(world)).payload)["tid"] == "t-2"
            assert world.late.empty()
            # and what was answered is passed on again
            assert world.publish(ASK_STORAGE) == Outcome(route=True)

    asyncio.run(scenario())


def test_a_repetition_is_not_passed_on_while_the_first_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            world.listening = True
            assert world.publish(ASK_STORAGE) == Outcome(route=True)
            assert world.publish(ASK_STORAGE) == Outcome(route=False)
            await late(world)
            assert world.late.empty()

    asyncio.run(scenario())


def test_a_second_answer_and_one_that_nobody_asked_for_are_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            world.listening = True
            world.publish(ASK_STORAGE)
            topic, answer = device_topic(DOCK1, Kind.REQUESTS_REPLY), message("storage_config_get", {"result": 0})
            for payload in (answer, answer, answer, b"not JSON"):
                world.dispatcher.platform_answered(topic, payload)
            world.dispatcher.platform_answered("elsewhere", answer)
            assert world.services.metrics.requests.foreign == 2
            assert [r.levelno for r in caplog.records if "a service replied" in r.message] == [logging.WARNING]

    asyncio.run(scenario())


def test_a_flood_of_requests_for_a_platform_is_refused_beyond_a_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            world.listening = True
            outcomes = [world.publish(message("m", {}, tid=tid)) for tid in range(100)]
            routed = [outcome for outcome in outcomes if outcome is not None and outcome.route]
            assert 0 < len(routed) < 100
            assert all(data_of(outcome) == refused(200001) for outcome in outcomes if outcome not in routed)
            assert data_of(world.publish(message("m", {}, tid="x" * 10_000), dock=DOCK2)) == refused(200001)

    asyncio.run(scenario())


def test_the_neutral_answers_can_be_left_to_a_platform(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, neutral_answers=False) as world:
            world.listening = True
            assert world.publish(message("flight_areas_get", None)) == Outcome(route=True)
            assert world.publish(message("offline_map_get", None)) == Outcome(route=True)

    asyncio.run(scenario())


def test_the_gateway_s_own_methods_are_never_left_to_a_platform(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            world.listening = True
            for method in METHODS:
                outcome = world.publish(message(method, {}))
                assert outcome is not None
                assert not outcome.route
                assert outcome.replies or outcome.work is not None
                if outcome.work is not None:
                    assert (await outcome.work).replies

    asyncio.run(scenario())


def test_invented_methods_do_not_fill_the_metrics(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            for number in range(50):
                world.publish(message(f"invented_{number}", {}, tid=number))
            assert world.services.metrics.requests.answered.values == {("other", "200001"): 50}

    asyncio.run(scenario())
