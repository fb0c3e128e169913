"""Who gets in, who does not, and what it costs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import passwords
from gateway.auth import Authenticator, Denied, Reason
from gateway.config import LoginSettings
from gateway.model import Identity, Role
from gateway.store import accounts

from .login_stage import (
    DOCK,
    ELSEWHERE,
    GENERATED,
    HOME,
    OLD_HASH,
    PASSWORD,
    add_account,
    stage,
)


def test_a_login_tells_who_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await add_account(at.store, "eye", role=Role.OBSERVER, organization_id="a", can_read_sys=True)
            await at.services.directory.reload(at.store)
            identity = await at.accepted("eye")
            account = at.services.directory.account("eye")
            assert account is not None
            assert identity == Identity(
                account="eye",
                role=Role.OBSERVER,
                sn=None,
                organization_id="a",
                can_read_sys=True,
                version=account.version,
            )
            assert at.services.metrics.logins.accepted == 1

    asyncio.run(main())


def test_a_chosen_password_is_hashed_once_and_then_remembered(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            for address in (HOME, ELSEWHERE, HOME):
                await at.accepted(address=address)
            assert at.pool.runs == 1
            assert at.services.metrics.logins.from_cache == 2

    asyncio.run(main())


def test_a_generated_password_needs_no_pool(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await at.accepted("made", GENERATED)
            assert at.pool.runs == 0

    asyncio.run(main())


def test_without_a_cache_each_login_is_checked_in_full(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, verified_cache=0) as at:
            await at.accepted()
            await at.accepted()
            assert at.pool.runs == 2

    asyncio.run(main())


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, verified_cache=1) as at:
            await at.accepted()
            await at.accepted("made", GENERATED)  # takes the only place
            await at.accepted()
            assert at.pool.runs == 2

    asyncio.run(main())


@pytest.mark.case(37)
def test_many_at_once_with_the_same_credentials_hash_but_a_few_times(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            results = await asyncio.gather(*(at.login() for _ in range(100)))
            assert all(isinstance(result, Identity) for result in results)
            assert at.pool.runs == 2  # as many as there are threads

    asyncio.run(main())


def test_a_new_password_counts_at_once_and_the_old_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            identity = await at.accepted()
            assert at.auth.current(identity)
            await at.by_operator(accounts.set_password, "dock", passwords.hash_generated("a-new-one"), 2)
            assert not at.auth.current(identity)
            assert await at.refused() is Reason.WRONG_PASSWORD
            assert at.auth.current(await at.accepted(password="a-new-one"))

    asyncio.run(main())


def test_an_old_hash_is_replaced_and_nobody_is_disconnected(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await add_account(at.store, "old", OLD_HASH)
            await at.services.directory.reload(at.store)
            identity = await at.accepted("old")
            await at.settle()
            stored = await at.store.read(accounts.get, "old")
            assert stored.password_hash != OLD_HASH
            assert not passwords.needs_rehash(stored.password_hash)
            assert at.services.directory.account("old") == stored
            assert at.auth.current(identity)
            runs = at.pool.runs
            await at.accepted("old")  # remembered under the new hash too
            assert at.pool.runs == runs

    asyncio.run(main())


def test_the_time_of_the_login_is_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await at.accepted("made", GENERATED)
            await at.auth.close()
            assert (await at.store.read(accounts.get, "made")).last_login_at == at.clock.now
            assert (await at.store.read(accounts.get, "dock")).last_login_at is None

    asyncio.run(main())


def test_nothing_but_memory_is_needed_while_the_database_is_locked(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            with closing(sqlite3.connect(at.path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                await at.accepted()
                assert await at.refused("nobody") is Reason.UNKNOWN_ACCOUNT
                other.execute("ROLLBACK")

    asyncio.run(main())


REFUSALS = [
    pytest.param({"username": "dock", "password": "wrong"}, Reason.WRONG_PASSWORD, id="chosen password, wrong"),
    pytest.param({"username": "made", "password": "wrong"}, Reason.WRONG_PASSWORD, id="generated password, wrong"),
    pytest.param({"username": "dock", "password": "x" * 2000}, Reason.WRONG_PASSWORD, id="longer than any password"),
    pytest.param({"username": "nobody"}, Reason.UNKNOWN_ACCOUNT, id="unknown account"),
    pytest.param({"username": "Dock"}, Reason.UNKNOWN_ACCOUNT, id="another case"),
    pytest.param({"username": "off"}, Reason.DISABLED, id="disabled, chosen password"),
    pytest.param({"username": "off-made", "password": GENERATED}, Reason.DISABLED, id="disabled, generated password"),
    pytest.param({"username": "off", "password": "wrong"}, Reason.WRONG_PASSWORD, id="disabled, and wrong"),
    pytest.param({"names": ("another",)}, Reason.CERTIFICATE_MISMATCH, id="certificate of somebody else"),
    pytest.param({"names": ()}, Reason.CERTIFICATE_MISMATCH, id="certificate without a name"),
    pytest.param(
        {"username": "made", "password": GENERATED, "names": ("dock",)},
        Reason.CERTIFICATE_MISMATCH,
        id="of another account",
    ),
]


@pytest.mark.parametrize(("attempt", "reason"), REFUSALS)
def test_every_refusal_costs_one_slow_hash(tmp_path: Path, attempt: dict[str, Any], reason: Reason) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await add_account(at.store, "off")
            await add_account(at.store, "off-made", passwords.hash_generated(GENERATED))
            for name in ("off", "off-made"):
                await at.store.write(accounts.set_enabled, name, False, 2)
            await at.services.directory.reload(at.store)
            assert await at.refused(**attempt) is reason
            assert at.pool.runs == 1
            assert at.services.metrics.logins.refused.values == {(reason.value,): 1}

    asyncio.run(main())


@pytest.mark.case(21)
@pytest.mark.parametrize(("username", "password"), [(None, None), ("", ""), ("dock", None), ("dock", ""), (None, "x")])
def test_no_credentials(tmp_path: Path, username: str | None, password: str | None) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            assert await at.refused(username, password) is Reason.NO_CREDENTIALS
            assert at.pool.runs == 0

    asyncio.run(main())


@pytest.mark.case(30)
def test_a_certificate_has_to_name_the_account_or_its_sn(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await add_account(at.store, "pinned", sn=DOCK)
            await at.services.directory.reload(at.store)
            await at.accepted("pinned", names=("pinned",))
            await at.accepted("pinned", names=("x.example", DOCK))
            assert await at.refused("pinned", names=("dock",)) is Reason.CERTIFICATE_MISMATCH
            assert await at.refused("pinned", names=(DOCK.lower(),)) is Reason.CERTIFICATE_MISMATCH

    asyncio.run(main())


@pytest.mark.case(30)
def test_a_disabled_account_with_a_valid_certificate_is_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            identity = await at.accepted(names=("dock",))
            await at.by_operator(accounts.set_enabled, "dock", False, 2)
            assert not at.auth.current(identity)
            assert await at.refused(names=("dock",)) is Reason.DISABLED
            await at.by_operator(accounts.delete, "dock")
            assert not at.auth.current(identity)
            assert await at.refused(names=("dock",)) is Reason.UNKNOWN_ACCOUNT

    asyncio.run(main())


def test_an_account_that_changes_while_its_password_is_checked_is_judged_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.pool.gate.clear()
            (login,) = await at.start(1)
            assert at.pool.runs == 1
            await at.by_operator(accounts.set_enabled, "dock", False, 2)
            at.pool.gate.set()
            assert await login == Denied(Reason.DISABLED)

    asyncio.run(main())


def test_unknown_and_wrong_take_the_same_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, lockout_failures=0, address_failures=0) as at:

            async def fastest(username: str) -> float:
                times = []
                for _ in range(7):
                    started = time.perf_counter()
                    await at.refused(username, "wrong")
                    times.append(time.perf_counter() - started)
                return min(times)

            times = [await fastest(username) for username in ("dock", "made", "nobody")]
            assert max(times) < 3 * min(times)  # a lookup alone would be a thousand times faster

    asyncio.run(main())


@pytest.mark.case(37)
def test_over_the_waiting_line_is_busy_and_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, hash_threads=1, hash_queue=3) as at:
            at.pool.gate.clear()
            waiting = await at.start(4)
            assert at.services.metrics.logins.waiting == 3
            assert await at.refused() is Reason.BUSY
            assert await at.refused("nobody") is Reason.BUSY
            assert await at.refused("made", "wrong") is Reason.BUSY
            await at.accepted("made", GENERATED)  # needs no hash
            at.pool.gate.set()
            assert all(isinstance(result, Identity) for result in await asyncio.gather(*waiting))
            assert at.services.metrics.logins.waiting == 0
            assert at.services.metrics.logins.refused.get("busy") == 3

    asyncio.run(main())


def test_who_hangs_up_while_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, hash_threads=1, hash_queue=10) as at:
            at.pool.gate.clear()
            logins = await at.start(6)
            assert at.services.metrics.logins.waiting == 5
            for login in logins[1:]:
                login.cancel()
            await asyncio.gather(*logins[1:], return_exceptions=True)
            assert at.services.metrics.logins.waiting == 0
            at.pool.gate.set()
            assert isinstance(await logins[0], Identity)
            assert at.pool.runs == 1

    asyncio.run(main())


def test_after_close_nobody_gets_in_and_nothing_breaks(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await at.auth.close()
            await at.auth.close()
            assert await at.refused() is Reason.BUSY

    asyncio.run(main())


def test_a_pool_of_its_own_is_ended_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            before = threading.active_count()
            auth = Authenticator(at.services, LoginSettings())
            result = await auth.login(username="dock", password=PASSWORD, address=HOME, client_id="c", certificate=None)
            assert isinstance(result, Identity)
            assert threading.active_count() > before
            await auth.close()
            assert threading.active_count() == before

    asyncio.run(main())
