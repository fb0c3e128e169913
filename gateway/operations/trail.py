"""The audit trail as it is shown: entries come out of the database, oldest first; nothing here can change or delete one."""

from __future__ import annotations

from typing import Any

from gateway.operations.change import Db
from gateway.operations.times import iso
from gateway.store import audit
from gateway.store.audit import Entry


def entries(
    db: Db, *, since: int | None = None, dock: str | None = None, limit: int = 1000, after_id: int | None = None
) -> list[dict[str, Any]]:
    """See ``gateway.store.audit.list_since``."""
    found = audit.list_since(db, since=since, dock=dock, limit=limit, after_id=after_id)
    return [describe(entry) for entry in found]


def turn_back(
    db: Db, *, since: int | None, dock: str | None, before: int | None, limit: int, outcome: str | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """The last ``limit`` entries before the one with the id ``before``, newest first, and what to give for those before them; None:
    there are none.
    """
    found = audit.list_since(db, since=since, dock=dock, outcome=outcome, limit=limit + 1, before_id=before)
    shown = found[-limit:]
    return [describe(entry) for entry in reversed(shown)], shown[0].id if len(found) > limit else None


def describe(entry: Entry) -> dict[str, Any]:
    """The keys are a promise."""
    return {
        "at": iso(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "outcome": entry.outcome,
        "detail": dict(entry.detail),
    }
