"""Login: what stands in CONNECT and in the client's certificate reaches the accounts, and their answer the client."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.broker.session import IDENTITY
from gateway.model import Role
from tests.integration.octets import connack, connect

from .stage import SN, Stage


def identity_of(stage: Stage, client_id: str) -> Any:
    return stage.gateway.ask(lambda: stage.gateway.broker.sessions[client_id][0].attributes[IDENTITY])


def test_a_login_leaves_who_it_is_in_its_session_and_no_password(stage: Stage) -> None:
    stage.client("dock-a", "my dock")
    stage.client("platform", "my platform")
    dock, platform = identity_of(stage, "my dock"), identity_of(stage, "my platform")
    assert (dock.account, dock.role, dock.sn) == ("dock-a", Role.DOCK, SN)
    assert (platform.account, platform.role, platform.sn) == ("platform", Role.SERVICE, None)
    sessions = stage.gateway.ask(lambda: [session for session, _ in stage.gateway.broker.sessions.values()])
    assert [session.password for session in sessions] == [None, None]


def refused(stage: Stage, **credentials: Any) -> int:
    answer = stage.socket().until_closed(connect("client", **credentials))
    assert answer[:3] == b"\x20\x02\x00"
    return answer[3]


def test_an_unknown_account_and_a_wrong_password_look_the_same(stage: Stage) -> None:
    password = stage.logins["dock-a"].password
    assert refused(stage, username="dock-a", password="wrong") == 4
    assert refused(stage, username="nobody", password=password) == 4
    assert refused(stage, username="dock-b", password=password) == 4
    assert refused(stage, username="DOCK-A", password=password) == 4
    assert refused(stage, username="dock-a", password=password + " ") == 4
    assert refused(stage, username="dock-a", password="x" * 60_000) == 4
    assert refused(stage, username="dock-a", password=password.encode() + b"\xff") == 4
    assert refused(stage, username="dock-a") == 4
    assert refused(stage, username="", password=password) == 4
    assert refused(stage) == 4


def test_a_disabled_account_looks_the_same_too(stage: Stage) -> None:
    stage.installation.dockgate("account", "disable", "dock-a")
    login = stage.logins["dock-a"]
    assert refused(stage, username=login.account, password=login.password) == 4


def test_a_locked_account_is_told_so(stage: Stage) -> None:
    stage.installation.configure(lambda settings: settings["dockgate"].update(login={"lockout_failures": 2}))
    login = stage.logins["dock-a"]
    assert [refused(stage, username="dock-a", password="wrong") for _ in range(2)] == [4, 4]
    assert refused(stage, username=login.account, password=login.password) == 5
    assert stage.client("platform").is_silent()


# -- client certificates


class Shown:
    """A CA of clients, and what its certificates open."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.ca = trustme.CA()
        self.stage = stage
        file = folder / "clients.pem"
        self.ca.cert_pem.write_to_path(file)
        stage.installation.configure(lambda settings: settings["listeners"]["tls"].update(cafile=str(file)))

    def code(self, account: str, *names: str, common_name: str | None = None) -> int:
        context = ssl.create_default_context(cafile=self.stage.installation.ca)
        if names or common_name:
            self.ca.issue_cert(*names, common_name=common_name).configure_cert(context)
        login = self.stage.logins[account]
        client = self.stage.socket("tls", tls=context)
        return client.login("client", login.account, login.password)[3]


@pytest.fixture
def shown(stage: Stage, tmp_path: Path) -> Shown:
    return Shown(stage, tmp_path)


def test_a_certificate_that_is_shown_has_to_be_the_accounts_or_the_docks(shown: Shown) -> None:
    assert shown.code("dock-a") == 0
    assert shown.code("dock-a", common_name="dock-a") == 0
    assert shown.code("dock-a", common_name=SN) == 0
    assert shown.code("dock-a", "dock-a", common_name="something else") == 0
    assert shown.code("dock-a", common_name="dock-b") == 5
    assert shown.code("platform", common_name="dock-a") == 5
    assert shown.code("dock-a", "192.0.2.1", "dock-a@example.org") == 5


def test_the_right_certificate_is_no_password(shown: Shown) -> None:
    context = ssl.create_default_context(cafile=shown.stage.installation.ca)
    shown.ca.issue_cert(common_name="dock-a").configure_cert(context)
    for credentials in ({"username": "dock-a", "password": "wrong"}, {"username": "dock-a"}, {}):
        client = shown.stage.socket("tls", tls=context)
        assert client.until_closed(connect("client", **credentials)) == connack(4)  # type: ignore[arg-type]
