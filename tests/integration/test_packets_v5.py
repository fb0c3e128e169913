"""MQTT 5 as bytes: every case of ``packets_v5`` over a real socket to a real gateway, whole and one byte at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .lasting import LastingInstallation, served
from .octets_v5 import Octets5, welcome
from .packets_v5 import ACCOUNT, AFTER_THE_LOGIN, FIRST_PACKETS, PASSWORD, SN, Case


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    installation = LastingInstallation(tmp_path_factory.mktemp("wire5") / "dockgate")
    installation.account_with(ACCOUNT, PASSWORD, "dock", "--sn", SN)
    # The table is full of wrong passwords from one address.
    installation.configure(
        lambda settings: settings["dockgate"].update(login={"lockout_failures": 0, "address_failures": 0})
    )
    with served(installation) as gateway:
        yield gateway.port()


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("case", FIRST_PACKETS, ids=lambda case: case.name)
def test_first_packets(port: int, case: Case, bytewise: bool) -> None:
    with Octets5(port) as client:
        if case.closes:
            assert client.until_closed(case.sent, bytewise=bytewise) == case.answer
        else:
            assert client.answers(case.sent, bytewise=bytewise) == case.answer


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("case", AFTER_THE_LOGIN, ids=lambda case: case.name)
def test_after_the_login(port: int, case: Case, bytewise: bool) -> None:
    with Octets5(port) as client:
        assert client.login("wire", ACCOUNT, PASSWORD) == welcome()
        if case.closes:
            assert client.until_closed(case.sent, bytewise=bytewise) == case.answer
        else:
            assert client.answers(case.sent, bytewise=bytewise) == case.answer
