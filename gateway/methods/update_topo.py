"""``update_topo``: a dock says what it is and which aircraft it has; "understood" goes out (docs/protocol.md 4.1).

Also for docks that were never bound (cases 1). Types and versions are data, never a reason to refuse: lists of them are
out of date with the next firmware (docs/protocol.md 3.1, C2, C4). An aircraft that the dock may not have does not fail
the reply.
"""

from __future__ import annotations

from typing import Any

from gateway.errors import MethodError
from gateway.methods.shapes import MAX_DEVICES, object_of, raw_text_of, tell
from gateway.model import Reply, Request
from gateway.results import Result
from gateway.services import Services
from gateway.topology import Aircraft, learn

_MAX_DIGITS = 10  # as many as a model key of a bind request may have in each part


async def handle(request: Request, services: Services) -> Reply:
    data = object_of(request.data)
    entries = data.get("sub_devices")
    if entries is None:
        entries = []
    if not isinstance(entries, list) or len(entries) > MAX_DEVICES:
        raise MethodError(Result.ILLEGAL_ARGUMENT, f"sub_devices is not a list of at most {MAX_DEVICES}")
    named = [Aircraft(sn, _model_key(entry)) for entry in entries if (sn := raw_text_of(entry, "sn"))]
    learnt = await learn(services, request.identity, request.gateway_sn, named, model_key=_model_key(data))
    # An empty list says that the aircraft left, not the dock (C38)
    services.presence.topology(request.gateway_sn, learnt.attached)
    tell(request, services, "update_topo", aircraft=len(learnt.attached))
    return Reply({"result": 0}, 0)


def _model_key(entry: dict[str, Any]) -> str:
    """``domain-type-sub_type``, or "" when a part is missing: numbers come as numbers or as texts (C39)."""
    parts = [_digits(entry.get(key)) for key in ("domain", "type", "sub_type")]
    return "-".join(parts) if all(parts) else ""


def _digits(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return text
    return ""
