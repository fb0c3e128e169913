"""The first page: which docks are not where they should be, and why. Devices and what happened to them come in, a page goes out.

All is looked up in the reader's thread, one page of docks at a time; stories are told of those only that are shown and in trouble.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gateway.model import AccessStep
from gateway.operations import docks, organizations, story
from gateway.operations.change import Db
from gateway.operations.live import Overlay
from gateway.operations.times import iso
from gateway.web.console.forms import query_of
from gateway.web.console.pages import Console, quoted
from gateway.web.declarations import Call

PER_PAGE = 50
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

_NAMES_ONE = 4  # dockgate account VERB NAME


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
        "refusals": story.refused_lately(db, now),
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


def mended(what: str, hint: str | None, *, is_known: bool = True) -> dict[str, str]:
    """``command`` and the page that does the same, "" without: an account's own, if the command names one that ``is_known``."""
    command = hint or ""
    place, name = next(((to, name) for start, to, name in _PLACES if command.startswith(start)), ("", ""))
    words = shlex.split(command)
    if is_known and words[:2] == ["dockgate", "account"] and len(words) == _NAMES_ONE:
        place, name = f"/accounts/show?name={quoted(words[-1])}", f"Account {words[-1]}"
    return {"what": what, "command": command, "place": place, "name": name}


def _refusal(refusal: story.Refusal) -> dict[str, Any]:
    told = {
        "at": iso(refusal.at),
        "who": refusal.who,
        "sn": refusal.sn,
        "address": refusal.address,
        "times": refusal.times,
    }
    return {**told, **mended(refusal.what, refusal.hint, is_known=refusal.is_known)}


async def board(console: Console, call: Call) -> Response:
    wish, now = wish_of(call), call.context.now
    found = await call.read(look, now, call.context.overlay(), wish)
    found["refusals"] = [_refusal(call.context.refusals.later(each, now)) for each in found["refusals"]]
    return console.page("board", call, wish=wish, **found)
