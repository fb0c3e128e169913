"""The one table of result codes: a name comes in, the number that goes into ``result`` or ``err_code`` goes out.

The defaults are the only official list of 2102xx codes plus 200001 (docs/protocol.md 1.5). Third parties read some of
them differently, so an operator may give any name but ``ok`` another number. No other module may write such a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Result(StrEnum):
    """The names an operator may give a number to; the value is what the configuration says."""

    OK = "ok"
    ILLEGAL_ARGUMENT = "illegal_argument"
    UNKNOWN_METHOD = "unknown_method"
    NO_PLATFORM = "no_platform"
    NOT_ANSWERED = "not_answered"
    LICENSE_MISSING = "license_missing"
    CONFIG_FAILED = "config_failed"
    ORGANIZATION_UNAVAILABLE = "organization_unavailable"
    BINDING_FAILED = "binding_failed"
    BOUND_ELSEWHERE = "bound_elsewhere"
    BIND_STATUS_UNAVAILABLE = "bind_status_unavailable"
    FAILED = "failed"


NUMBERS: Mapping[str, int] = MappingProxyType(
    {
        Result.OK: 0,
        Result.ILLEGAL_ARGUMENT: 200001,
        Result.UNKNOWN_METHOD: 200001,
        Result.NO_PLATFORM: 200001,
        Result.NOT_ANSWERED: 200001,
        Result.LICENSE_MISSING: 200001,
        Result.CONFIG_FAILED: 200001,
        Result.ORGANIZATION_UNAVAILABLE: 210230,
        Result.BINDING_FAILED: 210231,
        Result.BOUND_ELSEWHERE: 210232,
        Result.BIND_STATUS_UNAVAILABLE: 210233,
        Result.FAILED: 200001,
    }
)

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        Result.OK: "done",
        Result.ILLEGAL_ARGUMENT: "the request lacks something or has a value that is not allowed",
        Result.UNKNOWN_METHOD: "no such method here, and no service listens that could know it",
        Result.NO_PLATFORM: "a method that a platform answers, and none listens",
        Result.NOT_ANSWERED: "passed on to a service, which did not answer in time",
        Result.LICENSE_MISSING: "config: no license is set for the dock's organization, and no default",
        Result.CONFIG_FAILED: "config: failed here",
        Result.ORGANIZATION_UNAVAILABLE: "organization id and binding code are unknown, expired, used up, or do not match",
        Result.BINDING_FAILED: "the device cannot be bound, or binding failed here",
        Result.BOUND_ELSEWHERE: "the device is bound to another organization",
        Result.BIND_STATUS_UNAVAILABLE: "the bind status could not be looked up",
        Result.FAILED: "failed here",
    }
)

# What a method is answered with when its handler raises or takes too long (docs/protocol.md 1.5).
_FAILURES: Mapping[str, Result] = MappingProxyType(
    {
        "config": Result.CONFIG_FAILED,
        "airport_bind_status": Result.BIND_STATUS_UNAVAILABLE,
        "airport_organization_get": Result.ORGANIZATION_UNAVAILABLE,
        "airport_organization_bind": Result.BINDING_FAILED,
    }
)

# A device reads the field as an int, and no published code has more than six digits; nine fit every 32-bit reader.
MAX_NUMBER = 999_999_999


def number(name: str, overrides: Mapping[str, int]) -> int:
    """The number of ``name``. A name that is not in the table is a slip in this program: KeyError."""
    default = NUMBERS[name]
    return default if name == Result.OK else overrides.get(name, default)


def failure_of(method: str) -> Result:
    """The name that ``method`` is answered with when handling it failed for a reason of ours."""
    return _FAILURES.get(method, Result.FAILED)


def problems_of(overrides: Mapping[str, object]) -> list[str]:
    """What is wrong with an operator's overrides, one sentence each; empty when they can be used.

    Zero is refused because it would tell a dock that a refusal was a success.
    """
    problems = []
    for name, value in overrides.items():
        if name not in NUMBERS or name == Result.OK:
            names = ", ".join(sorted(known for known in NUMBERS if known != Result.OK))
            problems.append(f"{name!r} is not the name of a result code that can be changed; there are: {names}")
        elif isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_NUMBER:
            problems.append(f"{name}: a result code is a whole number from 1 to {MAX_NUMBER}")
    return problems
