"""Whoever knows a dock's client id but not its password, or has another account, changes nothing for the dock (cases 22)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.topics import Kind, device_topic

from .town import DOCK_A, Town, settle, until
from .wire import Will, Wire, connect_packet, payloads

pytestmark = pytest.mark.case(22)

CLIENT_ID = "the-dock"
SERVICES = device_topic(DOCK_A, Kind.SERVICES)
EVENTS = device_topic(DOCK_A, Kind.EVENTS)
ELSEWHERE = "127.0.0.2"  # where strangers come from; locks of their address are none of the dock's
ATTEMPTS = 100

# user name, password ("right" stands for that account's own)
STRANGERS = {
    "wrong password": ("dock-a", "guess"),
    "no password": ("dock-a", None),
    "unknown account": ("nobody", "guess"),
    "no account": (None, None),
    "another dock's account": ("dock-b", "right"),
    "a service's account": ("service-all", "right"),
}


@pytest.fixture
def town(installation: Any, serve: Any) -> Town:
    return settle(installation, serve)


@pytest.fixture
def keep() -> Iterator[Callable[[Wire], Wire]]:
    with ExitStack() as stack:
        yield stack.enter_context


@dataclass(frozen=True)
class Knock:
    """How a stranger comes."""

    version: int
    clean: bool
    will: Will | None = None

    def at(self, town: Town, who: str) -> int:
        """One attempt: the code of its refusal; the connection is closed with it."""
        name, password = STRANGERS[who]
        if password == "right":
            password = town.passwords[str(name)]
        with town.wire(version=self.version, source=ELSEWHERE) as wire:
            code = wire.login(CLIENT_ID, name, password, clean=self.clean, will=self.will).code
            assert wire.wait_closed(2)
            return code


KNOCKS = {
    f"{version}-{'clean' if clean else 'lasting'}": Knock(version, clean, Will(EVENTS, b"a stranger's will"))
    for version in (4, 5)
    for clean in (True, False)
}


@pytest.mark.parametrize("lasting", [False, True], ids=["dock-clean", "dock-lasting"])
@pytest.mark.parametrize("who", STRANGERS)
def test_a_stranger_changes_nothing_for_a_connected_dock(town: Town, keep: Any, who: str, lasting: bool) -> None:
    service = keep(town.login("service-a"))
    service.subscribe(EVENTS)
    will = Will(EVENTS, b"the dock's will")
    name, password = STRANGERS[who]
    for knock in KNOCKS.values():
        dock = keep(town.login("dock-a", client_id=CLIENT_ID, clean=not lasting, will=will))
        assert dock.subscribe(SERVICES) == [1]
        assert knock.at(town, who) != 0
        # a CONNECT that is still being judged: the dock is itself all the while
        with town.wire(version=knock.version, source=ELSEWHERE) as pending:
            pending.send(connect_packet(CLIENT_ID, name, password or "x", version=knock.version, clean=knock.clean))
            dock.publish(EVENTS, b"mine")
            assert service.receive().payload == b"mine"
            assert dock.publish(device_topic("9ZZZQ9SM00NONE", Kind.OSD), b"not mine") == 0
            service.publish(SERVICES, b"for the dock")
            assert dock.receive().payload == b"for the dock"
            assert pending.wait_closed(5)
        dock.ping()
        service.ping()
        assert not dock.inbox
        assert not service.inbox
        # its will is its own
        dock.drop()
        assert service.receive().payload == b"the dock's will"
        if lasting:
            service.publish(SERVICES, b"while away")
            assert knock.at(town, who) != 0
            with town.wire() as back:
                assert back.login(CLIENT_ID, "dock-a", town.passwords["dock-a"], clean=False).present
                assert back.receive().payload == b"while away"
                back.disconnect()
            until(town.gateway, lambda: not town.gateway.broker.table.get(CLIENT_ID).connected)


@pytest.mark.parametrize("who", ["wrong password", "another dock's account"])
def test_a_hundred_attempts_change_nothing(town: Town, keep: Any, who: str) -> None:
    service = keep(town.login("service-a"))
    service.subscribe(EVENTS)
    connected = keep(town.login("dock-a", client_id="connected"))
    connected.subscribe(SERVICES)
    absent = town.login("dock-a", client_id=CLIENT_ID, clean=False)
    absent.subscribe(SERVICES)
    absent.drop()
    until(town.gateway, lambda: not town.gateway.broker.table.get(CLIENT_ID).connected)
    sent = []
    knocks = list(KNOCKS.values())
    for number in range(ATTEMPTS):
        assert knocks[number % len(knocks)].at(town, who) != 0
        if number % 10 == 0:
            sent.append(b"%d" % number)
            service.publish(SERVICES, sent[-1])
    for payload in sent:
        assert connected.receive().payload == payload
    back = keep(town.wire())
    assert back.login(CLIENT_ID, "dock-a", town.passwords["dock-a"], clean=False).present
    assert [back.receive().payload for _ in sent] == sent
    assert back.subscribe(SERVICES) == [1]
    service.ping()
    assert not service.inbox  # no stranger's will


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_another_account_gets_neither_session_nor_queue(town: Town, keep: Any, version: int) -> None:
    service = keep(town.login("service-a"))
    dock = town.login("dock-a", client_id=CLIENT_ID, version=version, clean=False, expiry_s=600)
    dock.subscribe(SERVICES)
    dock.disconnect()
    until(town.gateway, lambda: not town.gateway.broker.table.get(CLIENT_ID).connected)
    service.publish(SERVICES, b"for dock-a")
    for who, code in (("dock-b", {4: 2, 5: 0x85}), ("service-all", {4: 2, 5: 0x85})):
        with town.wire(version=version) as other:
            assert other.login(CLIENT_ID, who, town.passwords[who], clean=False, expiry_s=600).code == code[version]
            assert other.wait_closed(2)
            assert not other.inbox
    with town.wire(version=version) as back:
        assert back.login(CLIENT_ID, "dock-a", town.passwords["dock-a"], clean=False, expiry_s=600).present
        assert back.receive().payload == b"for dock-a"
        back.ping()
        assert payloads(back.inbox) == []
    # once the session is over the id is anybody's
    with town.wire(version=version) as last:
        last.login(CLIENT_ID, "dock-a", town.passwords["dock-a"])
        last.disconnect()
    until(town.gateway, lambda: town.gateway.broker.table.get(CLIENT_ID) is None)
    heir = keep(town.login("dock-b", client_id=CLIENT_ID))
    heir.ping()
    assert not heir.inbox


def test_a_first_packet_that_is_no_login_touches_nobody(town: Town, keep: Any) -> None:
    dock = keep(town.login("dock-a", client_id=CLIENT_ID))
    service = keep(town.login("service-a"))
    service.subscribe("#")
    service.ping()
    service.inbox.clear()
    with town.wire() as hasty:  # says everything in one breath, password wrong
        hasty.send(connect_packet(CLIENT_ID, "dock-a", "guess", will=Will(EVENTS, b"will")))
        hasty.send_publish(EVENTS, b"hasty", qos=0)
        assert hasty.wait_closed(5)
    with town.wire() as rude:
        rude.send_publish(EVENTS, b"rude", qos=0)
        assert rude.wait_closed(2)
    dock.publish(EVENTS, b"fence")
    assert {got.topic for got in service.receive_until(b"fence")} <= {f"dockgate/events/{DOCK_A}"}
