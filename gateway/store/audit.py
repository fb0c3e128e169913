"""The audit: who did what to whom, and how it ended. Entries go in and are read; triggers refuse any change of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson


class Entry(NamedTuple):
    """``detail`` is JSON; its key ``dock`` names the dock concerned when ``target`` is something else.

    ``id`` is set by reading.
    """

    at: int
    actor: str
    action: str
    target: str
    outcome: str
    detail: dict[str, Any]
    id: int | None = None


def append(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    db.executemany(
        "INSERT INTO audit (at, actor, action, target, outcome, detail, dock) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(e.at, e.actor, e.action, e.target, e.outcome, orjson.dumps(e.detail).decode(), _dock(e)) for e in entries],
    )


def is_repetition(db: sqlite3.Connection, entry: Entry, within_ms: int) -> bool:
    """Whether the latest entry of this action on this target says the same, and is about as old as that at most."""
    row = db.execute(
        "SELECT at, actor, outcome, detail FROM audit WHERE target = ? AND action = ? ORDER BY id DESC LIMIT 1",
        (entry.target, entry.action),
    ).fetchone()
    return (
        row is not None
        and row == (row[0], entry.actor, entry.outcome, orjson.dumps(entry.detail).decode())
        and (abs(entry.at - row[0]) < within_ms)  # the clock may have been set back
    )


def list_since(
    db: sqlite3.Connection,
    *,
    since: int | None = None,
    dock: str | None = None,
    outcome: str | None = None,
    limit: int = 1000,
    after_id: int | None = None,
    before_id: int | None = None,
) -> list[Entry]:
    """In the order they were written: the last ``limit`` of those at or after ``since`` that concern ``dock``
    and ended with ``outcome``.

    With ``after_id`` the first ``limit`` after that entry instead, for who follows along; with ``before_id`` the last before that
    one, for who turns pages back.
    """
    conditions, parameters = ["1"], list[Any]()
    if since is not None:
        conditions.append("at >= ?")
        parameters.append(since)
    if dock is not None:
        conditions.append("(target = ? OR dock = ?)")
        parameters += [dock, dock]
    if outcome is not None:
        conditions.append("outcome = ?")
        parameters.append(outcome)
    if after_id is not None:
        conditions.append("id > ?")
        parameters.append(after_id)
    if before_id is not None:
        conditions.append("id < ?")
        parameters.append(before_id)
    order = "DESC" if after_id is None else "ASC"
    rows = db.execute(
        "SELECT at, actor, action, target, outcome, detail, id FROM audit"  # noqa: S608 -- the pieces are above
        f" WHERE {' AND '.join(conditions)} ORDER BY id {order} LIMIT ?",
        (*parameters, limit),
    ).fetchall()
    if after_id is None:
        rows.reverse()
    return [
        Entry(at, actor, action, target, outcome, orjson.loads(detail), id)
        for at, actor, action, target, outcome, detail, id in rows  # noqa: A001
    ]


def trim(db: sqlite3.Connection, before: int, *, limit: int | None = None) -> int:
    """Delete what is older than ``before``, ``limit`` at most; returns how many. The horizon that allows it never goes back."""
    db.execute(
        "INSERT INTO audit_horizon (id, trimmed_before) VALUES (1, ?)"
        " ON CONFLICT (id) DO UPDATE SET trimmed_before = max(trimmed_before, excluded.trimmed_before)",
        (before,),
    )
    return db.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?)",
        (before, -1 if limit is None else limit),  # SQLite: a negative limit is none
    ).rowcount


def newest_at(db: sqlite3.Connection) -> int | None:
    """The latest time that an entry has."""
    at: int | None = db.execute("SELECT max(at) FROM audit").fetchone()[0]
    return at


def _dock(entry: Entry) -> str | None:
    dock = entry.detail.get("dock")
    return dock if isinstance(dock, str) else None
