"""Dumps a database of the newest version, with something in every table, to ``versions/N.sql``: run it once when a version is to
be released, and never again for that version. ``test_versions.py`` opens each of them for ever after.

    python tests/store/dump_version.py
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from gateway import passwords
from gateway.model import AccessStep, License, Role
from gateway.store import (
    accounts,
    audit,
    bindings,
    codes,
    contacts,
    devices,
    licenses,
    lockouts,
    migrate,
    operators,
    organizations,
    state,
    tokens,
)
from gateway.store.audit import Entry
from gateway.store.bindings import BindWish
from gateway.store.contacts import Contact
from gateway.store.devices import Presence
from gateway.store.lockouts import Lock
from gateway.store.state import GatewayState
from gateway.store.tokens import Scope

FOLDER = Path(__file__).with_name("versions")
AT = 1_767_225_600_000
PASSWORD = "correct horse battery staple"
DOCK, AIRCRAFT = "7CTDM7100B1234", "1581F6Q8D245H00A1B2C"


def fill(db: sqlite3.Connection) -> None:
    organizations.add(db, id="fleet", name="Fleet ☂ 'quoted'", now=AT)
    organizations.add(db, id="other", name="Other", now=AT + 1)
    hashed = passwords.hash_chosen(PASSWORD)
    for name, role, sn, of in (
        ("dock", Role.DOCK, DOCK, None),
        ("platform", Role.SERVICE, None, "fleet"),
        ("eyes", Role.OBSERVER, None, None),
    ):
        accounts.add(
            db, name=name, role=role, sn=sn, organization_id=of, password_hash=hashed, can_read_sys=name == "eyes", now=AT
        )  # fmt: skip
    accounts.set_enabled(db, "eyes", False, AT + 2)
    accounts.touch_logins(db, {"dock": AT + 3})
    codes.add(db, code="ONCE", organization_id="fleet", uses=2, expires_at=AT + 10**9, sn=DOCK, now=AT)
    codes.add(db, code="GONE", organization_id="other", uses=None, expires_at=None, sn=None, now=AT)
    codes.revoke(db, "GONE", AT + 4)
    for of in (None, "fleet"):
        licenses.put(
            db,
            license=License(
                organization_id=of, app_id="1", app_key=f"key {of}", app_license=f"license {of}",
                ntp_server_host="192.0.2.1" if of else None, ntp_server_port=123, changed_at=AT,
            ),
        )  # fmt: skip
    devices.see_gateway(db, DOCK, now=AT)
    wishes = [
        BindWish(DOCK, "fleet", "ONCE", "Dock ☂", "3-2-0"),
        BindWish(AIRCRAFT, "fleet", "ONCE", "Bird", "0-91-0"),
    ]
    outcome = bindings.bind(db, gateway_sn=DOCK, account="dock", wishes=wishes, now=AT + 5)
    assert [result.refusal for result in outcome.results] == [None, None]
    devices.flush_presence(db, [Presence(DOCK, AT + 6, True, AccessStep.ONLINE)])
    audit.append(db, [Entry(AT - 1, "gateway", "login", "dock", "refused", {"reason": "wrong_password", "dock": DOCK})])
    audit.append(db, [Entry(AT - 9, "gateway", "start", "gateway", "ok", {})])
    audit.trim(db, AT - 5)
    lockouts.put(db, Lock("dock", "192.0.2.7", 3, AT + 7, AT))
    state.heartbeat(db, GatewayState(4711, AT, AT + 8, 1, {"rates": {"messages": 0.5}}))
    contacts.put(db, [Contact("dock", "client-1", DOCK, AT, AT + 1, {"keepalive": 30})])
    tokens.add(
        db, name="script", digest=sha256(b"token").hexdigest(), scope=Scope.READ, created_by="cli:root", expires_at=None, now=AT
    )  # fmt: skip
    operators.add(db, name="alice", password_hash=hashed, now=AT)


def main() -> None:
    version = migrate.available()[-1].number
    file = FOLDER / f"{version}.sql"
    if file.exists():
        sys.exit(f"{file} is there already: what was released does not change")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dockgate.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            migrate.bring_up(db, path=path, now=AT)
            fill(db)
            lines = [
                f"PRAGMA application_id={migrate.APPLICATION_ID};",
                f"PRAGMA user_version={version};",
                *db.iterdump(),
            ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
