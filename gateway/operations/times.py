"""Times as people and programs write them: text comes in, milliseconds since 1970 go out, and back."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from gateway.errors import UsageError

_SPAN = re.compile(r"([1-9][0-9]{0,8})\s*(s|m|h|d|w)")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_FORMS = "a span such as 90m, 12h, 7d, 2w, or a time such as 2026-05-01 or 2026-05-01T12:00:00Z"


def now_ms() -> int:
    """The clock that faces hand over."""
    return time.time_ns() // 1_000_000


def until(text: str, now: int, *, option: str) -> int:
    """``7d`` is in seven days; a time of day without a zone is this machine's. Errors: ``UsageError``."""
    at = _parse(text, now, 1, option)
    if at <= now:
        raise UsageError(f"{option} {text}: that is in the past")
    return at


def since(text: str, now: int, *, option: str) -> int:
    """``2h`` is two hours ago. Errors: ``UsageError``."""
    return _parse(text, now, -1, option)


def _parse(text: str, now: int, direction: int, option: str) -> int:
    if span := _SPAN.fullmatch(text.strip()):
        return now + direction * int(span[1]) * _UNIT_MS[span[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{option} {text!r}: not a time", hint=f"give {_FORMS}") from None


def iso(at: int | None) -> str | None:
    """What JSON carries: UTC with milliseconds, readable by every program."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown_shortly(value: str | None) -> str:
    """As ``shown``, to the minute: for tables."""
    return shown(value)[: len("2026-05-01 12:00")]


def shown(value: str | None) -> str:
    """What people are shown of ``iso``'s text: this machine's time, to the second."""
    if value is None:
        return "-"
    return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
