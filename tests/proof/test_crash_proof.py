"""``proof/crash`` in its short form: a few kills, a few hundred states of a disk; and that what should be seen there is seen."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store import audit, bindings, codes, migrate, organizations
from proof.crash.failing import failing
from proof.crash.ledger import Ledger, aircraft_of
from proof.crash.lost import lost
from proof.crash.run import crash
from proof.faults.trace import DATABASE, MARK, SYNC, TRUNCATE, UNLINK, WRITE, Disk, Step, mark, place, read
from proof.lives import Lives
from proof.network.ground import BrokenPromise, Ground

DOCK = "7CTDM000000001"
_START_S = 60.0  # three seconds are promised on a machine that has nothing else to do


def test_killed_again_and_again(tmp_path: Path) -> None:
    said: list[str] = []
    figures = crash(tmp_path, docks=40, cycles=5, seconds=60, seed=1, within_s=_START_S, say=said.append)
    assert figures["cycles"] > 1
    assert figures["bound"] > 0
    assert figures["fresh"] > 0
    assert figures["starts_too_slow"] == 0
    assert figures["unbound"] > 0
    assert figures["backups"] > 0
    assert figures["commands_killed"] > 0


def test_a_gateway_that_ends_by_itself_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frail(Lives):
        """As after a fault in a library: just before it would have been killed."""

        def kill(self) -> None:
            assert self._process is not None
            self._process.send_signal(signal.SIGSEGV)
            self._process.wait()
            super().kill()

    monkeypatch.setattr("proof.crash.run.Lives", Frail)
    with pytest.raises(ExceptionGroup) as told:
        crash(tmp_path, docks=2, cycles=1, seconds=60, seed=3, within_s=_START_S, say=lambda _: None)
    assert told.group_contains(BrokenPromise, match=r"ended by itself \(-11\)")


@pytest.mark.parametrize(
    ("does", "seen"),
    [
        ("raise SystemExit(3)", r"ended by itself \(3\)"),
        ("import signal, time; signal.pause()", None),
    ],
)
def test_what_is_killed_was_alive(tmp_path: Path, does: str, seen: str | None) -> None:
    with Lives(Ground(tmp_path, docks=0), program=("-c", does)) as lives:
        lives.begin()
        if seen is None:
            lives.kill()
            return
        assert lives._process is not None
        lives._process.wait()
        with pytest.raises(BrokenPromise, match=seen):
            lives.kill()


def test_a_disk_that_loses_what_it_may_lose(tmp_path: Path) -> None:
    figures = lost(tmp_path, docks=8, rounds=2, cuts=160, seed=1, starts=2, within_s=_START_S)
    assert figures["bound"] > 4
    assert figures["unbound"] > 0
    assert figures["refused"] > 0
    assert figures["with_a_wal"] > 40
    assert figures["in_checkpoints"] > 0
    assert figures["starts"] == 2
    assert figures["starts_too_slow"] == 0


def test_a_disk_whose_database_is_not_written_is_none_that_was_tried(tmp_path: Path) -> None:
    with pytest.raises(BrokenPromise, match="not put to the test"):
        lost(tmp_path, docks=2, rounds=1, cuts=4, seed=1, starts=0, within_s=_START_S, pages=100_000)


# with the second, checkpoints believe that the database has what they put there, and the WAL is written over
@pytest.mark.parametrize("files", [{1, 2}, {DATABASE}], ids=["any sync", "those of checkpoints"])
def test_a_disk_that_lies_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: set[int]) -> None:
    """The proof is worth something only if it fails where it should: here what is synced may be lost all the same."""
    honest = Disk.take

    def take(disk: Disk, step: Step) -> None:
        if step.what != SYNC or step.file not in files:
            honest(disk, step)

    monkeypatch.setattr(Disk, "take", take)
    with pytest.raises(BrokenPromise, match=r"\d made|malformed|damaged|by what was told|half a binding|by the audit"):
        lost(tmp_path, docks=8, rounds=1, cuts=100_000, seed=1, starts=0, within_s=_START_S)


def test_killed_on_a_disk_that_fails_now_and_then(tmp_path: Path) -> None:
    figures = failing(tmp_path, lives=5, seed=1)
    assert figures["acknowledged"] > figures["lives"]


# -- the ledger


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A dock that was bound with a code of one use."""
    path = tmp_path / "dockgate.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=1)
        for name in ("A", "B"):
            organizations.add(db, id=name, name=name, now=1)
            codes.add(db, code=f"ONCE{name}", organization_id=name, uses=1, expires_at=None, sn=None, now=1)
        wishes = [
            bindings.BindWish(sn, "A", "ONCEA", "", key) for sn, key in ((DOCK, "3-2-0"), (aircraft_of(DOCK), "0-91-1"))
        ]
        bindings.bind(db, gateway_sn=DOCK, account="dock", wishes=wishes, now=2)
        yield db


def told(organization: str, *, answered: bool = True) -> Ledger:
    ledger = Ledger()
    deed = ledger.begin(DOCK, organization, f"ONCE{organization}")
    (ledger.done if answered else ledger.unknown)(deed)
    return ledger


@pytest.mark.parametrize("answered", [True, False])
def test_what_is_there_was_acknowledged_or_nobody_knows(bound: sqlite3.Connection, answered: bool) -> None:
    told("A", answered=answered).check(bound)


@pytest.mark.parametrize(
    ("spoil", "seen"),
    [
        (
            "UPDATE device SET organization_id = NULL, bound_at = NULL, bound_by = NULL, bound_code = NULL",
            "by the audit",
        ),
        ("UPDATE device SET organization_id = 'B', bound_code = 'ONCEB' WHERE is_gateway = 0", "by the audit"),
        ("UPDATE bind_code SET uses_left = 1", "uses are gone"),
        # the sum is right, and the use is another code's
        ("UPDATE bind_code SET uses_left = code = 'ONCEA'", "uses of a code are gone"),
        ("UPDATE device SET gateway_sn = NULL", "hangs on"),
        ("DELETE FROM device", "not there"),
    ],
)
def test_what_is_wrong_is_seen(bound: sqlite3.Connection, spoil: str, seen: str) -> None:
    bound.execute("PRAGMA foreign_keys=OFF")
    bound.execute(spoil)
    with pytest.raises(BrokenPromise, match=seen):
        told("A").check(bound)


def test_an_unbinding_that_was_told_and_not_done_is_seen(bound: sqlite3.Connection) -> None:
    ledger = told("A")
    ledger.done(ledger.begin(DOCK, None))
    with pytest.raises(BrokenPromise, match="unbindings told"):
        ledger.check(bound)


def test_a_second_binding_without_an_unbinding_is_seen(bound: sqlite3.Connection) -> None:
    detail = {"dock": DOCK, "organization_id": "B", "fresh": True}
    audit.append(bound, [audit.Entry(3, "dock", "bind", DOCK, "ok", detail)])
    with pytest.raises(BrokenPromise, match="while it was in A"):
        told("A").check(bound)


# -- the disk


def test_a_disk_keeps_what_was_synced_and_perhaps_the_rest(tmp_path: Path) -> None:
    disk = Disk({1: bytearray(b"old")})
    disk.take(Step(WRITE, 2, 0, b"A" * 1024))
    disk.take(Step(SYNC, 2, 0, b""))
    disk.take(Step(WRITE, 2, 1024, b"B" * 1024))
    disk.take(Step(WRITE, 1, 1, b"LD"))
    assert disk.all_lost() == {1: b"old", 2: b"A" * 1024}
    assert disk.all_there() == {1: b"oLD", 2: b"A" * 1024 + b"B" * 1024}
    assert disk.torn() == {1: b"oLd", 2: b"A" * 1024 + b"B" * 512}
    orders = {disk.in_any_order(random.Random(seed))[2] for seed in range(30)}
    assert all(each.startswith(b"A" * 1024) for each in orders)
    assert len(orders) > 2
    disk.take(Step(TRUNCATE, 2, 512, b""))
    disk.take(Step(UNLINK, 1, 0, b""))
    assert disk.all_there() == {2: b"A" * 512}
    place(disk.all_there(), tmp_path / "dockgate.db")
    assert [path.name for path in tmp_path.iterdir()] == ["dockgate.db-wal"]


def test_marks_stand_where_they_were_made(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    mark(trace, "one")
    mark(trace, "zwei")
    assert [(step.what, step.data) for step in read(trace)] == [(MARK, b"one"), (MARK, b"zwei")]
