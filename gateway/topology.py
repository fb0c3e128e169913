"""Which aircraft hang on which dock: what a dock says comes in, what it may have is stored, the rest is audited.

An aircraft has no connection of its own; its topics are open to the dock it hangs on (docs/protocol.md 2). So what a
dock says must never be believed beyond the rule of ``gateway.store.topology``, which the transaction asks again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway import logs
from gateway.clock import steady_of
from gateway.envelope import SubDevice, sub_device_of
from gateway.errors import DatabaseError
from gateway.model import Device, Identity, Role
from gateway.services import Services
from gateway.store import devices
from gateway.topics import Kind, is_valid_sn, parse_device_topic

_log = logging.getLogger(__name__)

# A site with several docks shares a handful of aircraft; a dock must not fill the database with inventions.
MAX_AIRCRAFT = 64
# A dock repeats itself in each OSD. It is looked into again now and then: others may have changed what it may have.
AGAIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Aircraft:
    """``model_key`` "" = not told. ``is_present`` False: the dock only knows it, and takes it from no other dock."""

    sn: str
    model_key: str = ""
    is_present: bool = True


@dataclass(frozen=True, slots=True)
class Learnt:
    """SNs in the order they were given, each once. ``attached``: hang on this dock now."""

    attached: tuple[str, ...]
    refused: tuple[str, ...]


async def learn(
    services: Services, identity: Identity, gateway_sn: str, named: Sequence[Aircraft], *, model_key: str = ""
) -> Learnt:
    """Record the dock, its model if it told it, and the aircraft it may have. Nothing is written when nothing is new.

    Raises DatabaseError.
    """
    directory = services.directory
    aircraft = {one.sn: one for one in named}
    claims, refused = _judge(services, gateway_sn, aircraft.values())
    dock = directory.device(gateway_sn)
    if claims or dock is None or not dock.is_gateway or model_key not in {"", dock.model_key}:
        pairs = [(claim.sn, claim.model_key) for claim in claims]
        directory.apply_devices(await services.store.write(_record, gateway_sn, model_key, pairs, now=services.clock()))
        refused.update((sn, "not_claimable") for sn, _ in pairs if directory.gateway_of(sn) != gateway_sn)
    for sn, reason in refused.items():
        services.metrics.fleet.claims_refused += 1
        services.audit.record(
            actor=identity.account,
            action="attach",
            target=sn[:64],
            outcome="refused",
            detail={"reason": reason, "dock": gateway_sn},
        )
    attached = (sn for sn in aircraft if sn not in refused and directory.gateway_of(sn) == gateway_sn)
    return Learnt(tuple(attached), tuple(refused))


def _judge(services: Services, gateway_sn: str, aircraft: Iterable[Aircraft]) -> tuple[list[Aircraft], dict[str, str]]:
    """What is to be written, and what is refused and why. From memory, so that a repetition costs no write."""
    directory = services.directory
    claims: list[Aircraft] = []
    refused: dict[str, str] = {}
    room = MAX_AIRCRAFT - len(directory.children_of(gateway_sn))
    for one in aircraft:
        known = directory.device(one.sn)
        if known is not None and known.gateway_sn == gateway_sn:
            if one.model_key not in {"", known.model_key}:
                claims.append(one)
        elif not is_valid_sn(one.sn):
            refused[one.sn] = "bad_sn"
        elif not one.is_present and known is not None and known.gateway_sn is not None:
            continue
        elif not directory.may_claim(one.sn, gateway_sn):
            refused[one.sn] = "not_claimable"
        elif room <= 0:
            refused[one.sn] = "too_many"
        else:
            claims.append(one)
            room -= 1
    return claims, refused


def _record(
    db: sqlite3.Connection, gateway_sn: str, model_key: str, claims: Sequence[tuple[str, str]], *, now: int
) -> list[Device]:
    """One transaction. The dock first: whoever applies the result needs it before what hangs on it."""
    dock = devices.see_gateway(db, gateway_sn, now=now)
    if model_key not in {"", dock.model_key}:
        dock = devices.model(db, gateway_sn, model_key)
    return [dock, *(devices.attach(db, gateway_sn, claims, now=now) if claims else ())]


@dataclass(slots=True)
class _Told:
    """What a dock's OSD said last, and when it is looked into again though it says the same."""

    sub_device: SubDevice
    again_at: int


class Learner:
    """Learns from the OSD of docks, which may come before any ``update_topo`` (docs/protocol.md 2)."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._steady = steady_of(services.clock)
        self._told: dict[str, _Told] = {}
        self._learning: set[str] = set()
        self._seldom = logs.RateLimited(_log, clock=lambda: self._steady() / 1000)

    def observe(self, identity: Identity, topic: str, payload: bytes) -> None:
        # Two of three OSD messages name no aircraft (docs/protocol.md 2): they must cost nothing.
        if b'"sub_device"' not in payload or identity.role is not Role.DOCK:
            return
        device = parse_device_topic(topic)
        if device is None or device.kind is not Kind.OSD or device.sn != identity.sn:
            return
        said = sub_device_of(payload)
        if said is None:
            return
        now = self._steady()
        last = self._told.get(device.sn)
        if last is not None and last.sub_device == said and now < last.again_at:
            return
        self._told[device.sn] = _Told(said, now + AGAIN_MS)
        if device.sn not in self._learning:
            self._learning.add(device.sn)
            self._services.tasks.spawn(self._learn(identity, device.sn), name="learn aircraft")

    async def _learn(self, identity: Identity, gateway_sn: str) -> None:
        """Until what was learnt is what was told last."""
        learnt = None
        try:
            while learnt is not (told := self._told[gateway_sn]):
                await self._learn_one(identity, gateway_sn, told.sub_device)
                learnt = told
        except DatabaseError as error:
            self._services.metrics.database.failures.add(error.code)
            self._seldom.warning(
                "database", "an aircraft cannot be recorded", **{logs.SN: gateway_sn, logs.ERROR: str(error)}
            )
        finally:
            self._learning.discard(gateway_sn)

    async def _learn_one(self, identity: Identity, gateway_sn: str, said: SubDevice) -> None:
        # Sources differ in the last digit of a model key (docs/protocol.md 1.6): OSD does not overrule what is known.
        known = self._services.directory.device(said.sn)
        model_key = "" if known is not None and known.model_key else said.model_key
        aircraft = Aircraft(said.sn, model_key, is_present=said.online is not False)
        learnt = await learn(self._services, identity, gateway_sn, [aircraft])
        if said.online is not None and said.sn in learnt.attached:
            self._services.presence.sub_device(gateway_sn, said.sn, online=said.online)
