"""Passwords in, hashes and verdicts out. CPU only: who calls it, and in which pool, is decided elsewhere.

It must never log or raise a text that holds a password or a hash, and never tell by time how much of a hash was right.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from passlib.context import CryptContext
from passlib.handlers.ldap_digests import ldap_salted_sha512

from gateway.errors import UsageError


class _Scheme(Protocol):
    """What is used of passlib's context, which carries no annotations."""

    def hash(self, secret: str) -> str: ...
    def verify(self, secret: str, hash: str) -> bool: ...  # noqa: A002
    def needs_update(self, hash: str) -> bool: ...  # noqa: A002


_scheme: Callable[..., _Scheme] = CryptContext

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane. Some 15 ms a hash on one core.
_CHOSEN: Final = _scheme(
    ["argon2"], argon2__type="ID", argon2__memory_cost=19_456, argon2__time_cost=2, argon2__parallelism=1
)
# A password of 131 random bits cannot be guessed from any hash of it, so a fast one is enough, and 1,000 docks that
# return in one second do not queue for argon2 (docs/cases.md 37).
_GENERATED: Final = _scheme(["ldap_salted_sha512"], ldap_salted_sha512__salt_size=16)
_verify_generated: Callable[[str, str], bool] = ldap_salted_sha512.verify

# What the two schemes write, and nothing else: passlib would take a hash whose parameters ask for 100 GB.
_CHOSEN_HASH: Final = re.compile(
    r"\$argon2id\$v=19\$m=[0-9]{1,6},t=[0-9]{1,2},p=[0-9]{1,2}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
_CHEAP_HASH: Final = re.compile(r"\{SSHA512\}[A-Za-z0-9+/]{91,108}={0,2}")

MAX_CHARACTERS: Final = 1_024  # MQTT lets 64 kB in; nobody types that, and hashing it is a cost for us alone

# One case, no digits, no i, l, o: nothing to confuse, and an on-screen keyboard is never switched.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz"
_GENERATED_LENGTH: Final = 29  # 29 * log2(23) = 131 bits


def hash_chosen(password: str) -> str:
    """argon2id, for a password that a person chose. Slow: call it off the event loop.

    Raises UsageError for one that could never be verified: empty, too long, or not Unicode text.
    """
    _check(password)
    return _CHOSEN.hash(password)


def generate() -> str:
    """A password of 131 bits to be typed into Pilot 2 on a remote controller."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_LENGTH))


def hash_generated(password: str) -> str:
    """A fast salted hash; for what ``generate`` made, and for nothing that a person chose."""
    _check(password)
    return _GENERATED.hash(password)


def _check(password: str) -> None:
    if not password:
        raise UsageError("the password is empty")
    if len(password) > MAX_CHARACTERS:
        raise UsageError(f"the password has over {MAX_CHARACTERS} characters")
    try:
        password.encode()
    except UnicodeEncodeError:
        # "from None": the error would carry the password
        raise UsageError("the password is not valid text") from None


def is_cheap(hash: str) -> bool:  # noqa: A002
    """Whether verifying takes microseconds, so that it may run on the event loop."""
    return _CHEAP_HASH.fullmatch(hash) is not None


def verify(password: str, hash: str) -> bool:  # noqa: A002
    """Never raises. False for an unreadable hash, and without hashing for a password that no hash can be of."""
    if len(password) > MAX_CHARACTERS:
        return False
    try:
        if _CHEAP_HASH.fullmatch(hash) is not None:
            # the scheme itself: a context asks all over again which it is, which takes as long as the hash
            return _verify_generated(password, hash)
        return _CHOSEN_HASH.fullmatch(hash) is not None and _CHOSEN.verify(password, hash)
    except (ValueError, TypeError):
        # A password with a surrogate; a hash of the right letters that is no base64, or with impossible parameters.
        return False


def needs_rehash(hash: str) -> bool:  # noqa: A002
    """Whether a just verified password should be hashed anew with today's parameters. False for an unreadable hash."""
    context = _context_of(hash)
    try:
        return context is not None and context.needs_update(hash)
    except (ValueError, TypeError):
        return False


def _context_of(hash: str) -> _Scheme | None:  # noqa: A002
    if _CHEAP_HASH.fullmatch(hash) is not None:
        return _GENERATED
    return _CHOSEN if _CHOSEN_HASH.fullmatch(hash) is not None else None


def burn() -> None:
    """Costs what verifying an argon2id password costs, so that an unknown account is not told from a known one by time.

    A failed verification of a cheap hash needs it too.
    """
    _CHOSEN.hash("-")
