"""Remembered credentials: what they match, and where they were right. The line to the hash is tested with the logins."""

from __future__ import annotations

from dataclasses import replace

from gateway.credentials import PLACES, VerifiedCredentials
from gateway.model import Account, Role

ACCOUNT = Account(
    name="dock",
    role=Role.DOCK,
    sn=None,
    organization_id=None,
    enabled=True,
    can_read_sys=False,
    version=1,
    created_at=0,
    changed_at=0,
    last_login_at=None,
    password_hash="hash",
)


def test_only_the_same_password_of_the_same_account_matches() -> None:
    verified = VerifiedCredentials(10)
    assert not verified.knows(ACCOUNT, "right")
    verified.remember(ACCOUNT, "right", "home")
    assert verified.knows(ACCOUNT, "right")
    assert not verified.knows(ACCOUNT, "Right")
    assert not verified.knows(ACCOUNT, "")
    assert not verified.knows(replace(ACCOUNT, version=2), "right")
    assert not verified.knows(replace(ACCOUNT, password_hash="other"), "right")
    assert not verified.knows(replace(ACCOUNT, name="other"), "right")
    # parts cannot be shifted from one field into the next
    assert not verified.knows(replace(ACCOUNT, password_hash="hashr"), "ight")


def test_two_gateways_have_nothing_in_common() -> None:
    one, other = VerifiedCredentials(10), VerifiedCredentials(10)
    assert one._digest(ACCOUNT, "right") != other._digest(ACCOUNT, "right")


def test_places_are_those_of_the_account_as_it_is() -> None:
    verified = VerifiedCredentials(10)
    verified.remember(ACCOUNT, "right", "home")
    verified.remember(ACCOUNT, "right", "drc")
    assert verified.was_at(ACCOUNT, "home")
    assert verified.was_at(ACCOUNT, "drc")
    assert not verified.was_at(ACCOUNT, "elsewhere")
    assert verified.was_at(replace(ACCOUNT, password_hash="anew"), "home")
    changed = replace(ACCOUNT, version=2)
    assert not verified.was_at(changed, "home")
    verified.remember(changed, "new", "drc")
    assert not verified.was_at(changed, "home")
    assert verified.was_at(changed, "drc")


def test_the_latest_places_are_kept() -> None:
    verified = VerifiedCredentials(10)
    for number in range(PLACES + 2):
        verified.remember(ACCOUNT, "right", f"place-{number}")
        verified.remember(ACCOUNT, "right", "home")
    assert verified.was_at(ACCOUNT, "home")
    assert not verified.was_at(ACCOUNT, "place-2")
    assert verified.was_at(ACCOUNT, "place-3")


def test_the_accounts_used_last_are_kept() -> None:
    verified = VerifiedCredentials(2)
    one, two, three = (replace(ACCOUNT, name=name) for name in ("one", "two", "three"))
    verified.remember(one, "right", "home")
    verified.remember(two, "right", "home")
    verified.remember(one, "right", "home")
    verified.remember(three, "right", "home")
    assert len(verified) == 2
    assert verified.knows(one, "right")
    assert not verified.knows(two, "right")
    verified.forget("one")
    verified.forget("one")
    assert not verified.knows(one, "right")


def test_no_room_remembers_nothing() -> None:
    verified = VerifiedCredentials(0)
    verified.remember(ACCOUNT, "right", "home")
    assert not verified.knows(ACCOUNT, "right")
    assert not verified.was_at(ACCOUNT, "home")
