"""Tokens of programs for the admin HTTP: made once and shown once, kept as a digest, compared without telling anything by time."""

from __future__ import annotations

import hashlib
import secrets
from hmac import compare_digest
from typing import Any

from gateway.operations.accounts import check_name
from gateway.operations.change import Change, Db
from gateway.operations.times import iso, until
from gateway.store import tokens
from gateway.store.tokens import Scope, Token

PREFIX = "dgt_"
"""By which people and secret scanners know one when they see it."""
_BYTES = 32


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(
    change: Change, name: str, *, scope: Scope, expires: str | None = None, prefix: str = ""
) -> tuple[dict[str, Any], str]:
    """Its record, and the token, which is shown this once. ``expires`` as people type it."""
    check_name(name, what="a token")
    expires_at = None if expires is None else until(expires, change.now, option=f"{prefix}expires")
    made = PREFIX + secrets.token_urlsafe(_BYTES)
    token = tokens.add(
        change.db,
        name=name,
        digest=digest_of(made),
        scope=scope,
        created_by=change.who.actor,
        expires_at=expires_at,
        now=change.now,
    )
    change.audit("token.add", name, scope=scope.value, expires_at=iso(expires_at))
    return describe(token, change.now), made


def every(db: Db, now: int) -> list[dict[str, Any]]:
    return [describe(token, now) for token in tokens.list_all(db)]


def revoke(change: Change, name: str) -> dict[str, Any]:
    token = tokens.revoke(change.db, name, change.now)
    change.audit("token.revoke", name)
    return describe(token, change.now)


def match(db: Db, presented: str, now: int) -> Token | None:
    """The usable token that ``presented`` is. Unknown, altered, expired and revoked ones take equally long (docs/cases.md 20)."""
    digest = digest_of(presented)
    found = None
    for token in tokens.list_all(db):  # all of them, wherever it stands: a handful
        same = compare_digest(token.digest, digest)
        found = token if same and token.is_usable(now) else found
    return found


def describe(token: Token, now: int) -> dict[str, Any]:
    """The keys are a promise; the digest is not among them."""
    return {
        "name": token.name,
        "scope": token.scope.value,
        "state": _state(token, now),
        "created_at": iso(token.created_at),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
        "revoked_at": iso(token.revoked_at),
        "last_used_at": iso(token.last_used_at),
    }


def _state(token: Token, now: int) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "usable" if token.is_usable(now) else "expired"
