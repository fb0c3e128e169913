"""Every named case of ``tests/unit/dock_cases`` once more, by docks on paho through a real gateway: same payloads, same answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.model import Role
from gateway.passwords import hash_generated
from gateway.simulator import MODELS, SimulatedDock, Target, make_profile
from gateway.store import accounts, audit, devices
from gateway.store.connection import Store
from gateway.topics import Kind, device_topic
from tests.unit import dock_world
from tests.unit.dock_case import Case, Step, bird, topo
from tests.unit.dock_cases import CASES
from tests.unit.dock_world import ACCOUNT_OF, ACCOUNTS, message

from .wire import Wire

PASSWORD = "e2e-password"
FENCE = "the answer to this comes after all others"
# Where a platform listens; not to requests, or they would be left to it.
WATCHED = ("thing/product/+/osd", "thing/product/+/state", "thing/product/+/events")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation as ``init`` makes it, to be copied."""
    folder = tmp_path_factory.mktemp("table") / "dockgate"
    plain = ("--tls-bind", "127.0.0.1:0", "--plain-bind", "127.0.0.1:0", "--admin-bind", "off")
    assert cli.main(["-o", "json", "init", "--dir", str(folder), "--no-input", "--host", "localhost", *plain]) == 0
    return folder


def fill(folder: Path, case: Case) -> None:
    """The world of the unit tests, with passwords."""

    def work(db: sqlite3.Connection) -> None:
        dock_world.found(db, case.licenses)
        for name in ACCOUNTS:
            accounts.set_password(db, name, hash_generated(PASSWORD), now_ms())
        accounts.add(
            db, name="watcher", role=Role.SERVICE, sn=None, organization_id=None, can_read_sys=False,
            password_hash=hash_generated(PASSWORD), now=now_ms(),
        )  # fmt: skip

    async def write() -> None:
        store = await Store.open(folder / "dockgate.db", clock=now_ms)
        try:
            await store.write(work)
        finally:
            await store.close()

    asyncio.run(write())


class Play:
    """The docks of a case, connected, and a service that watches what is passed on."""

    def __init__(self, gateway: Any, case: Case, stack: ExitStack) -> None:
        self.gateway = gateway
        self.case = case
        self._stack = stack
        self._docks: dict[str, SimulatedDock] = {}
        self._fences = 0
        self.watcher = stack.enter_context(Wire(gateway.host, gateway.port()))
        assert self.watcher.login("watcher", "watcher", PASSWORD).code == 0
        assert self.watcher.subscribe(*WATCHED) == [1, 1, 1]

    def dock(self, sn: str) -> SimulatedDock:
        if sn not in self._docks:
            profile = make_profile(
                MODELS["dock2"], account=ACCOUNT_OF[sn], password=PASSWORD, organization_id="", binding_code="", sn=sn
            )
            dock = self._stack.enter_context(SimulatedDock(Target(self.gateway.host, self.gateway.port()), profile))
            dock.connect()
            dock.subscribe()
            self._docks[sn] = dock
        return self._docks[sn]

    def step(self, step: Step) -> None:
        dock = self.dock(step.dock)
        if step.sn:  # an aircraft, which the dock has to have
            dock.reply(dock.send_raw(device_topic(step.dock, Kind.STATUS), topo(bird(step.sn), tid="has")))
            dock.subscribe([device_topic(step.sn, Kind.STATE_REPLY)])
        topic = device_topic(step.sn or step.dock, step.kind)
        asked = dock.send_raw(topic, step.payload)
        replies = []
        if step.data is not None:
            replies = [dock.reply(asked, strict=False)]
        # Nothing else is said: neither a second reply nor one where none is due.
        self._fences += 1
        fence = message("config", {"config_type": FENCE}, tid=f"fence-{self._fences}")
        dock.reply(dock.send_raw(dock.requests_topic, fence))
        assert dock.waiting(f"{topic}_reply") == ()
        for reply in replies:
            check(step, reply)
        if step.kind is not Kind.REQUESTS and step.kind is not Kind.STATUS:
            assert (self.watcher.receive().payload == step.payload) == step.routed

    def effects(self) -> None:
        runtime, case = self.gateway.runtime, self.case
        stored = {
            device.sn: (device.organization_id, device.gateway_sn)
            for device in self.gateway.call(runtime.services.store.read(devices.list_all))
        }
        assert {sn: stored.get(sn, (None, None)) for sn in case.owners} == dict(case.owners)
        # a connected dock is recorded, whatever it asked
        assert not stored.keys() & (set(case.unknown) - set(ACCOUNT_OF))
        self.gateway.call(runtime.services.audit.close())
        entries = self.gateway.call(runtime.services.store.read(audit.list_since))
        refused = {(entry.action, entry.target, entry.detail.get("reason")) for entry in entries}
        assert set(case.audit) <= refused
        self.watcher.ping()
        assert not self.watcher.inbox


def check(step: Step, reply: dict[str, Any]) -> None:
    sent = json.loads(step.payload)
    assert reply["data"] == step.data
    assert abs(reply["timestamp"] - now_ms()) < 60_000  # milliseconds, by our clock (cases 18)
    assert len(str(reply["timestamp"])) == 13
    for key in ("tid", "bid", "method", "gateway"):
        assert (key in reply) == (key in sent)
        assert reply.get(key) == sent.get(key)
        assert type(reply.get(key)) is type(sent.get(key))
    assert set(reply) <= {"tid", "bid", "timestamp", "gateway", "method", "data"}


@pytest.fixture
def play(
    request: pytest.FixtureRequest, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Any
) -> Iterator[Play]:
    case: Case = request.param
    monkeypatch.setattr(dock_world, "NOW", now_ms())  # the gateway's clock is the real one
    folder = tmp_path / "dockgate"
    shutil.copytree(empty, folder)
    fill(folder, case)
    installation = Copied(folder)
    installation.configure(dict(case.settings))
    with ExitStack() as stack:
        yield Play(serve(installation), case, stack)


class Copied:
    """What ``serve`` wants of an installation."""

    def __init__(self, folder: Path) -> None:
        self.config_file = folder / "broker.yaml"

    def configure(self, requests: dict[str, Any]) -> None:
        if requests:
            text = self.config_file.read_text()
            assert "\n  requests:\n" in text
            lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in requests.items())
            self.config_file.write_text(text.replace("\n  requests:\n", f"\n  requests:\n{lines}"))


@pytest.mark.parametrize("play", [pytest.param(case, id=case.id) for case in CASES], indirect=True)
def test_case(play: Play) -> None:
    for step in play.case.steps:
        play.step(step)
    play.effects()
