"""Docks and their aircraft, bound or only seen. A serial number comes in, a device's record goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import NotFoundError, UsageError
from gateway.model import Device
from gateway.operations import story, trail
from gateway.operations.change import Change, Db
from gateway.operations.live import Live, Overlay, look
from gateway.operations.organizations import cut
from gateway.operations.times import iso
from gateway.store import bindings, contacts, devices, organizations
from gateway.store.bindings import MAX_CALLSIGN
from gateway.store.contacts import Contact

SHOWN_EVENTS = 50

_Children = Mapping[str, Sequence[Device]]


def every(
    db: Db,
    now: int,
    *,
    organization_id: str | None = None,
    unbound: bool = False,
    online: bool = False,
    overlay: Overlay | None = None,
) -> list[dict[str, Any]]:
    """Docks with their aircraft: bound ones, and those that were only seen; after them what hangs on nothing."""
    if organization_id is not None:
        organizations.get(db, organization_id)
    return [
        dock
        for dock in trees(devices.list_all(db), look(db, now, overlay))
        if (organization_id is None or dock["organization_id"] == organization_id)
        and not (unbound and dock["bound"])
        and not (online and not dock["online"])
    ]


def show(db: Db, sn: str, now: int, overlay: Overlay | None = None) -> dict[str, Any]:
    """One device: whose it is, how far it has come, and what happened to it last."""
    try:
        device = devices.get(db, sn)
    except NotFoundError:
        told = story.of_stranger(db, sn, now)
        if told is None:
            raise
        why, hint = told
        raise NotFoundError(f"{sn} is in no list, as it was turned away: {why}", hint=hint) from None
    result = describe(device, _children(devices.list_all(db)), look(db, now, overlay))
    owner = None if device.organization_id is None else organizations.get(db, device.organization_id)
    result["organization_name"] = owner.name if owner else None
    result["first_seen"] = iso(device.first_seen_at)
    result["binding"] = _binding(db, device)
    result["contacts"] = [_contact(contact) for contact in contacts.list_for(db, sn=sn)]
    result["attempts"] = story.of_dock(db, device.gateway_sn or sn, now)
    result["events"] = trail.entries(db, dock=sn, limit=SHOWN_EVENTS)
    return result


def rename(change: Change, sn: str, callsign: str, overlay: Overlay | None = None) -> dict[str, Any]:
    name = callsign.strip()
    if not 1 <= len(name) <= MAX_CALLSIGN or not name.isprintable():
        raise UsageError(f"a callsign is 1 to {MAX_CALLSIGN} visible characters")
    device = devices.rename(change.db, sn, name)
    change.audit("dock.rename", sn, callsign=name, dock=device.gateway_sn)
    return describe(device, _children(devices.list_all(change.db)), look(change.db, change.now, overlay))


def unbind(change: Change, sn: str) -> dict[str, Any]:
    """End a binding; with a dock, that of its aircraft too."""
    organization_id = devices.get(change.db, sn).organization_id
    freed = devices.unbind(change.db, sn, change.now)
    for one in freed:
        change.audit(
            "dock.unbind",
            one.sn,
            organization_id=organization_id if one.sn == sn else None,
            dock=None if one.sn == sn else sn,
        )
    return {"sn": sn, "organization_id": organization_id, "unbound": [one.sn for one in freed]}


def forget(change: Change, sn: str) -> dict[str, Any]:
    devices.forget(change.db, sn)
    change.audit("dock.forget", sn)
    return {"sn": sn, "forgotten": True}


def disconnect(change: Change, sn: str) -> None:
    """Only told here: its connections are the gateway's to end."""
    change.audit("dock.disconnect", sn)


def trees(everything: Sequence[Device], live: Live) -> list[dict[str, Any]]:
    """Docks, each with what hangs on it; after them what hangs on nothing."""
    tops = [device for device in everything if device.is_gateway or device.gateway_sn is None]
    tops.sort(key=lambda device: (not device.is_gateway, device.sn))
    children = _children(everything)
    return [describe(device, children, live) for device in tops]


def describe(device: Device, children: _Children, live: Live) -> dict[str, Any]:
    """The keys are a promise."""
    result = _flat(device, live)
    result["children"] = [_flat(child, live) for child in children.get(device.sn, ())]
    return result


def _children(everything: Sequence[Device]) -> _Children:
    found: dict[str, list[Device]] = {}
    for device in everything:
        if device.gateway_sn is not None:
            found.setdefault(device.gateway_sn, []).append(device)
    return found


def _flat(device: Device, live: Live) -> dict[str, Any]:
    return {
        "sn": device.sn,
        "model_key": device.model_key,
        "organization_id": device.organization_id,
        "callsign": device.callsign,
        "bound": device.organization_id is not None,
        "online": live.is_online(device),
        "access_step": live.step(device).value,
        "last_seen": iso(live.last_seen_at(device)),
        "gateway_sn": device.gateway_sn,
        "is_gateway": device.is_gateway,
    }


def _binding(db: Db, device: Device) -> dict[str, Any] | None:
    """Who bound it, when, and with which code, cut short: the code may still open the door to others."""
    if device.organization_id is None:
        return None
    found = bindings.get(db, device.sn)
    return {"at": iso(found.bound_at), "account": found.account, "code": cut(found.code)}


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "account": contact.account,
        "client_id": contact.client_id,
        "first_at": iso(contact.first_at),
        "changed_at": iso(contact.changed_at),
        "said": contact.facts,
    }
