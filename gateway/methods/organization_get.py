"""``airport_organization_get``: a binding code and an organization id come in, the organization's name goes out.

Code and id must belong together (docs/protocol.md 1.3, cases 12). Every refusal looks the same on the wire, so that the
state of a code cannot be found out by asking (cases 20); the reason goes to audit, log and events only.
"""

from __future__ import annotations

from gateway.errors import MethodError
from gateway.methods.shapes import object_of, success, tell, text_of
from gateway.model import Reply, Request
from gateway.results import Result
from gateway.services import Services
from gateway.store.bindings import BindRefusal


async def handle(request: Request, services: Services) -> Reply:
    data = object_of(request.data)
    organization_id = text_of(data, "organization_id")
    reason = _refusal(text_of(data, "device_binding_code"), organization_id, request, services)
    organization = services.directory.organization(organization_id)
    if reason is not None or organization is None:
        raise _refused(reason or BindRefusal.CODE_UNKNOWN, organization_id, request, services)
    tell(request, services, "organization_get", organization_id=organization_id)
    return success({"organization_name": organization.name})


def _refusal(text: str, organization_id: str, request: Request, services: Services) -> BindRefusal | None:
    """Why this code does not open this organization to this dock; the same order as in ``bindings.bind``."""
    code = services.directory.code(text)
    if code is None:
        return BindRefusal.CODE_UNKNOWN
    if code.organization_id != organization_id or request.identity.organization_id not in {None, organization_id}:
        return BindRefusal.WRONG_ORGANIZATION
    dock = services.directory.device(request.gateway_sn)
    if dock is not None and dock.organization_id == organization_id:
        # Bound already: who repeats the wizard, for a new aircraft perhaps, uses up nothing and learns nothing new.
        return None
    if code.revoked_at is not None:
        return BindRefusal.CODE_REVOKED
    if code.expires_at is not None and code.expires_at <= services.clock():
        return BindRefusal.CODE_EXPIRED
    if code.sn is not None and code.sn != request.gateway_sn:
        return BindRefusal.CODE_FOR_OTHER_DOCK
    if code.uses_left == 0:
        return BindRefusal.CODE_USED_UP
    return None


def _refused(reason: BindRefusal, organization_id: str, request: Request, services: Services) -> MethodError:
    services.audit.record(
        actor=request.identity.account,
        action="organization_get",
        target=request.gateway_sn,
        outcome="refused",
        detail={"reason": reason.value, "organization_id": organization_id[:64]},
    )
    services.events.emit(request.gateway_sn, "refused", method=request.method, reason=reason.value)
    return MethodError(Result.ORGANIZATION_UNAVAILABLE, f"organization not shown: {reason.value}")
