"""How a named case is written down, and the requests and answers that cases are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.model import License
from gateway.topics import Kind

from .dock_world import (
    DOCK1,
    TEAM_A,
    license_of,
    message,
)


@dataclass(frozen=True)
class Step:
    """A publish and the ``data`` of its reply; None = no reply. ``routed``: services get the message too."""

    payload: bytes
    data: Mapping[str, Any] | None
    dock: str = DOCK1
    kind: Kind = Kind.REQUESTS
    sn: str = ""
    routed: bool = False


@dataclass(frozen=True)
class Case:
    """``owners``: SN -> (organization, dock) as stored in the end, for the SNs it names; ``audit``: (action, target, reason)."""

    id: str
    steps: tuple[Step, ...]
    licenses: tuple[License, ...] = (license_of(None),)
    settings: Mapping[str, Any] = field(default_factory=dict)
    owners: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    audit: tuple[tuple[str, str, str], ...] = ()
    unknown: tuple[str, ...] = ()


def refused(number: int) -> dict[str, Any]:
    return {"result": number, "output": {}}


def status(sn: str, organization_id: str = "", name: str = "", callsign: str = "", *, bound: bool | None = None) -> Any:
    return {
        "sn": sn,
        "is_device_bind_organization": bool(organization_id) if bound is None else bound,
        "organization_id": organization_id,
        "organization_name": name,
        "device_callsign": callsign,
    }


def statuses(*entries: Any) -> dict[str, Any]:
    return {"result": 0, "output": {"bind_status": list(entries)}}


def bound(*codes: tuple[Any, int]) -> dict[str, Any]:
    return {"result": 0, "output": {"err_infos": [{"sn": sn, "err_code": code} for sn, code in codes]}}


def flat(organization_id: str | None = None, **ntp: Any) -> dict[str, Any]:
    found = license_of(organization_id)
    return {"app_id": found.app_id, "app_key": found.app_key, "app_license": found.app_license, **ntp}


def ask_status(*sns: Any, tid: Any = "s-1") -> bytes:
    return message("airport_bind_status", {"devices": [{"sn": sn} for sn in sns]}, tid=tid)


def ask_organization(code: Any, organization_id: Any, *, tid: Any = "o-1") -> bytes:
    return message(
        "airport_organization_get", {"device_binding_code": code, "organization_id": organization_id}, tid=tid
    )


def ask_bind(*wishes: Any, tid: Any = "b-1") -> bytes:
    return message("airport_organization_bind", {"bind_devices": list(wishes)}, tid=tid)


def topo(*sub_devices: Any, tid: Any = "u-1", **data: Any) -> bytes:
    own = {"domain": "3", "type": 2, "sub_type": 0, "device_secret": "s", "nonce": "n", "thing_version": "1.3.0"}
    return message("update_topo", {**own, "sub_devices": list(sub_devices), **data}, tid=tid)


def bird(sn: str, **other: Any) -> dict[str, Any]:
    return {"sn": sn, "domain": "0", "type": 91, "sub_type": 1, "index": "A", "thing_version": "1.3.0", **other}


CONFIG = message("config", {"config_scope": "product", "config_type": "json"}, tid="c-1", gateway=DOCK1)
UNDERSTOOD = {"result": 0}
NAMED_A = {"result": 0, "output": {"organization_name": TEAM_A}}
EMPTY_BIND = ask_bind(tid="b-0")
