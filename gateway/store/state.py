"""What the running gateway says of itself, one row, for the commands that run beside it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class GatewayState:
    pid: int
    started_at: int
    heartbeat_at: int
    connections: int
    stats: dict[str, Any]


def heartbeat(db: sqlite3.Connection, state: GatewayState) -> None:
    db.execute(
        "INSERT INTO gateway_state (id, pid, started_at, heartbeat_at, connections, stats) VALUES (1, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at,"
        " heartbeat_at = excluded.heartbeat_at, connections = excluded.connections, stats = excluded.stats",
        (state.pid, state.started_at, state.heartbeat_at, state.connections, orjson.dumps(state.stats).decode()),
    )


def clear(db: sqlite3.Connection) -> None:
    """The gateway has stopped: nothing runs any more."""
    db.execute("DELETE FROM gateway_state")


def get(db: sqlite3.Connection) -> GatewayState | None:
    row = db.execute("SELECT pid, started_at, heartbeat_at, connections, stats FROM gateway_state").fetchone()
    if row is None:
        return None
    pid, started_at, heartbeat_at, connections, stats = row
    return GatewayState(pid, started_at, heartbeat_at, connections, orjson.loads(stats))
