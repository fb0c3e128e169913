"""``airport_organization_bind``: devices with code and organization come in, one error code for each goes out.

All of it is one transaction, on disk before the reply leaves. ``result`` 0 only says that the list was worked on;
whether a device is bound says its ``err_code`` (docs/protocol.md 1.4).
"""

from __future__ import annotations

import logging
from typing import Any

from gateway import logs, results
from gateway.methods.shapes import entries_of, raw_text_of, success, text_of
from gateway.model import AccessStep, Reply, Request
from gateway.results import Result
from gateway.services import Services
from gateway.store import bindings
from gateway.store.bindings import BindRefusal, BindWish

_log = logging.getLogger(__name__)

# docs/protocol.md 1.5; which of the reasons it was with a code is nobody's business on the wire (cases 20).
_RESULTS: dict[BindRefusal, Result] = {
    BindRefusal.CODE_UNKNOWN: Result.ORGANIZATION_UNAVAILABLE,
    BindRefusal.CODE_EXPIRED: Result.ORGANIZATION_UNAVAILABLE,
    BindRefusal.CODE_USED_UP: Result.ORGANIZATION_UNAVAILABLE,
    BindRefusal.CODE_REVOKED: Result.ORGANIZATION_UNAVAILABLE,
    BindRefusal.CODE_FOR_OTHER_DOCK: Result.ORGANIZATION_UNAVAILABLE,
    BindRefusal.WRONG_ORGANIZATION: Result.ORGANIZATION_UNAVAILABLE,
    BindRefusal.BOUND_ELSEWHERE: Result.BOUND_ELSEWHERE,
    BindRefusal.BAD_MODEL_KEY: Result.BINDING_FAILED,
    BindRefusal.BAD_SN: Result.BINDING_FAILED,
    BindRefusal.NOT_YOURS: Result.BINDING_FAILED,
}


async def handle(request: Request, services: Services) -> Reply:
    wishes = [_wish(entry) for entry in entries_of(request.data, "bind_devices")]
    if not wishes:
        return success({"err_infos": []})
    outcome = await services.store.write(
        bindings.bind,
        gateway_sn=request.gateway_sn,
        account=request.identity.account,
        wishes=wishes,
        now=services.clock(),
        durable=True,
    )
    services.directory.apply_devices(outcome.devices)
    services.directory.apply_codes(outcome.codes)
    for wish, result in zip(wishes, outcome.results, strict=True):
        _tell(wish, result.refusal, request, services, fresh=result.fresh)
    reasons = [result.refusal.value for result in outcome.results if result.refusal is not None]
    if reasons:
        fields = {logs.SN: request.gateway_sn, logs.COUNT: len(reasons), logs.REASON: sorted(set(reasons))}
        _log.warning("devices not bound", extra=fields)
    err_infos = [_err_info(result.sn, result.refusal, services) for result in outcome.results]
    # The reply says 0 all the same; who counts and looks has to see that a device was refused
    refused = next((each["err_code"] for each in err_infos if each["err_code"]), 0)
    return success({"err_infos": err_infos})._replace(result=refused)


def _wish(entry: object) -> BindWish:
    return BindWish(
        sn=raw_text_of(entry, "sn"),
        organization_id=text_of(entry, "organization_id"),
        code=text_of(entry, "device_binding_code"),
        callsign=text_of(entry, "device_callsign"),
        model_key=text_of(entry, "device_model_key"),
    )


def _err_info(sn: str, refusal: BindRefusal | None, services: Services) -> dict[str, Any]:
    name = Result.OK if refusal is None else _RESULTS[refusal]
    return {"sn": sn, "err_code": results.number(name, services.settings.result_codes)}


def _tell(wish: BindWish, refusal: BindRefusal | None, request: Request, services: Services, *, fresh: bool) -> None:
    if refusal is not None:
        services.events.emit(request.gateway_sn, "bind_refused", device_sn=wish.sn, reason=refusal.value)
        return
    if wish.sn == request.gateway_sn:
        services.presence.step(request.gateway_sn, AccessStep.BOUND)
    if fresh:
        services.events.emit(request.gateway_sn, "bound", device_sn=wish.sn, organization_id=wish.organization_id)
