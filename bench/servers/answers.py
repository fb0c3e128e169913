"""The four methods as a program beside a broker would answer them: JSON in, JSON out, one SQLite file behind.

As little as is right: looks up what is asked, binds in a transaction that is committed before the reply. No audit, no repetition
of an answer, no topology, no time limit: all of that is work that only dockgate does.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

LICENSE = "SELECT app_id, app_key, app_license, ntp_server_host, ntp_server_port FROM license"
DEVICE = (
    "SELECT d.sn, d.organization_id, o.name, d.callsign FROM device d"
    " LEFT JOIN organization o ON o.id = d.organization_id WHERE d.sn = ?"
)
CODE = "SELECT o.id, o.name FROM code c JOIN organization o ON o.id = c.organization_id WHERE c.code = ?"
BIND = (
    "INSERT INTO device (sn, organization_id, callsign, model_key) VALUES (?, ?, ?, ?) ON CONFLICT (sn) DO UPDATE"
    " SET organization_id = excluded.organization_id, callsign = excluded.callsign, model_key = excluded.model_key"
)
PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = {synchronous}")

_UNKNOWN, _OTHER, _BAD = 210230, 210232, 200001


def reply(request: dict[str, Any], data: dict[str, Any]) -> str:
    told = {key: request[key] for key in ("tid", "bid", "gateway", "method") if key in request}
    return json.dumps({**told, "timestamp": int(time.time() * 1000), "data": data})


def config(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("app_id", "app_key", "app_license", "ntp_server_host", "ntp_server_port"), row, strict=True))


def status(sn: str, row: tuple[Any, ...] | None) -> dict[str, Any]:
    bound = row is not None and row[1] is not None
    return {
        "sn": sn,
        "is_device_bind_organization": bound,
        "organization_id": row[1] if row is not None and bound else "",
        "organization_name": row[2] if row is not None and bound else "",
        "device_callsign": row[3] if row is not None and bound else "",
    }


def statuses(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"result": 0, "output": {"bind_status": list(entries)}}


def organization(row: tuple[Any, ...] | None, wanted: str) -> dict[str, Any]:
    if row is None or row[0] != wanted:
        return {"result": _UNKNOWN, "output": {"organization_name": ""}}
    return {"result": 0, "output": {"organization_name": row[1]}}


def refusal(code: tuple[Any, ...] | None, wanted: str, device: tuple[Any, ...] | None) -> int:
    """The error code for a device that is to be bound; 0: it may be."""
    if code is None or code[0] != wanted:
        return _UNKNOWN
    return _OTHER if device is not None and device[1] not in {None, wanted} else 0


def bound(results: Iterable[tuple[str, int]]) -> dict[str, Any]:
    return {"result": 0, "output": {"err_infos": [{"sn": sn, "err_code": code} for sn, code in results]}}


def unknown() -> dict[str, Any]:
    return {"result": _BAD, "output": {}}


class Answers:
    """With the sqlite3 module, in the thread that asks."""

    def __init__(self, file: str, synchronous: str) -> None:
        self._db = sqlite3.connect(file)
        for pragma in PRAGMAS:
            self._db.execute(pragma.format(synchronous=synchronous))

    def answer(self, payload: bytes) -> str:
        request = json.loads(payload)
        return reply(request, self._data(request["method"], request.get("data") or {}))

    def _one(self, sql: str, *parameters: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, parameters).fetchone()
        return row

    def _data(self, method: str, data: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "config":
                return config(self._one(LICENSE) or ())
            case "airport_bind_status":
                return statuses(status(each["sn"], self._one(DEVICE, each["sn"])) for each in data["devices"])
            case "airport_organization_get":
                return organization(self._one(CODE, data["device_binding_code"]), data["organization_id"])
            case "airport_organization_bind":
                results = [(each["sn"], self._bind(each)) for each in data["bind_devices"]]
                self._db.commit()
                return bound(results)
            case _:
                return unknown()

    def _bind(self, wish: dict[str, Any]) -> int:
        wanted = wish["organization_id"]
        code = refusal(self._one(CODE, wish["device_binding_code"]), wanted, self._one(DEVICE, wish["sn"]))
        if not code:
            self._db.execute(BIND, (wish["sn"], wanted, wish["device_callsign"], wish["device_model_key"]))
        return code
