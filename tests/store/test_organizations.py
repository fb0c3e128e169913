"""Organizations, their codes and their licenses."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from gateway.errors import ConflictError, NotFoundError, UsageError
from gateway.model import BindingCode, License, Organization, Role
from gateway.store import accounts, bindings, codes, licenses, organizations


def license_of(organization_id: str | None, app_id: str = "100001") -> License:
    return License(
        organization_id=organization_id,
        app_id=app_id,
        app_key="the-key",
        app_license="bGljZW5zZQ==",
        ntp_server_host=None,
        ntp_server_port=123,
        changed_at=1,
    )


def add_code(db: sqlite3.Connection, code: str, organization_id: str = "A", uses: int | None = None) -> BindingCode:
    return codes.add(db, code=code, organization_id=organization_id, uses=uses, expires_at=None, sn=None, now=1)


@pytest.fixture(autouse=True)
def _two(db: sqlite3.Connection) -> None:
    for name in ("A", "B"):
        organizations.add(db, id=name, name=f"Team {name}", now=1)


def test_organizations(db: sqlite3.Connection) -> None:
    a, b = organizations.list_all(db)
    assert a == Organization(id="A", name="Team A", created_at=1)
    assert organizations.get(db, "B") == b
    assert organizations.rename(db, "A", "Harbour") == replace(a, name="Harbour")
    with pytest.raises(ConflictError):
        organizations.add(db, id="A", name="again", now=2)
    organizations.delete(db, "A")
    for call in (
        lambda: organizations.get(db, "A"),
        lambda: organizations.rename(db, "A", "x"),
        lambda: organizations.delete(db, "A"),
    ):
        with pytest.raises(NotFoundError, match="organization A"):
            call()


def test_deleting_takes_codes_and_license_but_neither_devices_nor_accounts(db: sqlite3.Connection) -> None:
    add_code(db, "ALPHA")
    add_code(db, "BRAVO", "B")
    licenses.put(db, license=license_of("A"))
    licenses.put(db, license=license_of(None))
    wish = bindings.BindWish("DOCK1", "A", "ALPHA", "", "3-2-0")
    bindings.bind(db, gateway_sn="DOCK1", account="acc", wishes=[wish], now=1)
    with pytest.raises(ConflictError, match="1 bound"):
        organizations.delete(db, "A")
    db.execute("UPDATE device SET organization_id = NULL, bound_at = NULL, bound_by = NULL, bound_code = NULL")
    accounts.add(
        db, name="a", role=Role.DOCK, sn=None, organization_id="A", password_hash="$", can_read_sys=False, now=1
    )
    with pytest.raises(ConflictError, match="1 account"):
        organizations.delete(db, "A")
    assert codes.find(db, "ALPHA") is not None
    accounts.delete(db, "a")
    organizations.delete(db, "A")
    assert [code.code for code in codes.list_for(db, None)] == ["BRAVO"]
    assert [license_.organization_id for license_ in licenses.get_all(db)] == [None]


def test_codes(db: sqlite3.Connection) -> None:
    alpha = codes.add(db, code="ALPHA", organization_id="A", uses=3, expires_at=99, sn="DOCK1", now=5)
    assert alpha == BindingCode(
        code="ALPHA", organization_id="A", uses_left=3, expires_at=99, sn="DOCK1", revoked_at=None, created_at=5
    )
    bravo = add_code(db, "BRAVO", "B")
    assert codes.get(db, "ALPHA") == codes.find(db, "ALPHA") == alpha
    assert codes.list_for(db, None) == [alpha, bravo]
    assert codes.list_for(db, "B") == [bravo]
    assert codes.list_for(db, "nowhere") == []
    assert codes.revoke(db, "ALPHA", 7) == replace(alpha, revoked_at=7)
    assert codes.revoke(db, "ALPHA", 8).revoked_at == 7
    assert codes.use(db, bravo) == bravo
    assert codes.use(db, alpha).uses_left == codes.get(db, "ALPHA").uses_left == 2


def test_codes_are_unique_over_all_organizations_and_not_told_in_errors(db: sqlite3.Connection) -> None:
    add_code(db, "H4RB0R")
    with pytest.raises(ConflictError) as conflict:
        add_code(db, "H4RB0R", "B")
    with pytest.raises(NotFoundError) as unknown:
        codes.get(db, "W4TER")
    with pytest.raises(NotFoundError):
        codes.revoke(db, "W4TER", 1)
    with pytest.raises(NotFoundError, match="nowhere"):
        add_code(db, "OTHER", "nowhere")
    with pytest.raises(UsageError):
        add_code(db, "OTHER", uses=0)
    assert "H4RB0R" not in str(conflict.value)
    assert "W4TER" not in str(unknown.value)


def test_licenses(db: sqlite3.Connection) -> None:
    assert licenses.get_all(db) == []
    default, of_a = license_of(None), replace(license_of("A"), ntp_server_host="192.0.2.10", ntp_server_port=1123)
    licenses.put(db, license=of_a)
    licenses.put(db, license=default)
    assert licenses.get_all(db) == [default, of_a]
    newer = replace(default, app_id="200002", changed_at=9)
    licenses.put(db, license=newer)
    assert licenses.get_all(db) == [newer, of_a], "one default, replaced"
    licenses.clear(db, None)
    assert licenses.get_all(db) == [of_a]
    with pytest.raises(NotFoundError, match="no default"):
        licenses.clear(db, None)
    with pytest.raises(NotFoundError, match="organization B"):
        licenses.clear(db, "B")
    with pytest.raises(NotFoundError, match="nowhere"):
        licenses.put(db, license=license_of("nowhere"))
    assert "the-key" not in repr(of_a)


@pytest.mark.case(7)
@pytest.mark.parametrize("field", ["app_id", "app_key", "app_license"])
def test_case7_an_empty_license_is_never_kept(field: str, db: sqlite3.Connection) -> None:
    with pytest.raises(UsageError) as caught:
        licenses.put(db, license=replace(license_of(None), **{field: ""}))
    assert "the-key" not in str(caught.value)
    licenses.put(db, license=license_of(None))
    with pytest.raises(sqlite3.IntegrityError):
        db.execute(f"UPDATE license SET {field} = ''")  # noqa: S608
    with pytest.raises(UsageError):
        licenses.put(db, license=replace(license_of(None), ntp_server_port=0))


def test_there_is_one_default_license_whoever_writes(db: sqlite3.Connection) -> None:
    licenses.put(db, license=license_of(None))
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO license SELECT * FROM license")
