"""What an operator takes away is gone within a second: connection, session and queue; and who guesses is locked out (cases 27)."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.store import accounts
from gateway.topics import Kind, device_topic

from .process import Served, dockgate
from .town import DOCK_A, Lines, Town, settle, until
from .wire import Will, Wire, connect_packet, payloads

EVENTS = device_topic(DOCK_A, Kind.EVENTS)
SERVICES = device_topic(DOCK_A, Kind.SERVICES)
OBEYED_S = 1.0
NEW_PASSWORD = "another-pass-phrase-of-the-operator"


@pytest.fixture
def keep() -> Iterator[Callable[[Wire], Wire]]:
    with ExitStack() as stack:
        yield stack.enter_context


def disable(town: Town) -> None:
    dockgate(town.installation.config_file, "account", "disable", "dock-a")


def delete(town: Town) -> None:
    dockgate(town.installation.config_file, "account", "delete", "dock-a", "--yes")


def passwd(town: Town) -> None:
    words = ("account", "passwd", "dock-a", "--password-stdin")
    dockgate(town.installation.config_file, *words, stdin=NEW_PASSWORD + "\n")


def re_role(town: Town) -> None:
    """The same name with the same password, but now it is an observer."""
    delete(town)
    words = ("account", "add", "dock-a", "--role", "observer", "--password-stdin")
    dockgate(town.installation.config_file, *words, stdin=town.passwords["dock-a"] + "\n")


ENDINGS = {"disabled": disable, "deleted": delete, "new password": passwd, "other role": re_role}


def restore(town: Town, how: str) -> str:
    """Let the account in again; its password."""
    file = town.installation.config_file
    if how == "disabled":
        dockgate(file, "account", "enable", "dock-a")
    elif how in {"deleted", "other role"}:
        if how == "other role":
            delete(town)
        words = (
            "account",
            "add",
            "dock-a",
            "--role",
            "dock",
            "--sn",
            DOCK_A,
            "--org",
            town.installation.organization_id,
        )
        return str(dockgate(file, *words)["password"])
    return NEW_PASSWORD if how == "new password" else town.passwords["dock-a"]


@pytest.mark.parametrize("how", ENDINGS)
def test_a_changed_account_loses_connection_session_and_queue(
    installation: Any, serve: Any, keep: Any, how: str
) -> None:
    town = settle(installation, serve, "dock-a", "dock-b", "service-all")
    service = keep(town.login("service-all"))
    service.subscribe("#")
    other = keep(town.login("dock-b"))
    absent = town.login("dock-a", client_id="absent", clean=False, will=Will(EVENTS, b"will"))
    absent.subscribe(SERVICES)
    absent.disconnect()
    will = Will(EVENTS, b"will of a changed account")
    live = [
        keep(town.login("dock-a", client_id=f"live-{version}", version=version, will=will, clean=False, expiry_s=600))
        for version in (4, 5)
    ]
    for dock in live:
        assert dock.subscribe(SERVICES) == [1]
    until(town.gateway, lambda: not town.gateway.broker.table.get("absent").connected)
    service.publish(SERVICES, b"queued")
    assert [dock.receive().payload for dock in live] == [b"queued", b"queued"]

    ENDINGS[how](town)
    deadline = time.monotonic() + OBEYED_S
    for dock in live:
        assert dock.wait_closed(max(0.0, deadline - time.monotonic())), f"still connected after {OBEYED_S} s"
    assert live[1].goodbye == 0x98  # administrative action (MQTT 5, 3.14.2.1)
    until(
        town.gateway,
        lambda: not {"absent", "live-4", "live-5"} & {each.client_id for each in town.gateway.broker.table},
    )
    service.publish(SERVICES, b"too late")

    old = keep(town.wire())
    code = old.login("absent", "dock-a", town.passwords["dock-a"], clean=False).code
    assert code == (0 if how == "other role" else 4)
    if how == "other role":  # the new role's rights, and none of the old
        assert old.subscribe(SERVICES, "thing/product/+/osd") == [0x80, 1]
        old.ping()
        assert not old.inbox
    password = restore(town, how)
    if how == "other role":
        assert old.wait_closed(OBEYED_S)
    back = keep(town.wire())
    answer = back.login("absent", "dock-a", password, clean=False)
    assert (answer.code, answer.present) == (0, False)
    back.ping()
    assert not back.inbox
    # others notice nothing
    other.ping()
    other.publish(device_topic("7CTDM7100B000B", Kind.OSD), b"fence")
    told = service.receive_until(b"fence")
    assert b"will of a changed account" not in payloads(told)
    assert {got.topic for got in told} == {f"dockgate/events/{sn}" for sn in (DOCK_A, "7CTDM7100B000B")}


def test_the_broker_s_own_topics_are_for_who_was_given_them(installation: Any, serve: Any, keep: Any) -> None:
    town = settle(installation, serve)
    entitled = keep(town.login("service-sys"))
    assert entitled.subscribe("$SYS/#", "#") == [1, 1]
    others = [keep(town.login(name)) for name in ("service-all", "service-a", "observer-all")]
    for other in others:
        assert other.subscribe("$SYS/#", "$SYS/broker/uptime", "+/broker/uptime", "#") == [0x80, 0x80, 0x80, 1]
    town.gateway.ask(lambda: town.gateway.broker.publish("$SYS/broker/uptime", b"7"))
    assert entitled.receive().payload == b"7"
    for reader in (entitled, *others):  # a leading wildcard matches no $ topic (4.7.2)
        reader.ping()
        assert [got for got in reader.inbox if got.topic.startswith("$")] == []


def tries(town: Town, name: str, password: str, *, source: str, times: int = 1, version: int = 4) -> list[int]:
    codes = []
    for _ in range(times):
        with town.wire(source=source, version=version) as wire:
            codes.append(wire.login("guesser", name, password).code)
    return codes


def audited(town: Town, *wanted: tuple[str, str]) -> list[dict[str, Any]]:
    """The audit, once all of ``wanted`` (action and outcome) are in it: it is written together each second."""
    deadline = time.monotonic() + 5
    while True:
        entries: list[dict[str, Any]] = town.installation.dockgate("audit", "list")
        if {(entry["action"], entry["outcome"]) for entry in entries} >= set(wanted):
            return entries
        assert time.monotonic() < deadline, f"not audited: {wanted}"


@pytest.mark.case(27)
def test_twenty_guesses_lock_account_and_address(installation: Any, serve: Any) -> None:
    town = settle(installation, serve, "dock-a", "dock-b", "service-a")
    right = town.passwords["dock-a"]
    here, there = "127.0.0.1", "127.0.0.9"
    with Lines() as lines:
        codes = tries(town, "dock-a", "guess", source=there, times=20)
    assert codes == [4] * 10 + [5] * 10
    line = lines.found("login refused")[0].getMessage()
    assert line == f"login refused address={there} account=dock-a client_id=guesser reason=wrong_password"
    assert lines.found("login refused")[10].getMessage().endswith("reason=locked_out")
    # locked there, with the right password too; not elsewhere, and nobody else
    assert tries(town, "dock-a", right, source=there) == [5]
    assert tries(town, "dock-a", right, source=there, version=5) == [0x8A]
    assert tries(town, "dock-a", right, source=here) == [0]
    assert tries(town, "dock-b", town.passwords["dock-b"], source=there) == [0]
    file = installation.config_file
    assert [lock["address"] for lock in dockgate(file, "account", "show", "dock-a")["locks"]] == [there]
    entries = audited(town, ("login", "refused"), ("lockout", "locked"))
    refused = next(entry for entry in entries if entry["action"] == "login")
    assert refused["detail"].items() >= {"address": there, "client_id": "guesser", "dock": DOCK_A}.items()
    # the operator's word
    assert dockgate(file, "account", "unlock", "dock-a")["cleared"] == 1
    deadline = time.monotonic() + OBEYED_S
    while tries(town, "dock-a", right, source=there) != [0]:
        assert time.monotonic() < deadline, "still locked"
    assert dockgate(file, "account", "show", "dock-a")["locks"] == []


@pytest.mark.case(27)
def test_an_address_that_guesses_at_many_accounts_is_locked(installation: Any, serve: Any) -> None:
    installation.configure(lambda settings: settings["dockgate"]["login"].update(address_failures=12))
    town = settle(installation, serve, "dock-a")
    there = "127.0.0.9"
    for number in range(12):
        assert tries(town, f"account-{number}", "guess", source=there) == [4]
    assert tries(town, "dock-a", town.passwords["dock-a"], source=there) == [5]
    assert tries(town, "dock-a", town.passwords["dock-a"], source="127.0.0.1") == [0]


@pytest.mark.case(27)
def test_a_lock_ends_and_outlives_a_restart(installation: Any, serve: Any) -> None:
    installation.configure(lambda settings: settings["dockgate"]["login"].update(lockout_failures=2, lockout_s=2))
    login = installation.account("dock-a", "dock", "--sn", DOCK_A)
    there, right = "127.0.0.9", login.password
    with Served(installation.config_file).ready() as first:
        town = Town(first, {})
        assert tries(town, "dock-a", "guess", source=there, times=3) == [4, 4, 5]
        locked_at = time.monotonic()
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
    with Served(installation.config_file).ready() as second:
        town = Town(second, {})
        assert tries(town, "dock-a", right, source=there) == [5]
        while tries(town, "dock-a", right, source=there) != [0]:
            assert time.monotonic() - locked_at < 5, "locked for longer than it should be"
    assert time.monotonic() - locked_at > 1.9


def test_a_doubt_is_settled_by_a_look_that_comes_after_it(installation: Any, serve: Any) -> None:
    """Though the database was looked at a moment ago: what has been committed since is what the login is about."""
    town = settle(installation, serve, "dock-a")
    runtime = town.gateway.runtime

    async def doubt_again() -> bool:
        with contextlib.closing(sqlite3.connect(installation.folder / "dockgate.db")) as operator:
            await runtime.catch_up()
            with operator:
                operator.execute("UPDATE account SET enabled = 0, version = version + 1 WHERE name = 'dock-a'")
            await runtime.catch_up()
        return bool(runtime.services.directory.account("dock-a").enabled)

    assert town.gateway.call(doubt_again()) is False


@pytest.mark.case("C33")
def test_an_unknown_account_and_a_wrong_password_look_the_same(installation: Any, serve: Any) -> None:
    town = settle(installation, serve, "dock-a")
    for version, code in ((4, 4), (5, 0x86)):
        for name in ("dock-a", "nobody"):
            assert tries(town, name, "guess", source="127.0.0.9", version=version) == [code]


@pytest.mark.case(21)
def test_a_gateway_without_accounts_lets_nobody_in(installation: Any, serve: Any) -> None:
    """Cases 21: no account or password that is the same everywhere."""
    for entry in installation.dockgate("account", "list"):
        installation.dockgate("account", "delete", entry["account"], "--yes")
    town = Town(serve(installation), {})
    for name, password in (
        ("admin", "public"), ("admin", "admin"), ("dock", "dock"), ("pilot", "pilot123"), ("JavaServer", "123456"),
        ("adminPC", "adminPC"), ("", ""), ("anonymous", ""), ("root", "root"), ("guest", "guest"),
    ):  # fmt: skip
        assert tries(town, name, password, source="127.0.0.1") in ([4], [5])
    with town.wire() as anonymous:
        assert anonymous.login("x").code in (4, 5)


@pytest.mark.parametrize("attempt", range(5))
def test_a_login_under_way_does_not_outlive_its_account(installation: Any, serve: Any, keep: Any, attempt: int) -> None:
    """The operator's change and the login's own write come out of the database in the same moment."""
    town = settle(installation, serve, "dock-new")
    with contextlib.closing(sqlite3.connect(installation.folder / "dockgate.db", isolation_level=None)) as operator:
        operator.execute("BEGIN IMMEDIATE")
        dock = keep(town.wire())
        will = Will(
            device_topic("8UUXN7N00A00NE", Kind.REQUESTS)
        )  # gives the account its SN, and that has to be written
        dock.send(connect_packet("link", "dock-new", town.passwords["dock-new"], will=will))
        until(town.gateway, lambda: town.gateway.runtime.authenticator._pins._claims)
        accounts.set_enabled(operator, "dock-new", False, 1)
        operator.execute("COMMIT")
    assert dock.wait_closed(OBEYED_S)
    assert tries(town, "dock-new", town.passwords["dock-new"], source="127.0.0.1") == [4]
