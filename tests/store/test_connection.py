"""The store's promises about transactions: group commit, isolation of jobs, order, durability, snapshots, closing."""

# ruff: noqa: ASYNC240 -- nothing else waits for a test's event loop

from __future__ import annotations

import asyncio
import logging
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConflictError, DatabaseError, DatabaseUnwritableError, NotFoundError
from gateway.store import organizations
from gateway.store.connection import Store

Opened = Callable[..., AbstractAsyncContextManager[Store]]


def add(db: sqlite3.Connection, name: str) -> str:
    return organizations.add(db, id=name, name=name, now=1).id


def ids(db: sqlite3.Connection) -> list[str]:
    return [organization.id for organization in organizations.list_all(db)]


class Gate:
    """A job that stays in the writer's transaction until it is let go; ``entered`` is awaited on the event loop."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._leave = threading.Event()

    def __call__(self, _: sqlite3.Connection) -> None:
        self._loop.call_soon_threadsafe(self.entered.set)
        assert self._leave.wait(20)

    def open(self) -> None:
        self._leave.set()


def test_concurrent_writes_share_one_commit(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store:
            statements: list[str] = []
            await store.write(lambda db: db.set_trace_callback(statements.append))
            statements.clear()
            commits = store.commits
            names = [f"o{n:03}" for n in range(200)]
            assert await asyncio.gather(*(store.write(add, name) for name in names)) == names
            assert store.commits - commits == statements.count("COMMIT") == 1
            assert store.jobs == 201
            assert await store.read(ids) == names

    asyncio.run(main())


def test_writes_that_wait_for_a_commit_share_the_next_one(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:
            gate = Gate()
            first = group.create_task(store.write(gate))
            await gate.entered.wait()
            waiting = [group.create_task(store.write(add, f"o{n}")) for n in range(50)]
            gate.open()
            await first
            await asyncio.gather(*waiting)
            assert store.commits == 2

    asyncio.run(main())


def test_a_batch_has_an_end_so_that_its_first_job_is_answered_soon(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store:
            await asyncio.gather(*(store.write(add, f"o{n}") for n in range(1000)))
            assert store.commits == 4

    asyncio.run(main())


def test_many_rows_let_a_waiting_dock_pass(opened: Opened) -> None:
    order: list[str] = []

    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:

            async def write(name: str, *, bulk: bool = False) -> None:
                await store.write(add, name, bulk=bulk)
                order.append(name)

            gate = Gate()
            group.create_task(store.write(gate))
            await gate.entered.wait()
            for name in ("rows1", "rows2", "rows3"):
                group.create_task(write(name, bulk=True))
            group.create_task(write("dock"))
            await asyncio.sleep(0)
            gate.open()

    asyncio.run(main())
    assert order == ["rows1", "dock", "rows2", "rows3"]


def test_a_failing_job_is_undone_alone(opened: Opened) -> None:
    def half(db: sqlite3.Connection) -> None:
        add(db, "half")
        raise ConflictError("changed my mind")

    async def main() -> None:
        async with opened() as store:
            results = await asyncio.gather(
                store.write(add, "before"),
                store.write(half),
                store.write(organizations.get, "nowhere"),
                store.write(add, "before"),
                store.write(lambda db: db.execute("INSERT INTO nonsense VALUES (1)")),
                store.write(lambda _: {}[1]),
                store.write(add, "after"),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [
                str,
                ConflictError,
                NotFoundError,
                ConflictError,
                DatabaseError,
                KeyError,
                str,
            ]
            assert str(results[1]) == "changed my mind"
            assert (store.commits, store.jobs) == (1, 2)
            assert await store.read(ids) == ["after", "before"]

    asyncio.run(main())


def test_results_come_in_the_order_of_the_calls(opened: Opened) -> None:
    order: list[int] = []

    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:

            def job(_: sqlite3.Connection, number: int) -> int:
                if number % 3 == 0:
                    raise ConflictError(str(number))
                return number

            async def caller(number: int) -> None:
                try:
                    order.append(await store.write(job, number))
                except ConflictError as error:
                    order.append(int(str(error)))

            for number in range(600):
                group.create_task(caller(number))

    asyncio.run(main())
    assert order == list(range(600))


def test_durable_is_synchronous_full_for_its_transaction_only(opened: Opened) -> None:
    def synchronous(db: sqlite3.Connection) -> int:
        level: int = db.execute("PRAGMA synchronous").fetchone()[0]
        return level

    normal, full = 1, 2

    async def main() -> None:
        async with opened() as store:
            assert await store.write(synchronous) == normal
            assert await store.write(synchronous, durable=True) == full
            assert await store.write(synchronous) == normal
            together = (store.write(synchronous, durable=n == 2) for n in range(4))
            assert await asyncio.gather(*together) == [full] * 4, "one that needs it lifts its whole batch"
            assert await store.write(synchronous) == normal

    asyncio.run(main())


def test_a_result_is_out_only_after_its_commit(opened: Opened, connect: Any, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            await store.write(add, "one")
            with connect(path) as other:
                assert ids(other) == ["one"]

    asyncio.run(main())


def test_a_job_whose_caller_left_before_it_began_is_not_begun(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:
            gate = Gate()
            group.create_task(store.write(gate))
            await gate.entered.wait()
            gone = group.create_task(store.write(add, "gone"))
            stays = group.create_task(store.write(add, "stays"))
            await asyncio.sleep(0)
            gone.cancel()
            gate.open()
            await stays
            assert await store.read(ids) == ["stays"]
            assert not await store.changed_elsewhere()

    asyncio.run(main())


def test_a_commit_that_nobody_was_left_to_hear_of_counts_as_a_foreign_change(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:
            gate = Gate()

            def job(db: sqlite3.Connection) -> None:
                add(db, "unheard")
                gate(db)

            caller = group.create_task(store.write(job))
            await gate.entered.wait()
            caller.cancel()
            await asyncio.sleep(0)
            gate.open()
            await store.write(add, "next")
            assert await store.read(ids) == ["next", "unheard"]
            assert await store.changed_elsewhere()
            assert not await store.changed_elsewhere()

    asyncio.run(main())


def test_a_job_that_ends_the_shared_transaction_fails_with_its_batch(opened: Opened) -> None:
    def rogue(db: sqlite3.Connection) -> None:
        add(db, "rogue")
        db.execute("ROLLBACK")

    async def main() -> None:
        async with opened() as store:
            results = await asyncio.gather(store.write(add, "a"), store.write(rogue), return_exceptions=True)
            assert [type(result) for result in results] == [DatabaseError, DatabaseError]
            assert await store.read(ids) == []
            assert await store.write(add, "b") == "b"

    asyncio.run(main())


def test_a_reader_sees_one_state_and_waits_for_no_writer(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store, asyncio.TaskGroup() as group:
            await store.write(add, "old")
            gate = Gate()
            group.create_task(store.write(gate))
            await gate.entered.wait()
            assert await store.read(ids) == ["old"], "while the writer is inside its transaction"
            gate.open()

            within = Gate()

            def twice(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
                first = ids(db)
                within(db)
                return first, ids(db)

            reading = group.create_task(store.read(twice))
            await within.entered.wait()
            await store.write(add, "new")
            within.open()
            assert await reading == (["old"], ["old"])
            assert await store.read(ids) == ["new", "old"]

    asyncio.run(main())


def test_a_reader_cannot_write_and_survives_its_errors(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store:
            with pytest.raises(DatabaseUnwritableError):
                await store.read(add, "no")
            with pytest.raises(NotFoundError):
                await store.read(organizations.get, "no")
            assert await store.read(ids) == []

    asyncio.run(main())


def test_foreign_keys_hold_in_the_writer(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store:
            with pytest.raises(DatabaseError, match="FOREIGN KEY"):
                await store.write(
                    lambda db: db.execute("INSERT INTO bind_code VALUES ('c', 'nowhere', 1, NULL, NULL, NULL, 1)")
                )

    asyncio.run(main())


def test_close_finishes_what_waits_and_may_be_called_again(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            writes = [asyncio.get_running_loop().create_task(store.write(add, f"o{n}")) for n in range(20)]
            await asyncio.sleep(0)
            await asyncio.gather(store.close(), store.close())
            assert await asyncio.gather(*writes) == [f"o{n}" for n in range(20)]
            await store.close()
            for call in (store.read(ids), store.write(add, "late"), store.changed_elsewhere()):
                with pytest.raises(DatabaseError, match="closed"):
                    await call
        assert not path.with_name("dockgate.db-wal").exists(), "the last connection moves the WAL into the file"

    asyncio.run(main())


def test_files_are_born_for_their_owner_only(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            await store.write(add, "one")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {"dockgate.db": 0o600, "dockgate.db-wal": 0o600, "dockgate.db-shm": 0o600}

    asyncio.run(main())


def test_a_missing_database_is_made_only_on_request(opened: Opened, path: Path) -> None:
    async def main() -> None:
        for options in ({"create": False}, {"create": True, "read_only": True}):
            with pytest.raises(DatabaseError, match="there is no database") as caught:
                async with opened(**options):
                    pass
            assert caught.value.hint is not None
            assert caught.value.hint.startswith("dockgate backup restore"), "init refuses where a configuration is"
            assert not path.exists()

    asyncio.run(main())


def test_read_only_reads_beside_a_writer_and_changes_nothing(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store, opened(read_only=True) as reader:
            await store.write(add, "one")
            assert await reader.changed_elsewhere()
            assert await reader.read(ids) == ["one"]
            with pytest.raises(DatabaseUnwritableError, match="reading only"):
                await reader.write(add, "two")
        before = path.read_bytes()
        async with opened(read_only=True) as reader:
            assert await reader.read(ids) == ["one"]
        assert path.read_bytes() == before

    asyncio.run(main())


def test_a_new_database_may_be_opened_by_many_at_once(opened: Opened) -> None:
    async def main() -> None:
        async def one(number: int) -> None:
            async with opened() as store:
                await store.write(add, f"o{number}")

        await asyncio.gather(*(one(number) for number in range(6)))
        async with opened() as store:
            assert len(await store.read(ids)) == 6

    asyncio.run(main())


def test_what_jobs_are_given_is_in_no_log(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with opened() as store:
            await store.write(lambda db, *, secret: db.execute("SELECT ?", (secret,)).fetchall(), secret="the-secret")
            await store.read(lambda db, secret: db.execute("SELECT ?", (secret,)).fetchall(), "the-secret")
            with pytest.raises(DatabaseError) as caught:
                await store.write(lambda db, secret: db.execute("INSERT INTO no VALUES (?)", (secret,)), "the-secret")
            assert "the-secret" not in str(caught.value)

    asyncio.run(main())
    assert any(record.name == "aiosqlite" for record in caplog.records)
    assert "the-secret" not in caplog.text
