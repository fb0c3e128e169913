"""The gateway and its installation: status, card, findings, configuration, audit, and who asks."""

from __future__ import annotations

from typing import Any

from gateway.operations import configuration, findings, trail
from gateway.operations.card import invitation, place
from gateway.operations.change import Db
from gateway.operations.live import Live, Overlay, look
from gateway.operations.status import glance
from gateway.operations.times import iso, since
from gateway.store import lockouts, snapshot
from gateway.store.lockouts import Lock
from gateway.store.snapshot import Snapshot
from gateway.web import shapes
from gateway.web.api.organizations import hidden
from gateway.web.declarations import Call, Endpoints

endpoints = Endpoints("installation")


@endpoints.add("GET", "/session", "Who asks, and what he may", gives=shapes.Caller)
async def session(call: Call) -> dict[str, Any]:
    caller = call.caller
    ends_at = caller.session.ends_at if caller.session else caller.token.expires_at if caller.token else None
    return {
        "kind": "operator" if caller.session else "token",
        "name": caller.name,
        "scope": caller.scope.value,
        "expires_at": iso(ends_at),
        "csrf": caller.session.csrf if caller.session else None,
    }


@endpoints.add("GET", "/status", "Docks by how far they have come, and connections", gives=shapes.Status)
async def status(call: Call) -> Any:  # noqa: ANN401 - JSON
    return await call.read_json(glance, call.context.now, call.context.overlay())


@endpoints.add("GET", "/card", "What to type into Pilot 2", takes=shapes.OfCard, gives=shapes.Card, errors=(404,))
async def card(call: Call, wish: shapes.OfCard) -> dict[str, Any]:
    where = await call.context.off_loop(place, call.context.config)
    found = await call.read(invitation, account=wish.account, org=wish.organization_id, now=call.context.now)
    return hidden(call, where | found)


@endpoints.add("GET", "/doctor", "What is missing or about to go wrong, and how to mend it", gives=shapes.Findings)
async def doctor(call: Call) -> dict[str, Any]:
    data, locks, live = await call.read(_facts, call.context.now, call.context.overlay())
    return findings.describe(
        await call.context.off_loop(findings.look_for, call.context.config, data, locks, live, call.context.now)
    )


def _facts(db: Db, now: int, overlay: Overlay) -> tuple[Snapshot, list[Lock], Live]:
    return snapshot.load(db), lockouts.get_all(db), look(db, now, overlay)


@endpoints.add("GET", "/check", "What is wrong with the configuration that is in use", gives=shapes.Mistakes)
async def check(call: Call) -> dict[str, Any]:
    return configuration.describe(
        await call.context.off_loop(call.context.check, call.context.config, call.context.now)
    )


@endpoints.add("GET", "/audit", "The audit trail, oldest first", takes=shapes.OfAudit, gives=list[shapes.Entry])
async def audit(call: Call, wish: shapes.OfAudit) -> Any:  # noqa: ANN401 - JSON
    start = None if wish.since is None else since(wish.since, call.context.now, option="since")
    return await call.read_json(trail.entries, since=start, dock=wish.dock, limit=wish.limit)
