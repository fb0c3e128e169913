"""A migrated database on tmp_path, bare or behind a Store; and small worlds to put into it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Role
from gateway.store import accounts, codes, migrate, organizations
from gateway.store.connection import Store
from tests.nobody import nobody as somebody_else

NOW = 1_767_225_600_000


@pytest.fixture
def now() -> int:
    return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dockgate.db"


@pytest.fixture
def connect() -> Callable[[Path], AbstractContextManager[sqlite3.Connection]]:
    """A connection of somebody else: no pragma of ours but foreign keys, no waiting for locks."""

    @contextmanager
    def connecting(path: Path) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
            db.execute("PRAGMA foreign_keys=ON")
            yield db

    return connecting


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """A migrated, empty database as the repositories' functions get it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute("PRAGMA foreign_keys=ON")
        migrate.bring_up(db, path=path, now=NOW)
        db.execute("PRAGMA synchronous=OFF")
        yield db


@pytest.fixture
def opened(path: Path) -> Callable[..., AbstractAsyncContextManager[Store]]:
    """``async with opened() as store`` on a new database, or on the one that is there."""

    @asynccontextmanager
    async def opening(**options: Any) -> AsyncIterator[Store]:
        async with await Store.open(path, clock=lambda: NOW, **{"create": True, **options}) as store:
            yield store

    return opening


@pytest.fixture
def found() -> Callable[[sqlite3.Connection], None]:
    """Found organizations A and B, a dock's account with and without organization, and a code for each way a code can be."""

    def founding(db: sqlite3.Connection) -> None:
        for organization_id in ("A", "B"):
            organizations.add(db, id=organization_id, name=f"Team {organization_id}", now=NOW)
        for name, sn, of in (("acc1", "DOCK1", None), ("acc2", "DOCK2", None), ("accA", "DOCKA", "A")):
            accounts.add(
                db,
                name=name,
                role=Role.DOCK,
                sn=sn,
                organization_id=of,
                password_hash="$",
                can_read_sys=False,
                now=NOW,
            )
        for code, of, uses, expires_at, sn in (
            ("ALPHA", "A", None, None, None),
            ("BRAVO", "B", None, None, None),
            ("ONCE", "A", 1, None, None),
            ("TWICE", "A", 2, None, None),
            ("LAPSED", "A", None, NOW, None),
            ("FRESH", "A", None, NOW + 1, None),
            ("REVOKED", "A", None, None, None),
            ("FORDOCK1", "A", None, None, "DOCK1"),
        ):
            codes.add(db, code=code, organization_id=of, uses=uses, expires_at=expires_at, sn=sn, now=NOW)
        codes.revoke(db, "REVOKED", NOW)

    return founding


@pytest.fixture
def nobody() -> Callable[[], AbstractContextManager[None]]:
    """``with nobody():`` runs without root's right to write everywhere."""
    return somebody_else


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A directory that another user can reach; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="dockgate-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def child() -> Callable[..., list[str]]:
    """The command line of a script of this folder, run with this interpreter and this checkout."""
    import sys

    def command(script: str, *arguments: object) -> list[str]:
        return [sys.executable, "-u", str(Path(__file__).with_name(script)), *map(str, arguments)]

    return command


@pytest.fixture(autouse=True)
def _children_find_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    import gateway

    monkeypatch.setenv("PYTHONPATH", str(Path(gateway.__file__).parents[1]))
