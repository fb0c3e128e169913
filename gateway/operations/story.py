"""The story of a dock's attempts to get in: audit entries come in, one attempt after another goes out, step by step, with what was
answered and what has probably gone wrong.

Entries that tell a step have the dock as target and the action ``connect``, ``disconnect``, ``config``, ``bind_status``,
``organization_get``, ``bind``, ``update_topo`` or ``online``, outcome ``ok`` or ``refused``; a refused ``login`` or ``pin`` names
the dock in its detail. Where entries of a kind are missing the story has a gap, and says nothing about it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.operations import reasons
from gateway.operations.change import Db
from gateway.operations.times import iso
from gateway.store import audit, refused
from gateway.store.audit import Entry

SHOWN = 5
"""Attempts; who needs more has `dockgate audit list --dock SN`."""
_LOOKED_AT = 500
WAS_IN_SERVICE = "it was in service"
QUIET_MS = 30_000
"""After an answer the next step of a dock comes within seconds; who types in Pilot 2 takes longer, and has a verdict apart."""
_APART_MS = 10 * 60_000
"""Steps without a connection between them that are further apart are of two attempts."""

REFUSALS_MS = 60 * 60_000
_MOST_REFUSALS = 8
_MOST_STRANGERS = 4


class Refusal(NamedTuple):
    """Who was sent away, from where (""), the dock if it is known which, what was refused and why, and the command that helps.

    ``times``: how often in the last hour, as far as it is written. ``key``: what tells it from another, see ``key_of``.
    ``is_known``: who it was is in a list here.
    """

    at: int
    who: str
    address: str
    sn: str | None
    what: str
    hint: str | None
    times: int = 1
    key: tuple[str, str, str] = ("", "", "")
    is_known: bool = True


@dataclass(slots=True)
class Step:
    at: int
    name: str
    ok: bool
    what: str
    entry: Entry = field(repr=False)


@dataclass(slots=True)
class Attempt:
    """``repeats``: how often the same happened again until ``ended_at``, told together in the audit trail."""

    began_at: int
    account: str | None = None
    address: str | None = None
    ended_at: int | None = None
    repeats: int = 0
    is_over: bool = False
    steps: list[Step] = field(default_factory=list)

    @property
    def last_at(self) -> int:
        return self.steps[-1].at if self.steps else self.began_at

    def last(self, *names: str) -> Step | None:
        return next((step for step in reversed(self.steps) if step.name in names), None)


def of_dock(db: Db, sn: str, now: int, *, limit: int = SHOWN) -> list[dict[str, Any]]:
    """The latest attempts, oldest first; the keys are a promise."""
    entries = audit.list_since(db, dock=sn, limit=_LOOKED_AT)
    return [describe(attempt, sn, now) for attempt in attempts(entries, sn)[-limit:]]


def describe(attempt: Attempt, sn: str, now: int) -> dict[str, Any]:
    verdict, hint = verdict_of(attempt, sn, now)
    return {
        "began_at": iso(attempt.began_at),
        "ended_at": iso(attempt.ended_at),
        "account": attempt.account,
        "address": attempt.address,
        "repeats": attempt.repeats,
        "steps": [{"at": iso(step.at), "step": step.name, "ok": step.ok, "what": step.what} for step in attempt.steps],
        "verdict": verdict,
        "hint": hint,
    }


def attempts(entries: Sequence[Entry], sn: str) -> list[Attempt]:
    """Entries of a dock, in any order, as attempts in the order they began."""
    found: list[Attempt] = []
    # Entries that tell of several are written when their minute is over, so that the order of writing is not that of time
    for entry in sorted(entries, key=_began):
        step = _step(entry, sn)
        if step is None:
            continue
        last = found[-1] if found else None
        if step.name in {"login", "pin"}:
            _turned_away(found, step)
        elif step.name == "connect":
            if last is not None and _is_repeat(last, entry):
                continue
            attempt = Attempt(step.at, account=entry.actor, address=_text(entry.detail.get("address")))
            attempt.steps.append(step)
            found.append(attempt)
        else:
            if last is None or last.is_over or (last.last("connect") is None and step.at - last.last_at > _APART_MS):
                if step.name == "disconnect":
                    _count(last, entry)
                    continue
                last = Attempt(step.at, account=entry.actor)
                found.append(last)
            if "count" in entry.detail:
                _count(last, entry)
                continue
            last.steps.append(step)
            if step.name == "disconnect":
                last.is_over, last.ended_at = True, step.at
    return found


def verdict_of(attempt: Attempt, sn: str, now: int) -> tuple[str, str | None]:
    """What it came to, in words, and the command that helps."""
    last = attempt.last("login", "pin", "config", "bind_status", "organization_get", "bind", "update_topo", "online")
    is_quiet = attempt.is_over or now - attempt.last_at > QUIET_MS
    if last is None:
        if not is_quiet:
            return "it has just connected", None
        return (
            "it logged in and asked for nothing: what logged in is no dock, or its topics are refused",
            f"dockgate audit list --dock {shlex.quote(sn)}",
        )
    step = last if not last.ok else next(iter(_still_refused(attempt)), None)
    if step is not None:
        return _refusal(step, sn)
    return _so_far(attempt, last, sn, is_quiet=is_quiet)


def refused_lately(db: Db, now: int) -> list[Refusal]:
    """Of the last hour. First docks and accounts that are known, the latest first, each once for each reason; then who is
    at the door and in no list, each address once: strangers choose their names, and have as many as they like.
    """
    found = refused.since(db, now - REFUSALS_MS, known=_MOST_REFUSALS, others=_MOST_STRANGERS)
    return [_refused(one.entry, one.times) if one.is_known else _strangers(one) for one in found]


def key_of(action: str, target: str, reason: str, address: str, *, is_known: bool) -> tuple[str, str, str]:
    """Of a refusal that is told as one: by its names if they are known here, else by the address that they came from."""
    return (action, target, reason) if is_known else (action, address, "")


def _refused(entry: Entry, times: int) -> Refusal:
    what, hint = _refusal_of(entry) or ("it was refused", None)
    dock = _text(entry.detail.get("dock")) or (None if entry.action in {"login", "tls"} else entry.target)
    address = _text(entry.detail.get("address")) or ""
    key = key_of(entry.action, entry.target, str(entry.detail.get("reason", "")), address, is_known=True)
    return Refusal(entry.at, entry.target, address, dock, what, hint, times, key)


def _strangers(found: refused.Refused) -> Refusal:
    told = _refused(found.entry, found.times)
    told = told._replace(key=key_of(found.entry.action, "", "", told.address, is_known=False), is_known=False)
    if found.names == 1 or found.entry.action != "login":
        return told
    return told._replace(who=f"{found.names} names that are no accounts", what=f"the last: {told.what}")


def of_stranger(db: Db, sn: str, now: int) -> tuple[str, str | None] | None:
    """Why a dock that is in no list was sent away, if it was: its account is another's, or its login was refused, and it calls
    itself by its SN. What it came to, and the command that helps.
    """
    told = of_dock(db, sn, now, limit=1)
    if told and not told[0]["steps"][-1]["ok"]:
        return told[0]["verdict"], told[0]["hint"]
    for entry in reversed(audit.list_since(db, outcome="refused", limit=_LOOKED_AT)):
        if entry.action == "login" and sn in {entry.target, entry.detail.get("client_id")}:
            return _refusal_of(entry)
    return None


def _refusal_of(entry: Entry) -> tuple[str, str | None] | None:
    """Of an entry that tells of a refusal: what was refused and why, and the command that helps. None for all others."""
    if entry.outcome == "refused" and entry.action == "tls":
        return f"no TLS: {_text(entry.detail.get('reason')) or 'refused'}", None
    if entry.outcome != "refused" or entry.action not in refused.ACTIONS:
        return None
    dock = _text(entry.detail.get("dock")) or entry.target
    step = _step(entry, dock)
    return None if step is None else (step.what, _refusal(step, dock)[1])


def _still_refused(attempt: Attempt) -> list[Step]:
    """Of each device the last word counts: who mistyped the code and then had it right was not refused."""
    latest = {step.entry.target: step for step in attempt.steps if step.name == "bind"}
    return [step for step in latest.values() if not step.ok]


def _refusal(step: Step, sn: str) -> tuple[str, str | None]:
    if step.name == "config":
        return "there is no license to give: the dock disconnects", "dockgate license set --file license.json"
    entry = step.entry
    table = {"login": reasons.LOGIN, "pin": reasons.PIN}.get(step.name, reasons.BINDING)
    why, hint = table.get(str(entry.detail.get("reason")), ("it was refused", "dockgate audit list --dock {sn}"))
    # Strangers have chosen some of these words, and somebody may paste the line into a shell
    words = {
        "sn": sn,
        "device": entry.target,
        "target": entry.target,
        "organization_id": _text(entry.detail.get("organization_id")) or "ID",
    }
    hint = hint.format_map({name: shlex.quote(word) for name, word in words.items()})
    return (f"{entry.target}: {why}" if step.name == "bind" and entry.target != sn else why), hint


def _so_far(attempt: Attempt, last: Step, sn: str, *, is_quiet: bool) -> tuple[str, str | None]:
    if last.name in {"update_topo", "online"}:
        return (WAS_IN_SERVICE if attempt.is_over else "it is in service"), None
    if not is_quiet:
        return "under way", None
    if last.name == "config":
        return reasons.LICENSE, "dockgate license show"
    if last.name == "bind_status":
        if last.entry.detail.get("bound"):
            return "it knows that it is bound, and has sent no telemetry since", f"dockgate dock show {shlex.quote(sn)}"
        return "organization id and binding code were not typed in Pilot 2, or not sent", "dockgate card"
    if last.name == "organization_get":
        return "the organization was shown in Pilot 2, and nobody confirmed it", "dockgate card"
    return "it is bound, and has sent no telemetry since: restart the dock", None


def _began(entry: Entry) -> tuple[int, int]:
    since = entry.detail.get("since")
    return (since if isinstance(since, int) else entry.at, entry.id or 0)


def _turned_away(found: list[Attempt], step: Step) -> None:
    """A refusal is an attempt of its own; the same once more is told with it."""
    last = found[-1] if found else None
    before = last.steps[-1] if last is not None and last.steps else None
    more = step.entry.detail.get("count")
    number = more if isinstance(more, int) else 1
    if (
        last is not None
        and before is not None
        and before.name == step.name
        and before.entry.detail.get("reason") == step.entry.detail.get("reason")
        and before.entry.target == step.entry.target
    ):
        last.repeats += number
        last.ended_at = step.entry.at
        return
    attempt = Attempt(step.at, account=step.entry.target, address=_text(step.entry.detail.get("address")))
    attempt.steps.append(step)
    attempt.repeats, attempt.ended_at, attempt.is_over = number - 1, step.entry.at, True
    found.append(attempt)


def _is_repeat(last: Attempt, entry: Entry) -> bool:
    """An entry that tells of several connections: they went as the one before, since their steps are told together too."""
    more = entry.detail.get("count")
    if not isinstance(more, int) or last.last("connect") is None:
        return False
    last.repeats += more
    last.ended_at = max(last.ended_at or 0, entry.at)
    return True


def _count(last: Attempt | None, entry: Entry) -> None:
    if last is not None:
        last.ended_at = max(last.ended_at or 0, entry.at)


def _step(entry: Entry, sn: str) -> Step | None:
    ok, detail = entry.outcome == "ok", entry.detail
    reason = str(detail.get("reason", ""))
    if entry.action == "login" and not ok:
        why = reasons.LOGIN.get(reason, ("refused", ""))[0]
        return Step(entry.at, "login", ok=False, what=f"login as {entry.target} refused: {why}", entry=entry)
    if entry.action == "pin" and not ok:
        why = reasons.PIN.get(reason, (f"refused ({reason})", ""))[0]
        return Step(entry.at, "pin", ok=False, what=f"used the account {entry.target}: {why}", entry=entry)
    if entry.action == "bind":
        device = "the dock" if entry.target == sn else entry.target
        what = f"bind {device}: " + (
            _bound(detail) if ok else reasons.BINDING.get(reason, (f"refused ({reason})", ""))[0]
        )
        return Step(entry.at, "bind", ok=ok, what=what, entry=entry)
    if entry.target != sn:
        return None
    texts: dict[str, str] = {
        "connect": f"logged in as {entry.actor}{_from(detail)}",
        "disconnect": f"connection over{_why(reason)}",
        "config": f"asked for the license: given{_license(detail)}" if ok else "asked for the license: there is none",
        "bind_status": f"asked whether it is bound: {'yes' if detail.get('bound') else 'no'}",
        "organization_get": (
            f"asked for organization {detail.get('organization_id') or '-'}: "
            + ("shown" if ok else reasons.BINDING.get(reason, (f"refused ({reason})", ""))[0])
        ),
        "update_topo": f"said which aircraft it has: {_aircraft(detail)}",
        "online": "sends telemetry",
    }
    if entry.action not in texts:
        return None
    return Step(entry.at, entry.action, ok=ok, what=texts[entry.action], entry=entry)


def _bound(detail: dict[str, Any]) -> str:
    organization = detail.get("organization_id") or "-"
    return f"bound to {organization}" if detail.get("fresh", True) else f"was bound to {organization} already"


def _from(detail: dict[str, Any]) -> str:
    address = _text(detail.get("address"))
    return f" from {address}" if address else ""


def _why(reason: str) -> str:
    return f" ({reason.replace('_', ' ')})" if reason else ""


def _license(detail: dict[str, Any]) -> str:
    own = detail.get("organization_id")
    text = f", that of {own}" if isinstance(own, str) else ", the default"
    return f"{text}, without an NTP server" if detail.get("ntp") is False else text


def _aircraft(detail: dict[str, Any]) -> str:
    number = detail.get("aircraft")
    return f"{number}" if isinstance(number, int) and number else "none"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
