"""Who is there: connections, publishes and topology come in; online states, events and rows for ``status`` go out.

A dock is *connected* while one of its account's connections lives (a DRC link is a second one), and *online* once it
has sent topology or telemetry. An aircraft is online while its dock says so. ``AccessStep.ONLINE`` is for docks that are
online and bound; when a dock leaves, it falls back to ``BOUND``, the other steps stay.

``seen`` and ``telemetry`` run for every message and must stay a set write; only ``run``, ``flush`` and ``close`` wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from sqlite3 import Connection
from typing import Any

from gateway.directory import Changes, Directory
from gateway.errors import DatabaseError
from gateway.metrics import Metrics, Rates
from gateway.model import AccessStep, Device, Identity, Role
from gateway.services import EventSink
from gateway.store import devices, state
from gateway.store.connection import Store

_log = logging.getLogger(__name__)

_ORDER = {step: place for place, step in enumerate(AccessStep)}

FLUSH_S = 1.0
# The time of the last message is written every so many flushes: with 5,000 docks it is all that there is to write.
SEEN_EVERY = 5
_ROWS = 128  # in one transaction


@dataclass(frozen=True, slots=True)
class _Session:
    account: str
    role: Role
    sn: str | None


class Presence:
    """``session_key`` is one connection's own, and is not used again for the next."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Callable[[], int],
        metrics: Metrics,
        events: EventSink,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._events = events
        self._record: Callable[..., bool] | None = None
        self._started_at = clock()
        self._sessions: dict[Hashable, _Session] = {}
        self._docks: dict[str, set[Hashable]] = {}
        self._online: set[str] = set()
        self._aircraft: dict[str, str] = {}  # those that are on -> the dock that said so
        self._flying: dict[str, set[str]] = {}  # the same, from the dock's side
        self._steps: dict[str, AccessStep] = {}
        self._awake: set[str] = set()  # whose telemetry tells nothing new
        self._heard: set[str] = set()  # since the last stamp
        self._seen_at: dict[str, int] = {}
        self._unwritten: set[str] = set()  # only last_seen_at has changed
        self._dirty: set[str] = set()  # written at the next flush
        self._unknown: set[str] = set()  # connected docks that the database may not have
        self._flushes = 0
        self._flushing = asyncio.Lock()
        self._failing = False
        self._rates = Rates(metrics)
        self.latest: dict[str, Any] = {}
        """``snapshot`` as it was at the last flush: it costs a look at every dock."""
        for device in directory.devices():
            if device.access_step is AccessStep.ONLINE:  # left behind by a run that was killed
                self._lower(device.sn, AccessStep.BOUND)

    def tell_to(self, record: Callable[..., bool]) -> None:
        """``record`` (``AuditTrail.record``) is told of docks that connect, disconnect and come online from then on."""
        self._record = record

    # -- what the broker and the handlers tell -------------------------------------------------------------

    def connected(self, identity: Identity, session_key: Hashable, address: str) -> None:
        """A connection is logged in; again, with the new identity, when its account was pinned to an SN."""
        before = self._sessions.get(session_key)
        if before is not None and before.sn is not None and before.sn != identity.sn:
            self.disconnected(session_key, reason="account_changed")
        self._sessions[session_key] = _Session(identity.account, identity.role, identity.sn)
        sn = identity.sn
        if identity.role is not Role.DOCK or sn is None:
            return
        connections = self._docks.setdefault(sn, set())
        is_first = not connections
        connections.add(session_key)
        if not is_first:
            return
        self._heard.add(sn)
        self._dirty.add(sn)
        self._see(sn)
        self.step(sn, AccessStep.CONNECTED)
        self._tell(sn, identity.account, "connect", address=address)
        self._gauge()
        self._events.emit(sn, "connected", account=identity.account, address=address)

    def disconnected(self, session_key: Hashable, *, reason: str = "") -> None:
        """That connection is over, however it ended; unknown keys are passed over."""
        session = self._sessions.pop(session_key, None)
        if session is None or session.sn is None:
            return
        connections = self._docks.get(session.sn)
        if connections is None or session_key not in connections:
            return
        connections.discard(session_key)
        if connections:
            return
        del self._docks[session.sn]
        self._go_offline(session.sn)
        self._gauge()
        self._tell(session.sn, session.account, "disconnect", reason=reason)
        self._events.emit(session.sn, "disconnected", account=session.account, reason=reason)

    def seen(self, sn: str) -> None:
        """An accepted publish under this SN that says nothing of being in service (requests, replies)."""
        self._heard.add(sn)

    def telemetry(self, sn: str) -> None:
        """An accepted ``osd``, ``state`` or ``events`` of a dock or, through its dock, an aircraft."""
        self._heard.add(sn)
        if sn not in self._awake:
            self._wake(sn)

    def step(self, sn: str, step: AccessStep) -> None:
        if step is AccessStep.BOUND and sn in self._online:
            step = AccessStep.ONLINE
        if _ORDER[step] > _ORDER[self.step_of(sn)]:
            self._steps[sn] = step
            self._dirty.add(sn)

    def topology(self, gateway_sn: str, children: Sequence[str]) -> None:
        """All aircraft of the dock that are on; those that it has named before and does not now are off (cases 10)."""
        self._heard.add(gateway_sn)
        self._go_online(gateway_sn)
        for child in self._flying.get(gateway_sn, set()).difference(children):
            self._child_off(child)
        for child in children:
            self.sub_device(gateway_sn, child, online=True)

    def sub_device(self, gateway_sn: str, child_sn: str, *, online: bool) -> None:
        if online and gateway_sn in self._docks:
            if self._aircraft.get(child_sn) == gateway_sn:
                return
            if child_sn in self._aircraft:  # it has moved to another dock (docs/protocol.md C45)
                self._child_off(child_sn)
            self._aircraft[child_sn] = gateway_sn
            self._flying.setdefault(gateway_sn, set()).add(child_sn)
            self._heard.add(child_sn)
            self._dirty.add(child_sn)
            self._gauge()
            self._events.emit(gateway_sn, "online", device_sn=child_sn)
        elif not online and self._aircraft.get(child_sn) == gateway_sn:
            self._child_off(child_sn)

    def follow(self, changes: Changes) -> None:
        """Another process has changed the database, and the directory has taken it over."""
        for unbound in changes.unbound:
            self._lower(unbound.sn, AccessStep.LICENSED)
            self._events.emit(
                unbound.gateway_sn, "unbound", device_sn=unbound.sn, organization_id=unbound.organization_id
            )
        for sn in [sn for sn in self._steps if sn not in self._docks and self._directory.device(sn) is None]:
            if sn not in self._unknown:  # else it is new, has left, and is about to be written
                del self._steps[sn]
        for sn in self._docks:
            self._see(sn)

    # -- answers -------------------------------------------------------------------------------------------

    def is_connected(self, sn: str) -> bool:
        return sn in self._docks

    def is_online(self, sn: str) -> bool:
        return sn in self._online or sn in self._aircraft

    def step_of(self, sn: str) -> AccessStep:
        """How far a dock has come."""
        known = self._steps.get(sn)
        if known is None:
            device = self._directory.device(sn)
            known = AccessStep.SEEN if device is None else device.access_step
        return known

    def live(self, device: Device) -> Device:
        """``device`` with what is true now instead of what was stored last."""
        return replace(
            device,
            last_seen_at=max(device.last_seen_at, self._last_seen(device.sn)),
            online=self.is_online(device.sn),
            access_step=self.step_of(device.sn),
        )

    def copies(self) -> tuple[set[str], dict[str, AccessStep], dict[str, int]]:
        """For another thread: who is online, how far docks have come, when each was last heard."""
        heard = dict.fromkeys(self._heard, self._clock())
        return self._online | self._aircraft.keys(), dict(self._steps), self._seen_at | heard

    def snapshot(self) -> dict[str, Any]:
        """For ``status``: docks by access step, connections by role, messages and requests in all and each second."""
        docks = [device.sn for device in self._directory.devices() if device.is_gateway]
        steps = Counter(self.step_of(sn) for sn in {*docks, *self._docks})
        roles = Counter(session.role for session in self._sessions.values())
        return {
            "docks": {step.value: steps[step] for step in AccessStep},
            "docks_connected": len(self._docks),
            "docks_online": len(self._online),
            "aircraft_online": len(self._aircraft),
            "connections": {"total": len(self._sessions), **{role.value: roles[role] for role in Role}},
            "messages": {
                "received": self._metrics.messages.received,
                "sent": self._metrics.messages.sent,
                "dropped": self._metrics.messages.dropped.total(),
                "denied": self._metrics.messages.denied.total(),
            },
            "requests": {"answered": self._metrics.requests.answered.total()},
            "logins": {"accepted": self._metrics.logins.accepted, "refused": self._metrics.logins.refused.total()},
            "rates": self._rates.per_second,
        }

    # -- to the database -----------------------------------------------------------------------------------

    async def run(self, interval_s: float = FLUSH_S) -> None:
        """Until cancelled: what changed, and a heartbeat, each second. Then ``close`` writes the rest."""
        is_reset = False
        while True:
            is_reset = is_reset or await self._write(devices.reset_online)
            if is_reset:
                await self.flush()
            await asyncio.sleep(interval_s)
            self._rates.measure(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Nobody is there any more; say so to the database. Before the store closes; idempotent."""
        for session_key in list(self._sessions):
            self.disconnected(session_key, reason="shutdown")
        self._flushes = 0
        await self.flush()
        await self._write(state.clear)

    async def flush(self) -> None:
        """A few rows in a transaction, as bindings may share it. What cannot be written now is written by a later flush."""
        async with self._flushing:
            now = self._clock()
            self._seen_at.update(dict.fromkeys(self._heard, now))
            self._unwritten |= self._heard
            self._heard.clear()
            dirty, self._dirty = self._dirty, set()
            unknown, self._unknown = self._unknown, set()
            quiet: set[str] = set()
            if self._flushes % SEEN_EVERY == 0:
                quiet, self._unwritten = self._unwritten, set()
            self._unwritten -= dirty
            rows = [*map(self._row, dirty), *(self._row(sn, is_quiet=True) for sn in quiet - dirty)]
            self.latest = self.snapshot()
            heartbeat = state.GatewayState(os.getpid(), self._started_at, now, len(self._sessions), self.latest)
            is_written = False
            try:
                is_written = await self._write_all(sorted(unknown), rows, heartbeat)
            finally:
                if not is_written:
                    self._dirty |= dirty
                    self._unknown |= unknown
                    self._unwritten |= quiet
            self._flushes += 1

    async def _write_all(self, unknown: list[str], rows: list[devices.Presence], heartbeat: state.GatewayState) -> bool:
        """In pieces: a dock's binding may share the transaction of one."""
        jobs: list[tuple[Any, ...]] = [(state.heartbeat, heartbeat)]
        jobs += [
            (_see_gateways, unknown[at : at + _ROWS], heartbeat.heartbeat_at) for at in range(0, len(unknown), _ROWS)
        ]
        jobs += [(devices.flush_presence, rows[at : at + _ROWS]) for at in range(0, len(rows), _ROWS)]
        for job in jobs:
            if not await self._write(*job):
                return False
        return True

    async def _write(self, fn: Callable[..., list[Device] | None], *args: object) -> bool:
        try:
            seen = await self._store.write(fn, *args, bulk=True)
        except DatabaseError as error:
            self._metrics.database.failures.add(error.code)
            if not self._failing:
                _log.error("who is online cannot be written: %s", error)
            self._failing = True
            return False
        self._directory.apply_devices(seen or ())
        self._failing = False
        return True

    # -- inside --------------------------------------------------------------------------------------------

    def _see(self, sn: str) -> None:
        device = self._directory.device(sn)
        if device is None or not device.is_gateway:
            self._unknown.add(sn)
            self._dirty.add(sn)

    def _wake(self, sn: str) -> None:
        gateway_sn = self._directory.gateway_of(sn) or sn
        if gateway_sn in self._docks:
            self._go_online(gateway_sn)
            self._awake.add(sn)

    def _go_online(self, sn: str) -> None:
        if sn in self._online or sn not in self._docks:
            return
        self._online.add(sn)
        self._dirty.add(sn)
        device = self._directory.device(sn)
        if device is not None and device.organization_id is not None:
            self.step(sn, AccessStep.ONLINE)
        self._gauge()
        self._tell(sn, self._account_of(sn), "online")
        self._events.emit(sn, "online", device_sn=sn)

    def _go_offline(self, sn: str) -> None:
        for child in tuple(self._flying.get(sn, ())):
            self._child_off(child)
        # the aircraft's SNs too: the next telemetry of either has to bring the dock back
        self._awake -= {sn, *(child.sn for child in self._directory.children_of(sn))}
        self._dirty.add(sn)
        self._lower(sn, AccessStep.BOUND)
        if sn in self._online:
            self._online.discard(sn)
            self._events.emit(sn, "offline", device_sn=sn)

    def _child_off(self, child_sn: str) -> None:
        gateway_sn = self._aircraft.pop(child_sn)
        siblings = self._flying[gateway_sn]
        siblings.discard(child_sn)
        if not siblings:
            del self._flying[gateway_sn]
        self._dirty.add(child_sn)
        self._gauge()
        self._events.emit(gateway_sn, "offline", device_sn=child_sn)

    def _lower(self, sn: str, ceiling: AccessStep) -> None:
        if _ORDER[self.step_of(sn)] > _ORDER[ceiling]:
            self._steps[sn] = ceiling
            self._dirty.add(sn)

    def _last_seen(self, sn: str) -> int:
        return self._clock() if sn in self._heard else self._seen_at.get(sn, 0)

    def _row(self, sn: str, *, is_quiet: bool = False) -> devices.Presence:
        step = None if is_quiet else self._steps.get(sn)
        return devices.Presence(sn, self._last_seen(sn), self.is_online(sn), step, force_step=step is not None)

    def _tell(self, sn: str, account: str, action: str, **detail: str) -> None:
        if self._record is not None:
            self._record(actor=account, action=action, target=sn, outcome="ok", detail=detail)

    def _account_of(self, sn: str) -> str:
        return next((self._sessions[key].account for key in self._docks.get(sn, ()) if key in self._sessions), "")

    def _gauge(self) -> None:
        fleet = self._metrics.fleet
        fleet.docks_connected = len(self._docks)
        fleet.docks_online = len(self._online)
        fleet.aircraft_online = len(self._aircraft)


def _see_gateways(db: Connection, sns: list[str], now: int) -> list[Device]:
    return [devices.see_gateway(db, sn, now=now) for sn in sns]
