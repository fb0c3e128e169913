"""A small world behind a Dispatcher: real SQLite, real directory, presence, events and audit; the clock is set by hand."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from gateway.config import RequestSettings
from gateway.directory import Directory
from gateway.dispatch import Dispatcher
from gateway.methods import METHODS, Handler
from gateway.metrics import Metrics
from gateway.model import Identity, License, Outcome, OutgoingMessage, Request, Role
from gateway.presence import Presence
from gateway.services import AuditTrail, EventSink, Services
from gateway.store import accounts, audit, codes, devices, licenses, organizations
from gateway.store.connection import Store
from gateway.tasks import Tasks
from gateway.topics import Kind, device_topic

NOW = 1_767_225_600_000
HOUR = 3_600_000

ORG_A, ORG_B = "org-a", "org-b"
TEAM_A, TEAM_B = "Harbour team", "Quarry team"
DOCK1, DOCK2, DOCK_A = "7CTDM7100B0001", "7CTDM7100B0002", "8UUXN7N00A00AA"
BIRD1, BIRD2, BIRD3 = "1581F5BKX000000000B1", "1581F5BKX000000000B2", "1581F5BKX000000000B3"
ACCOUNTS = {"dock-one": (DOCK1, None), "dock-two": (DOCK2, None), "dock-of-a": (DOCK_A, ORG_A)}
ACCOUNT_OF = {sn: name for name, (sn, _) in ACCOUNTS.items()}

CODE_A, CODE_B = "HARB0R", "QUARRY"
CODE_ONCE, CODE_LAPSED, CODE_REVOKED, CODE_FOR_DOCK2 = "ONCE", "LAPSED", "REVOKED", "FORDOCK2"


def license_of(organization_id: str | None, *, host: str | None = None, port: int = 123) -> License:
    name = organization_id or "default"
    return License(
        organization_id=organization_id,
        app_id="100001",
        app_key=f"key-of-{name}",
        app_license=f"license-of-{name}==",
        ntp_server_host=host,
        ntp_server_port=port,
        changed_at=NOW,
    )


def found(db: sqlite3.Connection, with_licenses: tuple[License, ...] = ()) -> None:
    """Two organizations, three docks' accounts, and a code for each way a code can be."""
    organizations.add(db, id=ORG_A, name=TEAM_A, now=NOW)
    organizations.add(db, id=ORG_B, name=TEAM_B, now=NOW)
    for name, (sn, organization_id) in ACCOUNTS.items():
        accounts.add(
            db,
            name=name,
            role=Role.DOCK,
            sn=sn,
            organization_id=organization_id,
            password_hash="$",
            can_read_sys=False,
            now=NOW,
        )
    for code, organization_id, uses, expires_at, sn in (
        (CODE_A, ORG_A, None, None, None),
        (CODE_B, ORG_B, None, None, None),
        (CODE_ONCE, ORG_A, 1, NOW + HOUR, None),
        (CODE_LAPSED, ORG_A, None, NOW - 1, None),
        (CODE_REVOKED, ORG_A, None, None, None),
        (CODE_FOR_DOCK2, ORG_A, None, None, DOCK2),
    ):
        codes.add(db, code=code, organization_id=organization_id, uses=uses, expires_at=expires_at, sn=sn, now=NOW)
    codes.revoke(db, CODE_REVOKED, NOW)
    for license_ in with_licenses:
        licenses.put(db, license=license_)


def message(method: Any, data: Any, *, tid: Any = "t-1", **other: Any) -> bytes:
    """A request as a dock sends it; ``None`` values of ``other`` stay, ``...`` leaves a key out."""
    body = {"bid": "b-1", "data": data, "tid": tid, "timestamp": NOW, "method": method, **other}
    return json.dumps({key: value for key, value in body.items() if value is not ...}).encode()


def data_of(outcome: Outcome | None) -> Any:
    """The ``data`` of the one reply."""
    assert outcome is not None
    (reply,) = outcome.replies
    return json.loads(reply.payload)["data"]


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class World:
    clock: Clock
    store: Store
    directory: Directory
    presence: Presence
    services: Services
    dispatcher: Dispatcher
    events: list[tuple[str, dict[str, Any]]]
    listening: bool = False
    late: asyncio.Queue[OutgoingMessage] = field(default_factory=asyncio.Queue)
    _tids: count[int] = field(default_factory=lambda: count(1))

    def identity(self, sn: str = DOCK1) -> Identity:
        account = self.directory.account(ACCOUNT_OF[sn])
        assert account is not None
        return Identity(
            account=account.name,
            role=account.role,
            sn=account.sn,
            organization_id=account.organization_id,
            can_read_sys=False,
            version=account.version,
        )

    def publish(self, payload: bytes, *, dock: str = DOCK1, kind: Kind = Kind.REQUESTS, sn: str = "") -> Outcome | None:
        return self.dispatcher.intercept(
            self.identity(dock),
            device_topic(sn or dock, kind),
            payload,
            platform_listens=lambda _topic: self.listening,
            reply_later=self.late.put_nowait,
        )

    async def outcome(
        self, payload: bytes, *, dock: str = DOCK1, kind: Kind = Kind.REQUESTS, sn: str = ""
    ) -> Outcome | None:
        """What the broker acts on in the end: whether the message is passed on is said at once, the replies may come later."""
        outcome = self.publish(payload, dock=dock, kind=kind, sn=sn)
        if outcome is None or outcome.work is None:
            return outcome
        return (await outcome.work)._replace(route=outcome.route)

    async def reply(self, payload: bytes, *, dock: str = DOCK1, kind: Kind = Kind.REQUESTS) -> dict[str, Any]:
        """The one reply, as JSON."""
        outcome = await self.outcome(payload, dock=dock, kind=kind)
        assert outcome is not None
        (reply,) = outcome.replies
        assert reply.topic == device_topic(dock, kind) + "_reply"
        decoded: dict[str, Any] = json.loads(reply.payload)
        return decoded

    async def ask(self, method: str, data: Any, *, dock: str = DOCK1, kind: Kind = Kind.REQUESTS) -> dict[str, Any]:
        """The ``data`` of the reply; every question has a tid of its own."""
        reply = await self.reply(message(method, data, tid=f"q-{next(self._tids)}"), dock=dock, kind=kind)
        answer: dict[str, Any] = reply["data"]
        return answer

    async def handle(self, handler: Handler, data: Any, *, dock: str = DOCK1, method: str = "m") -> dict[str, Any]:
        """A handler by itself."""
        request = Request(
            gateway_sn=dock,
            identity=self.identity(dock),
            method=method,
            data=data,
            envelope={"data": data},
            received_at=self.clock(),
        )
        return (await handler(request, self.services)).data

    async def bind(
        self, *sns: str, dock: str = DOCK1, code: str = CODE_A, organization_id: str = ORG_A, callsign: str = ""
    ) -> list[int]:
        """The err_code of each."""
        wishes = [wish(sn, code=code, organization_id=organization_id, callsign=callsign) for sn in sns]
        answer = await self.ask("airport_organization_bind", {"bind_devices": wishes}, dock=dock)
        assert answer["result"] == 0
        assert [info["sn"] for info in answer["output"]["err_infos"]] == list(sns)
        return [info["err_code"] for info in answer["output"]["err_infos"]]

    async def topo(self, *sns: str, dock: str = DOCK1, model: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = {
            "domain": "3",
            "type": 2,
            "sub_type": 0,
            "sub_devices": [
                {"sn": sn, **({"domain": "0", "type": 91, "sub_type": 1} if model is None else model)} for sn in sns
            ],
        }
        return await self.ask("update_topo", data, dock=dock, kind=Kind.STATUS)

    async def audited(self) -> list[tuple[str, str, str, Any]]:
        """Action, target, outcome and reason of everything, as it stands in the database."""
        await self.services.audit.close()
        entries = await self.store.read(audit.list_since)
        return [(e.action, e.target, e.outcome, e.detail.get("reason")) for e in entries]

    async def stored(self) -> dict[str, tuple[str | None, str | None]]:
        """SN -> organization and dock, as it stands in the database."""
        return {d.sn: (d.organization_id, d.gateway_sn) for d in await self.store.read(devices.list_all)}

    def told(self, event: str) -> list[dict[str, Any]]:
        """What was said on the docks' event topics, of one kind."""
        return [body for _, body in self.events if body["event"] == event]


def wish(
    sn: Any, *, code: str = CODE_A, organization_id: str = ORG_A, callsign: str = "", model_key: str | None = None
) -> dict[str, Any]:
    """An entry of ``bind_devices``."""
    return {
        "device_binding_code": code,
        "organization_id": organization_id,
        "device_callsign": callsign,
        "sn": sn,
        "device_model_key": ("3-2-0" if sn in ACCOUNT_OF else "0-91-1") if model_key is None else model_key,
    }


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    with_licenses: tuple[License, ...] = (),
    methods: Mapping[str, Handler] = METHODS,
    busy_timeout_ms: int = 5000,
    **settings: Any,
) -> AsyncIterator[World]:
    """The world, with all docks connected."""
    clock = Clock()
    store = await Store.open(folder / "dockgate.db", clock=clock, create=True, busy_timeout_ms=busy_timeout_ms)
    tasks = Tasks()
    try:
        await store.write(found, with_licenses)
        directory = await Directory.load(store)
        metrics = Metrics()
        sink = EventSink(clock, metrics)
        presence = Presence(store, directory, clock, metrics, sink)
        trail = AuditTrail(store, clock, tasks, metrics, flush_s=0.01)
        ids = count()
        services = Services(
            store=store,
            directory=directory,
            clock=clock,
            new_id=lambda: f"id-{next(ids)}",
            metrics=metrics,
            settings=RequestSettings(**settings),
            events=sink,
            audit=trail,
            tasks=tasks,
            presence=presence,
        )
        dispatcher = Dispatcher(services, methods=methods)
        world = World(clock, store, directory, presence, services, dispatcher, [])
        sink.set_publisher(lambda topic, payload: world.events.append((topic, json.loads(payload))))
        for sn in ACCOUNT_OF:
            presence.connected(world.identity(sn), f"session of {sn}", "192.0.2.1")
        try:
            yield world
        finally:
            dispatcher.close()
            await trail.close()
    finally:
        await tasks.close()
        await store.close()
