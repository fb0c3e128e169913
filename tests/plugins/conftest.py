"""The stage of the plugin tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Gateway, Installation, Login
from tests.integration.lasting import CopiedInstallation, LastingInstallation

from .stage import OTHER_SN, SN, Stage


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[LastingInstallation, list[Login]]:
    """The installation that each test gets a copy of, and its accounts."""
    installation = LastingInstallation(tmp_path_factory.mktemp("town") / "dockgate")
    return installation, [
        installation.account("dock-a", "dock", "--sn", SN),
        installation.account("dock-b", "dock", "--sn", OTHER_SN),
        installation.account("platform", "service"),
    ]


@pytest.fixture
def stage(
    town: tuple[LastingInstallation, list[Login]], tmp_path: Path, serve: Callable[[Installation], Gateway]
) -> Iterator[Stage]:
    """Two docks and a service; no license."""
    with ExitStack() as clients:
        installation = CopiedInstallation(town[0], tmp_path / "town")
        yield Stage(installation, serve, clients, {login.account: login for login in town[1]})
