"""Docks and what hangs on them. Rows in and out of table ``device``; who may have what is said elsewhere.

Who may bind: bindings.py. Who may claim an aircraft: topology.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway.errors import ConflictError, NotFoundError
from gateway.model import AccessStep, Device
from gateway.store.topology import ChildFacts, may_claim

_COLUMNS = (
    "sn, gateway_sn, is_gateway, model_key, callsign, organization_id, bound_at, first_seen_at, last_seen_at, online,"
    " access_step"
)
_QUALIFIED = ", ".join(f"d.{column}" for column in _COLUMNS.split(", "))
_ORDER = tuple(AccessStep)
# instr() in this text grows with the step, which makes "only upward" one comparison in SQL
_STEPS = ",".join(AccessStep)


@dataclass(frozen=True, slots=True)
class Presence:
    """What memory learned of a device. ``access_step`` None keeps the step; it only rises unless ``force_step``."""

    sn: str
    last_seen_at: int
    online: bool
    access_step: AccessStep | None = None
    force_step: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """A device as it is (None: never seen), the organization of the account with its SN, and what the topology asks."""

    device: Device | None
    account_organization_id: str | None
    child: ChildFacts


def get(db: sqlite3.Connection, sn: str) -> Device:
    row = db.execute(f"SELECT {_COLUMNS} FROM device WHERE sn = ?", (sn,)).fetchone()  # noqa: S608 -- our own column list
    if row is None:
        raise NotFoundError(f"there is no dock or aircraft {sn}", hint="dockgate dock list")
    return _record(row)


def list_all(db: sqlite3.Connection, *, organization_id: str | None = None) -> list[Device]:
    """Docks and aircraft; with an organization only what is bound to it."""
    where, parameters = ("", ()) if organization_id is None else ("WHERE organization_id = ?", (organization_id,))
    rows = db.execute(f"SELECT {_COLUMNS} FROM device {where} ORDER BY sn", parameters)  # noqa: S608
    return [_record(row) for row in rows]


def rename(db: sqlite3.Connection, sn: str, callsign: str) -> Device:
    get(db, sn)
    db.execute("UPDATE device SET callsign = ? WHERE sn = ?", (callsign, sn))
    return get(db, sn)


def model(db: sqlite3.Connection, sn: str, model_key: str) -> Device:
    """Note the model key that a device was seen with."""
    get(db, sn)
    db.execute("UPDATE device SET model_key = ? WHERE sn = ?", (model_key, sn))
    return get(db, sn)


def forget(db: sqlite3.Connection, sn: str) -> list[Device]:
    """Delete what is not bound. Returns what hung on it and now hangs on nothing.

    :raises ConflictError: it is bound.
    """
    if get(db, sn).organization_id is not None:
        raise ConflictError(f"{sn} is bound", hint=f"dockgate dock unbind {sn}")
    children = [row[0] for row in db.execute("SELECT sn FROM device WHERE gateway_sn = ?", (sn,)).fetchall()]
    db.execute("UPDATE device SET gateway_sn = NULL WHERE gateway_sn = ?", (sn,))
    db.execute("DELETE FROM device WHERE sn = ?", (sn,))
    return [get(db, child) for child in children]


def unbind(db: sqlite3.Connection, sn: str, now: int) -> list[Device]:  # noqa: ARG001
    """Free a device, and with a dock the aircraft that are bound to the same organization. Returns all that were freed.

    The dock learns of it with its next ``airport_bind_status``: there is no message for it (docs/protocol.md 1.4).

    :raises ConflictError: it is not bound.
    """
    device = get(db, sn)
    if device.organization_id is None:
        raise ConflictError(f"{sn} is not bound")
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM device"  # noqa: S608
        " WHERE organization_id = ?1 AND (sn = ?2 OR gateway_sn = ?2) ORDER BY sn <> ?2, sn",
        (device.organization_id, sn),
    ).fetchall()
    freed = []
    for before in map(_record, rows):
        # a dock keeps the step it had before it was bound; an aircraft has none between "seen" and "bound"
        ceiling = AccessStep.LICENSED if before.is_gateway else AccessStep.SEEN
        step = min(before.access_step, ceiling, key=_ORDER.index)
        freed.append(replace(before, organization_id=None, bound_at=None, access_step=step))
    db.executemany(
        "UPDATE device SET organization_id = NULL, bound_at = NULL, bound_by = NULL, bound_code = NULL, access_step = ?"
        " WHERE sn = ?",
        [(device.access_step.value, device.sn) for device in freed],
    )
    return freed


def see_gateway(db: sqlite3.Connection, sn: str, *, now: int) -> Device:
    """A dock has come with this SN: note it. It hangs on nothing from now on, whatever was believed of it before."""
    db.execute(
        "INSERT INTO device"
        " (sn, gateway_sn, is_gateway, model_key, callsign, first_seen_at, last_seen_at, online, access_step)"
        " VALUES (?1, NULL, 1, '', '', ?2, ?2, 0, 'seen') ON CONFLICT (sn) DO UPDATE SET"
        " gateway_sn = NULL, is_gateway = 1, last_seen_at = max(last_seen_at, excluded.last_seen_at)",
        (sn, now),
    )
    return get(db, sn)


def attach(db: sqlite3.Connection, gateway_sn: str, children: Sequence[tuple[str, str]], *, now: int) -> list[Device]:
    """Hang ``(sn, model_key)`` on a dock. Returns those that hang on it now; what the topology rule refuses stays.

    Nothing is detached: ``update_topo`` leaves out a sleeping aircraft that still belongs here (docs/protocol.md C38).
    """
    gateway = see_gateway(db, gateway_sn, now=now)
    known = facts(db, [gateway_sn, *(sn for sn, _ in children)])
    organization_id = gateway.organization_id or known[gateway_sn].account_organization_id
    attached: dict[str, Device] = {}
    for sn, model_key in children:
        if sn == gateway_sn or not may_claim(
            known[sn].child, gateway_sn=gateway_sn, gateway_organization_id=organization_id
        ):
            continue
        before = known[sn].device or new(sn, now=now)
        attached[sn] = replace(
            before,
            gateway_sn=gateway_sn,
            model_key=model_key or before.model_key,
            last_seen_at=max(before.last_seen_at, now),
        )
    db.executemany(
        "INSERT INTO device"
        " (sn, gateway_sn, is_gateway, model_key, callsign, first_seen_at, last_seen_at, online, access_step)"
        " VALUES (?, ?, 0, ?, '', ?, ?, 0, 'seen') ON CONFLICT (sn) DO UPDATE SET gateway_sn = excluded.gateway_sn,"
        " model_key = excluded.model_key, last_seen_at = excluded.last_seen_at",
        [(d.sn, gateway_sn, d.model_key, d.first_seen_at, d.last_seen_at) for d in attached.values()],
    )
    return list(attached.values())


def detach_foreign(db: sqlite3.Connection, dock: Device) -> list[Device]:
    """Let go of what hangs on a dock and is bound to another organization than the dock is now. Returns what that was."""
    rows = db.execute(
        f"UPDATE device SET gateway_sn = NULL WHERE gateway_sn = ? AND organization_id <> ? RETURNING {_COLUMNS}",  # noqa: S608
        (dock.sn, dock.organization_id),
    ).fetchall()
    return [_record(row) for row in rows]


def flush_presence(db: sqlite3.Connection, rows: Iterable[Presence]) -> None:
    """Unknown SNs are passed over, and a time never goes back."""
    db.executemany(
        "UPDATE device SET last_seen_at = max(last_seen_at, ?2), online = ?3, access_step ="
        " CASE WHEN ?4 IS NOT NULL AND (?5 OR instr(?6, ?4) > instr(?6, access_step)) THEN ?4 ELSE access_step END"
        " WHERE sn = ?1",
        [
            (row.sn, row.last_seen_at, row.online, row.access_step and row.access_step.value, row.force_step, _STEPS)
            for row in rows
        ],
    )


def reset_online(db: sqlite3.Connection) -> None:
    """At start nothing is connected yet, whatever the last run left behind."""
    db.execute("UPDATE device SET online = 0 WHERE online")


def new(sn: str, *, now: int) -> Device:
    """What a device is the first time it is heard of; not stored by this."""
    return Device(
        sn=sn,
        gateway_sn=None,
        is_gateway=False,
        model_key="",
        callsign="",
        organization_id=None,
        bound_at=None,
        first_seen_at=now,
        last_seen_at=now,
        online=False,
        access_step=AccessStep.SEEN,
    )


def at_least(step: AccessStep, floor: AccessStep) -> AccessStep:
    return max(step, floor, key=_ORDER.index)


def facts(db: sqlite3.Connection, sns: Sequence[str]) -> dict[str, Facts]:
    """For each SN asked, known or not. One statement, since each one passes the interpreter's lock to and fro."""
    rows = db.execute(
        "SELECT w.value, own.name IS NOT NULL, own.organization_id, coalesce(p.organization_id, pa.organization_id),"  # noqa: S608
        f" {_QUALIFIED}"
        " FROM json_each(?) AS w"
        " LEFT JOIN device AS d ON d.sn = w.value"
        " LEFT JOIN device AS p ON p.sn = d.gateway_sn"
        " LEFT JOIN account AS pa ON pa.sn = d.gateway_sn"
        " LEFT JOIN account AS own ON own.sn = w.value",
        (orjson.dumps(sns).decode(),),
    )
    found = {}
    for sn, is_pinned, account_organization_id, parent_organization_id, *row in rows:
        device = None if row[0] is None else _record(row)
        child = ChildFacts(
            is_gateway=bool(is_pinned) or (device is not None and device.is_gateway),
            organization_id=None if device is None else device.organization_id,
            parent_sn=None if device is None else device.gateway_sn,
            parent_organization_id=parent_organization_id,
        )
        found[sn] = Facts(device, account_organization_id, child)
    return found


def _record(row: Sequence[Any]) -> Device:
    (
        sn,
        gateway_sn,
        is_gateway,
        model_key,
        callsign,
        organization_id,
        bound_at,
        first_seen_at,
        last_seen_at,
        online,
        access_step,
    ) = row
    return Device(
        sn=sn,
        gateway_sn=gateway_sn,
        is_gateway=bool(is_gateway),
        model_key=model_key,
        callsign=callsign,
        organization_id=organization_id,
        bound_at=bound_at,
        first_seen_at=first_seen_at,
        last_seen_at=last_seen_at,
        online=bool(online),
        access_step=AccessStep(access_step),
    )
