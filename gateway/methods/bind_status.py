"""``airport_bind_status``: SNs come in, for each one whether and to whom it is bound goes out (docs/protocol.md 1.2).

It must never name an organization that the asking dock has nothing to do with, nor leave a field out or null.
"""

from __future__ import annotations

from typing import Any

from gateway.methods.shapes import entries_of, raw_text_of, success, tell
from gateway.model import Reply, Request
from gateway.services import Services


async def handle(request: Request, services: Services) -> Reply:
    entries = entries_of(request.data, "devices")
    dock = services.directory.device(request.gateway_sn)
    tell(request, services, "bind_status", bound=dock is not None and dock.organization_id is not None)
    return success({"bind_status": [_status(raw_text_of(entry, "sn"), request, services) for entry in entries]})


def _status(sn: str, request: Request, services: Services) -> dict[str, Any]:
    directory = services.directory
    device = directory.device(sn)
    organization_id = device.organization_id if device is not None else None
    answer: dict[str, Any] = {
        "sn": sn,
        "is_device_bind_organization": organization_id is not None,
        "organization_id": "",
        "organization_name": "",
        "device_callsign": "",
    }
    if device is None or organization_id is None or not _may_see(sn, organization_id, request, services):
        return answer
    organization = directory.organization(organization_id)
    answer["organization_id"] = organization_id
    answer["organization_name"] = organization.name if organization is not None else ""
    answer["device_callsign"] = device.callsign
    return answer


def _may_see(sn: str, organization_id: str, request: Request, services: Services) -> bool:
    directory = services.directory
    return directory.gateway_of(sn) == request.gateway_sn or organization_id in {
        request.identity.organization_id,
        directory.organization_of(request.gateway_sn),
    }
