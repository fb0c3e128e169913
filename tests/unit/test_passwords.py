"""Hashing and verifying, and what is never hashed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
from passlib.hash import argon2, ldap_salted_sha512

from gateway import passwords
from gateway.errors import UsageError

SECRET = "correct horse, bättery \U0001f681"


@pytest.fixture(scope="module")
def chosen() -> str:
    return passwords.hash_chosen(SECRET)


@pytest.fixture(scope="module")
def cheap() -> str:
    return passwords.hash_generated(SECRET)


def test_a_chosen_password_is_hashed_with_the_parameters_that_owasp_asks_for(chosen: str) -> None:
    assert chosen.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify(SECRET, chosen)
    assert not passwords.is_cheap(chosen)
    assert not passwords.needs_rehash(chosen)


def test_a_generated_password_has_a_cheap_hash_with_a_salt_of_16_bytes(cheap: str) -> None:
    assert passwords.is_cheap(cheap)
    assert passwords.verify(SECRET, cheap)
    assert not passwords.needs_rehash(cheap)
    assert len(ldap_salted_sha512.from_string(cheap).salt) == 16


def test_two_hashes_of_one_password_differ() -> None:
    assert passwords.hash_chosen("x") != passwords.hash_chosen("x")
    assert passwords.hash_generated("x") != passwords.hash_generated("x")


@pytest.mark.parametrize("wrong", ["", "correct horse", SECRET + " ", SECRET.upper(), SECRET + "\0", "\ud800"])
def test_another_password_is_refused(wrong: str, chosen: str, cheap: str) -> None:
    assert not passwords.verify(wrong, chosen)
    assert not passwords.verify(wrong, cheap)


def test_generated_passwords_have_128_bits_and_no_look_alikes() -> None:
    made = {passwords.generate() for _ in range(300)}
    assert len(made) == 300
    seen = {character for password in made for character in password}
    assert seen == set("abcdefghjkmnpqrstuvwxyz")
    assert {len(password) * math.log2(len(seen)) > 128 for password in made} == {True}


BROKEN = [
    "",
    "x",
    "plain text",
    "$argon2id$",
    "$argon2id$v=19$m=19456,t=2,p=1$abc",
    "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22,
    "$argon2id$v=19$m=1,t=2,p=1$" + "A" * 22 + "$" + "A" * 43,
    "$argon2id$v=19$m=19456,t=0,p=1$" + "A" * 22 + "$" + "A" * 43,
    "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 13 + "$" + "A" * 43,
    "{SSHA512}",
    "{SSHA512}!!",
    "{SSHA512}" + "A" * 93,
    "{SSHA}" + "A" * 40,
    "\ud800",
    "\0",
]


@pytest.mark.parametrize("broken", BROKEN)
def test_an_unreadable_hash_verifies_nothing_and_raises_nothing(broken: str) -> None:
    assert not passwords.verify("", broken)
    assert not passwords.verify("x", broken)
    assert passwords.needs_rehash(broken) in (True, False)


@pytest.mark.parametrize("behind", ["\n", "\0", " ", "A$"])
def test_a_hash_with_something_behind_it_is_unreadable(behind: str, chosen: str, cheap: str) -> None:
    assert not passwords.verify(SECRET, chosen + behind)
    assert not passwords.verify(SECRET, cheap + behind)
    assert not passwords.is_cheap(cheap + behind)


def test_a_hash_that_asks_for_a_gigabyte_is_not_computed() -> None:
    greedy = "$argon2id$v=19$m=1000000,t=2,p=1$c29tZXNhbHRzb21l$" + "A" * 43
    assert cpu_seconds(lambda: passwords.verify("x", greedy)) < 0.005
    assert not passwords.verify("x", greedy)


def test_hashes_with_other_parameters_still_verify_and_ask_to_be_renewed() -> None:
    older = argon2.using(type="ID", memory_cost=1024, time_cost=1, parallelism=1).hash(SECRET)
    assert passwords.verify(SECRET, older)
    assert passwords.needs_rehash(older)


def test_a_password_of_1024_characters_is_the_longest() -> None:
    longest = "ö" * 1024
    assert passwords.verify(longest, passwords.hash_chosen(longest))
    assert passwords.verify(longest, passwords.hash_generated(longest))


def test_a_longer_password_is_refused_without_hashing(chosen: str) -> None:
    assert not passwords.verify("x" * 1025, chosen)
    assert cpu_seconds(lambda: passwords.verify("x" * 1025, chosen)) < 0.005
    too_long = "x" * 1025
    assert not passwords.verify(too_long, ldap_salted_sha512.hash(too_long))


@pytest.mark.parametrize("impossible", ["", "x" * 1025, "leading \ud800"])
@pytest.mark.parametrize("hashing", [passwords.hash_chosen, passwords.hash_generated])
def test_what_could_never_be_verified_is_not_hashed(hashing: Callable[[str], str], impossible: str) -> None:
    with pytest.raises(UsageError) as raised:
        hashing(impossible)
    assert not impossible or impossible not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_burning_costs_what_verifying_costs(chosen: str) -> None:
    assert 0.5 < cpu_seconds(passwords.burn) / cpu_seconds(lambda: passwords.verify("wrong", chosen)) < 2


def cpu_seconds(work: Callable[[], object]) -> float:
    """The best of several: of this thread's own processor time, so that a busy machine does not count."""

    def once() -> float:
        before = time.thread_time()
        work()
        return time.thread_time() - before

    return min(once() for _ in range(7))
