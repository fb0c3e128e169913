"""The first SN that an account uses."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.auth import Denied, Reason
from gateway.model import Identity, Role
from gateway.store import accounts, bindings, codes, devices
from gateway.store.bindings import BindWish
from gateway.store.connection import Store

from .login_stage import (
    BIRD,
    DOCK,
    GENERATED,
    OTHER_DOCK,
    add_account,
    stage,
)


def test_the_first_sn_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            before = await at.accepted()
            after = await at.auth.pin(before, DOCK)
            assert isinstance(after, Identity)
            assert after.sn == DOCK
            assert after.version == before.version
            assert at.auth.current(before)
            assert at.auth.current(after)
            assert (await at.store.read(accounts.get, "dock")).sn == DOCK
            assert at.services.directory.account_pinned_to(DOCK) == "dock"
            assert (await at.accepted()).sn == DOCK
            assert await at.auth.pin(before, DOCK) == after
            assert await at.auth.pin(before, OTHER_DOCK) == Denied(Reason.HAS_OTHER_SN)
            pins = [entry for entry in await at.audited() if entry.action == "pin"]
            assert [(entry.target, entry.outcome, entry.detail) for entry in pins] == [
                ("dock", "ok", {"dock": DOCK}),
                ("dock", "refused", {"dock": OTHER_DOCK, "reason": "has_other_sn"}),
            ]

    asyncio.run(main())


def test_two_accounts_race_for_one_sn(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            one, other = await at.accepted(), await at.accepted("made", GENERATED)
            results = await asyncio.gather(at.auth.pin(one, DOCK), at.auth.pin(other, DOCK))
            assert isinstance(results[0], Identity)
            assert results[1] == Denied(Reason.SN_TAKEN)
            assert (await at.store.read(accounts.get, "made")).sn is None

    asyncio.run(main())


def test_one_account_races_for_two_sns(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            one = await at.accepted()
            first, second, again = await asyncio.gather(
                at.auth.pin(one, DOCK), at.auth.pin(one, OTHER_DOCK), at.auth.pin(one, DOCK)
            )
            assert isinstance(first, Identity)
            assert again == first
            assert second == Denied(Reason.HAS_OTHER_SN)
            assert (await at.store.read(accounts.get, "dock")).sn == DOCK
            assert at.services.metrics.logins.pinned == 1

    asyncio.run(main())


def test_who_hangs_up_has_its_pin_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            one, other = await at.accepted(), await at.accepted("made", GENERATED)
            pin = at.services.tasks.spawn(at.auth.pin(one, DOCK), name="hangs up")
            await asyncio.sleep(0)
            pin.cancel()
            assert await at.auth.pin(other, DOCK) == Denied(Reason.SN_TAKEN)
            await asyncio.wait({task for task in asyncio.all_tasks() if task.get_name() == "pin"})
            assert at.services.directory.account_pinned_to(DOCK) == "dock"
            assert (await at.store.read(accounts.get, "dock")).sn == DOCK

    asyncio.run(main())


def test_an_sn_that_another_process_gave_away_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            one = await at.accepted()
            other = await Store.open(at.path, clock=at.clock)
            try:
                await add_account(other, "faster", sn=DOCK)
            finally:
                await other.close()
            assert await at.auth.pin(one, DOCK) == Denied(Reason.SN_TAKEN)
            other = await Store.open(at.path, clock=at.clock)
            try:
                await other.write(accounts.delete, "dock")
            finally:
                await other.close()
            assert await at.auth.pin(one, OTHER_DOCK) == Denied(Reason.UNKNOWN_ACCOUNT)

    asyncio.run(main())


def test_which_sns_cannot_be_had(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await at.store.write(
                codes.add, code="CODE", organization_id="a", uses=None, expires_at=None, sn=None, now=1
            )
            await add_account(at.store, "of-a", sn=DOCK, organization_id="a")
            await add_account(at.store, "of-b", organization_id="b")
            await add_account(at.store, "eye", role=Role.OBSERVER)
            wishes = [
                BindWish(sn=sn, organization_id="a", code="CODE", callsign="", model_key=key)
                for sn, key in (
                    (DOCK, "3-2-0"),
                    (BIRD, "0-91-1"),
                )
            ]
            await at.store.write(bindings.bind, gateway_sn=DOCK, account="of-a", wishes=wishes, now=1)
            await at.services.directory.reload(at.store)
            nobody, of_b, eye = await at.accepted(), await at.accepted("of-b"), await at.accepted("eye")
            assert await at.auth.pin(nobody, DOCK) == Denied(Reason.SN_TAKEN)
            assert await at.auth.pin(nobody, BIRD) == Denied(Reason.SN_IS_AIRCRAFT)
            for bad in ("", "+", "a/b", "x" * 65, "\n"):
                assert await at.auth.pin(nobody, bad) == Denied(Reason.BAD_SN)
            assert await at.auth.pin(eye, OTHER_DOCK) == Denied(Reason.NOT_A_DOCK)
            # its account is gone, its binding is not
            await at.by_operator(accounts.delete, "of-a")
            assert await at.auth.pin(of_b, DOCK) == Denied(Reason.SN_OF_OTHER_ORGANIZATION)
            await at.by_operator(accounts.set_enabled, "dock", False, 2)
            assert await at.auth.pin(nobody, DOCK) == Denied(Reason.ACCOUNT_CHANGED)
            assert at.services.metrics.logins.pins_refused.total() == 10
            await at.by_operator(devices.unbind, DOCK, 3)
            assert isinstance(await at.auth.pin(of_b, DOCK), Identity)

    asyncio.run(main())


def test_a_pin_that_cannot_be_stored_is_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            one = await at.accepted()
            with closing(sqlite3.connect(at.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                assert await at.auth.pin(one, DOCK) == Denied(Reason.UNAVAILABLE)
                other.execute("ROLLBACK")
            assert at.services.directory.account_pinned_to(DOCK) is None
            assert isinstance(await at.auth.pin(one, DOCK), Identity)

    asyncio.run(main())
