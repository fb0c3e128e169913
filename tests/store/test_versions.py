"""A database of any released version opens, and all of it is there: each was dumped with something in every table."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import passwords
from gateway.cli import main
from gateway.store import (
    accounts,
    audit,
    bindings,
    checks,
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
from gateway.store.connection import Store

FOLDER = Path(__file__).with_name("versions")
VERSIONS = [step.number for step in migrate.available()]
# As dump_version.py has put them in
AT = 1_767_225_600_000
PASSWORD = "correct horse battery staple"
DOCK, AIRCRAFT = "7CTDM7100B1234", "1581F6Q8D245H00A1B2C"


def load(version: int, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript((FOLDER / f"{version}.sql").read_text(encoding="utf-8"))


def look(db: sqlite3.Connection) -> None:
    assert [(one.id, one.name, one.created_at) for one in organizations.list_all(db)] == [
        ("fleet", "Fleet ☂ 'quoted'", AT),
        ("other", "Other", AT + 1),
    ]
    dock, eyes, platform = accounts.list_all(db)
    assert [(one.name, one.role, one.enabled, one.can_read_sys) for one in (dock, eyes, platform)] == [
        ("dock", "dock", True, False),
        ("eyes", "observer", False, True),
        ("platform", "service", True, False),
    ]
    assert (dock.sn, dock.last_login_at, platform.organization_id) == (DOCK, AT + 3, "fleet")
    assert passwords.verify(PASSWORD, dock.password_hash)
    once, gone = codes.get(db, "ONCE"), codes.get(db, "GONE")
    assert (once.organization_id, once.uses_left, once.sn, once.expires_at) == ("fleet", 1, DOCK, AT + 10**9)
    assert (gone.uses_left, gone.revoked_at) == (None, AT + 4)
    assert [(one.organization_id, one.app_key, one.ntp_server_host) for one in licenses.get_all(db)] == [
        (None, "key None", None),
        ("fleet", "key fleet", "192.0.2.1"),
    ]
    aircraft, gateway = devices.list_all(db)
    assert (gateway.sn, gateway.callsign, gateway.model_key, gateway.access_step) == (DOCK, "Dock ☂", "3-2-0", "online")
    assert (aircraft.sn, aircraft.gateway_sn, aircraft.organization_id) == (AIRCRAFT, DOCK, "fleet")
    assert bindings.get(db, DOCK) == bindings.Binding(DOCK, "fleet", AT + 5, "dock", "ONCE")
    assert ("login", "refused", DOCK) in [
        (one.action, one.outcome, one.detail.get("dock")) for one in audit.list_since(db)
    ]
    assert "start" not in [one.action for one in audit.list_since(db)]
    assert lockouts.get_all(db) == [lockouts.Lock("dock", "192.0.2.7", 3, AT + 7, AT)]
    said = state.get(db)
    assert said is not None
    assert (said.pid, said.stats) == (4711, {"rates": {"messages": 0.5}})
    assert [(one.client_id, one.facts) for one in contacts.list_for(db, sn=DOCK)] == [("client-1", {"keepalive": 30})]
    token, operator = tokens.get(db, "script"), operators.get(db, "alice")
    assert (token.scope, token.created_by) == ("read", "cli:root")
    assert passwords.verify(PASSWORD, operator.password_hash)


def test_each_version_that_there_was_is_kept() -> None:
    """For a new one: ``python tests/store/dump_version.py``."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{version}.sql" for version in VERSIONS)


@pytest.mark.case(19)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_it_opens_and_all_is_there(version: int, path: Path) -> None:
    async def main() -> None:
        async with await Store.open(path, clock=lambda: AT) as store:
            await store.read(look)
            await store.write(organizations.add, id="new", name="New", now=AT)

    load(version, path)
    with closing(sqlite3.connect(path)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        empty = [name for name in tables if not db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]  # noqa: S608 - its own tables
    assert (len(tables) > 10, empty) == (True, [])
    asyncio.run(main())
    report = checks.inspect(path)
    assert (report.problems, report.version) == ((), VERSIONS[-1])
    assert path.with_name(f"dockgate.db.v{version}.bak").exists() is (version != VERSIONS[-1])


@pytest.mark.case(19)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_operator_sees_what_was_in_it(version: int, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(version, path)
    config = path.with_name("broker.yaml")
    config.write_text(
        "listeners:\n  plain: {bind: '127.0.0.1:0'}\nplugins:\n  broker_plugins.auth.AccountAuthPlugin:\n"
        f"dockgate:\n  database: {path}\n"
    )

    def run(*words: str) -> Any:
        assert main(["--config", str(config), *words]) == 0
        return capsys.readouterr().out

    run("db", "migrate")
    run("db", "check")
    assert "Fleet ☂ 'quoted'" in run("org", "list")
    assert DOCK in run("dock", "list")
    assert "ONCE" in run("org", "code", "list", "fleet")
    assert "script" in run("token", "list")
