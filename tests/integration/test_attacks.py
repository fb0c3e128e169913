"""Somebody with a dock's login and ill will: a table of attacks, each refused and its victims unharmed, in both MQTT versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from gateway.topics import Kind, device_topic

from .attack_away import SCENARIOS, Place
from .attack_doors import DOORS
from .attack_kinds import Attack
from .attack_stage import MARK, Stage, staged
from .attacks import EVERYWHERE, TABLE
from .town import DOCK_B

NUMBERS = count(1)
ROWS = [(row, version, door) for row in TABLE for version in row.versions for door in row.doors]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("attacks") / "dockgate") as made:
        yield made


AWAY = [
    pytest.param(play, version, id=f"{name} ({version})")
    for name, (play, versions) in SCENARIOS.items()
    for version in versions
]


@pytest.mark.parametrize(("play", "version"), AWAY)
def test_what_waits_for_somebody_away_is_his_only_as_long_as_his_right_lasts(
    stage: Stage, play: Callable[[Place], None], version: int
) -> None:
    play(Place(stage, next(NUMBERS), version))


@pytest.mark.case("C25")
@pytest.mark.parametrize(
    ("row", "version", "door"), ROWS, ids=[f"{row.name} ({version}, {door})" for row, version, door in ROWS]
)
def test_an_attack_is_refused_and_its_victims_are_unharmed(stage: Stage, row: Attack, version: int, door: str) -> None:
    with stage.unharmed(version, door):
        row.run(stage)


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names) > 80
    mqtt = {"read", "write", "retained", "will", "session", "packets", "request"}
    assert {_kind(row) for row in TABLE} == {*mqtt, "http"}
    # of each kind at each door, in both versions
    assert set(names) >= EVERYWHERE
    for door in DOORS:
        for version in (4, 5):
            assert {_kind(row) for row, tried, where in ROWS if (tried, where) == (version, door)} >= mqtt


def _kind(row: Attack) -> str:
    return row.name.partition(":")[0]


def test_harm_is_seen(tmp_path: Path) -> None:
    """The stage itself: what an attack must not do, done by those who may, is noticed."""

    def order(stage: Stage, kind: Kind, payload: bytes, *, retain: bool = False) -> None:
        with stage.town.login("service-all", client_id="harmful") as mighty:
            mighty.publish(device_topic(DOCK_B, kind), payload, retain=retain)

    harms: dict[str, Callable[[Stage], object]] = {
        "an order": lambda stage: order(stage, Kind.SERVICES, MARK),
        "something retained": lambda stage: order(stage, Kind.DRC_DOWN, b"", retain=True),
        "something no longer retained": lambda stage: order(stage, Kind.SERVICES, b"", retain=True),
        "another name": lambda stage: stage.town.installation.dockgate("dock", "rename", DOCK_B, "another"),
    }
    with staged(tmp_path / "dockgate") as stage:
        for harm in harms.values():
            with pytest.raises(AssertionError), stage.unharmed(4):
                harm(stage)
        with stage.unharmed(4):
            pass
