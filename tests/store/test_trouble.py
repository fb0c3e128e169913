"""Locked, read-only, full, damaged, newer, foreign: each its own error, nothing half applied, and the store goes on."""

# ruff: noqa: ASYNC240 -- nothing else waits for a test's event loop

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import (
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    DatabaseNewerError,
    DatabaseUnwritableError,
)
from gateway.store import audit, checks, organizations
from gateway.store.connection import Store

Opened = Callable[..., AbstractAsyncContextManager[Store]]


def add(db: sqlite3.Connection, name: str) -> None:
    organizations.add(db, id=name, name=name, now=1)


def ids(db: sqlite3.Connection) -> list[str]:
    return [organization.id for organization in organizations.list_all(db)]


def bulk(db: sqlite3.Connection, name: str, megabytes: int = 1) -> None:
    add(db, name)
    detail = {"filler": "x" * 1024}
    audit.append(db, [audit.Entry(1, "a", "fill", name, "ok", detail)] * (megabytes * 1024))


async def expect(error: type[DatabaseError], opening: AbstractAsyncContextManager[Store]) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        async with opening:
            pass
    assert type(caught.value) is error
    return caught.value


@pytest.mark.case(33)
def test_case33_locked_by_another_process(opened: Opened, connect: Any, path: Path) -> None:
    async def main() -> None:
        async with opened(busy_timeout_ms=50) as store:
            await store.write(add, "before")
            with connect(path) as other:
                other.execute("BEGIN IMMEDIATE")
                results = await asyncio.gather(*(store.write(add, f"o{n}") for n in range(3)), return_exceptions=True)
                assert [type(result) for result in results] == [DatabaseBusyError] * 3
                assert await store.read(ids) == ["before"], "docks are still answered"
                assert not await store.changed_elsewhere()
                async with opened(busy_timeout_ms=50) as second:
                    assert await second.read(ids) == ["before"], "an up-to-date database opens while it is locked"
                other.execute("ROLLBACK")
            await store.write(add, "after")
            assert await store.read(ids) == ["after", "before"]

    asyncio.run(main())


@pytest.mark.case(33)
def test_case33_a_lock_that_ends_in_time_is_waited_for(opened: Opened, connect: Any, path: Path) -> None:
    async def main() -> None:
        async with opened(busy_timeout_ms=20_000) as store:
            with connect(path) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = asyncio.get_running_loop().create_task(store.write(add, "one"))
                assert await store.read(ids) == []
                assert not waiting.done()
                other.execute("COMMIT")
                await waiting
            assert await store.read(ids) == ["one"]

    asyncio.run(main())


@pytest.mark.case(36)
def test_case36_full(opened: Opened) -> None:
    def cap(db: sqlite3.Connection, pages: int) -> None:
        (used,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={used + pages}")

    async def main() -> None:
        async with opened() as store:
            await store.write(add, "before")
            await store.write(cap, 20)
            with pytest.raises(DatabaseUnwritableError, match="full") as caught:
                await store.write(bulk, "big")
            assert caught.value.hint == "free some space"
            assert await store.read(ids) == ["before"]
            assert await store.read(audit.list_since) == []
            await store.write(add, "small")
            await store.write(cap, 1000)
            await store.write(bulk, "big")
            assert await store.read(ids) == ["before", "big", "small"]
            assert await store.read(checks.problems) == []

    asyncio.run(main())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond: what a full disk is to SQLite's write()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.case(36)
def test_case36_commit_fails_and_with_it_every_job_of_the_batch(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            await store.write(add, "before")
            with files_of_at_most(path.with_name("dockgate.db-wal").stat().st_size + 4096):
                results = await asyncio.gather(
                    store.write(add, "first"),
                    store.write(bulk, "big"),
                    store.write(add, "last"),
                    return_exceptions=True,
                )
            assert [type(result) for result in results] == [DatabaseUnwritableError] * 3
            assert len({id(result) for result in results}) == 3
            assert await store.read(ids) == ["before"]
            assert store.jobs == 1
            await store.write(add, "after")
            assert await store.read(ids) == ["after", "before"]
            assert await store.read(checks.problems) == []
        async with opened() as store:
            assert await store.read(ids) == ["after", "before"]

    asyncio.run(main())


@pytest.mark.case(36)
@pytest.mark.parametrize("what", ["directory", "file", "directory-around-a-file"])
def test_case36_read_only(what: str, opened: Opened, public_dir: Path, nobody: Any) -> None:
    target = public_dir / "dockgate.db"

    async def main() -> None:
        if what != "directory":
            async with await Store.open(target, clock=lambda: 1, create=True) as store:
                await store.write(add, "before")
        target.parent.chmod(0o555)
        if target.exists():
            target.chmod(0o666 if what == "directory-around-a-file" else 0o444)
        with nobody(), pytest.raises(DatabaseUnwritableError) as caught:
            await Store.open(target, clock=lambda: 1, create=True)
        assert caught.value.exit_code == 6
        assert caught.value.hint is not None
        target.parent.chmod(0o755)
        assert [file.name for file in public_dir.iterdir()] == ([] if what == "directory" else ["dockgate.db"])

    asyncio.run(main())


def test_what_is_not_a_file_is_not_opened(opened: Opened, path: Path) -> None:
    async def main() -> None:
        path.mkdir()
        await expect(DatabaseUnwritableError, opened())
        path.rmdir()
        async with opened():
            pass
        wal = path.with_name("dockgate.db-wal")
        wal.mkdir()
        await expect(DatabaseUnwritableError, opened())
        wal.rmdir()
        async with opened() as store:
            assert await store.read(ids) == []

    asyncio.run(main())


@pytest.mark.parametrize("place", ["missing/dockgate.db", "file/dockgate.db"])
def test_where_no_file_can_be_made(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatabaseUnwritableError, match="cannot be created"):
        asyncio.run(Store.open(tmp_path / place, clock=lambda: 1, create=True))


@pytest.mark.case(34)
@pytest.mark.parametrize(
    "rubbish", [b"this is no database, whatever it says\n" * 300, b"SQLite format 3\0" + b"\xff" * 8000]
)
def test_case34_not_a_database(rubbish: bytes, opened: Opened, path: Path) -> None:
    path.write_bytes(rubbish)
    error = asyncio.run(expect(DatabaseDamagedError, opened()))
    assert error.hint is not None
    assert error.hint.startswith("dockgate backup restore")
    assert path.read_bytes() == rubbish
    report = checks.inspect(path)
    assert not report.ok
    assert report.version is None


@pytest.mark.case(34)
def test_case34_damaged_pages(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            await store.write(bulk, "big")
        with path.open("r+b") as file:
            for page in range(40, 200, 10):  # far from the schema, inside the audit
                file.seek(page * 4096)
                file.write(b"\xa5" * 4096)
        report = checks.inspect(path)
        assert not report.ok
        assert report.version == report.newest_version
        async with opened() as store:
            with pytest.raises(DatabaseDamagedError):
                await store.read(audit.list_since, limit=10_000)
            with pytest.raises(DatabaseDamagedError):
                await store.write(audit.trim, 10)
            assert await store.read(ids) == ["big"]

    asyncio.run(main())


@pytest.mark.case(34)
def test_case34_cut_short(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            await store.write(bulk, "big")
        os.truncate(path, path.stat().st_size // 3 // 4096 * 4096)
        assert not checks.inspect(path).ok
        try:
            async with opened() as store:
                await store.read(audit.list_since, limit=10_000)
        except DatabaseDamagedError:
            return
        pytest.fail("what is missing was not missed")

    asyncio.run(main())


@pytest.mark.parametrize("which", ["dockgate.db", "dockgate.db-wal"])
@pytest.mark.parametrize("by_another", [False, True], ids=["removed", "replaced"])
def test_a_file_that_is_gone_takes_no_more_writes(which: str, by_another: bool, opened: Opened, path: Path) -> None:
    """SQLite itself would go on writing to a file that nobody finds again (sqlite.org/howtocorrupt 4.2)."""
    file, away = path.with_name(which), path.with_name("away")

    async def main() -> None:
        async with opened() as store:
            await store.write(add, "before")
            await store.write(add, "again")
            assert await store.read(ids) == ["again", "before"]
            file.rename(away)
            if by_another:
                file.write_bytes(away.read_bytes())
            for durable in (True, False):
                with pytest.raises(DatabaseUnwritableError, match="removed or replaced"):
                    await store.write(add, "lost", durable=durable)
            assert await store.read(ids) == ["again", "before"]
            away.replace(file)
            await store.write(add, "back")
        async with opened() as store:
            assert await store.read(ids) == ["again", "back", "before"]

    asyncio.run(main())


def test_newer_is_refused_and_left_alone(opened: Opened, connect: Any, path: Path) -> None:
    async def main() -> None:
        async with opened():
            pass
        with connect(path) as other:
            other.execute("PRAGMA user_version=999")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.read_bytes()
        for options in ({}, {"read_only": True}):
            error = await expect(DatabaseNewerError, opened(**options))
            assert "999" in str(error)
        assert path.read_bytes() == before
        assert "newer" in checks.inspect(path).problems[0]

    asyncio.run(main())


def test_another_programs_database_is_refused_and_left_alone(opened: Opened, connect: Any, path: Path) -> None:
    with connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    error = asyncio.run(expect(DatabaseError, opened()))
    assert "another program" in str(error)
    assert path.read_bytes() == before


@pytest.mark.case(34)
def test_case34_a_copy_made_while_writing_is_whole(opened: Opened, path: Path) -> None:
    from gateway.store import copying

    target = path.with_name("copy.db")

    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:
            writes = [group.create_task(store.write(bulk, f"o{n}", 1)) for n in range(6)]
            await writes[0]
            await store.read(copying.copy, target)
        report = checks.inspect(target)
        assert report.ok, report.problems
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        async with await Store.open(target, clock=lambda: 1, read_only=True) as copy:
            kept = await copy.read(ids)
            assert kept[0] == "o0"
            assert len(await copy.read(audit.list_since, limit=100_000)) == 1024 * len(kept)
        assert not list(path.parent.glob("*.part*"))

    asyncio.run(main())


def test_a_copy_that_fails_leaves_the_last_one(opened: Opened, path: Path) -> None:
    from gateway.store import copying

    target = path.with_name("copy.db")
    target.write_bytes(b"the last one")

    async def main() -> None:
        async with opened() as store:
            await store.write(bulk, "big")
            with files_of_at_most(100_000), pytest.raises(DatabaseUnwritableError):
                await store.read(copying.copy, target)
            assert target.read_bytes() == b"the last one"
            assert not list(path.parent.glob("*.part*"))

    asyncio.run(main())


def test_a_report_on_what_is_not_there(path: Path) -> None:
    report = checks.inspect(path)
    assert (report.ok, report.version, report.bytes) == (False, None, 0)


def test_rows_without_their_parent_are_found(db: sqlite3.Connection) -> None:
    assert checks.problems(db) == []
    db.execute("PRAGMA foreign_keys=OFF")
    db.execute("INSERT INTO bind_code VALUES ('c', 'nowhere', 1, NULL, NULL, NULL, 1)")
    assert checks.problems(db) == ["row in bind_code without its organization"]
