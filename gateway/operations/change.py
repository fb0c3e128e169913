"""One change of an operator: a function on the database comes in; it and its audit entries are one transaction.

Who changes, and from where, is said by the face that calls; it must hold no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from sqlite3 import Connection as Db
from typing import Any, TypeVar

from gateway.store import audit

__all__ = ["Change", "Db", "Who", "perform"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Who:
    """``actor`` is what the audit trail names (``cli:root``, ``token:ci``); ``origin`` is told beside it with each entry."""

    actor: str
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Change:
    """One transaction of an operator: what it does to ``db`` it tells to ``audit``."""

    db: Db
    now: int
    who: Who
    entries: list[audit.Entry] = field(default_factory=list)

    def audit(self, action: str, target: str, **detail: Any) -> None:  # noqa: ANN401 - any JSON
        """``detail`` must hold no secret; what is None is left out. ``dock`` names the dock that this concerns."""
        told = {key: value for key, value in detail.items() if value is not None} | dict(self.who.origin)
        self.entries.append(
            audit.Entry(at=self.now, actor=self.who.actor, action=action, target=target, outcome="ok", detail=told)
        )


def perform(db: Db, work: Callable[[Change], T], now: int, who: Who) -> T:
    """``work`` and its audit entries; runs inside the store's transaction."""
    change = Change(db, now, who)
    result = work(change)
    if not change.entries:
        raise RuntimeError("a change without an audit entry")
    audit.append(db, change.entries)
    return result
