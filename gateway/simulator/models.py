"""Who is simulated: dock models and their aircraft, one dock's profile, and the record of a run. No I/O, no server
code.

Model keys are ``domain-type-sub_type`` (docs/protocol.md 1.6); domain 3 is a dock, 0 an aircraft.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from gateway.errors import UsageError

DOCK_SN_LENGTH = 14
AIRCRAFT_SN_LENGTH = 20


@dataclass(frozen=True, slots=True)
class AircraftModel:
    """``camera`` is the payload index of the main camera: the key of its block in the OSD."""

    name: str
    key: str
    sn_prefix: str
    camera: str

    def sn(self, number: int) -> str:
        return _sn(self.sn_prefix, number, AIRCRAFT_SN_LENGTH)


@dataclass(frozen=True, slots=True)
class DockModel:
    id: str
    name: str
    key: str
    sn_prefix: str
    thing_version: str
    aircraft: AircraftModel

    def sn(self, number: int) -> str:
        return _sn(self.sn_prefix, number, DOCK_SN_LENGTH)


def _sn(prefix: str, number: int, length: int) -> str:
    width = length - len(prefix)
    if not 0 < number < 10**width:
        raise UsageError(f"a simulated device's number must be 1 to {10**width - 1}, not {number}")
    return f"{prefix}{number:0{width}d}"


# SN shapes: docks 14 characters, aircraft 20 (docs/protocol.md 1.6). "SM"/"SIM" in them tells an operator that nobody
# sold this dock. The unknown model stands for every device that is younger than this program (cases 3 and C4): it must
# get in all the same.
_M30T = AircraftModel("M30T", "0-67-1", "1581F5FHSIM", "53-0-0")
_M3TD = AircraftModel("M3TD", "0-91-1", "1581F6Q8SIM", "81-0-0")
_M4TD = AircraftModel("M4TD", "0-100-1", "1581F8HGSIM", "99-0-0")
_UNLISTED = AircraftModel("an unlisted aircraft", "0-88099-1", "1581F9ZZSIM", "65535-0-0")

MODELS: Mapping[str, DockModel] = MappingProxyType(
    {
        model.id: model
        for model in (
            DockModel("dock1", "Dock", "3-1-0", "4TADK0SM", "1.1.2", _M30T),
            DockModel("dock2", "Dock 2", "3-2-0", "7CTDM7SM", "1.2.0", _M3TD),
            DockModel("dock3", "Dock 3", "3-3-0", "8UUXN7SM", "1.3.0", _M4TD),
            DockModel("unknown", "an unlisted dock", "3-88099-0", "9ZZZQ9SM", "9.9.9-rc1", _UNLISTED),
        )
    }
)


def dock_model(name: str) -> DockModel:
    """Raises UsageError, with the names there are."""
    try:
        return MODELS[name]
    except KeyError:
        raise UsageError(f"no dock model {name!r}: choose one of {', '.join(MODELS)}") from None


@dataclass(frozen=True, slots=True)
class DockProfile:
    """One dock as its operator set it up in Pilot 2. ``aircraft_sn`` None = a dock without an aircraft.

    ``app_id``: the app whose license it accepts; None = any.
    """

    model: DockModel
    sn: str
    aircraft_sn: str | None
    account: str
    password: str = field(repr=False)
    organization_id: str
    binding_code: str = field(repr=False)
    callsign: str
    app_id: str | None = None

    @property
    def device_sns(self) -> tuple[str, ...]:
        """Aircraft first: the order in which a dock asks for the bind status (docs/protocol.md 1.2)."""
        return (self.sn,) if self.aircraft_sn is None else (self.aircraft_sn, self.sn)


def make_profile(
    model: DockModel,
    *,
    account: str,
    password: str,
    organization_id: str,
    binding_code: str,
    number: int = 1,
    sn: str | None = None,
    aircraft_sn: str | None = None,
    callsign: str | None = None,
) -> DockProfile:
    """A profile with serial numbers of the model's shape for whatever is not given."""
    return DockProfile(
        model=model,
        sn=sn or model.sn(number),
        aircraft_sn=aircraft_sn or model.aircraft.sn(number),
        account=account,
        password=password,
        organization_id=organization_id,
        binding_code=binding_code,
        callsign=callsign if callsign is not None else f"{model.name} {number}",
    )


def number_profiles(template: DockProfile, count: int, *, first: int = 1) -> tuple[DockProfile, ...]:
    """``count`` docks like ``template``, each with its own serial numbers; ``{n}`` in account and callsign becomes the
    number.
    """
    return tuple(
        replace(
            template,
            sn=template.model.sn(number),
            aircraft_sn=None if template.aircraft_sn is None else template.model.aircraft.sn(number),
            account=template.account.replace("{n}", str(number)),
            callsign=template.callsign.replace("{n}", str(number)),
        )
        for number in range(first, first + count)
    )


# The steps of a run in their order; a run shows those it came to.
STEPS = (
    "connect", "subscribe", "config", "bind_status", "organization_get", "organization_bind", "bind_status_after",
    "update_topo", "telemetry", "acknowledge", "disconnect",
)  # fmt: skip
# What counts as access time: everything a technician on the site waits for.
ACCESS_STEPS = frozenset(STEPS[:8])


@dataclass(frozen=True, slots=True)
class Step:
    """``detail``: what came of it, or the likely cause of the failure, in an operator's words; ``hint``: what mends that."""

    step: str
    ok: bool
    ms: float
    detail: str
    hint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        found = {"step": self.step, "ok": self.ok, "ms": round(self.ms, 1), "detail": self.detail}
        return found if self.ok else {**found, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class Run:
    """One dock's way through the access. With a misbehaviour, ``ok`` means that the server dealt with it rightly."""

    sn: str
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def failure(self) -> Step | None:
        return next((step for step in self.steps if not step.ok), None)

    @property
    def access_ms(self) -> float:
        return sum(step.ms for step in self.steps if step.step in ACCESS_STEPS)

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.step == name), None)

    def as_dict(self) -> dict[str, Any]:
        return {"steps": [step.as_dict() for step in self.steps]}
