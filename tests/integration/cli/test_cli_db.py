"""``db``: is the database sound, and of this version; and bringing it there, never beneath a gateway that runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.store import migrate
from gateway.store.migrate import Migration

KEYS = {"ok", "database", "bytes", "version", "newest_version", "problems", "foreign"}


@pytest.fixture
def newer_program(monkeypatch: pytest.MonkeyPatch) -> int:
    """This program has one step more than the database."""
    steps, truth = migrate.available(), migrate.schema()
    number = steps[-1].number + 1
    table = "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;"
    more = (*steps, Migration(number, f"{number:04}_extra", table))
    monkeypatch.setattr(migrate, "available", lambda: more)
    monkeypatch.setattr(migrate, "schema", lambda: f"{truth}\n{table}")
    return number


def test_a_sound_one(dockgate: Any) -> None:
    found = dockgate.ok("db", "check")
    assert set(found) == KEYS
    assert (found["ok"], found["problems"], found["foreign"]) == (True, [], [])
    assert found["version"] == found["newest_version"] == migrate.available()[-1].number
    assert found["bytes"] == dockgate.database.stat().st_size
    assert dockgate.run("db", "check").code == 0


def test_what_others_put_into_it(dockgate: Any) -> None:
    with closing(sqlite3.connect(dockgate.database)) as db:
        db.execute("CREATE TABLE mine (x)")
    found = dockgate.ok("db", "check")
    assert (found["ok"], found["foreign"]) == (True, ["table mine"])


@pytest.mark.case(34)
@pytest.mark.parametrize("harm", ["text", "page", "table", "gone"])
def test_harm(dockgate: Any, harm: str) -> None:
    if harm == "text":
        dockgate.database.write_bytes(b"no database" * 1000)
    elif harm == "page":
        content = bytearray(dockgate.database.read_bytes())
        content[4096 * 3 : 4096 * 4] = b"\xff" * 4096
        dockgate.database.write_bytes(content)
    elif harm == "table":
        with closing(sqlite3.connect(dockgate.database)) as db:
            db.execute("DROP TABLE lockout")
    else:
        dockgate.database.unlink()
    before = [path.read_bytes() for path in dockgate.folder.glob("dockgate.db")]
    ended = dockgate.run("-o", "json", "db", "check")
    assert ended.code == 1
    assert ended.json["ok"] is False
    assert ended.json["problems"]
    if harm != "table":
        assert "backup restore FILE" in ended.err
        assert dockgate.run("db", "migrate").code == 6
    assert [path.read_bytes() for path in dockgate.folder.glob("dockgate.db")] == before


def test_nothing_to_migrate(dockgate: Any) -> None:
    version = migrate.available()[-1].number
    before = dockgate.database.read_bytes()
    assert dockgate.ok("db", "migrate") == {
        "database": str(dockgate.database), "from_version": version, "version": version, "backup": None,
    }  # fmt: skip
    assert dockgate.database.read_bytes() == before


@pytest.mark.case(19)
def test_an_older_one_is_brought_up_after_a_copy(dockgate: Any, newer_program: int) -> None:
    dockgate.ok_before = dockgate.run("-o", "json", "db", "check")
    assert dockgate.ok_before.code == 1
    assert "db migrate" in dockgate.ok_before.err
    assert dockgate.run("org", "list").code == 6
    done = dockgate.ok("db", "migrate")
    assert (done["from_version"], done["version"]) == (newer_program - 1, newer_program)
    with closing(sqlite3.connect(done["backup"])) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (newer_program - 1,)
    assert dockgate.ok("db", "check")["ok"] is True
    assert [one["name"] for one in dockgate.ok("org", "list")] == ["Fleet"]
    assert dockgate.ok("audit", "list")[-1]["action"] == "db.migrate"


@pytest.mark.case(19)
def test_a_backup_of_an_older_one_comes_back_as_a_newer_one(
    dockgate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "b.tar.gz"
    dockgate.ok("backup", "create", str(file))
    version: int = request.getfixturevalue("newer_program")
    assert dockgate.ok("backup", "verify", str(file))["integrity"] == "ok"
    done = dockgate.ok("backup", "restore", str(file), "--yes")
    assert done["schema_version"] == version - 1
    assert dockgate.ok("db", "check")["version"] == version
    assert [path.name for path in dockgate.folder.glob("*.bak")] == []


def test_not_beneath_a_gateway_that_runs(dockgate: Any, newer_program: int) -> None:
    with closing(sqlite3.connect(dockgate.database)) as other:
        other.execute("SELECT count(*) FROM account").fetchone()
        ended = dockgate.run("-o", "json", "db", "migrate")
        assert (ended.code, ended.error["code"]) == (5, "refused")
    assert dockgate.ok("db", "migrate")["version"] == newer_program


def test_one_of_a_newer_program(dockgate: Any) -> None:
    with closing(sqlite3.connect(dockgate.database)) as db:
        db.execute("PRAGMA user_version=9999")
    assert dockgate.run("db", "check").code == 1
    ended = dockgate.run("-o", "json", "db", "migrate")
    assert (ended.code, ended.error["code"]) == (6, "database_newer")
