"""The directory against a real database: what was committed is what it answers, before and after changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.directory import Changes, Directory, Unbound
from gateway.model import AccessStep, Account, BindingCode, Device, License, Organization, Role
from gateway.store import accounts, bindings, codes, devices, organizations
from gateway.store.bindings import BindWish
from gateway.store.connection import Store

NOW = 1_767_225_600_000
DOCK, OTHER_DOCK, BIRD = "7CTDM7100BAAAA", "7CTDM7100BBBBB", "1581F5BKAAAAAAAAAAAA"


@dataclass
class Stage:
    path: Path
    store: Store
    directory: Directory

    async def reload_after(self, foreign: Callable[[Store], Awaitable[object]]) -> Changes:
        """``foreign`` runs in another connection, as an operator's command does."""
        other = await Store.open(self.path, clock=lambda: NOW)
        try:
            await foreign(other)
        finally:
            await other.close()
        assert await self.store.changed_elsewhere()
        return await self.directory.reload(self.store)


@asynccontextmanager
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    path = tmp_path / "dockgate.db"
    store = await Store.open(path, clock=lambda: NOW, create=True)
    try:
        await seed(store)
        yield Stage(path, store, await Directory.load(store))
    finally:
        await store.close()


async def seed(store: Store) -> None:
    """Organization a with a dock, its aircraft and a license; organization b with an account that is pinned, unseen yet."""
    for id_ in ("a", "b"):
        await store.write(organizations.add, id=id_, name=id_.upper(), now=NOW)
    await store.write(codes.add, code="CODE-A", organization_id="a", uses=None, expires_at=None, sn=None, now=NOW)
    await add_account(store, "dock-a", sn=DOCK)
    await add_account(store, "dock-b", sn=OTHER_DOCK, organization_id="b")
    await store.write(devices.see_gateway, DOCK, now=NOW)
    wishes = [
        BindWish(sn=DOCK, organization_id="a", code="CODE-A", callsign="North", model_key="3-2-0"),
        BindWish(sn=BIRD, organization_id="a", code="CODE-A", callsign="Bird", model_key="0-91-1"),
    ]
    outcome = await store.write(bindings.bind, gateway_sn=DOCK, account="dock-a", wishes=wishes, now=NOW)
    assert [result.refusal for result in outcome.results] == [None, None]


async def add_account(
    store: Store, name: str, *, sn: str | None = None, organization_id: str | None = None, role: Role = Role.DOCK
) -> Account:
    return await store.write(
        accounts.add,
        name=name,
        role=role,
        sn=sn,
        organization_id=organization_id,
        password_hash="hash",
        can_read_sys=False,
        now=NOW,
    )


def license_of(organization_id: str | None, app_id: str) -> License:
    return License(
        organization_id=organization_id,
        app_id=app_id,
        app_key="key",
        app_license="license",
        ntp_server_host=None,
        ntp_server_port=123,
        changed_at=NOW,
    )


def device(
    sn: str, *, gateway_sn: str | None = None, organization_id: str | None = None, is_gateway: bool = False
) -> Device:
    return Device(
        sn=sn,
        gateway_sn=gateway_sn,
        is_gateway=is_gateway,
        model_key="",
        callsign="",
        organization_id=organization_id,
        bound_at=None if organization_id is None else NOW,
        first_seen_at=NOW,
        last_seen_at=NOW,
        online=False,
        access_step=AccessStep.SEEN,
    )


def test_it_answers_what_the_database_holds(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            directory = at.directory
            account = directory.account("dock-a")
            assert account is not None
            assert account.sn == DOCK
            assert directory.account("nobody") is None
            assert directory.account_pinned_to(DOCK) == "dock-a"
            assert directory.account_pinned_to(BIRD) is None
            organization, code = directory.organization("a"), directory.code("CODE-A")
            assert organization is not None
            assert organization.name == "A"
            assert code is not None
            assert code.organization_id == "a"
            assert directory.code("code-a") is None
            assert [child.sn for child in directory.children_of(DOCK)] == [BIRD]
            assert directory.children_of(OTHER_DOCK) == ()
            assert {known.sn for known in directory.devices()} == {DOCK, BIRD}
            assert {known.name for known in directory.accounts()} == {"dock-a", "dock-b"}
            assert {known.id for known in directory.organizations()} == {"a", "b"}

    asyncio.run(main())


def test_whose_is_an_sn(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            directory = at.directory
            assert directory.gateway_of(BIRD) == DOCK
            assert directory.gateway_of(DOCK) == DOCK
            assert directory.gateway_of(OTHER_DOCK) == OTHER_DOCK  # only an account says so yet
            assert directory.gateway_of("UNKNOWN") is None
            assert directory.organization_of(DOCK) == "a"
            assert directory.organization_of(BIRD) == "a"
            assert directory.organization_of(OTHER_DOCK) == "b"  # by its account
            assert directory.organization_of("UNKNOWN") is None
            directory.apply_devices([device("BIRD2", gateway_sn=OTHER_DOCK)])
            assert directory.organization_of("BIRD2") == "b"  # by its dock's account
            directory.apply_devices([device("BIRD3")])
            assert directory.gateway_of("BIRD3") is None
            assert directory.organization_of("BIRD3") is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("child", "gateway", "allowed"),
    [
        pytest.param("NEW", DOCK, True, id="never seen"),
        pytest.param("LOOSE", DOCK, True, id="hangs on nothing"),
        pytest.param(BIRD, DOCK, True, id="hangs on it"),
        pytest.param(BIRD, OTHER_DOCK, False, id="hangs on a dock of another organization"),
        pytest.param(BIRD, "DOCK-OF-A", True, id="hangs on a dock of the same organization"),
        pytest.param("BIRD-OF-NOBODY", "DOCK-OF-NOBODY-2", False, id="no organization is no common one"),
        pytest.param("LOOSE-OF-A", DOCK, True, id="loose, bound to the asking dock's organization"),
        pytest.param("LOOSE-OF-A", OTHER_DOCK, False, id="loose, bound to another organization"),
        pytest.param(OTHER_DOCK, DOCK, False, id="an account's SN"),
        pytest.param("DOCK-OF-A", DOCK, False, id="a dock, though of the same organization"),
        pytest.param(DOCK, DOCK, False, id="itself"),
    ],
)
def test_which_dock_may_claim_an_aircraft(tmp_path: Path, child: str, gateway: str, allowed: bool) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            at.directory.apply_devices(
                [
                    device("LOOSE"),
                    device("LOOSE-OF-A", organization_id="a"),
                    device("DOCK-OF-A", is_gateway=True, organization_id="a"),
                    device("DOCK-OF-NOBODY", is_gateway=True),
                    device("DOCK-OF-NOBODY-2", is_gateway=True),
                    device("BIRD-OF-NOBODY", gateway_sn="DOCK-OF-NOBODY"),
                ]
            )
            assert at.directory.may_claim(child, gateway) is allowed

    asyncio.run(main())


def test_license_of_the_account_then_of_the_binding_then_the_default(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            directory = at.directory

            def app_id(organization_id: str | None, sn: str) -> str | None:
                found = directory.license_for(account_organization_id=organization_id, gateway_sn=sn)
                return None if found is None else found.app_id

            assert app_id("b", DOCK) is None
            directory.apply_licenses([license_of(None, "default")])
            assert app_id("b", DOCK) == "default"
            directory.apply_licenses([license_of("a", "of-a")])
            assert app_id(None, DOCK) == "of-a"
            assert app_id("b", DOCK) == "of-a"
            assert app_id("a", "UNKNOWN") == "of-a"
            directory.apply_licenses([license_of("b", "of-b")])
            assert app_id("b", DOCK) == "of-b"
            assert app_id(None, "UNKNOWN") == "default"

    asyncio.run(main())


def test_own_writes_are_applied(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            directory = at.directory
            account = directory.account("dock-b")
            assert account is not None
            directory.apply_accounts([replace(account, sn="MOVED")])
            assert directory.account_pinned_to(OTHER_DOCK) is None
            assert directory.account_pinned_to("MOVED") == "dock-b"
            directory.remove_account("dock-b")
            assert directory.account("dock-b") is None
            assert directory.account_pinned_to("MOVED") is None
            directory.remove_account("dock-b")

            directory.apply_devices([device(BIRD, gateway_sn=OTHER_DOCK)])
            assert directory.children_of(DOCK) == ()
            assert [child.sn for child in directory.children_of(OTHER_DOCK)] == [BIRD]
            directory.apply_devices([device(BIRD)])
            assert directory.children_of(OTHER_DOCK) == ()
            directory.remove_device(BIRD)
            assert directory.device(BIRD) is None

            directory.apply_organizations([Organization(id="c", name="C", created_at=NOW)])
            assert directory.organization("c") is not None
            code = BindingCode(
                code="CODE-C",
                organization_id="c",
                uses_left=1,
                expires_at=None,
                sn=None,
                revoked_at=None,
                created_at=NOW,
            )
            directory.apply_codes([code])
            assert directory.code("CODE-C") == code

    asyncio.run(main())


def test_reload_tells_which_accounts_changed(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:

            async def foreign(store: Store) -> None:
                await store.write(accounts.set_enabled, "dock-a", False, NOW)
                await store.write(accounts.delete, "dock-b")
                await add_account(store, "dock-c")

            changes = await at.reload_after(foreign)
            assert changes.accounts == {"dock-a", "dock-b"}
            assert changes.unbound == ()
            account = at.directory.account("dock-a")
            assert account is not None
            assert not account.enabled
            assert at.directory.account("dock-b") is None
            assert at.directory.account("dock-c") is not None

    asyncio.run(main())


def test_a_login_time_is_no_change_of_an_account(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            changes = await at.reload_after(lambda store: store.write(accounts.touch_logins, {"dock-a": NOW}))
            assert changes.accounts == frozenset()

    asyncio.run(main())


def test_reload_tells_what_was_unbound(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            changes = await at.reload_after(lambda store: store.write(devices.unbind, DOCK, NOW))
            assert set(changes.unbound) == {Unbound(DOCK, DOCK, "a"), Unbound(DOCK, BIRD, "a")}
            assert at.directory.organization_of(BIRD) is None

    asyncio.run(main())


def test_a_reload_never_undoes_an_own_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:

            async def rename(number: int) -> None:
                renamed = await at.store.write(devices.rename, DOCK, f"North {number}")
                at.directory.apply_devices([renamed])

            async def reload() -> None:
                await at.directory.reload(at.store)

            for number in range(20):
                await asyncio.gather(rename(number), reload(), rename(number + 1), reload())
                known = at.directory.device(DOCK)
                assert known == await at.store.read(devices.get, DOCK)

    asyncio.run(main())
