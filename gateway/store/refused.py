"""Refusals in the audit, gathered: a time comes in, what was refused since then goes out, the latest of each first.

What is known here is kept apart from what strangers have made up, so that no number of invented names hides a dock.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import orjson

from gateway.store.audit import Entry

ACTIONS = frozenset({"login", "pin", "bind", "organization_get", "config", "tls"})
"""What a dock can be refused."""


class Refused(NamedTuple):
    """``entry``: the latest of them. ``times``: how often it was, ``names``: how many targets it had."""

    entry: Entry
    times: int
    names: int
    is_known: bool


def since(db: sqlite3.Connection, start: int, *, known: int, others: int) -> list[Refused]:
    """First at most ``known`` of accounts and devices that are here, each once for each action and reason; then at most ``others``
    of everybody else, each address once for each action.
    """
    rows: list[tuple[Any, ...]] = db.execute(
        """
        WITH told AS (
          SELECT at, actor, action, target, outcome, detail, id,
                 target IN (SELECT name FROM account) OR actor IN (SELECT name FROM account)
                 OR (dock IS NOT NULL AND dock IN (SELECT sn FROM device)) AS is_known
          FROM audit
          WHERE at >= ? AND outcome = 'refused'
            AND action IN (SELECT value FROM json_each(?))
        ), gathered AS (
          -- with max(), the other columns are those of the row that has the maximum (lang_select.html, 2.4)
          SELECT at, actor, action, target, outcome, detail, max(id) AS latest, is_known,
                 sum(coalesce(json_extract(detail, '$.count'), 1)) AS times, count(DISTINCT target) AS names
          FROM told
          GROUP BY is_known, action, iif(is_known, target, json_extract(detail, '$.address')),
                   iif(is_known, json_extract(detail, '$.reason'), '')
        ), ranked AS (
          SELECT *, row_number() OVER (PARTITION BY is_known ORDER BY latest DESC) AS place FROM gathered
        )
        SELECT at, actor, action, target, outcome, detail, latest, times, names, is_known FROM ranked
        WHERE place <= iif(is_known, ?, ?) ORDER BY is_known DESC, latest DESC
        """,
        (start, orjson.dumps(sorted(ACTIONS)).decode(), known, others),
    ).fetchall()
    return [
        Refused(Entry(at, actor, action, target, outcome, orjson.loads(detail), latest), times, names, bool(is_known))
        for at, actor, action, target, outcome, detail, latest, times, names, is_known in rows
    ]
