"""The first page: which docks are not where they should be, and why. Devices and what happened to them come in, a page goes out.

All is looked up in the reader's thread, one page of docks at a time; stories are told of those only that are shown and in trouble.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gateway.model import AccessStep
from gateway.operations import docks, organizations, story
from gateway.operations.change import Db
from gateway.operations.live import Overlay
from gateway.operations.times import iso
from gateway.store import audit
from gateway.web.console.forms import query_of
from gateway.web.console.pages import Console
from gateway.web.declarations import Call

PER_PAGE = 50
# Refusals at the door, of the last hour and so many of them: who stands before it is not always a dock that is known.
_REFUSALS_MS = 60 * 60_000
_MOST_REFUSALS = 8
_LOOKED_AT = 500
_STEPS = tuple(step.value for step in AccessStep)

# Where in the console the mending command has its page.
_PLACES = (
    ("dockgate license", "/licenses", "Licenses"),
    ("dockgate org", "/organizations", "Organizations"),
    ("dockgate account", "/accounts", "Accounts"),
    ("dockgate card", "/card", "The card for Pilot 2"),
    ("dockgate cert", "/certificates", "Certificates"),
    ("dockgate audit", "/audit", "Audit"),
    ("dockgate dock list", "/", "Docks"),
    ("dockgate status", "/health", "Health"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for. ``step`` "trouble": all that are not online."""

    text: str
    step: str
    organization_id: str
    page: int

    def fits(self, dock: dict[str, Any]) -> bool:
        if self.step == "trouble" and dock["access_step"] == "online":
            return False
        if self.step in _STEPS and dock["access_step"] != self.step:
            return False
        if self.organization_id and dock["organization_id"] != self.organization_id:
            return False
        return not self.text or any(self.text in word.casefold() for word in _words(dock))


def _words(dock: dict[str, Any]) -> list[str]:
    own = [dock["sn"], dock["callsign"], dock["organization_id"] or "", dock["model_key"]]
    return own + [word for child in dock["children"] for word in (child["sn"], child["callsign"])]


def wish_of(call: Call) -> Wish:
    page = query_of(call, "page")
    return Wish(
        text=query_of(call, "q").strip().casefold()[:128],
        step=query_of(call, "step"),
        organization_id=query_of(call, "org"),
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1,
    )


def look(db: Db, now: int, overlay: Overlay, wish: Wish) -> dict[str, Any]:
    """What the page shows. Those in trouble come first, of them those that were heard of last."""
    everything = docks.every(db, now, overlay=overlay)
    fitting = [dock for dock in everything if wish.fits(dock)]
    fitting.sort(key=lambda dock: dock["last_seen"], reverse=True)
    fitting.sort(key=lambda dock: _STEPS.index(dock["access_step"]) == len(_STEPS) - 1)
    pages = max(1, -(-len(fitting) // PER_PAGE))
    page = min(max(1, wish.page), pages)
    shown = fitting[(page - 1) * PER_PAGE : page * PER_PAGE]
    for dock in shown:
        dock["trouble"] = _trouble(db, dock, now)
    steps = Counter(dock["access_step"] for dock in everything if dock["is_gateway"])
    return {
        "steps": [(step, steps[step]) for step in _STEPS],
        "total": sum(steps.values()),
        "docks": shown,
        "found": len(fitting),
        "page_number": page,
        "pages": pages,
        "organizations": organizations.every(db, now),
        "refusals": refusals(db, now),
    }


def _trouble(db: Db, dock: dict[str, Any], now: int) -> dict[str, str] | None:
    """What keeps a dock from being in service, in words, and what mends it."""
    if dock["access_step"] == "online" or not dock["is_gateway"]:
        return None
    told = story.of_dock(db, dock["sn"], now, limit=1)
    if not told:
        return None
    verdict = told[0]["verdict"]
    if verdict == story.WAS_IN_SERVICE:
        verdict += ", and is not connected any more"
    return mended(verdict, told[0]["hint"])


def mended(what: str, hint: str | None) -> dict[str, str]:
    """``command`` and the page that does the same, "" without."""
    command = hint or ""
    place, name = next(((to, name) for start, to, name in _PLACES if command.startswith(start)), ("", ""))
    return {"what": what, "command": command, "place": place, "name": name}


def refusals(db: Db, now: int) -> list[dict[str, Any]]:
    """Who was sent away lately, the latest first, each once for each reason."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in reversed(audit.list_since(db, since=now - _REFUSALS_MS, limit=_LOOKED_AT)):
        told = story.refusal_of(entry)
        key = (entry.action, entry.target, str(entry.detail.get("reason", "")))
        if told is None or key in found:
            continue
        dock = entry.detail.get("dock")
        found[key] = {
            "at": iso(entry.at),
            "who": entry.target,
            "sn": dock if isinstance(dock, str) else None if entry.action == "login" else entry.target,
            "address": entry.detail.get("address") or "",
            **mended(*told),
        }
        if len(found) == _MOST_REFUSALS:
            break
    return list(found.values())


async def board(console: Console, call: Call) -> Response:
    wish = wish_of(call)
    found = await call.read(look, call.context.now, call.context.overlay(), wish)
    return console.page("board", call, wish=wish, **found)
