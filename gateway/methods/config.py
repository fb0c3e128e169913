"""``config``: a dock asks for app id, key, license and time server; unlike every other, the reply is flat.

It must never answer with anything that an operator did not enter: a dock that gets a placeholder disconnects without a
word (docs/protocol.md 1.1, cases 7).
"""

from __future__ import annotations

from typing import Any

from gateway.errors import MethodError
from gateway.methods.shapes import object_of, tell
from gateway.model import AccessStep, License, Reply, Request
from gateway.results import Result
from gateway.services import Services


async def handle(request: Request, services: Services) -> Reply:
    data = {} if request.data is None else object_of(request.data)
    _accept(data, "config_scope", "product")
    _accept(data, "config_type", "json")
    found = services.directory.license_for(
        account_organization_id=request.identity.organization_id, gateway_sn=request.gateway_sn
    )
    if found is None or not (found.app_id and found.app_key and found.app_license):
        raise _no_license(request, services)
    services.presence.step(request.gateway_sn, AccessStep.LICENSED)
    tell(request, services, "config", organization_id=found.organization_id, ntp=bool(found.ntp_server_host))
    services.events.emit(request.gateway_sn, "license_served", organization_id=found.organization_id)
    return Reply(_flat(found), 0)


def _accept(data: dict[str, Any], key: str, only: str) -> None:
    # Missing keys are common (docs/protocol.md 1.1); another value asks for something that this is not.
    value = data.get(key)
    if value is not None and value != only:
        raise MethodError(Result.ILLEGAL_ARGUMENT, f"{key} is not {only}")


def _flat(found: License) -> dict[str, Any]:
    data: dict[str, Any] = {
        "app_id": str(found.app_id),
        "app_key": found.app_key,
        "app_license": found.app_license,
    }
    if found.ntp_server_host:
        data["ntp_server_host"] = found.ntp_server_host
        data["ntp_server_port"] = found.ntp_server_port
    return data


def _no_license(request: Request, services: Services) -> MethodError:
    organization_id = request.identity.organization_id or services.directory.organization_of(request.gateway_sn)
    services.audit.record(
        actor=request.identity.account,
        action="config",
        target=request.gateway_sn,
        outcome="refused",
        detail={"reason": Result.LICENSE_MISSING.value, "organization_id": organization_id},
    )
    services.events.emit(
        request.gateway_sn,
        "refused",
        method=request.method,
        reason=Result.LICENSE_MISSING.value,
        organization_id=organization_id,
    )
    whose = f"organization {organization_id} and" if organization_id else "the dock's account has no organization and"
    return MethodError(
        Result.LICENSE_MISSING, f"no license: {whose} no default is set; run 'dockgate license set --file FILE'"
    )
