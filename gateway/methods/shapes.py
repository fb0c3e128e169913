"""Reads what several requests share: any JSON comes in, texts and lists go out, or the refusal of the whole request.

What a dock sends is data, not a promise: nothing here may raise anything but ``MethodError``.
"""

from __future__ import annotations

from typing import Any

from gateway.errors import MethodError
from gateway.model import Reply, Request
from gateway.results import Result
from gateway.services import Services

# The documents say two, a dock and its aircraft (docs/protocol.md 1.2); no dock could have as many as this.
MAX_DEVICES = 1_000


def object_of(data: object) -> dict[str, Any]:
    """``data`` as an object, or the refusal."""
    if not isinstance(data, dict):
        raise MethodError(Result.ILLEGAL_ARGUMENT, "data is not an object")
    return data


def entries_of(data: object, key: str) -> list[Any]:
    """The list of devices under ``key``, its entries unchecked, or the refusal."""
    entries = object_of(data).get(key)
    if not isinstance(entries, list):
        raise MethodError(Result.ILLEGAL_ARGUMENT, f"{key} is not a list")
    if len(entries) > MAX_DEVICES:
        raise MethodError(Result.ILLEGAL_ARGUMENT, f"{key} has {len(entries)} entries, more than {MAX_DEVICES}")
    return entries


def text_of(entry: object, key: str) -> str:
    """The text under ``key`` without surrounding blanks; "" when ``entry`` is no object or has no text there."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value.strip() if isinstance(value, str) else ""


def raw_text_of(entry: object, key: str) -> str:
    """The text under ``key`` exactly as sent, to be given back; "" as above."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""


def success(output: dict[str, Any]) -> Reply:
    return Reply({"result": 0, "output": output}, 0)


def tell(request: Request, services: Services, action: str, **detail: object) -> None:
    """A step that went well, for the story of this dock's access (``dockgate dock show``)."""
    services.audit.record(
        actor=request.identity.account, action=action, target=request.gateway_sn, outcome="ok", detail=detail
    )
