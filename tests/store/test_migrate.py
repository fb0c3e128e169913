"""A database of any age becomes the one of schema.sql, step by whole step, whatever interrupts it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DatabaseError
from gateway.store import checks, migrate, organizations
from gateway.store.connection import Store
from gateway.store.migrate import Migration

Opened = Callable[..., AbstractAsyncContextManager[Store]]

SECOND = Migration(
    2,
    "0002_country",
    """
    -- a column with a default; and a trigger, whose body has semicolons of its own
    ALTER TABLE organization ADD COLUMN country TEXT NOT NULL DEFAULT '';
    CREATE TRIGGER organization_country AFTER INSERT ON organization
    BEGIN
      UPDATE organization SET country = 'xx' WHERE id = new.id AND country = '';
      SELECT 1;
    END;
    UPDATE organization SET country = 'yy';
    """,
)
THIRD = Migration(
    3,
    "0003_rebuilt",
    """
    CREATE TABLE rebuilt (
      account TEXT NOT NULL, address TEXT NOT NULL, failures INTEGER NOT NULL, PRIMARY KEY (account, address)
    ) STRICT;
    INSERT INTO rebuilt SELECT account, address, failures FROM lockout;
    DROP TABLE lockout;
    ALTER TABLE rebuilt RENAME TO lockout;
    """,
)
STEPS = (*migrate.available(), SECOND, THIRD)


def truth_after(*steps: Migration) -> str:
    """The schema after these steps, as one who writes schema.sql would have it."""
    with closing(sqlite3.connect(":memory:")) as db:
        for step in steps:
            db.executescript(step.sql)
        rows = db.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid"
        )
        return ";\n".join(row[0] for row in rows) + ";"


def old_database(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=1)
        organizations.add(db, id="A", name="kept", now=1)
        db.execute("INSERT INTO lockout VALUES ('a', '192.0.2.1', 3, NULL, 1)")


def bring_up(path: Path, *, trace: Callable[[sqlite3.Connection, str], None] | None = None) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        if trace is not None:
            db.set_trace_callback(lambda statement: trace(db, statement))
        migrate.bring_up(db, path=path, now=2, migrations=STEPS, truth=truth_after(*STEPS))


def state(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as db:
        return {
            "version": migrate.version_of(db),
            "records": db.execute("SELECT id, name FROM migration ORDER BY id").fetchall(),
            "organizations": db.execute("SELECT * FROM organization").fetchall(),
            "lockouts": db.execute("SELECT account, failures FROM lockout").fetchall(),
            "problems": checks.problems(db),
            "application": db.execute("PRAGMA application_id").fetchone()[0],
        }


DONE = {
    "version": 3,
    "records": [(1, "0001_first"), (2, "0002_country"), (3, "0003_rebuilt")],
    "organizations": [("A", "kept", 1, "yy")],
    "lockouts": [("a", 3)],
    "problems": [],
    "application": migrate.APPLICATION_ID,
}


def test_the_migrated_schema_equals_schema_sql(db: sqlite3.Connection) -> None:
    assert migrate.difference(db) == migrate.Difference((), ())
    assert migrate.version_of(db) == migrate.available()[-1].number
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert checks.problems(db) == []


def test_steps_are_numbered_without_gap_and_named_by_their_file() -> None:
    steps = migrate.available()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert [int(step.name[:4]) for step in steps] == [step.number for step in steps]


def test_every_table_is_strict(db: sqlite3.Connection) -> None:
    tables = db.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    assert len(tables) > 10
    assert [name for name, strict in tables if not strict] == []


@pytest.mark.case(19)
def test_case19_an_older_database_keeps_its_data_and_is_backed_up_first(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_database(path)
    with caplog.at_level(logging.INFO):
        bring_up(path)
    assert state(path) == DONE
    backup = path.with_name("dockgate.db.v1.bak")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as copy:
        assert migrate.version_of(copy) == 1
        assert copy.execute("SELECT id, name FROM organization").fetchall() == [("A", "kept")]
        assert checks.problems(copy) == []
    assert [record.backup for record in caplog.records] == [str(backup)]  # type: ignore[attr-defined]


def test_a_current_database_is_neither_migrated_nor_backed_up(path: Path) -> None:
    old_database(path)
    old_database_again = [file.name for file in path.parent.iterdir()]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=9)
        assert db.execute("SELECT applied_at FROM migration").fetchall() == [(1,)]
    assert [file.name for file in path.parent.iterdir()] == old_database_again


def statements_of_a_whole_run(path: Path) -> int:
    count = 0

    def trace(_: sqlite3.Connection, __: str) -> None:
        nonlocal count
        count += 1

    bring_up(path, trace=trace)
    return count


def interrupting(stop: int) -> Callable[[sqlite3.Connection, str], None]:
    counter = itertools.count(1)

    def trace(db: sqlite3.Connection, _: str) -> None:
        if next(counter) == stop:
            db.interrupt()

    return trace


@pytest.mark.case(32)
def test_case32_an_error_in_any_statement_leaves_whole_steps_and_the_next_open_completes(tmp_path: Path) -> None:
    measured = tmp_path / "measured.db"
    old_database(measured)
    total = statements_of_a_whole_run(measured)
    assert total > 25
    versions = set()
    for stop in range(1, total + 1):
        path = tmp_path / f"{stop}.db"
        old_database(path)
        try:
            bring_up(path, trace=interrupting(stop))
        except sqlite3.OperationalError as error:
            assert error.sqlite_errorname == "SQLITE_INTERRUPT"  # noqa: PT017 -- some statements end before they look
        version = state(path)["version"]
        assert [number for number, _ in state(path)["records"]] == list(range(1, version + 1))
        versions.add(version)
        bring_up(path)
        assert state(path) == DONE
    assert versions == {1, 2, 3}


@pytest.mark.case(32)
def test_case32_killed_before_any_statement_of_the_first_step(tmp_path: Path, child: Callable[..., list[str]]) -> None:
    measured = tmp_path / "measured.db"
    with closing(sqlite3.connect(measured, isolation_level=None)) as db:
        statements: list[str] = []
        db.set_trace_callback(statements.append)
        migrate.bring_up(db, path=measured, now=1)
    for stop in range(1, len(statements) + 1, 3):
        path = tmp_path / f"{stop}.db"
        ended = subprocess.run(child("migrating_child.py", path, stop), check=False, timeout=30)
        assert ended.returncode == -signal.SIGKILL
        asyncio.run(open_and_use(path))


async def open_and_use(path: Path) -> None:
    async with await Store.open(path, clock=lambda: 1, create=True) as store:
        await store.write(organizations.add, id="A", name="A", now=1)
        assert await store.read(checks.problems) == []
        assert await store.read(migrate.version_of) == migrate.available()[-1].number


@pytest.mark.case(32)
@pytest.mark.parametrize(
    "marker", ["ALTER TABLE organization", "UPDATE organization", "user_version=2", "DROP TABLE", "COMMIT"]
)
def test_case32_killed_inside_a_later_step(marker: str, path: Path, child: Callable[..., list[str]]) -> None:
    old_database(path)
    steps = path.with_name("steps.py")
    steps.write_text(repr([(step.number, step.name, step.sql) for step in (SECOND, THIRD)]))
    ended = subprocess.run(child("migrating_child.py", path, marker, steps), check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    assert state(path)["version"] in {1, 2}
    bring_up(path)
    assert state(path) == DONE


def test_a_step_that_would_orphan_rows_is_undone(path: Path) -> None:
    old_database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO bind_code VALUES ('c', 'A', 1, NULL, NULL, NULL, 1)")
        bad = Migration(2, "0002_bad", "DELETE FROM organization;")
        with pytest.raises(DatabaseError, match="0002_bad"):
            migrate.bring_up(db, path=path, now=2, migrations=(*migrate.available(), bad))
        assert migrate.version_of(db) == 1
        assert db.execute("SELECT count(*) FROM organization").fetchone() == (1,)
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_step_that_ends_in_the_middle_is_undone(path: Path) -> None:
    old_database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        bad = Migration(2, "0002_bad", "CREATE TABLE extra (x); CREATE TABLE half (")
        with pytest.raises((DatabaseError, sqlite3.Error)):
            migrate.bring_up(db, path=path, now=2, migrations=(*migrate.available(), bad))
        assert migrate.difference(db).foreign == ()


def test_older_is_refused_where_nothing_may_be_changed(path: Path) -> None:
    old_database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        with pytest.raises(DatabaseError, match="older") as caught:
            migrate.require_current(db, path=path, migrations=STEPS)
        assert caught.value.hint == "dockgate db migrate"


def test_what_others_put_in_is_tolerated_and_told(
    opened: Opened, connect: Any, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_database(path)
    with connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("CREATE INDEX ours_to_them ON device (callsign)")

    async def main() -> None:
        async with opened() as store:
            assert [o.id for o in await store.read(organizations.list_all)] == ["A"]

    asyncio.run(main())
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.objects == "table theirs, index ours_to_them"  # type: ignore[attr-defined]
    assert checks.inspect(path).ok
    assert checks.inspect(path).foreign == ("table theirs", "index ours_to_them")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("DROP INDEX device_of_gateway", "index device_of_gateway"),
        ("DROP TRIGGER audit_is_only_trimmed", "trigger audit_is_only_trimmed"),
        ("ALTER TABLE device ADD COLUMN extra TEXT", "table device"),
        ("DROP TABLE gateway_state", "table gateway_state"),
    ],
)
def test_ours_changed_by_others_is_refused(change: str, named: str, opened: Opened, connect: Any, path: Path) -> None:
    old_database(path)
    with connect(path) as other:
        other.execute(change)

    async def main() -> None:
        with pytest.raises(DatabaseError, match=named) as caught:
            async with opened():
                pass
        assert caught.value.hint == "dockgate db check"

    asyncio.run(main())
    assert named in checks.inspect(path).problems[0]


def test_spaces_comments_and_quotes_do_not_make_a_difference(path: Path) -> None:
    old_database(path)
    truth = (
        migrate.schema().replace(",\n", " /* so */ ,\n\n").replace("CREATE TABLE device (", 'CREATE   TABLE "device"(')
    )
    with closing(sqlite3.connect(path)) as db:
        assert migrate.difference(db, truth) == migrate.Difference((), ())
        assert migrate.difference(db, truth.replace("'seen'", "'Seen'")).wrong == ("table device",)
