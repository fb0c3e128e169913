"""What was asked for and told goes as marks into a trace of the disk, between the writes; a ledger for any moment comes out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from proof.faults.trace import mark

from .ledger import Deed, Ledger

_ASKS, _DONE, _REFUSED, _UNKNOWN = "asks", "done", "refused", "unknown"


class Marks:
    """``told`` counts what was acknowledged, by what it was, and what was refused."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace
        self._count = 0
        self._unbindings: set[int] = set()
        self.told: Counter[str] = Counter({"bound": 0, "unbound": 0, "refused": 0})

    def asks(self, sn: str, organization: str | None, code: str | None) -> int:
        """Before the question is out. The number is for its answer."""
        self._count += 1
        if organization is None:
            self._unbindings.add(self._count)
        mark(self._trace, json.dumps([_ASKS, self._count, sn, organization, code]))
        return self._count

    def done(self, number: int) -> None:
        mark(self._trace, json.dumps([_DONE, number]))
        self.told["unbound" if number in self._unbindings else "bound"] += 1

    def refused(self, number: int) -> None:
        """For certain; nothing of it may be there."""
        mark(self._trace, json.dumps([_REFUSED, number]))
        self.told["refused"] += 1

    def unknown(self, number: int) -> None:
        """The answer said only that it failed."""
        mark(self._trace, json.dumps([_UNKNOWN, number]))
        self.told["refused"] += 1


def replayed(marks: Sequence[str]) -> Ledger:
    """As if everything had ended here: what was asked for and not answered may be there or not."""
    ledger = Ledger()
    deeds: dict[int, Deed] = {}
    for what, number, *rest in map(json.loads, marks):
        if what == _ASKS:
            sn, organization, code = rest
            deeds[number] = ledger.begin(sn, organization, code)
            continue
        deed = deeds.pop(number)
        {_DONE: ledger.done, _REFUSED: ledger.refused, _UNKNOWN: ledger.unknown}[what](deed)
    for deed in deeds.values():
        ledger.unknown(deed)
    return ledger
