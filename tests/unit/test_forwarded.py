"""Requests that wait for a platform."""

from __future__ import annotations

import asyncio

from gateway.forwarded import Added, Forwarded


def test_a_request_that_nobody_answers_is_refused_once() -> None:
    async def scenario() -> None:
        refused: list[str] = []
        done = asyncio.Event()

        def refuse() -> None:
            refused.append("x")
            done.set()

        forwarded = Forwarded(timeout_s=0.01)
        assert forwarded.add("D", "m", "1", {}, refuse) is Added.NEW
        await asyncio.wait_for(done.wait(), 5)
        assert refused == ["x"]
        assert len(forwarded) == 0
        assert not forwarded.answered("D", "m", "1")

    asyncio.run(scenario())


def test_an_answer_settles_the_request_of_that_dock_tid_and_method() -> None:
    async def scenario() -> None:
        forwarded = Forwarded(timeout_s=60)
        for sn, method, tid in (("D", "m", "1"), ("D", "n", "1"), ("D", "m", "2"), ("E", "m", "1")):
            assert forwarded.add(sn, method, tid, {}, _never) is Added.NEW
        assert not forwarded.answered("F", "m", "1")
        assert not forwarded.answered("D", "m", 1)
        assert not forwarded.answered("D", "other", "1")
        assert forwarded.answered("D", "n", "1")
        assert forwarded.answered("D", "m", "1")
        assert not forwarded.answered("D", "m", "1")
        assert len(forwarded) == 2
        forwarded.close()

    asyncio.run(scenario())


def test_an_answer_without_method_fits_every_method() -> None:
    async def scenario() -> None:
        forwarded = Forwarded(timeout_s=60)
        forwarded.add("D", "m", "1", {}, _never)
        assert forwarded.answered("D", None, "1")

    asyncio.run(scenario())


def test_a_repeated_request_waits_with_the_first_and_is_refused_where_it_was_repeated() -> None:
    async def scenario() -> None:
        names: asyncio.Queue[str] = asyncio.Queue()
        forwarded = Forwarded(timeout_s=0.05)
        assert forwarded.add("D", "m", "1", {}, lambda: names.put_nowait("first")) is Added.NEW
        assert forwarded.add("D", "m", "1", {}, lambda: names.put_nowait("second")) is Added.WAITING
        assert len(forwarded) == 1
        assert await asyncio.wait_for(names.get(), 5) == "second"
        assert names.empty()

    asyncio.run(scenario())


def test_the_same_tid_with_other_data_is_another_request() -> None:
    async def scenario() -> None:
        forwarded = Forwarded(timeout_s=60)
        assert forwarded.add("D", "m", None, {"flight_id": "a"}, _never) is Added.NEW
        assert forwarded.add("D", "m", None, {"flight_id": "b"}, _never) is Added.NEW
        forwarded.close()

    asyncio.run(scenario())


def test_what_waits_is_limited_for_each_dock_and_in_total() -> None:
    async def scenario() -> None:
        forwarded = Forwarded(timeout_s=60, per_dock=2, total=3)
        added = [forwarded.add(sn, "m", tid, {}, _never) for sn in ("D", "E") for tid in range(3)]
        assert added == [Added.NEW, Added.NEW, Added.FULL, Added.NEW, Added.FULL, Added.FULL]
        assert forwarded.answered("D", "m", 0)
        assert forwarded.add("E", "m", 1, {}, _never) is Added.NEW
        forwarded.close()
        assert len(forwarded) == 0

    asyncio.run(scenario())


def test_after_close_nothing_is_refused() -> None:
    async def scenario() -> None:
        forwarded = Forwarded(timeout_s=0.01)
        later = asyncio.Event()
        forwarded.add("D", "m", "1", {}, _never)
        forwarded.close()
        forwarded.close()
        asyncio.get_running_loop().call_later(0.03, later.set)
        await later.wait()

    asyncio.run(scenario())


def _never() -> None:
    raise AssertionError("refused though it was not overdue")
