"""The dispatcher: order, repetition, time limit, failures, platforms, and what it says of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.dispatch import MAX_UNFINISHED
from gateway.errors import MethodError
from gateway.methods import METHODS
from gateway.model import Outcome, Reply, Request, Role
from gateway.results import Result
from gateway.services import Services
from gateway.store import codes
from gateway.tasks import Tasks
from gateway.topics import Kind, device_topic

from .dock_case import CONFIG, ask_bind, ask_organization, ask_status, bound, flat, refused, topo
from .dock_world import (
    BIRD1,
    CODE_A,
    CODE_ONCE,
    DOCK1,
    DOCK2,
    ORG_A,
    World,
    data_of,
    license_of,
    message,
    opened,
    wish,
)

LICENSED = {"with_licenses": (license_of(None),)}


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another process holds the database's write lock."""
    with closing(sqlite3.connect(world.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


async def finished() -> None:
    """Handlers that went on after their time limit."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("request ")]
    if tasks:
        await asyncio.wait(tasks)


# -- what is none of its business


@pytest.mark.parametrize("role", [Role.SERVICE, Role.OBSERVER])
def test_only_docks_are_answered(role: Role, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            asked = world.dispatcher.intercept(
                replace(world.identity(), role=role),
                device_topic(DOCK1, Kind.REQUESTS),
                CONFIG,
                platform_listens=lambda _topic: True,
                reply_later=world.late.put_nowait,
            )
            assert asked is None

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in {Kind.REQUESTS, Kind.STATUS}])
def test_other_topics_are_not_answered(kind: Kind, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            assert world.publish(CONFIG, kind=kind) is None

    asyncio.run(scenario())


def test_topics_of_others_are_not_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            assert world.publish(CONFIG, sn=DOCK2) is None
            assert world.publish(CONFIG, sn="not/an/sn") is None

    asyncio.run(scenario())


# -- repetition


def test_a_repeated_request_gets_the_same_data_and_does_nothing_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            payload = ask_bind(wish(DOCK1, code=CODE_ONCE), wish(BIRD1, code="wrong"))
            first = await world.outcome(payload)
            jobs, audited = world.store.jobs, len(await world.audited())
            world.clock.now += 1500
            second = await world.outcome(payload.replace(b"1767225600000", b"1767225601500"))
            assert first is not None
            assert second is not None
            assert first.replies[0].payload == second.replies[0].payload.replace(b"1767225601500", b"1767225600000")
            assert (world.store.jobs, len(await world.audited())) == (jobs, audited)
            assert len(world.told("bound")) == 1
            assert world.services.metrics.requests.repeated == 1

    asyncio.run(scenario())


def test_a_repetition_waits_for_the_first_that_is_still_worked_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        release, calls = asyncio.Event(), []

        async def slow(request: Request, _services: Services) -> Reply:
            calls.append(request.data)
            await release.wait()
            return Reply({"result": 0, "output": {"n": len(calls)}}, 0)

        async with opened(tmp_path, methods={"slow": slow}) as world:
            first, second = (world.publish(message("slow", {})) for _ in range(2))
            assert first is not None
            assert second is not None
            assert first.work is not None
            assert second.work is not None
            both = asyncio.gather(first.work, second.work)
            await asyncio.sleep(0)
            release.set()
            assert [data_of(outcome)["output"] for outcome in await both] == [{"n": 1}, {"n": 1}]
            assert len(calls) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("other", [message("config", {}, tid="t-2"), message("config", {"config_type": "json"})])
def test_another_tid_or_other_data_is_another_request(other: bytes, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            assert data_of(await world.outcome(message("config", {}))) == flat()
            world.directory.apply_licenses([replace(license_of(None), app_id="100002")])
            assert data_of(await world.outcome(message("config", {})))["app_id"] == "100001"
            assert data_of(await world.outcome(other))["app_id"] == "100002"

    asyncio.run(scenario())


def test_without_tid_nothing_is_remembered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            await world.outcome(message("config", {}, tid=...))
            await world.outcome(message("config", {}, tid=...))
            assert len(world.told("license_served")) == 2
            assert world.services.metrics.requests.repeated == 0

    asyncio.run(scenario())


def test_a_changed_account_is_answered_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, with_licenses=(license_of(None), license_of(ORG_A))) as world:
            assert data_of(await world.outcome(CONFIG)) == flat()
            account = world.directory.account("dock-one")
            assert account is not None
            world.directory.apply_accounts([replace(account, organization_id=ORG_A, version=account.version + 1)])
            assert data_of(await world.outcome(CONFIG)) == flat(ORG_A)

    asyncio.run(scenario())


def test_a_license_that_was_missing_is_served_to_the_next_try(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            assert data_of(await world.outcome(CONFIG)) == refused(200001)
            world.directory.apply_licenses([license_of(None)])
            assert data_of(await world.outcome(CONFIG)) == flat()

    asyncio.run(scenario())


def test_a_topology_is_taken_over_as_often_as_it_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            payload = topo({"sn": BIRD1})
            await world.outcome(payload, kind=Kind.STATUS)
            assert world.presence.is_online(BIRD1)
            world.presence.disconnected(f"session of {DOCK1}")
            world.presence.connected(world.identity(), "next session", "192.0.2.1")
            assert not world.presence.is_online(BIRD1)
            await world.outcome(payload, kind=Kind.STATUS)
            assert world.presence.is_online(BIRD1)

    asyncio.run(scenario())


# -- failures and the time limit


async def broken(_request: Request, _services: Services) -> Reply:
    raise RuntimeError("the cause")


@pytest.mark.parametrize(
    ("method", "number"),
    [("config", 200001), ("airport_bind_status", 210233), ("airport_organization_bind", 210231)],
)
def test_a_handler_that_fails_is_answered_logged_and_counted(
    method: str, number: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, methods={method: broken}) as world:
            assert data_of(await world.outcome(message(method, {}))) == refused(number)
            assert world.services.metrics.requests.failed == 1
            assert world.services.metrics.requests.answered.get(method, str(number)) == 1

    asyncio.run(scenario())
    assert "RuntimeError: the cause" in caplog.text


def test_what_failed_here_is_done_when_it_is_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        answers = iter([RuntimeError("once"), Reply({"result": 0}, 0)])

        async def mended(_request: Request, _services: Services) -> Reply:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async with opened(tmp_path, methods={"m": mended}) as world:
            assert data_of(await world.outcome(message("m", {}))) == refused(200001)
            assert data_of(await world.outcome(message("m", {}))) == {"result": 0}

    asyncio.run(scenario())


def test_the_same_failure_is_logged_once_a_minute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, methods={"config": broken}) as world:
            for _ in range(5):
                await world.outcome(CONFIG)
            assert [r.message for r in caplog.records].count("request failed") == 1
            world.clock.now += 60_000
            await world.outcome(CONFIG)
            assert [r.message for r in caplog.records].count("request failed") == 2

    asyncio.run(scenario())


def test_a_refusal_by_a_handler_takes_the_operator_s_number(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def refusing(_request: Request, _services: Services) -> Reply:
            raise MethodError(Result.BOUND_ELSEWHERE, "no")

        async with opened(tmp_path, methods={"m": refusing}, result_codes={"bound_elsewhere": 7}) as world:
            assert data_of(await world.outcome(message("m", {}))) == refused(7)

    asyncio.run(scenario())


def test_a_bind_that_takes_too_long_is_a_failure_and_then_a_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            payload = ask_bind(wish(DOCK1, code=CODE_ONCE))
            with locked(world):
                assert data_of(await world.outcome(payload)) == refused(210231)
                assert world.services.metrics.requests.timed_out == 1
            await finished()
            assert data_of(await world.outcome(payload)) == bound((DOCK1, 0))
            assert len(world.told("bound")) == 1
            code = await world.store.read(codes.get, CODE_ONCE)
            assert code.uses_left == 0
            # memory has what the database has
            assert (await world.stored())[DOCK1] == (ORG_A, None)
            device = world.directory.device(DOCK1)
            assert device is not None
            assert device.organization_id == ORG_A

    asyncio.run(scenario())
    assert "not answered within the time limit" in caplog.text


def test_a_repetition_during_a_slow_bind_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, handler_timeout_s=0.1) as world:
            payload = ask_bind(wish(DOCK1, code=CODE_ONCE))
            with locked(world):
                assert data_of(await world.outcome(payload)) == refused(210231)
                assert data_of(await world.outcome(payload)) == refused(210231)
                again = Tasks().spawn(world.outcome(payload), name="session")
                await asyncio.sleep(0)
            assert data_of(await again) in (bound((DOCK1, 0)), refused(210231))
            await finished()
            assert data_of(await world.outcome(payload)) == bound((DOCK1, 0))
            assert len(world.told("bound")) == 1

    asyncio.run(scenario())


def test_a_session_that_ends_does_not_end_what_it_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            payload = ask_bind(wish(DOCK1))
            with locked(world):
                asking = Tasks().spawn(world.outcome(payload), name="session")
                await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait({asking})
            await finished()
            assert (await world.stored())[DOCK1] == (ORG_A, None)
            device = world.directory.device(DOCK1)
            assert device is not None
            assert device.organization_id == ORG_A
            assert data_of(await world.outcome(payload)) == bound((DOCK1, 0))
            assert world.services.metrics.requests.in_flight == 0

    asyncio.run(scenario())


def test_requests_that_never_end_do_not_pile_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        calls = []

        async def stuck(_request: Request, _services: Services) -> Reply:
            calls.append(1)
            await asyncio.Event().wait()
            raise AssertionError

        async with opened(tmp_path, methods={"m": stuck, "config": METHODS["config"]}, handler_timeout_s=0.1) as world:
            asked = [world.outcome(message("m", {}, tid=tid)) for tid in range(MAX_UNFINISHED + 10)]
            answers = await asyncio.gather(*asked)
            assert [data_of(answer) for answer in answers] == [refused(200001)] * len(asked)
            assert len(calls) == MAX_UNFINISHED
            # another dock has its own share
            assert data_of(await world.outcome(CONFIG, dock=DOCK2)) == refused(200001)

    asyncio.run(scenario())


def test_a_database_that_is_gone_is_a_failure_of_the_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, **LICENSED) as world:
            await world.store.close()
            assert data_of(await world.outcome(ask_bind(wish(DOCK1)))) == refused(210231)
            assert world.services.metrics.database.failures.total() >= 1
            # what needs no write is answered all the same
            assert data_of(await world.outcome(CONFIG)) == flat()
            assert data_of(await world.outcome(ask_organization(CODE_A, ORG_A)))["result"] == 0
            assert data_of(await world.outcome(ask_status(DOCK1)))["result"] == 0

    asyncio.run(scenario())
    assert "request failed" in caplog.text


def test_shutting_down_answers_what_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def stuck(_request: Request, _services: Services) -> Reply:
            await asyncio.Event().wait()
            raise AssertionError

        async with opened(tmp_path, methods={"config": stuck}) as world:
            asking = Tasks().spawn(world.outcome(CONFIG), name="session")
            await asyncio.sleep(0)
            await world.services.tasks.close()
            assert data_of(await asking) == refused(200001)

    asyncio.run(scenario())


# -- unreadable


@pytest.mark.parametrize("kind", [Kind.REQUESTS, Kind.STATUS])
def test_unreadable_messages_are_counted_and_logged_once_a_minute_for_each_dock(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as world:
            for dock in (DOCK1, DOCK2):
                for payload in (b"{", b"[]", b"[" * 500):
                    assert await world.outcome(payload, dock=dock, kind=kind) == Outcome(route=False)
            lines = [r for r in caplog.records if "cannot be read" in r.message]
            assert [r.__dict__["sn"] for r in lines] == [DOCK1, DOCK2]
            assert world.services.metrics.requests.unreadable.total() == 6
            world.clock.now += 60_000
            await world.outcome(b"{", kind=kind)
            assert len([r for r in caplog.records if "cannot be read" in r.message]) == 3

    asyncio.run(scenario())
