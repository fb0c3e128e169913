"""What docks and operators were told comes in; whether a database agrees with it goes out. Knows nothing of the gateway's code.

A device is in one organization or in none, an aircraft in that of its dock. Who was told that something is done finds it done;
who was told nothing may find it done or not, but whole. Each change has its entry in the audit, and each use of a code the dock
that asked with it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from proof.network.ground import promise

_MANY = 1_000_000  # uses of a code that is to last


@dataclass(eq=False)
class Deed:
    """Something that was asked for: the dock ends up in ``organization``, with a use of ``code`` if it was in none before.

    ``fresh``: it certainly was in none; ``again``: it certainly was there already.
    """

    sn: str
    organization: str | None
    code: str | None
    fresh: bool
    again: bool
    overlapped: bool


@dataclass
class Ledger:
    """Of each dock: the organizations that it may be in, for all that anybody was told."""

    possible: dict[str, set[str | None]] = field(default_factory=dict)
    running: dict[str, list[Deed]] = field(default_factory=dict)
    fresh: Counter[str] = field(default_factory=Counter)  # acknowledged, and certainly a change
    freed: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)  # for the figures
    owner: dict[str, str | None] = field(default_factory=dict)  # of every device, by the audit
    audited_fresh: Counter[str] = field(default_factory=Counter)
    audited_freed: Counter[str] = field(default_factory=Counter)
    entry: int = 0
    used: int = 0  # uses of codes that the audit explains
    used_of: Counter[str] = field(default_factory=Counter)  # of each code, for certain
    perhaps_of: Counter[str] = field(default_factory=Counter)  # and how many more there may be

    def begin(self, sn: str, organization: str | None, code: str | None = None) -> Deed:
        """``code``: what it is to be bound with; None only where it is to be unbound."""
        promise((organization is None) == (code is None), "a binding has a code, an unbinding has none")
        others = self.running.setdefault(sn, [])
        for other in others:
            other.overlapped = True
        possible = self.possible.setdefault(sn, {None})
        fresh, again = organization is not None and possible == {None}, possible == {organization}
        deed = Deed(sn, organization, code, fresh=fresh, again=again, overlapped=bool(others))
        others.append(deed)
        return deed

    def done(self, deed: Deed) -> None:
        """Who asked was told that it is so."""
        self.running[deed.sn].remove(deed)
        self.told["unbound" if deed.organization is None else "bound"] += 1
        if deed.organization is None:
            self.freed[deed.sn] += 1
        if deed.code is not None and (deed.overlapped or not deed.again):
            (self.used_of if deed.fresh and not deed.overlapped else self.perhaps_of)[deed.code] += 1
        if deed.overlapped:
            self.possible[deed.sn].add(deed.organization)
            return
        self.possible[deed.sn] = {deed.organization}
        self.fresh[deed.sn] += deed.fresh

    def refused(self, deed: Deed) -> None:
        self.running[deed.sn].remove(deed)
        self.told["refused"] += 1

    def unknown(self, deed: Deed) -> None:
        """Nobody was told anything."""
        self.running[deed.sn].remove(deed)
        self.told["unknown"] += 1
        self.possible[deed.sn].add(deed.organization)
        if deed.code is not None:
            self.perhaps_of[deed.code] += 1

    def forget(self, codes: Iterable[str]) -> None:
        """These were used up, and are no longer kept."""
        for code in codes:
            self.used -= self.used_of.pop(code, 0)

    def check(self, db: sqlite3.Connection) -> None:
        """Nothing may be running. Raises BrokenPromise. Afterwards the ledger is as certain as the database."""
        sound = [row[0] for row in db.execute("PRAGMA integrity_check(5)")]
        promise(sound == ["ok"], f"the database is damaged: {sound}")
        self._read_audit(db)
        devices = {
            sn: (organization, gateway, is_dock, code)
            for sn, organization, gateway, is_dock, code in db.execute(
                "SELECT sn, organization_id, gateway_sn, is_gateway, bound_code FROM device"
            )
        }
        for sn, (organization, _, _, _) in devices.items():
            said = self.owner.get(sn)
            promise(said == organization, f"{sn} is in {organization}, and by the audit in {said}")
        for sn, organization in self.owner.items():
            promise(organization is None or sn in devices, f"{sn} was bound by the audit, and is not there")
        self._check_docks(devices)
        self._check_codes(db, devices)

    def _read_audit(self, db: sqlite3.Connection) -> None:
        rows = db.execute(
            "SELECT id, action, target, detail FROM audit WHERE id > ? AND outcome = 'ok'"
            " AND action IN ('bind', 'dock.unbind') ORDER BY id",
            (self.entry,),
        ).fetchall()
        for self.entry, action, sn, text in rows:
            detail = json.loads(text)
            if action == "dock.unbind":
                promise(self.owner.get(sn) is not None, f"{sn} was unbound, and was not bound")
                self.owner[sn] = None
                self.audited_freed[sn] += 1
            elif detail["fresh"]:
                promise(self.owner.get(sn) is None, f"{sn} was bound while it was in {self.owner.get(sn)}")
                self.owner[sn] = detail["organization_id"]
                self.audited_fresh[sn] += 1
                self.used += detail["dock"] == sn
        for sn, count in self.fresh.items():
            promise(
                self.audited_fresh[sn] >= count, f"{sn}: {count} bindings acknowledged, {self.audited_fresh[sn]} made"
            )
        for sn, count in self.freed.items():
            promise(self.audited_freed[sn] >= count, f"{sn}: {count} unbindings told, {self.audited_freed[sn]} done")

    def _check_docks(self, devices: dict[str, tuple[str | None, str | None, int, str | None]]) -> None:
        for sn, possible in self.possible.items():
            promise(not self.running.get(sn), f"{sn}: something is still running")
            organization = devices[sn][0] if sn in devices else None
            promise(organization in possible, f"{sn} is in {organization}, and was told {possible}")
            self.possible[sn] = {organization}
            aircraft = aircraft_of(sn)
            theirs = devices.get(aircraft, (None, None, 0, None))
            promise(theirs[0] == organization, f"half a binding: {sn} is in {organization}, {aircraft} in {theirs[0]}")
            promise(theirs[0] is None or theirs[1] == sn, f"{aircraft} hangs on {theirs[1]}, not on {sn}")

    def _check_codes(
        self, db: sqlite3.Connection, devices: dict[str, tuple[str | None, str | None, int, str | None]]
    ) -> None:
        """Codes are of one use, or of a million as the ground makes one."""
        once = {code for (code,) in db.execute("SELECT code FROM bind_code WHERE uses_left <= 1")}
        by = Counter(code for _, _, is_dock, code in devices.values() if is_dock and code in once)
        twice = [code for code, count in by.items() if count > 1]
        promise(not twice, f"codes of one use that bound more than one dock: {twice}")
        uses = {
            code: (1 if left <= 1 else _MANY) - left
            for code, left in db.execute("SELECT code, uses_left FROM bind_code WHERE uses_left IS NOT NULL")
        }
        promise(
            sum(uses.values()) == self.used, f"{sum(uses.values())} uses are gone, and {self.used} docks were bound"
        )
        for code in uses.keys() | self.used_of.keys():
            used, least = uses.get(code, 0), self.used_of[code]
            most = least + self.perhaps_of[code]
            promise(least <= used <= most, f"{used} uses of a code are gone, and by what was told {least} to {most}")
        self.used_of = Counter({code: used for code, used in uses.items() if used})
        self.perhaps_of.clear()


def aircraft_of(sn: str) -> str:
    return f"1581F{sn[5:]}"
