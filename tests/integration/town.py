"""Two organizations that must know nothing of each other, on one gateway: accounts of every role, topics, and doors to knock at."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from gateway import passwords
from gateway.model import Role
from gateway.store import accounts, organizations
from gateway.store.connection import Store
from gateway.topics import Kind, device_topic

from .wire import Wire

DOCK_A, DOCK_B, DOCK_NEW = "7CTDM7100B000A", "7CTDM7100B000B", "8UUXN7N00A00NE"
BIRD_A, BIRD_B = "1581F5BKX000000000AA", "1581F5BKX000000000BB"
RIVALS = "rivals"

# As docs/protocol.md 2 has them.
UP = (
    Kind.OSD, Kind.STATE, Kind.EVENTS, Kind.REQUESTS, Kind.SERVICES_REPLY, Kind.PROPERTY_SET_REPLY, Kind.DRC_UP, Kind.STATUS,
)  # fmt: skip
DOWN = tuple(kind for kind in Kind if kind not in UP)
AIRCRAFT_UP = (Kind.OSD, Kind.STATE, Kind.EVENTS)
AIRCRAFT_DOWN = (Kind.STATE_REPLY, Kind.EVENTS_REPLY, Kind.SERVICES, Kind.PROPERTY_SET)


def topics_of(sn: str, kinds: tuple[Kind, ...]) -> list[str]:
    return [device_topic(sn, kind) for kind in kinds]


HOME = "home"  # stands for the organization that ``init`` made


@dataclass(frozen=True)
class Member:
    role: Role
    organization: str | None = None
    sn: str | None = None
    sys: bool = False


ACCOUNTS = {
    "dock-a": Member(Role.DOCK, HOME, DOCK_A),
    "dock-b": Member(Role.DOCK, RIVALS, DOCK_B),
    "dock-new": Member(Role.DOCK),
    "service-a": Member(Role.SERVICE, HOME),
    "service-b": Member(Role.SERVICE, RIVALS),
    "service-all": Member(Role.SERVICE),
    "service-sys": Member(Role.SERVICE, sys=True),
    "observer-a": Member(Role.OBSERVER, HOME),
    "observer-all": Member(Role.OBSERVER),
}


@dataclass
class Town:
    gateway: Any
    passwords: dict[str, str] = field(repr=False)

    @property
    def installation(self) -> Any:
        return self.gateway.installation

    def wire(self, *, listener: str = "plain", version: int = 4, **options: Any) -> Wire:
        return Wire(self.gateway.host, self.gateway.port(listener), version=version, **options)

    def login(self, name: str, *, client_id: str | None = None, version: int = 4, **options: Any) -> Wire:
        """A connection that is logged in."""
        wire = self.wire(version=version)
        answer = wire.login(client_id or f"{name}-client", name, self.passwords[name], **options)
        assert answer.code == 0
        return wire

    def aircraft(self, dock: Wire, sn: str, bird: str) -> None:
        """Let a dock's connection tell that it has an aircraft."""
        topic = device_topic(sn, Kind.STATUS)
        dock.subscribe(f"{topic}_reply")
        told = {"sn": bird, "domain": "0", "type": 91, "sub_type": 1}
        body = {"tid": "topo", "bid": "b", "timestamp": 1, "method": "update_topo", "data": {"sub_devices": [told]}}
        dock.publish(topic, json.dumps(body).encode())
        assert json.loads(dock.receive().payload)["data"] == {"result": 0}


def settle(installation: Any, serve: Callable[[Any], Any], *names: str) -> Town:
    """Make the accounts (all of them, unless some are named) and serve. One transaction: commands are tried elsewhere."""
    made = {name: passwords.generate() for name in names or ACCOUNTS}

    def work(db: sqlite3.Connection) -> None:
        organizations.add(db, id=RIVALS, name="Rivals", now=1)
        for name, password in made.items():
            wanted = ACCOUNTS[name]
            accounts.add(
                db, name=name, role=wanted.role, sn=wanted.sn, can_read_sys=wanted.sys, now=1,
                organization_id=installation.organization_id if wanted.organization == HOME else wanted.organization,
                password_hash=passwords.hash_generated(password),
            )  # fmt: skip

    async def write() -> None:
        store = await Store.open(installation.folder / "dockgate.db", clock=lambda: 1)
        try:
            await store.write(work)
        finally:
            await store.close()

    asyncio.run(write())
    return Town(serve(installation), made)


def until(gateway: Any, question: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Wait until something is so on the gateway's loop."""

    async def wait() -> None:
        async with asyncio.timeout(within_s):
            while not question():  # noqa: ASYNC110 - the gateway's own state has no event for us
                await asyncio.sleep(0.002)

    gateway.call(wait())


class Lines(logging.Handler):
    """What is logged from now on, by whatever thread; ``wait`` for a line."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []
        self._came = threading.Condition()

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        with self._came:
            self._records.append(record)
            self._came.notify_all()

    def found(self, pattern: str, **fields: Any) -> list[logging.LogRecord]:
        with self._came:
            records = list(self._records)
        return [
            record
            for record in records
            if re.search(pattern, record.getMessage())
            and all(getattr(record, name, None) == value for name, value in fields.items())
        ]

    def wait(self, pattern: str, *, within_s: float = 5.0, **fields: Any) -> logging.LogRecord:
        deadline = time.monotonic() + within_s
        while not (found := self.found(pattern, **fields)):
            with self._came:
                left = deadline - time.monotonic()
                assert left > 0, f"no log line {pattern!r} {fields}"
                self._came.wait(min(left, 0.2))
        return found[0]
