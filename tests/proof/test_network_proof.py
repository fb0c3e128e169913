"""The attacks of ``proof/network`` in their short form, each on a gateway of its own process with a dock that has to be served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from proof.network.attacks import ATTACKS, Attack, ground_for, under_fire
from proof.network.ground import Ground

CHOSEN = [attack for attack in ATTACKS if attack.chosen]
OTHERS = [attack for attack in ATTACKS if not attack.chosen]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One for all: starting one for each would take longer than the attacks, and none may leave anything behind."""
    whole = Attack(
        "all of them", under_fire, {}, {},
        docks=(0, max(attack.docks[1] for attack in OTHERS)),
        untied=(0, sum(attack.untied[1] + 2 for attack in OTHERS)),
        limits={name: value for attack in OTHERS for name, value in attack.limits.items()},
    )  # fmt: skip
    with ground_for(whole, tmp_path_factory.mktemp("ground"), short=True) as made:
        yield made
    made.check_database()


@pytest.mark.parametrize("attack", OTHERS, ids=lambda attack: attack.name)
def test_it_stands(ground: Ground, attack: Attack) -> None:
    figures = asyncio.run(under_fire(ground, attack, short=True))
    assert figures["witness"]["pings"] > 0
    assert figures["left_over"] == 0


@pytest.mark.parametrize("attack", CHOSEN, ids=lambda attack: attack.name)
def test_it_stands_behind_the_slow_hash(tmp_path: Path, attack: Attack) -> None:
    """Issue: PINGREQ of connected docks answered in under a second throughout a storm of logins with argon2id."""
    with ground_for(attack, tmp_path, short=True) as ground:
        hashed = ground.metrics()["dockgate_logins_hashed_total"]
        figures = asyncio.run(under_fire(ground, attack, short=True))
        assert ground.metrics()["dockgate_logins_hashed_total"] - hashed >= attack.short["docks"]
    assert figures["turned_away"] == 0
    assert figures["witness"]["ping_max_ms"] < 1000
