"""Everything that is answered from memory, read in one go and in one state. Nothing is written."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gateway.model import Account, BindingCode, Device, License, Organization
from gateway.store import accounts, codes, devices, licenses, organizations


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keyed by what it is looked up by; the license of None is the default."""

    accounts: dict[str, Account]
    organizations: dict[str, Organization]
    codes: dict[str, BindingCode]
    licenses: dict[str | None, License]
    devices: dict[str, Device]


def load(db: sqlite3.Connection) -> Snapshot:
    """To replace memory with it while writes run, load it with ``Store.write``: then no write's result overtakes it."""
    return Snapshot(
        accounts={account.name: account for account in accounts.list_all(db)},
        organizations={organization.id: organization for organization in organizations.list_all(db)},
        codes={code.code: code for code in codes.list_for(db, None)},
        licenses={license_.organization_id: license_ for license_ in licenses.get_all(db)},
        devices={device.sn: device for device in devices.list_all(db)},
    )
