"""Jobs (functions on a connection) come in from the event loop; results go out after COMMIT, in the order of the jobs.

Never a transaction that outlives its job, never two writers, never SQL of our own tables. One thread writes and one
reads, each with its own connection, so that a reader does not wait for the writer's fsync.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import quote

import aiosqlite

from gateway.errors import DatabaseError, DatabaseUnwritableError
from gateway.store import hindrance, migrate
from gateway.store.hindrance import Cause
from gateway.store.place import Place
from gateway.store.translation import translate
from gateway.tasks import Tasks

P = ParamSpec("P")
T = TypeVar("T")

# Jobs of one transaction: enough to share an fsync among a fleet, few enough for the first of them to be answered soon.
_MAX_BATCH = 256
_CACHED_STATEMENTS = 256
_PRAGMAS = (
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "temp_store=MEMORY",
    "journal_size_limit=16777216",  # a WAL that once grew is cut back to 16 MiB at the next checkpoint
)


class WorkerConnection(aiosqlite.Connection):
    """aiosqlite's connection and thread, but a whole job goes over in one hop instead of one hop for each statement."""

    async def open(self) -> None:
        try:
            await self
        except BaseException:
            # aiosqlite leaves its thread to end by itself; it might then report to an event loop that is closed already
            await asyncio.to_thread(self._thread.join)
            raise

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        def job() -> (
            T
        ):  # aiosqlite writes what it executes to its debug log, and the repr of a partial has its arguments
            return fn(self._conn)

        result: T = await self._execute(job)  # type: ignore[no-untyped-call]  # aiosqlite leaves it untyped
        return result


@dataclass(slots=True, eq=False, repr=False)
class _Job:
    fn: Callable[[sqlite3.Connection], Any]
    durable: bool
    bulk: bool
    future: asyncio.Future[Any]


class Store:
    """The database. ``commits`` and ``jobs`` count what was committed since it was opened; failed jobs do not count."""

    def __init__(self, path: Path, writer: WorkerConnection | None, reader: WorkerConnection) -> None:
        """For ``open``."""
        self.path = path
        self.commits = 0
        self.jobs = 0
        self._place = Place(path)
        self._writer = writer
        self._reader = reader
        self._waiting: deque[_Job] = deque()
        self._drain_task: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._data_version = 0
        self._unclaimed = False
        self._closing = False
        self._closed = asyncio.Event()
        self._timed: Callable[[str, float], None] | None = None

    def on_timed(self, callback: Callable[[str, float], None]) -> None:
        """``callback("read" or "write", seconds)`` after each hop to a connection; a write is a whole shared transaction."""
        self._timed = callback

    async def _run(self, connection: WorkerConnection, kind: str, fn: Callable[[sqlite3.Connection], T]) -> T:
        started = perf_counter()  # uvloop's own clock stands still within a turn
        try:
            return await connection.run(fn)
        finally:
            if self._timed is not None:
                self._timed(kind, perf_counter() - started)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], int],
        create: bool = False,
        read_only: bool = False,
        busy_timeout_ms: int = 5000,
    ) -> Self:
        """Open and migrate (a backup is made first). With ``read_only`` nothing is changed and ``write`` is refused.

        :raises DatabaseError: or one of its kinds; a missing file without ``create`` is one too.
        """
        await asyncio.to_thread(_require_usable, path, create=create and not read_only, write=not read_only)
        opened: list[WorkerConnection] = []
        try:
            writer = None
            if not read_only:
                writer = await _connect(path, "rw", busy_timeout_ms, opened)
                await writer.run(partial(migrate.bring_up, path=path, now=clock()))
            reader = await _connect(path, "ro" if read_only else "rw", busy_timeout_ms, opened)
            await reader.run(_only_queries)
            if read_only:
                await reader.run(partial(migrate.require_current, path=path))
            store = cls(path, writer, reader)
            store._data_version = await (writer or reader).run(_data_version)
        except BaseException as error:
            for connection in reversed(opened):
                await connection.close()
            if isinstance(error, sqlite3.Error):
                raise translate(error, path) from error
            raise
        return store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def read(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(db, …)`` on one consistent snapshot; it cannot write and waits for no writer."""
        self._require_open()

        def job(db: sqlite3.Connection) -> T:
            db.execute("BEGIN")
            try:
                return fn(db, *args, **kwargs)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

        try:
            return await self._run(self._reader, "read", job)
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    # PEP 612 has no way to say "P.args, durable, P.kwargs", hence Any
    async def write(
        self,
        fn: Callable[Concatenate[sqlite3.Connection, ...], T],
        /,
        *args: Any,  # noqa: ANN401
        durable: bool = False,
        bulk: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> T:
        """Run ``fn(db, …)`` in a transaction; its result comes out once committed, and what it raises undoes it alone.

        ``durable``: on the disk before the result is out (``synchronous=FULL``): a power cut cannot take it back.
        Jobs that wait while a commit runs share the next transaction. Results come out in the order in which the jobs
        were done, so callers may apply them to memory as they come; a reload that must not overtake them goes through
        ``write`` too. That is the order of the calls, but for ``bulk``: many rows that nobody waits for. Only one such
        job goes into a transaction, and the others let those pass that a dock waits for.
        """
        self._require_open()
        if self._writer is None:
            raise DatabaseUnwritableError(f"{self.path}: it was opened for reading only")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(partial(_call, fn, args, kwargs), durable, bulk, future))
        if self._drain_task is None:
            self._drain_task = self._tasks.spawn(self._drain(self._writer), name="store writer")
        return await future

    async def changed_elsewhere(self) -> bool:
        """Whether memory may lag behind the file: another connection committed since the last call (or the opening).

        A job whose caller was cancelled while it was being committed counts too: nobody is left to apply its result.
        """
        self._require_open()
        try:
            version = await (self._writer or self._reader).run(_data_version)
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        changed = version != self._data_version or self._unclaimed
        self._data_version, self._unclaimed = version, False
        return changed

    async def close(self) -> None:
        """Finish what waits, then close; idempotent."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        try:
            while self._drain_task is not None:
                await asyncio.wait({self._drain_task})
            await self._reader.close()
            if self._writer is not None:
                await self._writer.close()  # the last one out moves the WAL into the file
        finally:
            self._closed.set()

    def _require_open(self) -> None:
        if self._closing:
            raise DatabaseError(f"{self.path}: it is closed")

    async def _drain(self, writer: WorkerConnection) -> None:
        batch: list[_Job] = []
        try:
            while self._waiting:
                # a job whose caller has gone before it began is not begun
                batch = [job for job in _take(self._waiting) if not job.future.done()]
                if batch:
                    await self._commit(writer, batch)
                    batch = []
        finally:
            self._drain_task = None
            for job in (*batch, *self._waiting):  # empty unless this task itself was cancelled
                job.future.cancel()
            self._waiting.clear()

    async def _commit(self, writer: WorkerConnection, batch: list[_Job]) -> None:
        try:
            jobs, durable = [job.fn for job in batch], any(job.durable for job in batch)
            work = partial(_run_batch, jobs, self._place, durable=durable)
            outcomes = await self._run(writer, "write", work)
        except Exception as error:  # noqa: BLE001 -- whatever it was, each caller of the batch must hear of it
            outcomes = [error] * len(batch)
        else:
            self.commits += 1
        for job, outcome in zip(batch, outcomes, strict=True):
            failed = isinstance(outcome, Exception)
            self.jobs += not failed
            if job.future.done():
                self._unclaimed |= not failed
            elif isinstance(outcome, Exception):
                job.future.set_exception(self._public(outcome))
            else:
                job.future.set_result(outcome.value)

    def _public(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        translated = translate(error, self.path)  # one for each caller: a traceback belongs to one
        translated.__cause__ = error
        return translated


@dataclass(slots=True, frozen=True)
class _Done:
    value: Any


class _TransactionLostError(Exception):
    """SQLite has rolled the whole transaction back on its own (disk full, I/O error), or a job has ended it."""


def _run_batch(
    jobs: list[Callable[[sqlite3.Connection], Any]], place: Place, db: sqlite3.Connection, *, durable: bool
) -> list[_Done | Exception]:
    """In the writer thread: all jobs in one transaction, each in its own savepoint."""
    db.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")
    try:
        db.execute("BEGIN IMMEDIATE")
        outcomes = [_run_job(db, job) for job in jobs]
        place.require()
        db.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if isinstance(error, _TransactionLostError) and isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise
    return outcomes


def _run_job(db: sqlite3.Connection, job: Callable[[sqlite3.Connection], Any]) -> _Done | Exception:
    db.execute("SAVEPOINT job")
    try:
        done = _Done(job(db))
        if not db.in_transaction:
            raise sqlite3.ProgrammingError("a job has ended the transaction that it shares with others")  # noqa: TRY301
    except Exception as error:
        if not db.in_transaction:
            raise _TransactionLostError from error
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return error
    db.execute("RELEASE job")
    return done


def _call(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], db: sqlite3.Connection) -> T:
    return fn(db, *args, **kwargs)


def _take(waiting: deque[_Job]) -> list[_Job]:
    taken: list[_Job] = []
    passed: list[_Job] = []
    has_bulk = False
    while waiting and len(taken) < _MAX_BATCH:
        job = waiting.popleft()
        if job.bulk and has_bulk:
            passed.append(job)
            continue
        has_bulk = has_bulk or job.bulk
        taken.append(job)
    waiting.extendleft(reversed(passed))
    return taken


def _require_usable(path: Path, *, create: bool, write: bool) -> None:
    found = hindrance.look(path)
    if found is None:
        return
    if found.cause is Cause.MISSING:
        if not create:
            raise DatabaseError(f"{path}: {found.what}", hint=found.hint)
        _create(path)
    # SQLite would open it for reading in silence and fail at the first write
    elif found.cause is Cause.NOT_A_FILE or (write and not hindrance.may(path, os.W_OK)):
        raise DatabaseUnwritableError(f"{path}: {found.what}", hint=found.hint)


def _create(path: Path) -> None:
    """An empty file that only its owner can read; SQLite gives its WAL the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass  # another process was faster; and closing an existing file would drop the locks SQLite has on it
    except OSError as error:
        why = error.strerror or str(error)
        raise DatabaseUnwritableError(f"{path}: cannot be created ({why})", hint="check the directory") from error


async def _connect(path: Path, mode: str, busy_timeout_ms: int, opened: list[WorkerConnection]) -> WorkerConnection:
    def connector() -> sqlite3.Connection:
        # mode=rw: unlike the default it never makes a file where one has just vanished
        uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
        db = sqlite3.connect(
            uri, uri=True, isolation_level=None, cached_statements=_CACHED_STATEMENTS, timeout=busy_timeout_ms / 1000
        )
        try:
            for pragma in _PRAGMAS:
                db.execute(f"PRAGMA {pragma}")
        except BaseException:
            db.close()
            raise
        return db

    connection = WorkerConnection(connector, iter_chunk_size=64)
    await connection.open()
    opened.append(connection)
    return connection


def _only_queries(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA query_only=ON")


def _data_version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA data_version").fetchone()[0]
    return version
