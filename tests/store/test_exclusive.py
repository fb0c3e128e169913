"""A database for one process alone: who has it open is noticed, and who comes meanwhile loses nothing and spoils nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import DatabaseBusyError, DatabaseError
from gateway.store import copying, exclusive, migrate, organizations


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "dockgate.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=1)
        organizations.add(db, id="old", name="Old", now=1)
    return path


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [one.name for one in organizations.list_all(db)]


def test_nobody_there(filled: Path) -> None:
    with exclusive.held(filled):
        assert not filled.with_name("dockgate.db-wal").exists()
        with (
            closing(sqlite3.connect(filled, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("SELECT count(*) FROM account")
    assert names(filled) == ["Old"]
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        migrate.bring_up(db, path=filled, now=2)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_somebody_there_even_one_who_does_nothing(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as other:
        other.execute("SELECT count(*) FROM account").fetchone()
        with pytest.raises(DatabaseBusyError), exclusive.held(filled, wait_s=0.05):
            pass
        assert other.execute("SELECT count(*) FROM organization").fetchone() == (1,)
    with exclusive.held(filled, wait_s=0.05):
        pass


def test_who_goes_in_time_is_waited_for(filled: Path) -> None:
    other = sqlite3.connect(filled, check_same_thread=False)
    other.execute("SELECT count(*) FROM account").fetchone()
    timer = threading.Timer(0.2, other.close)
    timer.start()
    try:
        with pytest.raises(DatabaseBusyError), exclusive.held(filled, wait_s=0):
            pass
        with exclusive.held(filled, wait_s=10):
            pass
    finally:
        timer.join()


WAITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
print("opened", flush=True)
try:
    db.execute("SELECT count(*) FROM account").fetchone()
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("INSERT INTO organization VALUES ('lost', 'Lost', 1)")
except sqlite3.Error as error:
    print(error.sqlite_errorname, flush=True)
"""


def test_who_waits_and_finds_it_replaced_is_turned_away(filled: Path, tmp_path: Path) -> None:
    """Else its WAL would lie beside the new file, and be taken for that file's own."""
    new = tmp_path / "new.db"
    copying.copy_file(filled, new)
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        organizations.rename(db, "old", "New")
    with subprocess.Popen([sys.executable, "-c", WAITER, str(filled)], stdout=subprocess.PIPE, text=True) as waiter:
        assert waiter.stdout is not None
        with exclusive.held(filled):
            assert waiter.stdout.readline() == "opened\n"
            new.replace(filled)
        assert waiter.communicate(timeout=30)[0] == "SQLITE_READONLY_DBMOVED\n"
    assert names(filled) == ["New"]
    assert not filled.with_name("dockgate.db-wal").exists()


def test_what_is_no_database_is_only_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "dockgate.db"
    path.write_bytes(b"no database" * 1000)
    with exclusive.held(path):
        pass
    assert exclusive.openers(path) == []
    script = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert exclusive.openers(path) == [other.pid]
        assert exclusive.is_open_in(other.pid, path)
        with pytest.raises(DatabaseBusyError, match=str(other.pid)), exclusive.held(path):
            pass
        other.communicate()
    assert not exclusive.is_open_in(other.pid, path)
    assert path.read_bytes().startswith(b"no database")


def test_a_copy_tells_how_far_it_is_and_is_of_one_moment(filled: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute("CREATE TABLE filler (x)")
        db.executemany("INSERT INTO filler VALUES (zeroblob(4000))", [()] * 3000)
    told: list[tuple[int, int]] = []

    def meanwhile(done: int, total: int) -> None:
        told.append((done, total))
        with closing(sqlite3.connect(filled, isolation_level=None)) as db:
            organizations.add(db, id=f"x{done}", name="Meanwhile", now=1)

    copying.copy_file(filled, tmp_path / "copy.db", meanwhile)
    assert len(told) > 2
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    assert names(tmp_path / "copy.db") == ["Old"]
    assert len(names(filled)) == 1 + len(told)


def test_a_copy_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError):
        copying.copy_file(tmp_path / "none.db", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []
