"""Another process commits: the store notices, once, and the watch says so until it was heard."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DatabaseBusyError
from gateway.store import organizations, snapshot
from gateway.store.connection import Store
from gateway.store.watch import watch
from gateway.tasks import Tasks

Opened = Callable[..., AbstractAsyncContextManager[Store]]

ELSEWHERE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    db.execute("INSERT INTO organization VALUES (?, ?, 1)", (sys.argv[2], sys.argv[2]))
db.close()
"""


def add(db: sqlite3.Connection, name: str) -> None:
    organizations.add(db, id=name, name=name, now=1)


def test_a_commit_of_another_process_is_noticed_once(opened: Opened, path: Path) -> None:
    async def main() -> None:
        async with opened() as store:
            assert not await store.changed_elsewhere()
            await store.write(add, "own")
            assert not await store.changed_elsewhere(), "its own commits are not news"
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", ELSEWHERE, str(path), "other"], check=True, timeout=30
            )
            assert await store.changed_elsewhere()
            assert not await store.changed_elsewhere()
            assert list((await store.read(snapshot.load)).organizations) == ["other", "own"]

    asyncio.run(main())


def test_an_own_commit_does_not_hide_a_foreign_one(opened: Opened) -> None:
    async def main() -> None:
        async with opened() as store, opened() as other:
            await other.write(add, "other")
            await store.write(add, "own")
            assert await store.changed_elsewhere()
            assert await other.changed_elsewhere()
            with suppress(ZeroDivisionError):
                await other.write(lambda _: 1 / 0)
            assert not await store.changed_elsewhere(), "what was rolled back is no change"

    asyncio.run(main())


def test_the_watch_tells_each_change_until_it_was_heard(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        deaf = False

        async def on_change() -> None:
            heard.put_nowait("deaf" if deaf else "heard")
            if deaf:
                raise DatabaseBusyError("locked")

        tasks = Tasks()
        async with opened() as store, opened() as other:
            tasks.spawn(watch(store, on_change, interval_s=0.005), name="watch")
            await other.write(add, "one")
            assert await asyncio.wait_for(heard.get(), 10) == "heard"
            deaf = True
            await other.write(add, "two")
            for _ in range(3):
                assert await asyncio.wait_for(heard.get(), 10) == "deaf"
            deaf = False
            while await asyncio.wait_for(heard.get(), 10) == "deaf":
                pass
            await tasks.close()
            assert heard.empty(), "heard once is enough"

    asyncio.run(main())
    assert [record.levelname for record in caplog.records if record.name == "gateway.store.watch"] in (
        ["WARNING", "INFO"],
        ["WARNING"],
    )


def test_the_watch_outlives_a_lock(opened: Opened, connect: Any, path: Path) -> None:
    async def main() -> None:
        loaded: asyncio.Queue[snapshot.Snapshot] = asyncio.Queue()

        async with opened(busy_timeout_ms=10) as store:
            tasks = Tasks()

            async def reload() -> None:
                loaded.put_nowait(await store.write(snapshot.load))

            with connect(path) as other:
                add(other, "other")
                other.execute("BEGIN IMMEDIATE")
                tasks.spawn(watch(store, reload, interval_s=0.005), name="watch")
                with pytest.raises(DatabaseBusyError):
                    await store.write(add, "own")
                assert loaded.empty()
                other.execute("ROLLBACK")
            assert list((await asyncio.wait_for(loaded.get(), 10)).organizations) == ["other"]
            await tasks.close()

    asyncio.run(main())
