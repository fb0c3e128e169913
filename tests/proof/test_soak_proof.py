"""The soak in its shortest form, what its figures are made with, and the ramps to the limits on small numbers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from proof.limits.run import SHORT, accesses, docks, messages
from proof.network.ground import BrokenPromise, Ground, Held
from proof.soak.plot import svg
from proof.soak.run import Soak, run
from proof.soak.trend import slope


def test_ordinary_traffic_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    soak = Soak(docks=60, seconds=8, sample_s=1)
    with Ground(tmp_path, docks=soak.docks) as ground:
        figures = asyncio.run(run(ground, soak))
    ground.check_database()
    assert figures["messages"] > 0.8 * soak.docks * soak.seconds * figures["messages_per_s_and_dock"]
    assert figures["replies"] > 0
    assert figures["docks_that_went_and_came"] > 0
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


def test_more_and_more_messages(tmp_path: Path) -> None:
    figures = messages(tmp_path, SHORT)
    assert [step["offered_per_s"] for step in figures["steps"]] == list(SHORT.rates)
    assert all(step["not_delivered"] == 0 for step in figures["steps"])


def test_more_and_more_accesses(tmp_path: Path) -> None:
    figures = accesses(tmp_path, SHORT)
    assert [step["at_once"] for step in figures["steps"]] == list(SHORT.at_once)
    assert figures["most_per_s"] > 0
