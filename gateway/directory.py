"""What the database knows, held in memory: snapshots and results of own writes come in, answers for rules and handlers
go out, at once. It must never wait, never write, and never decide more than who belongs to whom.

How it stays true. It is loaded at the start. Who writes through the store hands the records that the write returned to
``apply_…`` in the same step in which the write returned. When another process has committed, ``reload`` reads it all
again, through the writer: the store answers writes in their order, so a snapshot never undoes an own write.

``last_seen_at``, ``online`` and ``access_step`` of a device belong to ``gateway.presence`` while the gateway runs. Here
they are as old as the last load or write, and nothing may be decided by them; ``Presence.live`` gives today's.
"""

from __future__ import annotations

from collections.abc import Iterable, ValuesView
from dataclasses import dataclass

from gateway.model import Account, BindingCode, Device, FleetView, License, Organization
from gateway.store import snapshot as snapshots
from gateway.store import topology
from gateway.store.connection import Store
from gateway.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Unbound:
    """A device that was bound and is no longer, or elsewhere. ``gateway_sn`` is its dock, or itself."""

    gateway_sn: str
    sn: str
    organization_id: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload found that somebody acts on. ``accounts``: whose version or hash changed, and who is gone."""

    accounts: frozenset[str]
    unbound: tuple[Unbound, ...]


class Directory(FleetView):
    def __init__(self, snapshot: Snapshot) -> None:
        self.version = 0
        """Grows with every change of what the topic rules depend on: who hangs on whom, who belongs to whom."""
        self._fill(snapshot)

    @classmethod
    async def load(cls, store: Store) -> Directory:
        return cls(await store.read(snapshots.load))

    async def reload(self, store: Store) -> Changes:
        """Take over what another process committed. DatabaseError leaves everything as it was."""
        return self.replace(await store.write(snapshots.load))

    def replace(self, snapshot: Snapshot) -> Changes:
        accounts, devices = self._accounts, self._devices
        owners = {sn: self.gateway_of(sn) or sn for sn, device in devices.items() if device.organization_id is not None}
        self._fill(snapshot)
        changed = (
            name for name, account in accounts.items() if _credential(account) != _credential(self._accounts.get(name))
        )
        unbound = (
            Unbound(owners[sn], sn, organization_id)
            for sn, device in devices.items()
            if (organization_id := device.organization_id) is not None
            and ((now := self._devices.get(sn)) is None or now.organization_id != organization_id)
        )
        return Changes(frozenset(changed), tuple(unbound))

    def _fill(self, snapshot: Snapshot) -> None:
        self.version += 1
        self._accounts = dict(snapshot.accounts)
        self._organizations = dict(snapshot.organizations)
        self._codes = dict(snapshot.codes)
        self._licenses = dict(snapshot.licenses)
        self._devices = dict(snapshot.devices)
        self._pinned = {account.sn: account.name for account in self._accounts.values() if account.sn is not None}
        self._children: dict[str, dict[str, Device]] = {}
        for device in self._devices.values():
            if device.gateway_sn is not None:
                self._children.setdefault(device.gateway_sn, {})[device.sn] = device

    # -- after own writes ------------------------------------------------------------------------------

    def apply_accounts(self, accounts: Iterable[Account]) -> None:
        self.version += 1
        for account in accounts:
            self._drop_pin(self._accounts.get(account.name))
            self._accounts[account.name] = account
            if account.sn is not None:
                self._pinned[account.sn] = account.name

    def remove_account(self, name: str) -> None:
        self.version += 1
        self._drop_pin(self._accounts.pop(name, None))

    def _drop_pin(self, account: Account | None) -> None:
        if account is not None and account.sn is not None and self._pinned.get(account.sn) == account.name:
            del self._pinned[account.sn]

    def apply_organizations(self, organizations: Iterable[Organization]) -> None:
        self._organizations.update((organization.id, organization) for organization in organizations)

    def apply_codes(self, codes: Iterable[BindingCode]) -> None:
        self._codes.update((code.code, code) for code in codes)

    def apply_licenses(self, licenses: Iterable[License]) -> None:
        self._licenses.update((license_.organization_id, license_) for license_ in licenses)

    def apply_devices(self, devices: Iterable[Device]) -> None:
        for device in devices:
            before = self._devices.get(device.sn)
            if before is None or _place(before) != _place(device):
                self.version += 1
            self._drop_device(device.sn)
            self._devices[device.sn] = device
            if device.gateway_sn is not None:
                self._children.setdefault(device.gateway_sn, {})[device.sn] = device

    def remove_device(self, sn: str) -> None:
        """Forget one; what hangs on a forgotten dock is handed to ``apply_devices`` as the store returns it."""
        self.version += 1
        self._drop_device(sn)

    def _drop_device(self, sn: str) -> None:
        before = self._devices.pop(sn, None)
        if before is not None and before.gateway_sn is not None:
            siblings = self._children[before.gateway_sn]
            del siblings[sn]
            if not siblings:
                del self._children[before.gateway_sn]

    # -- answers ---------------------------------------------------------------------------------------

    def account(self, name: str) -> Account | None:
        return self._accounts.get(name)

    def accounts(self) -> ValuesView[Account]:
        return self._accounts.values()

    def account_pinned_to(self, sn: str) -> str | None:
        return self._pinned.get(sn)

    def organization(self, organization_id: str) -> Organization | None:
        return self._organizations.get(organization_id)

    def organizations(self) -> ValuesView[Organization]:
        return self._organizations.values()

    def code(self, code: str) -> BindingCode | None:
        return self._codes.get(code)

    def device(self, sn: str) -> Device | None:
        return self._devices.get(sn)

    def devices(self) -> ValuesView[Device]:
        return self._devices.values()

    def children_of(self, gateway_sn: str) -> tuple[Device, ...]:
        return tuple(self._children.get(gateway_sn, {}).values())

    def license_for(self, *, account_organization_id: str | None, gateway_sn: str) -> License | None:
        """That of the account's organization, else of the one the dock is bound to, else the default."""
        if account_organization_id is not None and (own := self._licenses.get(account_organization_id)) is not None:
            return own
        device = self._devices.get(gateway_sn)
        if device is not None and device.organization_id is not None:
            bound = self._licenses.get(device.organization_id)
            if bound is not None:
                return bound
        return self._licenses.get(None)

    def gateway_of(self, sn: str) -> str | None:
        # A pinned SN is a dock before anything is stored of it, and whatever another dock said of it.
        if sn in self._pinned:
            return sn
        device = self._devices.get(sn)
        if device is None:
            return None
        return sn if device.is_gateway else device.gateway_sn

    def organization_of(self, sn: str) -> str | None:
        gateway_sn = self.gateway_of(sn)
        for known in (sn, gateway_sn):
            device = None if known is None else self._devices.get(known)
            if device is not None and device.organization_id is not None:
                return device.organization_id
        owner = None if gateway_sn is None else self._pinned.get(gateway_sn)
        account = None if owner is None else self._accounts.get(owner)
        return None if account is None else account.organization_id

    def may_claim(self, child_sn: str, gateway_sn: str) -> bool:
        """May ``gateway_sn``, which says so, be recorded as the dock of ``child_sn``; the rule: store/topology.py."""
        if child_sn == gateway_sn:
            return False
        device = self._devices.get(child_sn)
        parent_sn = None if device is None else device.gateway_sn
        child = topology.ChildFacts(
            is_gateway=child_sn in self._pinned or (device is not None and device.is_gateway),
            organization_id=None if device is None else device.organization_id,
            parent_sn=parent_sn,
            parent_organization_id=None if parent_sn is None else self.organization_of(parent_sn),
        )
        return topology.may_claim(
            child, gateway_sn=gateway_sn, gateway_organization_id=self.organization_of(gateway_sn)
        )


def _place(device: Device) -> tuple[str | None, str | None, bool]:
    return device.gateway_sn, device.organization_id, device.is_gateway


def _credential(account: Account | None) -> tuple[int, str] | None:
    return None if account is None else (account.version, account.password_hash)
