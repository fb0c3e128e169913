"""The gateway and its installation: status, card, findings, configuration, audit, and who asks."""

from __future__ import annotations

from typing import Any

from gateway.operations import configuration, findings, operators, soundness, tokens, trail
from gateway.operations.card import invitation, place
from gateway.operations.status import glance
from gateway.operations.times import iso, since
from gateway.store import checks
from gateway.web import answers, wishes
from gateway.web.api.organizations import hidden
from gateway.web.declarations import Call, Endpoints

endpoints = Endpoints("installation")


@endpoints.add("GET", "/session", "Who asks, and what he may", gives=answers.Caller)
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


@endpoints.add("GET", "/status", "Docks by how far they have come, and connections", gives=answers.Status)
async def status(call: Call) -> Any:  # noqa: ANN401 - JSON
    return await call.read_json(glance, call.context.now, call.context.overlay())


@endpoints.add("GET", "/card", "What to type into Pilot 2", takes=wishes.OfCard, gives=answers.Card, errors=(404,))
async def card(call: Call, wish: wishes.OfCard) -> dict[str, Any]:
    where = await call.context.off_loop(place, call.context.config)
    found = await call.read(invitation, account=wish.account, org=wish.organization_id, now=call.context.now)
    return hidden(call, where | found)


@endpoints.add("GET", "/doctor", "What is missing or about to go wrong, and how to mend it", gives=answers.Findings)
async def doctor(call: Call) -> dict[str, Any]:
    """What concerns docks; this machine's part (ports, disk, clock, files) is for the command line."""
    now = call.context.now
    facts = await call.read(findings.facts, now, call.context.overlay())
    found = await call.context.at_leisure(findings.look_for, call.context.config, facts, now)
    return findings.describe(findings.ranked(found))


@endpoints.add("GET", "/check", "What is wrong with the configuration that is in use", gives=answers.Mistakes)
async def check(call: Call) -> dict[str, Any]:
    return configuration.describe(
        await call.context.at_leisure(call.context.check, call.context.config, call.context.now)
    )


@endpoints.add("GET", "/database", "Whether the database is sound; all of it is read", gives=answers.Soundness)
async def database(call: Call) -> dict[str, Any]:
    return soundness.describe(await call.context.at_leisure(checks.inspect, call.context.runtime.services.store.path))


@endpoints.add("GET", "/tokens", "All tokens, expired and revoked ones too", gives=list[answers.ListedToken])
async def every_token(call: Call) -> list[dict[str, Any]]:
    return await call.read(tokens.every, call.context.now)


@endpoints.add("GET", "/operators", "Who may log in to the console", gives=list[answers.ListedOperator])
async def every_operator(call: Call) -> list[dict[str, Any]]:
    return await call.read(operators.every)


@endpoints.add("GET", "/audit", "The audit trail, oldest first", takes=wishes.OfAudit, gives=list[answers.Entry])
async def audit(call: Call, wish: wishes.OfAudit) -> Any:  # noqa: ANN401 - JSON
    start = None if wish.since is None else since(wish.since, call.context.now, option="since")
    return await call.read_json(trail.entries, since=start, dock=wish.dock, limit=wish.limit)
