"""``token`` and ``operator``: made once, shown once, and never found again, neither in the database nor in the audit."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import passwords
from gateway.store import operators, tokens

RECORD = {"name", "scope", "state", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at"}


def test_a_token_is_shown_once(dockgate: Any) -> None:
    made = dockgate.ok("token", "add", "ci", "--scope", "write", "--expires", "7d")
    assert set(made) == {*RECORD, "token"}
    assert made["token"].startswith("dgt_")
    assert (made["name"], made["scope"], made["state"]) == ("ci", "write", "usable")
    assert made["created_by"].startswith("cli:")
    (listed,) = dockgate.ok("token", "list")
    assert set(listed) == RECORD
    assert made["token"].encode() not in dockgate.everything_stored()
    assert made["token"] not in str(dockgate.ok("audit", "list"))
    (stored,) = dockgate.write(tokens.list_all)
    assert len(stored.digest) == 64
    assert stored.digest not in repr(stored)

    ended = dockgate.run("token", "add", "eyes", "--scope", "read")
    assert ended.code == 0
    assert ended.out.count("dgt_") == 1
    assert "shown this once" in ended.err


def test_a_revoked_token_stays_in_the_list(dockgate: Any) -> None:
    dockgate.ok("token", "add", "ci", "--scope", "read")
    assert dockgate.ok("token", "revoke", "ci", "--yes")["state"] == "revoked"
    first = dockgate.ok("token", "revoke", "ci", "--yes")["revoked_at"]
    assert dockgate.ok("token", "list")[0]["revoked_at"] == first
    again = dockgate.run("-o", "json", "token", "add", "ci", "--scope", "read")
    assert (again.code, again.error["code"]) == (4, "conflict")
    assert [entry["action"] for entry in dockgate.ok("audit", "list")][-3:] == [
        "token.add",
        "token.revoke",
        "token.revoke",
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("token", "add", "a b", "--scope", "read"), 2),
        (("token", "add", "ci", "--scope", "all"), 2),
        (("token", "add", "ci"), 2),
        (("token", "add", "ci", "--scope", "read", "--expires", "yesterday"), 2),
        (("token", "add", "ci", "--scope", "read", "--expires", "2020-01-01"), 2),
        (("token", "revoke", "nobody"), 3),
        (("operator", "add", ""), 2),
        (("operator", "passwd", "nobody"), 3),
        (("operator", "delete", "nobody"), 3),
    ],
)
def test_refusals(dockgate: Any, words: tuple[str, ...], code: int) -> None:
    assert dockgate.run(*words).code == code
    assert dockgate.ok("token", "list") == dockgate.ok("operator", "list") == []


def test_operators(dockgate: Any) -> None:
    made = dockgate.ok("operator", "add", "maria")
    assert set(made) == {"operator", "created_at", "changed_at", "last_login_at", "password"}
    first = dockgate.write(operators.get, "maria")
    assert first.password_hash.startswith("$argon2id$")
    assert passwords.verify(made["password"], first.password_hash)
    assert first.password_hash not in repr(first)
    assert dockgate.run("operator", "add", "maria").code == 4

    chosen = dockgate.ok("operator", "passwd", "maria", "--password-stdin", stdin="correct horse\n")
    assert "password" not in chosen
    assert passwords.verify("correct horse", dockgate.write(operators.get, "maria").password_hash)
    assert dockgate.ok("operator", "list") == [chosen]
    assert dockgate.ok("operator", "delete", "maria", "--yes") == {"operator": "maria", "deleted": True}
    assert dockgate.ok("operator", "list") == []
    told = [entry["action"] for entry in dockgate.ok("audit", "list")]
    assert told[-3:] == ["operator.add", "operator.passwd", "operator.delete"]
    assert b"correct horse" not in dockgate.everything_stored()
