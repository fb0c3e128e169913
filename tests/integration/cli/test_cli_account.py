"""Accounts: who may be made, what is shown of them, and that no chosen password ever comes out again."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import passwords
from gateway.cli.times import now_ms
from gateway.lockout import WHOLE_ADDRESS
from gateway.model import Account
from gateway.store import accounts, lockouts
from gateway.store.lockouts import Lock

KEYS = {
    "account", "role", "sn", "organization_id", "enabled", "can_read_sys", "created_at", "changed_at", "last_login_at",
}  # fmt: skip
SN = "7CTDM7100B1234"
CHOSEN = "correct horse battery"


def stored(dockgate: Any, name: str) -> Account:
    found = dockgate.write(accounts.get, name)
    assert isinstance(found, Account)
    return found


def test_made_password_is_shown_once(dockgate: Any) -> None:
    made = dockgate.ok("account", "add", "dock-7", "--role", "dock", "--sn", SN, "--org", "fleet")
    assert set(made) == {*KEYS, "password"}
    assert (made["account"], made["role"], made["sn"], made["organization_id"]) == ("dock-7", "dock", SN, "fleet")
    account = stored(dockgate, "dock-7")
    assert passwords.is_cheap(account.password_hash)
    assert passwords.verify(made["password"], account.password_hash)
    assert set(dockgate.ok("account", "show", "dock-7")) == {*KEYS, "locks"}
    assert all(set(each) == KEYS for each in dockgate.ok("account", "list"))
    assert made["password"].encode() not in dockgate.everything_stored()


def test_text_shows_a_made_password_once(dockgate: Any) -> None:
    ended = dockgate.run("account", "add", "dock-7", "--role", "dock")
    password = next(line.split()[-1] for line in ended.out.splitlines() if line.startswith("password"))
    assert passwords.verify(password, stored(dockgate, "dock-7").password_hash)
    assert (ended.out + ended.err).count(password) == 1
    assert "shown this once" in ended.err


@pytest.mark.parametrize("stdin", [CHOSEN, f"{CHOSEN}\n", f"{CHOSEN}\r\n"])
def test_password_from_standard_input(dockgate: Any, stdin: str) -> None:
    made = dockgate.ok("account", "add", "svc", "--role", "service", "--password-stdin", stdin=stdin)
    assert set(made) == KEYS
    account = stored(dockgate, "svc")
    assert not passwords.is_cheap(account.password_hash)
    assert passwords.verify(CHOSEN, account.password_hash)


@pytest.mark.parametrize(
    "stdin", ["", "\n", "seven77\n", "x" * 1025, b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "tab\there12"]
)
def test_unusable_password_is_refused(dockgate: Any, stdin: str | bytes) -> None:
    ended = dockgate.run("account", "add", "svc", "--role", "service", "--password-stdin", stdin=stdin)
    assert ended.code == 2
    assert ended.out == ""
    assert dockgate.run("account", "show", "svc").code == 3


def test_password_on_a_terminal(dockgate: Any) -> None:
    code, shown = dockgate.terminal(
        "account",
        "add",
        "svc",
        "--role",
        "service",
        "--ask-password",
        typed=[("Password:", CHOSEN), ("Again:", CHOSEN)],
    )
    assert code == 0, shown
    assert CHOSEN not in shown
    assert passwords.verify(CHOSEN, stored(dockgate, "svc").password_hash)
    code, shown = dockgate.terminal(
        "account", "passwd", "svc", "--ask-password", typed=[("Password:", CHOSEN), ("Again:", "another one")]
    )
    assert code == 2
    assert "differ" in shown


def test_asking_needs_a_terminal(dockgate: Any) -> None:
    ended = dockgate.run("account", "add", "svc", "--role", "service", "--ask-password", stdin=f"{CHOSEN}\n{CHOSEN}\n")
    assert ended.code == 2
    assert "--password-stdin" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["", "--role", "dock"],
        ["two words", "--role", "dock"],
        ["bell\x07", "--role", "dock"],
        ["x" * 65, "--role", "dock"],
        ["svc"],
        ["svc", "--role", "pilot"],
        ["svc", "--role", "service", "--sn", SN],
        ["dock-7", "--role", "dock", "--sn", "a/b"],
        ["dock-7", "--role", "dock", "--sn", "+"],
        ["dock-7", "--role", "dock", "--sys"],
        ["svc", "--role", "observer", "--sys"],
        ["svc", "--role", "service", "--password-stdin", "--ask-password"],
    ],
)
def test_unusable_words(dockgate: Any, words: list[str]) -> None:
    before = dockgate.ok("account", "list")
    ended = dockgate.run("-o", "json", "account", "add", *words)
    assert ended.code == 2, ended
    assert ended.error["code"] == "usage"
    assert dockgate.ok("account", "list") == before


def test_conflicts_and_unknown_organization(dockgate: Any) -> None:
    dockgate.ok("account", "add", "dock-7", "--role", "dock", "--sn", SN)
    assert dockgate.run("account", "add", "dock-7", "--role", "observer").code == 4
    assert dockgate.run("account", "add", "dock-8", "--role", "dock", "--sn", SN).code == 4
    assert dockgate.run("account", "add", "dock-8", "--role", "dock", "--org", "nobody").code == 3


def test_only_a_service_reads_sys_and_only_when_told(dockgate: Any) -> None:
    assert dockgate.ok("account", "add", "a", "--role", "service")["can_read_sys"] is False
    assert dockgate.ok("account", "add", "b", "--role", "service", "--sys")["can_read_sys"] is True


def test_changes_that_end_connections_raise_the_version(dockgate: Any) -> None:
    versions = [stored(dockgate, "dock").version]
    for words in (["passwd", "dock"], ["disable", "dock"], ["enable", "dock"]):
        dockgate.ok("account", *words)
        versions.append(stored(dockgate, "dock").version)
    assert versions == sorted(set(versions))


def test_passwd(dockgate: Any, first: dict[str, Any]) -> None:
    made = dockgate.ok("account", "passwd", "dock")
    assert set(made) == {*KEYS, "password"}
    account = stored(dockgate, "dock")
    assert passwords.verify(made["password"], account.password_hash)
    assert not passwords.verify(first["card"]["password"], account.password_hash)
    assert set(dockgate.ok("account", "passwd", "dock", "--password-stdin", stdin=CHOSEN)) == KEYS
    assert passwords.verify(CHOSEN, stored(dockgate, "dock").password_hash)


def test_disable_and_enable(dockgate: Any) -> None:
    assert dockgate.ok("account", "disable", "dock")["enabled"] is False
    assert dockgate.ok("account", "disable", "dock")["enabled"] is False
    assert dockgate.ok("account", "show", "dock")["enabled"] is False
    assert dockgate.ok("account", "enable", "dock")["enabled"] is True


def test_unlock(dockgate: Any) -> None:
    locked_until = now_ms() + 300_000
    dockgate.write(lockouts.put, Lock("dock", "192.0.2.7", 10, locked_until, now_ms()))
    shown = dockgate.ok("account", "show", "dock")["locks"]
    assert [(lock["address"], lock["failures"]) for lock in shown] == [("192.0.2.7", 10)]
    assert f"dockgate --config {dockgate.config} account unlock dock" in dockgate.run("account", "show", "dock").err
    assert dockgate.ok("account", "unlock", "dock") == {"account": "dock", "address": None, "cleared": 1}
    assert dockgate.ok("account", "show", "dock")["locks"] == []
    assert dockgate.ok("account", "unlock", "dock") == {"account": "dock", "address": None, "cleared": 0}
    assert dockgate.run("account", "unlock", "nobody").code == 3


def test_unpin(dockgate: Any) -> None:
    dockgate.ok("account", "add", "dock-7", "--role", "dock", "--sn", SN)
    before = stored(dockgate, "dock-7")
    assert dockgate.ok("account", "unpin", "dock-7", "--sn", "7CTDM7100B5678") == {
        **dockgate.ok("account", "list")[-1], "sn": "7CTDM7100B5678", "previous_sn": SN,
    }  # fmt: skip
    assert stored(dockgate, "dock-7").version > before.version, "live connections have to end"
    assert dockgate.ok("account", "unpin", "dock-7")["sn"] is None
    told = dockgate.ok("audit", "list", "--dock", SN)
    assert [
        (each["action"], each["target"], each["detail"]["sn"]) for each in told if each["action"] == "account.unpin"
    ] == [("account.unpin", "dock-7", "7CTDM7100B5678")]
    dockgate.ok("account", "add", "dock-8", "--role", "dock", "--sn", SN)
    assert dockgate.run("account", "unpin", "dock-7", "--sn", SN).code == 4
    assert dockgate.run("account", "unpin", "dock-7", "--sn", "a/b").code == 2
    assert dockgate.run("account", "unpin", "nobody").code == 3
    dockgate.ok("account", "add", "svc", "--role", "service")
    assert dockgate.run("account", "unpin", "svc").code == 4


def test_unlock_an_address(dockgate: Any) -> None:
    until = now_ms() + 300_000
    for account, address in (
        ("dock", "192.0.2.7"), ("other", "192.0.2.7"), (WHOLE_ADDRESS, "192.0.2.7"), ("dock", "198.51.100.1"),
        ("dock", "2001:db8:1:2::/64"),
    ):  # fmt: skip
        dockgate.write(lockouts.put, Lock(account, address, 10, until, now_ms()))
    words = ("account", "unlock")
    assert dockgate.ok(*words, "dock", "--address", "192.0.2.7") == {
        "account": "dock", "address": "192.0.2.7", "cleared": 1,
    }  # fmt: skip
    assert dockgate.ok(*words, "--address", "192.0.2.7") == {"account": None, "address": "192.0.2.7", "cleared": 2}
    assert dockgate.ok(*words, "--address", "2001:db8:1:2::99")["cleared"] == 1
    assert [lock["address"] for lock in dockgate.ok("account", "show", "dock")["locks"]] == ["198.51.100.1"]
    assert dockgate.run(*words, "--address", "203.0.113.9").out == "203.0.113.9: 0 locks cleared\n"
    entry = dockgate.ok("audit", "list")[-1]
    assert (entry["action"], entry["target"], entry["detail"]["cleared"]) == ("account.unlock", "203.0.113.9", 0)
    assert dockgate.run(*words).code == 2
    assert dockgate.run(*words, "--address", "nowhere").code == 2
    assert dockgate.run(*words, "nobody", "--address", "192.0.2.7").code == 3


def test_delete(dockgate: Any) -> None:
    assert dockgate.ok("account", "delete", "dock") == {"account": "dock", "deleted": True}
    assert dockgate.run("account", "show", "dock").code == 3


def test_delete_asks_on_a_terminal(dockgate: Any) -> None:
    code, shown = dockgate.terminal("account", "delete", "dock", typed=[("[y/N]", "n")])
    assert (code, "Delete the account dock? [y/N]" in shown) == (5, True)
    assert dockgate.run("account", "show", "dock").code == 0
    code, shown = dockgate.terminal("account", "delete", "dock", typed=[("[y/N]", "y")])
    assert code == 0, shown
    assert dockgate.run("account", "show", "dock").code == 3


@pytest.mark.parametrize("command", ["show", "passwd", "enable", "disable", "unlock", "delete"])
def test_unknown_account(dockgate: Any, command: str) -> None:
    ended = dockgate.run("-o", "json", "account", command, "nobody")
    assert ended.code == 3
    assert ended.out == ""
    assert ended.error["code"] == "not_found"


def test_every_change_is_audited_without_its_secret(dockgate: Any) -> None:
    made = dockgate.ok("account", "add", "dock-7", "--role", "dock", "--sn", SN)["password"]
    dockgate.ok("account", "passwd", "dock-7", "--password-stdin", stdin=CHOSEN)
    hashed = stored(dockgate, "dock-7").password_hash
    for command in ("disable", "enable", "unlock", "delete"):
        dockgate.ok("account", command, "dock-7")
    dockgate.run("account", "delete", "dock-7")
    entries = [entry for entry in dockgate.ok("audit", "list") if entry["target"] == "dock-7"]
    assert [entry["action"].removeprefix("account.") for entry in entries] == [
        "add", "passwd", "disable", "enable", "unlock", "delete",
    ]  # fmt: skip
    assert {entry["outcome"] for entry in entries} == {"ok"}
    assert all(entry["actor"].startswith("cli:") for entry in entries)
    for secret in (made, CHOSEN, hashed):
        assert secret not in str(entries)
    about_dock = [entry["action"] for entry in dockgate.ok("audit", "list", "--dock", SN)]
    assert {"account.add", "account.passwd", "account.delete"} <= set(about_dock)
