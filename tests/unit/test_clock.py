"""The wall clock steps by hours while something lasts: it lasts as long as it should, by the steady clock."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from gateway.clock import SystemClock, steady_of
from gateway.config import LoginSettings
from gateway.config.settings import AdminSettings
from gateway.lockout import Lockout
from gateway.metrics import Metrics
from gateway.refusals import LINES, RefusalLog
from gateway.services import AuditTrail
from gateway.store import audit, migrate
from gateway.store.connection import Store
from gateway.store.operators import Operator
from gateway.tasks import Tasks
from gateway.web.sessions import Sessions

from .login_stage import stage

HOME = "192.0.2.1"
HOUR_S = 3600.0
STEPS = pytest.mark.parametrize("step_s", [3 * HOUR_S, -3 * HOUR_S, -1.0, -56 * 365 * 24 * HOUR_S])


class Clock:
    """``step`` sets the wall clock alone, ``forward`` lets time go by."""

    def __init__(self) -> None:
        self.now = 1_767_225_600_000
        self.up = 5_000

    def __call__(self) -> int:
        return self.now

    def steady(self) -> int:
        return self.up

    def step(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    def forward(self, seconds: float) -> None:
        self.step(seconds)
        self.up += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lockout_by(clock: Clock) -> Lockout:
    return Lockout(clock, failures=3, address_failures=50, window_s=600, lock_s=300)


def test_the_systems_steady_clock_is_another_one() -> None:
    clock = SystemClock()
    assert steady_of(clock)() < clock()  # since the start of the machine, not since 1970
    assert steady_of(lambda: 7)() == 7


@STEPS
def test_a_lock_lasts_as_long_as_it_should(clock: Clock, step_s: float) -> None:
    lockout = lockout_by(clock)
    (lock,) = [lock for _ in range(3) for lock in lockout.fail("dock", HOME)]
    assert lock.locked_until == clock.now + 300_000
    lockout.stored(lock)
    clock.step(step_s)
    for _ in range(2):  # an operator changes something, and all locks are read again
        lockout.reload([lock])
        assert lockout.is_pair_locked("dock", HOME)
    clock.forward(299)
    lockout.reload([lock])
    assert lockout.is_pair_locked("dock", HOME)
    clock.forward(2)
    for _ in range(2):
        assert not lockout.is_pair_locked("dock", HOME)
        lockout.reload([lock])  # it is in the database still, and locked by that clock for hours perhaps
    assert lockout.fail("dock", HOME) == ()


@STEPS
def test_failures_are_added_up_over_a_step(clock: Clock, step_s: float) -> None:
    lockout = lockout_by(clock)
    lockout.fail("dock", HOME)
    clock.step(step_s)
    lockout.fail("dock", HOME)
    clock.forward(599)
    lockout.reload([])
    assert len(lockout.fail("dock", HOME)) == 1


def test_failures_are_forgotten_in_their_time_though_the_clock_went_back(clock: Clock) -> None:
    lockout = lockout_by(clock)
    for _ in range(2):
        lockout.fail("dock", HOME)
    clock.step(-3 * HOUR_S)
    clock.forward(600)
    assert lockout.fail("dock", HOME) == ()


def test_a_lock_of_another_time_lasts_no_longer_than_a_new_one(clock: Clock) -> None:
    """The gateway is started again, and the clock was set back meanwhile."""
    before = lockout_by(clock)
    (lock,) = [lock for _ in range(3) for lock in before.fail("dock", HOME)]
    clock.step(-3 * HOUR_S)
    again = lockout_by(clock)
    again.reload([lock])
    assert again.is_pair_locked("dock", HOME)
    clock.forward(300)
    assert not again.is_pair_locked("dock", HOME)
    again.reload([lock])
    assert not again.is_pair_locked("dock", HOME)


def test_a_lock_that_is_lifted_is_lifted_whatever_the_clock_says(clock: Clock) -> None:
    lockout = lockout_by(clock)
    (lock,) = [lock for _ in range(3) for lock in lockout.fail("dock", HOME)]
    lockout.stored(lock)
    clock.step(-3 * HOUR_S)
    lockout.reload([])
    assert not lockout.is_pair_locked("dock", HOME)


def test_refusals_are_told_though_the_clock_went_back(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """fail2ban reads these lines: an address that has had its share must not be silent for hours."""
    caplog.set_level(logging.WARNING)
    told = RefusalLog(steady_of(clock), Metrics().logins)

    def tell() -> bool:
        return told.tell(address=HOME, account="dock", client_id="c", reason="wrong_password")

    assert [tell() for _ in range(LINES + 1)] == [True] * LINES + [False]
    clock.step(-3 * HOUR_S)
    assert not tell()
    clock.forward(60)
    assert tell()


@STEPS
def test_an_operator_stays_logged_in_for_his_time(tmp_path: Path, clock: Clock, step_s: float) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            with ThreadPoolExecutor(1) as pool:
                object.__setattr__(at.services, "clock", clock)
                sessions = Sessions(
                    at.services, AdminSettings(session_s=3600, session_idle_s=600), LoginSettings(), pool
                )
                operator = Operator("anna", "hash", 1, 1, None)
                cookie, session = sessions._begin(operator)
                assert session.ends_at == clock.now + 3_600_000
                clock.step(step_s)
                assert sessions.find(cookie) is session
                clock.forward(599)
                assert sessions.find(cookie) is session
                assert sessions.is_current(session, operator)
                other, _ = sessions._begin(operator)
                clock.forward(600)
                assert sessions.find(cookie) is None
                assert sessions.find(other) is None
                long, lasting = sessions._begin(operator)
                for _ in range(7):
                    clock.step(-step_s)
                    clock.forward(500)
                    assert sessions.find(long) is lasting
                clock.forward(100)
                assert sessions.find(long) is None
                sessions.close()

    asyncio.run(main())


@pytest.mark.parametrize(("later_s", "is_one"), [(0, True), (59, True), (61, False), (-59, True), (-3 * HOUR_S, False)])
def test_a_refused_bind_is_told_again_though_the_clock_went_back(tmp_path: Path, later_s: float, is_one: bool) -> None:
    first = audit.Entry(1_767_225_600_000, "dock", "bind", "7CTDM", "refused", {"reason": "code_used_up"})
    path = tmp_path / "dockgate.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate.bring_up(db, path=path, now=1)
        audit.append(db, [first])
        again = first._replace(at=first.at + round(later_s * 1000))
        assert audit.is_repetition(db, again, 60_000) is is_one


@STEPS
def test_a_window_of_the_audit_ends_after_a_minute(tmp_path: Path, clock: Clock, step_s: float) -> None:
    async def main() -> None:
        tasks, metrics = Tasks(), Metrics()
        async with await Store.open(tmp_path / "dockgate.db", clock=clock, create=True) as store:
            trail = AuditTrail(store, clock, tasks, metrics, flush_s=3600)

            def refuse() -> None:
                trail.record(actor=HOME, action="login", target="dock", outcome="refused", detail={"reason": "locked"})

            refuse()
            clock.step(step_s)
            refuse()
            clock.forward(59)
            refuse()
            assert len(trail._pending) == 1
            clock.forward(1)
            refuse()  # the first of the next minute
            assert [entry.detail.get("count") for entry in trail._pending] == [None, 2, None]
            await trail.close()
            await tasks.close()

    asyncio.run(main())
