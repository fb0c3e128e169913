"""Passwords that people choose, and hashes of both kinds: text comes in, a verdict or a hash goes out. Slow: not for an event loop.

What is made here is shown once by who asked for it, and kept nowhere.
"""

from __future__ import annotations

from gateway import passwords
from gateway.errors import UsageError

MIN_CHOSEN = 8
"""Characters of a chosen password, at least (NIST SP 800-63B 5.1.1.2); a made one is far longer."""
MAX_CHOSEN = passwords.MAX_CHARACTERS
"""Longer ones are refused unread at every login (``gateway.passwords``)."""


def checked_password(password: str) -> str:
    """Errors: ``UsageError``, without the password."""
    if not MIN_CHOSEN <= len(password) <= MAX_CHOSEN:
        raise UsageError(
            f"a password has {MIN_CHOSEN} to {MAX_CHOSEN} characters", hint="leave the option out to have one made"
        )
    if not password.isprintable():
        # MQTT carries it, but nobody could type it into a remote controller
        raise UsageError("a password has no control characters")
    return password


def hashed(chosen: str | None) -> tuple[str | None, str]:
    """The password that was made (None when it was chosen), and the hash to store."""
    if chosen is not None:
        return None, passwords.hash_chosen(checked_password(chosen))
    made = passwords.generate()
    return made, passwords.hash_generated(made)


def slowly_hashed(chosen: str | None) -> tuple[str | None, str]:
    """``hashed`` for what people log in with at a browser: always argon2id, since nobody logs in a thousand times a second."""
    password = passwords.generate() if chosen is None else checked_password(chosen)
    return (password if chosen is None else None), passwords.hash_chosen(password)
