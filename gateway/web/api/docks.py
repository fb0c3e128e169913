"""Docks and their aircraft, as they are now: what memory knows lies over what is stored."""

from __future__ import annotations

from typing import Any

from gateway.errors import NotFoundError
from gateway.operations import docks
from gateway.operations.change import Db
from gateway.operations.live import Overlay
from gateway.store import devices
from gateway.web import answers, wishes
from gateway.web.declarations import Call, Endpoints

endpoints = Endpoints("docks")


@endpoints.add(
    "GET", "/docks", "Docks with their aircraft", takes=wishes.OfDocks, gives=list[answers.Dock], errors=(404,)
)
async def every(call: Call, wish: wishes.OfDocks) -> Any:  # noqa: ANN401 - JSON
    return await call.read_json(_some, call.context.now, wish, call.context.overlay())


def _some(db: Db, now: int, wish: wishes.OfDocks, overlay: Overlay) -> list[dict[str, Any]]:
    found = docks.every(
        db,
        now,
        organization_id=wish.organization_id,
        unbound=wish.unbound,
        online=wish.online,
        overlay=overlay,
    )
    if wish.step is not None:
        found = [dock for dock in found if dock["access_step"] == wish.step]
    first = 0
    if wish.after is not None:
        first = next((place for place, dock in enumerate(found, start=1) if dock["sn"] == wish.after), None) or 0
        if not first:
            raise NotFoundError(f"{wish.after} is not in the list")
    return found[first : first + wish.limit]


@endpoints.add(
    "GET", "/docks/{sn}", "One device, and what happened to it last", gives=answers.DockInFull, errors=(404,)
)
async def show(call: Call) -> Any:  # noqa: ANN401 - JSON
    return await call.read_json(docks.show, call.path["sn"], call.context.now, call.context.overlay())


@endpoints.add(
    "GET",
    "/docks/{sn}/requests",
    "What it has asked since the gateway started, and was answered; without secrets",
    gives=list[answers.AskedRequest],
    errors=(404,),
)
async def requests(call: Call) -> list[dict[str, Any]]:
    found = call.context.requests.of(call.path["sn"])
    if not found:
        await call.read(devices.get, call.path["sn"])
    return found


@endpoints.add(
    "PATCH", "/docks/{sn}", "Give it another callsign", takes=wishes.CallsignWish, gives=answers.Dock, errors=(404,)
)
async def rename(call: Call, wish: wishes.CallsignWish) -> dict[str, Any]:
    overlay = call.context.overlay()
    return await call.change(lambda change: docks.rename(change, call.path["sn"], wish.callsign, overlay))


@endpoints.add(
    "POST",
    "/docks/{sn}/unbind",
    "End a binding; with a dock, that of its aircraft too",
    gives=answers.Unbound,
    errors=(404, 409),
)
async def unbind(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: docks.unbind(change, call.path["sn"]))


@endpoints.add(
    "POST",
    "/docks/{sn}/disconnect",
    "End its connections; it may come back at once",
    gives=answers.Disconnected,
    errors=(404,),
)
async def disconnect(call: Call) -> dict[str, Any]:
    sn, broker = call.path["sn"], call.context.broker
    if not broker.connections_of(sn):
        await call.read(devices.get, sn)
    await call.change(lambda change: docks.disconnect(change, sn))
    return {"sn": sn, "connections": broker.kick(sn)}


@endpoints.add("DELETE", "/docks/{sn}", "Forget a device that is not bound", gives=answers.Forgotten, errors=(404, 409))
async def forget(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: docks.forget(change, call.path["sn"]))
