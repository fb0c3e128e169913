"""Binding: what a dock asks for comes in, and in one transaction devices, code uses and audit entries change together.

Never more than one organization for a device, never a device half bound, never another answer to a repeated request.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.errors import NotFoundError
from gateway.model import AccessStep, BindingCode, Device
from gateway.store import audit, codes, devices
from gateway.store.topology import may_claim
from gateway.topics import is_valid_sn

# domain-type-sub_type, never compared with a list: the docks of next year have keys that nobody lists yet (case 3)
_MODEL_KEY = re.compile(r"[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}")
_DOCK_DOMAIN = "3-"
_REPEATED_MS = 60_000
MAX_CALLSIGN = 128  # characters; a name for people, cut rather than refused


class BindRefusal(StrEnum):
    """Why a device is not bound; the value is what audit, events and metrics carry as reason."""

    BAD_SN = "bad_sn"
    BAD_MODEL_KEY = "bad_model_key"
    CODE_UNKNOWN = "code_unknown"
    WRONG_ORGANIZATION = "wrong_organization"
    CODE_REVOKED = "code_revoked"
    CODE_EXPIRED = "code_expired"
    CODE_FOR_OTHER_DOCK = "code_for_other_dock"
    BOUND_ELSEWHERE = "bound_elsewhere"
    NOT_YOURS = "not_yours"
    CODE_USED_UP = "code_used_up"


@dataclass(frozen=True, slots=True)
class BindWish:
    """One entry of ``bind_devices``."""

    sn: str
    organization_id: str
    code: str
    callsign: str
    model_key: str


@dataclass(frozen=True, slots=True)
class BindResult:
    """``fresh``: bound by this request. Neither refused nor fresh: it was bound to this organization before."""

    sn: str
    refusal: BindRefusal | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class BindOutcome:
    """``results`` one for each wish, in their order; ``devices`` and ``codes`` as they are now, where they changed."""

    results: tuple[BindResult, ...]
    devices: tuple[Device, ...]
    codes: tuple[BindingCode, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """Who bound a device, when, and with which code."""

    sn: str
    organization_id: str
    bound_at: int
    account: str
    code: str


def get(db: sqlite3.Connection, sn: str) -> Binding:
    row = db.execute(
        "SELECT sn, organization_id, bound_at, bound_by, bound_code FROM device"
        " WHERE sn = ? AND organization_id IS NOT NULL",
        (sn,),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"{sn} is not bound", hint="dockgate dock list")
    return Binding(*row)


def bind(db: sqlite3.Connection, *, gateway_sn: str, account: str, wishes: Sequence[BindWish], now: int) -> BindOutcome:
    """Bind what may be bound and refuse the rest, each device alone; ``account`` asks, logged in as ``gateway_sn``.

    The dock is decided first, whatever its place in the request: an aircraft's answer depends on where its dock is.
    A SN that is named twice is decided once, by its first entry.
    """
    request = _Request(db, gateway_sn, account, wishes, now)
    decided: dict[str, BindResult] = {}
    for wish in sorted(wishes, key=lambda wish: wish.sn != gateway_sn):  # stable
        if wish.sn not in decided:
            refusal, fresh = request.decide(wish)
            decided[wish.sn] = BindResult(wish.sn, refusal, fresh)
    return request.store(decided, [decided[wish.sn] for wish in wishes])


class _Request:
    """The facts of one request, read once under the write lock, and what is to be written for it."""

    def __init__(
        self, db: sqlite3.Connection, gateway_sn: str, account: str, wishes: Sequence[BindWish], now: int
    ) -> None:
        self._db = db
        self._gateway_sn = gateway_sn
        self._account = account
        self._now = now
        known = devices.facts(db, [gateway_sn, *{w.sn for w in wishes if w.sn != gateway_sn and is_valid_sn(w.sn)}])
        self._known = known
        self._codes: dict[str, BindingCode | None] = {}
        self._opened: dict[str, BindingCode] = {}  # codes that bound something fresh in this request
        self._code_of: dict[str, str] = {}
        self._organization_of: dict[str, str] = {}
        self._bound: dict[str, Device] = {}  # fresh
        self._kept: dict[str, Device] = {}  # bound before, and changed now
        self._dock = known[gateway_sn].device or devices.new(gateway_sn, now=now)
        if not self._dock.is_gateway:
            self._dock = replace(self._dock, is_gateway=True, gateway_sn=None)
        row = db.execute("SELECT organization_id FROM account WHERE name = ?", (account,)).fetchone()
        self._account_organization: str | None = row and row[0]

    def decide(self, wish: BindWish) -> tuple[BindRefusal | None, bool]:
        """The order is: what the entry says by itself; its code; bound here already (nothing is used up, so that a
        repeat is answered as before); whether the code still counts; whom the device belongs to; is a use left.
        """
        is_dock = wish.sn == self._gateway_sn
        if not is_valid_sn(wish.sn):
            return BindRefusal.BAD_SN, False
        if not _MODEL_KEY.fullmatch(wish.model_key):
            return BindRefusal.BAD_MODEL_KEY, False
        if not is_dock and wish.model_key.startswith(_DOCK_DOMAIN):
            return BindRefusal.NOT_YOURS, False

        code = self._code(wish.code)
        if code is None:
            return BindRefusal.CODE_UNKNOWN, False
        organization_id = code.organization_id
        if organization_id != wish.organization_id:  # case 12
            return BindRefusal.WRONG_ORGANIZATION, False

        facts = self._known[wish.sn]
        device = self._dock if is_dock else facts.device or devices.new(wish.sn, now=self._now)
        claimable = is_dock or may_claim(
            facts.child,
            gateway_sn=self._gateway_sn,
            gateway_organization_id=self._dock.organization_id or self._account_organization,
        )
        beside_its_dock = self._dock.organization_id in {None, organization_id}
        if device.organization_id == organization_id and claimable and beside_its_dock:
            kept = self._as_wished(device, wish)
            if kept != facts.device:
                self._kept[wish.sn] = kept
            self._organization_of[wish.sn] = organization_id
            return None, False

        if code.revoked_at is not None:
            return BindRefusal.CODE_REVOKED, False
        if code.expires_at is not None and code.expires_at <= self._now:
            return BindRefusal.CODE_EXPIRED, False
        if code.sn is not None and code.sn != self._gateway_sn:
            return BindRefusal.CODE_FOR_OTHER_DOCK, False
        if device.organization_id not in {None, organization_id}:  # cases 13, 14
            return BindRefusal.BOUND_ELSEWHERE, False
        if not beside_its_dock:  # what an aircraft sends comes through its dock, and is to stay in the organization
            return BindRefusal.BOUND_ELSEWHERE, False
        if self._account_organization not in {None, organization_id}:
            return BindRefusal.WRONG_ORGANIZATION, False
        if not claimable:
            return BindRefusal.NOT_YOURS, False
        if code.uses_left == 0:  # as it was before this request, which takes one use for all that it binds
            return BindRefusal.CODE_USED_UP, False

        self._opened[code.code] = code
        self._code_of[wish.sn] = code.code
        self._organization_of[wish.sn] = organization_id
        self._bound[wish.sn] = replace(
            self._as_wished(device, wish),
            organization_id=organization_id,
            bound_at=self._now,
            access_step=devices.at_least(device.access_step, AccessStep.BOUND),
        )
        if is_dock:
            self._dock = self._bound[wish.sn]
        return None, True

    def store(self, decided: dict[str, BindResult], results: list[BindResult]) -> BindOutcome:
        changed = [*self._bound.values(), *self._kept.values()]
        if changed and self._dock.sn not in {device.sn for device in changed}:
            known = self._known[self._dock.sn].device
            if self._dock != known:  # aircraft alone, from a dock never noted: they need its row to hang on
                changed.insert(0, devices.see_gateway(self._db, self._dock.sn, now=self._now))
        self._db.executemany(
            "INSERT INTO device (sn, gateway_sn, is_gateway, model_key, callsign, organization_id, bound_at, bound_by,"
            " bound_code, first_seen_at, last_seen_at, online, access_step)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (sn) DO UPDATE SET"
            " gateway_sn = ?2, is_gateway = ?3, model_key = ?4, callsign = ?5, organization_id = ?6, bound_at = ?7,"
            " bound_by = ?8, bound_code = ?9, access_step = ?13",
            [
                (
                    device.sn,
                    device.gateway_sn,
                    device.is_gateway,
                    device.model_key,
                    device.callsign,
                    device.organization_id,
                    device.bound_at,
                    self._account,
                    self._code_of[device.sn],
                    device.first_seen_at,
                    device.last_seen_at,
                    device.online,
                    device.access_step.value,
                )
                for device in self._bound.values()
            ],
        )
        self._db.executemany(
            "UPDATE device SET gateway_sn = ?, is_gateway = ?, model_key = ?, callsign = ? WHERE sn = ?",
            [(d.gateway_sn, d.is_gateway, d.model_key, d.callsign, d.sn) for d in self._kept.values()],
        )
        if self._dock.sn in self._bound:
            changed += devices.detach_foreign(self._db, self._dock)
        used = tuple(codes.use(self._db, code) for code in self._opened.values() if code.uses_left is not None)
        # What changes something is always told; a dock that asks the same again and again is told of once a minute.
        told = [(result.fresh, self._entry(result)) for result in decided.values()]
        audit.append(
            self._db,
            [entry for fresh, entry in told if fresh or not audit.is_repetition(self._db, entry, _REPEATED_MS)],
        )
        return BindOutcome(tuple(results), tuple(changed), used)

    def _code(self, text: str) -> BindingCode | None:
        if text not in self._codes:
            self._codes[text] = codes.find(self._db, text)
        return self._codes[text]

    def _as_wished(self, device: Device, wish: BindWish) -> Device:
        after = replace(
            device,
            gateway_sn=None if device.is_gateway else self._gateway_sn,
            model_key=wish.model_key,
            callsign=wish.callsign[:MAX_CALLSIGN] or device.callsign,
        )
        if device.is_gateway:
            self._dock = after
        return after

    def _entry(self, result: BindResult) -> audit.Entry:
        detail: dict[str, object] = {"dock": self._gateway_sn}
        if result.refusal is None:
            outcome = "ok"
            detail |= {"organization_id": self._organization_of[result.sn], "fresh": result.fresh}
        else:
            outcome = "refused"
            detail["reason"] = result.refusal.value
        return audit.Entry(self._now, self._account, "bind", result.sn[:64], outcome, detail)
