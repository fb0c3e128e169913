"""Lockout as a client meets it (cases 27); the counting alone is in test_lockout.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import passwords
from gateway.auth import Reason
from gateway.store import accounts, lockouts

from .login_stage import (
    ELSEWHERE,
    GENERATED,
    HOME,
    stage,
)


@pytest.mark.case(27)
def test_twenty_bad_logins_lock_the_account_at_that_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            reasons = [await at.refused("dock", "wrong") for _ in range(20)]
            assert reasons == [Reason.WRONG_PASSWORD] * 10 + [Reason.LOCKED_OUT] * 10
            assert at.pool.runs == 10  # a lock costs no hashing
            assert await at.refused("dock") is Reason.LOCKED_OUT
            await at.accepted("dock", address=ELSEWHERE)
            await at.accepted("made", GENERATED)
            at.clock.forward(299)
            assert await at.refused("dock") is Reason.LOCKED_OUT
            at.clock.forward(1)
            await at.accepted("dock")
            locks = [entry for entry in await at.audited() if entry.action == "lockout"]
            assert [(entry.target, entry.detail["failures"]) for entry in locks] == [("dock", 10)]

    asyncio.run(main())
    assert "login refused address=192.0.2.1 account=dock client_id=c1 reason=locked_out" in caplog.text


@pytest.mark.parametrize("username", ["dock", "made", "nobody"])
def test_a_lock_looks_the_same_for_accounts_that_do_not_exist(tmp_path: Path, username: str) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            reasons = [await at.refused(username, "wrong") for _ in range(4)]
            assert reasons[-1] is Reason.LOCKED_OUT
            assert Reason.LOCKED_OUT not in reasons[:-1]
            assert at.pool.runs == 3

    asyncio.run(main())


def test_guessing_in_parallel_gains_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            results = await asyncio.gather(*(at.refused("dock", f"guess-{number}") for number in range(200)))
            assert at.pool.runs <= 3 + 1  # one may be in the other thread when the lock falls
            assert results.count(Reason.LOCKED_OUT) >= 196

    asyncio.run(main())


@pytest.mark.case(27)
def test_a_restart_does_not_lift_a_lock_and_an_operator_does(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            for _ in range(3):
                await at.refused("dock", "wrong")
            await at.settle()
        async with stage(tmp_path, lockout_failures=3) as at:
            assert await at.refused("dock") is Reason.LOCKED_OUT
            await at.by_operator(lockouts.clear, "dock")
            await at.accepted("dock")

    asyncio.run(main())


@pytest.mark.case(27)
def test_an_operator_lifts_a_lock_of_this_run(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            for _ in range(3):
                await at.refused("dock", "wrong")
            await at.settle()
            await at.by_operator(lockouts.clear, "dock")
            await at.accepted("dock")

    asyncio.run(main())


def test_a_lock_that_was_just_set_survives_a_reload(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            for _ in range(3):
                await at.refused("dock", "wrong")
            await at.auth.refresh()
            assert await at.refused("dock") is Reason.LOCKED_OUT
            await at.settle()
            await at.auth.refresh()
            assert await at.refused("dock") is Reason.LOCKED_OUT

    asyncio.run(main())


def test_stored_locks_do_not_pile_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=1, address_failures=0) as at:
            for number in range(5):
                await at.refused(f"name-{number}")
                await at.settle()
                at.clock.forward(301)
            assert len(await at.store.read(lockouts.get_all)) == 1

    asyncio.run(main())


def test_a_new_password_lifts_the_accounts_locks(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            for _ in range(3):
                await at.refused("dock", "wrong")
            await at.settle()
            await at.by_operator(accounts.set_password, "dock", passwords.hash_generated("a-new-one"), 2)
            await at.accepted("dock", "a-new-one")
            assert await at.store.read(lockouts.get_all) == []

    asyncio.run(main())


def test_a_neighbour_that_locks_the_address_does_not_lock_out_a_known_dock(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, address_failures=5, lockout_failures=3) as at:
            await at.accepted("dock")
            await at.accepted("made", GENERATED, address=ELSEWHERE)
            for number in range(5):
                await at.refused(f"name-{number}")
            runs = at.pool.runs
            assert await at.refused("nobody") is Reason.LOCKED_OUT
            assert await at.refused("made", GENERATED) is Reason.LOCKED_OUT  # known, but not from here
            await at.accepted("dock")
            # the exception is no way to guess: it ends like any other guessing, and costs no hash
            assert [await at.refused("dock", "wrong") for _ in range(4)] == [Reason.LOCKED_OUT] * 4
            assert await at.refused("dock") is Reason.LOCKED_OUT
            assert at.pool.runs == runs
            assert at.services.metrics.logins.locked.values == {("address",): 1, ("pair",): 1}
            await at.settle()
            rows = await at.store.read(lockouts.get_all)
            assert [(row.account, row.address) for row in rows] == [("", HOME), ("dock", HOME)]

    asyncio.run(main())


def test_a_locked_address_is_audited_under_few_names(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, address_failures=2) as at:
            for number in range(1000):
                await at.refused(f"name-{number}")
            assert len(await at.audited()) < 250

    asyncio.run(main())


@pytest.mark.parametrize("disabled", [True, False])
def test_who_knows_the_password_is_not_held_against_the_address(tmp_path: Path, disabled: bool) -> None:
    async def main() -> None:
        async with stage(tmp_path, address_failures=4, lockout_failures=6) as at:
            if disabled:
                await at.by_operator(accounts.set_enabled, "made", False, 2)
            for _ in range(6):
                assert await at.refused("made", GENERATED, names=("else",)) in {
                    Reason.DISABLED,
                    Reason.CERTIFICATE_MISMATCH,
                }
            assert await at.refused("made", GENERATED) is Reason.LOCKED_OUT
            await at.accepted("dock")
            if disabled:
                await at.by_operator(accounts.set_enabled, "made", True, 3)
                await at.accepted("made", GENERATED)

    asyncio.run(main())


def test_addresses_of_one_ipv6_site_are_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=3) as at:
            for number in range(3):
                await at.refused("dock", "wrong", address=f"2001:db8::{number:x}")
            assert await at.refused("dock", address="2001:db8::ffff") is Reason.LOCKED_OUT
            await at.accepted("dock", address="2001:db8:0:1::1")

    asyncio.run(main())
