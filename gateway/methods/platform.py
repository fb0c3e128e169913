"""What the gateway has no answer to: the name of a method comes in, the refusal goes out.

Whether a service gets the chance to answer first is decided by dispatch. A dock must never be left without any answer
(docs/protocol.md 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway import results
from gateway.model import Reply
from gateway.results import Result

# Documented requests that need a platform: media storage, wayline files, multi-dock tasks (docs/protocol.md 4.2).
PLATFORM_METHODS = frozenset({"storage_config_get", "flighttask_resource_get", "flighttask_progress_get"})


def refusal(name: str, overrides: Mapping[str, int]) -> Reply:
    """``data`` with the number of ``name`` and an ``output`` that is an object, as a device's parser expects."""
    number = results.number(name, overrides)
    data: dict[str, Any] = {"result": number, "output": {}}
    return Reply(data, number)


def no_platform(method: str | None, overrides: Mapping[str, int]) -> Reply:
    """Nobody here who could answer ``method``."""
    return refusal(Result.NO_PLATFORM if method in PLATFORM_METHODS else Result.UNKNOWN_METHOD, overrides)
