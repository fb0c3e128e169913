"""One finding about an installation: what is wrong, how bad it is, and the step that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

EXPIRING_DAYS = 30
"""Time enough for somebody to get a certificate and drive to a site."""


class Severity(StrEnum):
    """``error``: docks are kept out now, or somebody gets in who must not. ``warning``: some will be, or something is
    unsafe. ``info``: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """The fields are a promise; ``id`` names the kind of finding, not the single one."""

    id: str
    severity: Severity
    what: str
    fix: str
