"""Somebody with a dock's login and ill will: a table of attacks, each refused and its victims unharmed, in both MQTT versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .attack_kinds import Attack
from .attack_stage import DOCK_B, MARK, Kind, Stage, device_topic, staged
from .attacks import TABLE

ROWS = [(row, version) for row in TABLE for version in row.versions]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("attacks") / "dockgate") as made:
        yield made


@pytest.mark.case("C25")
@pytest.mark.parametrize(("row", "version"), ROWS, ids=[f"{row.name} ({version})" for row, version in ROWS])
def test_an_attack_is_refused_and_its_victims_are_unharmed(stage: Stage, row: Attack, version: int) -> None:
    with stage.unharmed(version):
        row.run(stage)


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names) > 80
    assert {name.partition(":")[0] for name in names} == {
        "read",
        "write",
        "retained",
        "will",
        "session",
        "packets",
        "request",
    }


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
