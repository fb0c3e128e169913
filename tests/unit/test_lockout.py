"""Lockout as a table of failures in time; no database, no hashing."""

from __future__ import annotations

import pytest

from gateway.lockout import WHOLE_ADDRESS, Lock, Lockout, place_of

ADDRESS, ELSEWHERE = "192.0.2.1", "192.0.2.2"


class Clock:
    def __init__(self) -> None:
        self.now = 1_767_225_600_000

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, *, failures: int = 3, address_failures: int = 5, capacity: int = 100) -> Lockout:
    return Lockout(
        clock, failures=failures, address_failures=address_failures, window_s=600, lock_s=300, capacity=capacity
    )


def fail(lockout: Lockout, account: str, address: str, times: int) -> list[Lock]:
    return [lock for _ in range(times) for lock in lockout.fail(account, address)]


@pytest.mark.case(27)
def test_an_account_is_locked_at_one_address_and_nowhere_else(clock: Clock) -> None:
    lockout = make(clock)
    assert fail(lockout, "dock", ADDRESS, 2) == []
    assert not lockout.is_pair_locked("dock", ADDRESS)
    (lock,) = fail(lockout, "dock", ADDRESS, 1)
    assert lock == Lock(
        account="dock", address=ADDRESS, failures=3, locked_until=clock.now + 300_000, last_at=clock.now
    )
    assert lockout.is_pair_locked("dock", ADDRESS)
    assert not lockout.is_pair_locked("dock", ELSEWHERE)
    assert not lockout.is_pair_locked("other", ADDRESS)
    assert not lockout.is_address_locked(ADDRESS)


@pytest.mark.case(27)
def test_a_lock_expires_and_counting_starts_anew(clock: Clock) -> None:
    lockout = make(clock, address_failures=0)
    fail(lockout, "dock", ADDRESS, 3)
    clock.forward(299.999)
    assert lockout.is_pair_locked("dock", ADDRESS)
    clock.forward(0.001)
    assert not lockout.is_pair_locked("dock", ADDRESS)
    assert fail(lockout, "dock", ADDRESS, 2) == []
    assert len(fail(lockout, "dock", ADDRESS, 1)) == 1


def test_failures_add_up_within_the_window_only(clock: Clock) -> None:
    lockout = make(clock)
    for _ in range(20):
        assert fail(lockout, "dock", ADDRESS, 1) == []
        clock.forward(301)
    fail(lockout, "dock", ADDRESS, 1)
    clock.forward(1)
    assert len(fail(lockout, "dock", ADDRESS, 1)) == 1


def test_failures_under_a_lock_do_not_prolong_it(clock: Clock) -> None:
    lockout = make(clock, address_failures=0)
    fail(lockout, "dock", ADDRESS, 3)
    clock.forward(200)
    assert fail(lockout, "dock", ADDRESS, 10) == []
    clock.forward(100)
    assert not lockout.is_pair_locked("dock", ADDRESS)


def test_an_address_is_locked_over_all_accounts(clock: Clock) -> None:
    lockout = make(clock)
    locks = [lock for number in range(5) for lock in lockout.fail(f"dock-{number}", ADDRESS)]
    assert [(lock.account, lock.address) for lock in locks] == [(WHOLE_ADDRESS, ADDRESS)]
    assert lockout.is_address_locked(ADDRESS)
    assert not lockout.is_address_locked(ELSEWHERE)
    assert not lockout.is_pair_locked("dock-0", ADDRESS)


def test_a_success_clears_the_account_but_not_the_address(clock: Clock) -> None:
    lockout = make(clock)
    for _ in range(2):
        fail(lockout, "dock", ADDRESS, 2)
        lockout.succeed("dock", ADDRESS)
    assert not lockout.is_pair_locked("dock", ADDRESS)
    assert [lock.account for lock in fail(lockout, "dock", ADDRESS, 1)] == [WHOLE_ADDRESS]


def test_a_failure_that_was_no_guess_counts_for_the_account_only(clock: Clock) -> None:
    lockout = make(clock, failures=6)
    for _ in range(5):
        assert lockout.fail("dock", ADDRESS, counts_for_address=False) == ()
    assert not lockout.is_address_locked(ADDRESS)


def test_zero_never_locks(clock: Clock) -> None:
    lockout = make(clock, failures=0, address_failures=0)
    assert fail(lockout, "dock", ADDRESS, 1000) == []
    assert not lockout.is_pair_locked("dock", ADDRESS)
    assert not lockout.is_address_locked(ADDRESS)


def test_locks_outlive_a_restart(clock: Clock) -> None:
    locks = fail(make(clock), "dock", ADDRESS, 3)
    after = make(clock)
    after.reload(locks)
    assert after.is_pair_locked("dock", ADDRESS)
    clock.forward(300)
    assert not after.is_pair_locked("dock", ADDRESS)
    much_later = make(clock)
    much_later.reload(locks)
    assert not much_later.is_pair_locked("dock", ADDRESS)


def test_what_an_operator_removed_is_lifted_and_what_is_not_stored_yet_stays(clock: Clock) -> None:
    lockout = make(clock)
    (stored,) = fail(lockout, "stored", ADDRESS, 3)
    fail(lockout, "not-stored", ADDRESS, 2)
    lockout.stored(stored)
    lockout.reload([stored])
    assert lockout.is_pair_locked("stored", ADDRESS)
    fail(lockout, "not-stored", ELSEWHERE, 3)
    lockout.reload([])
    assert not lockout.is_pair_locked("stored", ADDRESS)
    assert lockout.is_pair_locked("not-stored", ELSEWHERE)


def test_an_address_lock_is_lifted_and_restored_like_any_other(clock: Clock) -> None:
    lockout = make(clock, failures=0)
    (lock,) = fail(lockout, "dock", ADDRESS, 5)
    lockout.stored(lock)
    lockout.reload([])
    assert not lockout.is_address_locked(ADDRESS)
    lockout.reload([lock])
    assert lockout.is_address_locked(ADDRESS)


def test_a_changed_account_starts_afresh(clock: Clock) -> None:
    lockout = make(clock)
    fail(lockout, "dock", ADDRESS, 3)
    fail(lockout, "other", ADDRESS, 2)
    assert lockout.forget("dock")
    assert not lockout.forget("dock")
    assert not lockout.forget("other")
    assert not lockout.is_pair_locked("dock", ADDRESS)


def test_memory_is_bounded_and_locks_are_the_last_to_go(clock: Clock) -> None:
    lockout = make(clock, address_failures=0, capacity=20)
    fail(lockout, "dock", ADDRESS, 3)
    for number in range(1000):
        lockout.fail(f"name-{number}", ADDRESS)
    assert lockout.is_pair_locked("dock", ADDRESS)
    for number in range(20):
        fail(lockout, f"locked-{number}", ADDRESS, 3)
    assert not lockout.is_pair_locked("dock", ADDRESS)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", "not an address"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_where_an_address_is_counted(address: str, place: str) -> None:
    assert place_of(address) == place
