"""The soak in its shortest form, what its figures are made with, and the ramps to the limits on small numbers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from proof.limits.run import SHORT, accesses, docks, gives_first, judge_step, messages
from proof.network.ground import BrokenPromise, Ground, Held
from proof.soak.fleet import Fleet, Stock
from proof.soak.plot import svg
from proof.soak.run import Sample, Soak, judge_trends, run, trends
from proof.soak.traffic import Kind
from proof.soak.trend import slope


def test_ordinary_traffic_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    soak = Soak(docks=60, seconds=15, sample_s=0.5)
    with Ground(tmp_path, docks=soak.docks) as ground:
        figures = asyncio.run(run(ground, soak))
    ground.check_database()
    assert figures["messages"] > 0.8 * soak.docks * soak.seconds * figures["messages_per_s_and_dock"]
    assert figures["replies"] > 0
    assert figures["docks_that_went_and_came"] > 0
    assert figures["orders_answered"] == figures["orders"] > 10
    assert figures["trend_judged"] is False  # so short a run tells no growth
    assert len(figures["samples"]) == soak.seconds / soak.sample_s
    assert ET.fromstring(svg(figures["samples"])).tag.endswith("svg")  # noqa: S314 - made a moment ago


def test_a_slope_is_known_from_noise() -> None:
    dice = random.Random(4)
    hours = [number / 100 for number in range(200)]
    noise = [dice.gauss(0, 1) for _ in hours]
    drift = [0.0]
    for each in noise[1:]:
        drift.append(0.9 * drift[-1] + each)
    flat, growing = (
        slope(hours, [100 + each for each in noise]),
        slope(hours, [100 + 9 * x + n for x, n in zip(hours, noise, strict=True)]),
    )
    assert flat.is_flat(0.02)
    assert abs(flat.per_unit) < 3 * flat.error
    assert not growing.is_flat(0.02)
    assert abs(growing.per_unit - 9) < 3 * growing.error
    wandering = slope(hours, drift)
    assert wandering.error > 3 * flat.error  # neighbours that resemble each other tell less
    assert abs(wandering.per_unit) < 3 * wandering.error


def samples(
    memory: Callable[[float], float], *, latency: Callable[[float], float] = lambda _: 1.0, seconds: float = 3600.0
) -> list[Sample]:
    """Of a run in which they were so at each share of its time."""
    made = []
    for number in range(1, 361):
        share = number / 360
        held = Held(20, 6, 10, 60, 0, 60, 0, round(memory(share) * 1e6))
        took = latency(share)
        made.append(Sample(share * seconds, held, share, number, took, 3 * took, took, 3 * took))
    return made


def _noise(share: float) -> float:
    return 256.0 + (random.Random(share).random() - 0.5) * 2


def test_a_run_in_which_nothing_grows_is_good() -> None:
    judge_trends(trends(samples(_noise)))


@pytest.mark.parametrize(
    ("made", "seen"),
    [
        (samples(lambda share: _noise(share) + 13 * share), "memory grows by 1[23]"),
        # so much noise that twenty MB an hour could hide in it
        (samples(lambda share: _noise(share) + 150 * (random.Random(share).random() - 0.5)), "cannot be told"),
        (samples(_noise, latency=lambda share: 1 + 12 * share), "replies took 4"),
    ],
    ids=["growth", "noise", "slower and slower"],
)
def test_a_trend_that_breaks_the_promise_is_seen(made: list[Sample], seen: str) -> None:
    figures = trends(made)
    assert figures["trend_judged"]
    with pytest.raises(BrokenPromise, match=seen):
        judge_trends(figures)


def test_what_was_warming_up_is_no_growth() -> None:
    judge_trends(trends(samples(lambda share: _noise(share) - 100 * max(0.0, 0.15 - share))))


def test_a_lost_message_and_a_doubled_one_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    async def main(ground: Ground) -> tuple[int, int]:
        fleet = Fleet(ground, 4, 1.0, mixed=True)
        await fleet.come()
        await fleet.introduce()
        await fleet.hear_out()
        assert fleet.take_stock() == Stock(0, 0)
        dock = fleet._docks[0]
        fleet.account.under_way.add(7)  # said to have been sent
        dock.say(Kind.OSD, 8)  # and one that nobody counted
        await fleet.hear_out(0.5)
        stock = fleet.take_stock()
        await fleet.leave()
        return stock.missing, stock.doubled

    with Ground(tmp_path, docks=4) as ground:
        assert asyncio.run(main(ground)) == (1, 1)


# -- limits


def step(**other: float) -> dict[str, float]:
    told = {
        "offered_per_s": 500,
        "delivery_p99_ms": 5.0,
        "not_delivered": 0,
        "delivered_twice": 0,
        "told_as_dropped": 0,
    }
    return {**told, **other}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (step(not_delivered=1, told_as_dropped=1), "within capacity"),
        (step(not_delivered=2, told_as_dropped=1, delivery_p99_ms=2000.0), "2 messages were lost, and 1 told of"),
        (step(delivered_twice=1, delivery_p99_ms=2000.0), "came twice"),
    ],
)
def test_messages_that_are_lost_in_secret_break_the_promise(seen: dict[str, float], said: str) -> None:
    judge_step(step())
    judge_step(step(not_delivered=3, told_as_dropped=3, delivery_p99_ms=2000.0))
    with pytest.raises(BrokenPromise, match=said):
        judge_step(seen)


def test_what_gives_first_is_what_has_the_least_left() -> None:
    assert gives_first({"the gateway's core": 0.97, "the generator": 0.5}) == "the gateway's core: 97% used"
    assert gives_first({"the gateway's core": 0.6, "the generator": 0.95}) == "the generator: 95% used"
    assert gives_first({"the gateway's core": 0.6, "memory": 0.2}).startswith("nothing yet: of the gateway's core 60%")


def test_what_is_left_over_is_told() -> None:
    before = Held(20, 6, 10, 1, 0, 1, 0, 100)
    after = Held(21, 6, 9, 1, 0, 1, 0, 10**9)
    assert after.more_than(before) == {"descriptors": 1}


def test_a_left_over_connection_breaks_the_promise(tmp_path: Path) -> None:
    async def leave_one(ground: Ground) -> None:
        before = await ground.calm()
        _, writer = await asyncio.open_connection("127.0.0.1", ground.ports["plain"])
        try:
            async with asyncio.timeout(10):
                while (await asyncio.to_thread(ground.held)).pending == 0:
                    pass
            with pytest.raises(BrokenPromise, match="pending"):
                await ground.nothing_left(before, within_s=0.3)
        finally:
            writer.close()
            await writer.wait_closed()

    with Ground(tmp_path, docks=0) as ground:
        asyncio.run(leave_one(ground))


def test_more_docks_than_allowed(tmp_path: Path) -> None:
    figures = docks(tmp_path, SHORT)
    assert figures["steps"][-1]["connected"] == SHORT.docks
    assert figures["refused"] > 0
    assert figures["gives_first"] == "limits.connections: 100% used"


def test_more_and_more_messages(tmp_path: Path) -> None:
    figures = messages(tmp_path, SHORT)
    assert [step["offered_per_s"] for step in figures["steps"]] == list(SHORT.rates)
    assert all(step["not_delivered"] == 0 for step in figures["steps"])


def test_more_and_more_accesses(tmp_path: Path) -> None:
    figures = accesses(tmp_path, SHORT)
    assert [step["at_once"] for step in figures["steps"]] == list(SHORT.at_once)
    assert figures["most_per_s"] > 0
