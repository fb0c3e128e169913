"""For the tests of presence: a real database with two docks' accounts, and a record of what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.directory import Directory
from gateway.metrics import Metrics
from gateway.model import AccessStep, Device, Identity, Role
from gateway.presence import Presence
from gateway.services import EventSink
from gateway.store import accounts, bindings, codes, devices, organizations
from gateway.store.bindings import BindWish
from gateway.store.connection import Store

DOCK, OTHER_DOCK = "7CTDM7100BAAAA", "7CTDM7100BBBBB"
BIRD, OTHER_BIRD = "1581F5BKAAAAAAAAAAAA", "1581F5BKBBBBBBBBBBBB"
HOME = "192.0.2.1"


class Clock:
    def __init__(self) -> None:
        self.now = 1_767_225_600_000

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


def identity(account: str = "dock", *, sn: str | None = DOCK, role: Role = Role.DOCK) -> Identity:
    return Identity(account=account, role=role, sn=sn, organization_id=None, can_read_sys=False, version=1)


@dataclass
class Stage:
    path: Path
    clock: Clock
    store: Store
    directory: Directory
    metrics: Metrics
    presence: Presence
    messages: list[dict[str, Any]]

    def told(self) -> list[tuple[str, ...]]:
        """(event, dock, device) since the last call; the device only where there is one."""
        told = [
            (m["event"], m["sn"], m["device_sn"]) if "device_sn" in m else (m["event"], m["sn"]) for m in self.messages
        ]
        self.messages.clear()
        return told

    async def row(self, sn: str) -> Device:
        return await self.store.read(devices.get, sn)

    async def bind(self) -> None:
        """DOCK and BIRD to organization a, as a dock's own request does it."""
        wishes = [
            BindWish(sn=DOCK, organization_id="a", code="CODE", callsign="", model_key="3-2-0"),
            BindWish(sn=BIRD, organization_id="a", code="CODE", callsign="", model_key="0-91-1"),
        ]
        outcome = await self.store.write(
            bindings.bind, gateway_sn=DOCK, account="dock", wishes=wishes, now=self.clock()
        )
        self.directory.apply_devices(outcome.devices)
        self.presence.step(DOCK, AccessStep.BOUND)

    async def by_operator(self, fn: Callable[..., Any], *args: Any) -> None:
        other = await Store.open(self.path, clock=self.clock)
        try:
            await other.write(fn, *args)
        finally:
            await other.close()
        self.presence.follow(await self.directory.reload(self.store))


@asynccontextmanager
async def stage(path: Path) -> AsyncIterator[Stage]:
    clock, metrics = Clock(), Metrics()
    file = path / "dockgate.db"
    is_new = not file.exists()
    store = await Store.open(file, clock=clock, create=True, busy_timeout_ms=10)
    if is_new:
        await store.write(organizations.add, id="a", name="A", now=1)
        await store.write(codes.add, code="CODE", organization_id="a", uses=None, expires_at=None, sn=None, now=1)
        for name, sn in (("dock", DOCK), ("other", OTHER_DOCK)):
            await store.write(
                accounts.add,
                name=name,
                role=Role.DOCK,
                sn=sn,
                organization_id=None,
                password_hash="hash",
                can_read_sys=False,
                now=1,
            )
    directory = await Directory.load(store)
    events = EventSink(clock, metrics)
    messages: list[dict[str, Any]] = []
    events.set_publisher(lambda _topic, payload: messages.append(orjson.loads(payload)))
    presence = Presence(store, directory, clock, metrics, events)
    try:
        yield Stage(file, clock, store, directory, metrics, presence, messages)
    finally:
        await store.close()
