"""What docks send and what they must get back: named cases as data, for the dispatcher alone and for the whole gateway.

A case runs in the world of ``dock_world``. The ids name the cases from the field: "1" to "20" of docs/cases.md, "C1" to
"C56" of docs/protocol.md 3.1.
"""

from __future__ import annotations

from .dock_case import Case, Step
from .dock_cases_access import ACCESS
from .dock_cases_binding import BINDING
from .dock_cases_other import OTHER

CASES = (*ACCESS, *BINDING, *OTHER)

__all__ = ["CASES", "Case", "Step"]
