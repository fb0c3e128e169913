"""The gateway itself: certificates, the audit trail, requests as they come, health with small charts, the card for Pilot 2."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from gateway.operations import findings, issued, operators, tokens, trail
from gateway.operations.card import invitation, missing_of, place
from gateway.operations.change import Db
from gateway.operations.live import Overlay
from gateway.operations.status import describe as described
from gateway.operations.times import since
from gateway.store import devices
from gateway.web import health
from gateway.web.console.charts import Chart, chart
from gateway.web.console.forms import Deed, Done, Field, Told, Values, query_of
from gateway.web.console.pages import Console
from gateway.web.console.samples import EVERY_S, KEPT, Samples
from gateway.web.declarations import Call

if TYPE_CHECKING:
    from gateway.web.health import Integrity

_AUDIT_LINES = 200
_AUDIT_MOST = 2000
_OUTCOMES = ("ok", "refused", "locked")
_ID_DIGITS = 19  # of SQLite's largest integer


# -- certificates


async def certificates(console: Console, call: Call) -> Response:
    found = await call.context.off_loop(issued.every, call.context.config, call.context.now)
    return console.page("certificates", call, certificates=found)


async def _tell_issue(call: Call) -> Told:
    return Told(
        "Issue a client certificate",
        "/certificates",
        "Certificate and key are written beside the others on the gateway's machine. For a device they are packed there with "
        "dockgate cert issue NAME --p12 FILE.",
        values={"name": query_of(call, "name")},
    )


async def _issue(call: Call, values: Values) -> Done:
    layout = issued.layout_of(call.context.config)
    name, again = values.get("name", ""), "replace" in values
    made = await call.change(lambda change: issued.issue(change, layout, name, replace=again))
    return Done("/certificates", f"Issued for {name}: {made['file']}, good for {made['days_left']} days")


async def _tell_renew(call: Call) -> Told:
    shown = await call.context.off_loop(issued.show, call.context.config, call.context.now)
    return Told(
        "Renew the server certificate?",
        "/certificates",
        f"It has {shown['days_left']} days left. New connections get the new one at once; those that are open stay.",
    )


async def _renew(call: Call, _values: Values) -> Done:
    config = call.context.config
    made = await call.change(lambda change: issued.renew(change, config, hosts=[], new_key=False))
    await call.context.reload_certificates()
    return Done("/certificates", f"Renewed: {made['days_left']} days")


async def _tell_revoke(call: Call) -> Told:
    return Told(
        f"Revoke the certificate {query_of(call, 'serial')}?",
        "/certificates",
        "For good: who has it can't connect with it any more. Its account may still log in where none is required.",
    )


async def _revoke(call: Call, _values: Values) -> Done:
    layout, serial = issued.layout_of(call.context.config), query_of(call, "serial")
    await call.change(lambda change: issued.revoke(change, layout, serial))
    await call.context.reload_certificates()
    return Done("/certificates", f"Revoked: {serial}")


# -- audit


async def audit(console: Console, call: Call) -> Response:
    text, dock, span = (query_of(call, name).strip()[:128] for name in ("q", "dock", "since"))
    start = since(span, call.context.now, option="since") if span else None
    asked = query_of(call, "before")
    before = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < _ID_DIGITS else None
    limit = _AUDIT_MOST if text else _AUDIT_LINES
    outcome = query_of(call, "outcome") if query_of(call, "outcome") in _OUTCOMES else ""
    found, older = await call.read(
        trail.turn_back, since=start, dock=dock or None, before=before, limit=limit, outcome=outcome or None
    )
    wanted = text.casefold()
    entries = [_line(entry) for entry in found]
    if wanted:
        entries = [entry for entry in entries if any(wanted in str(word).casefold() for word in entry.values())]
    filters = {"q": text, "dock": dock, "since": span, "outcome": outcome}
    shown = {"entries": entries, "filters": filters, "outcomes": _OUTCOMES, "looked_at": limit}
    return console.page("audit", call, before=before, older=older, **shown)


def _line(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "detail": orjson.dumps(entry["detail"]).decode() if entry["detail"] else ""}


# -- requests


async def requests(console: Console, call: Call) -> Response:
    return console.page("requests", call)


# -- health


def health_page(samples: Samples, integrity: Integrity) -> Callable[[Console, Call], Awaitable[Response]]:
    async def page(console: Console, call: Call) -> Response:
        context = call.context
        ready = await health.readiness(context, integrity)
        facts, status = await call.read(_facts, context.now, context.overlay())
        found = await context.at_leisure(findings.look_for, context.config, facts, context.now)
        told = findings.describe(findings.ranked(found))
        return console.page(
            "health", call, ready=ready, findings=told["findings"], since_start=status, charts=_charts(samples)
        )

    return page


def _facts(db: Db, now: int, overlay: Overlay) -> tuple[findings.Facts, dict[str, Any]]:
    facts = findings.facts(db, now, overlay)
    return facts, described(devices.list_all(db), facts.live)


def _charts(samples: Samples) -> list[Chart]:
    wanted = (
        ("connections", "Connections", "open"),
        ("accesses", "Accesses", "completed a minute"),
        ("login_rate", "Logins", "a second"),
        ("reply_ms", "Request to reply", "ms on average"),
        ("message_rate", "Messages in and out", "a second"),
        ("delay_ms", "Delay of the event loop", "ms on average"),
    )
    return [chart(title, unit, samples.of(name), kept=KEPT, every_s=EVERY_S) for name, title, unit in wanted]


# -- card, tokens, operators


async def card(console: Console, call: Call) -> Response:
    where = await call.context.off_loop(place, call.context.config)
    account, org = query_of(call, "account") or None, query_of(call, "org") or None
    found = where | await call.read(invitation, account=account, org=org, now=call.context.now)
    host = found["address"]
    host = f"[{host}]" if host and ":" in host else host
    gateway = f"{'ssl' if found['tls'] else 'tcp'}://{host}:{found['port']}" if host else None
    return console.page("card", call, card=found, gateway=gateway, missing=missing_of(found))


async def access(console: Console, call: Call) -> Response:
    return console.page(
        "access",
        call,
        tokens=await call.read(tokens.every, call.context.now),
        operators=await call.read(operators.every),
    )


DEEDS = (
    Deed(
        path="/certificates/issue",
        button="Issue",
        tell=_tell_issue,
        do=_issue,
        fields=(
            Field("name", "Account", required=True, longest=64, hint="The account that the dock logs in with."),
            Field("replace", "Make another one though there is one; the earlier is good until it is revoked", "check"),
        ),
    ),
    Deed(path="/certificates/renew", button="Renew", tell=_tell_renew, do=_renew),
    Deed(path="/certificates/revoke", button="Revoke", tell=_tell_revoke, do=_revoke, hurts=True),
)
