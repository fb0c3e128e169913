"""Organizations and binding codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

CODE_KEYS = {"organization_id", "binding_code", "uses_left", "expires_at", "sn", "state", "created_at", "revoked_at"}


def test_keys_are_a_promise(dockgate: Any) -> None:
    made = dockgate.ok("org", "add", "Harbour team", "--id", "harbour")
    assert set(made) == {"id", "name", "binding_code"}
    assert (made["id"], made["name"]) == ("harbour", "Harbour team")
    assert dockgate.ok("org", "rename", "harbour", "Pier") == {**made, "name": "Pier"}
    assert [set(each) for each in dockgate.ok("org", "list")] == [{"id", "name", "binding_code"}] * 2
    shown = dockgate.ok("org", "show", "harbour")
    assert set(shown) == {"id", "name", "binding_code", "created_at", "codes"}
    assert [set(code) for code in shown["codes"]] == [CODE_KEYS]


@pytest.mark.case(2)
def test_show_tells_the_id_and_how_to_make_a_code(dockgate: Any) -> None:
    ended = dockgate.run("org", "show", "fleet")
    assert ended.out.startswith("id            fleet\n")
    assert "org code add fleet" in ended.err


def test_code_with_limits(dockgate: Any) -> None:
    code = dockgate.ok("org", "code", "add", "fleet", "--uses", "2", "--expires", "7d", "--sn", "7CTDM7100B1234")
    assert set(code) == CODE_KEYS
    assert (code["uses_left"], code["sn"], code["state"]) == (2, "7CTDM7100B1234", "usable")
    left = datetime.fromisoformat(code["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    listed = dockgate.ok("org", "code", "list", "fleet")
    assert code in listed
    assert dockgate.ok("org", "code", "list") == listed


def test_revoked_code_is_not_offered_any_more(dockgate: Any, first: dict[str, Any]) -> None:
    code = first["organization"]["binding_code"]
    revoked = dockgate.ok("org", "code", "revoke", code)
    assert (revoked["binding_code"], revoked["state"]) == (code, "revoked")
    assert dockgate.ok("org", "show", "fleet")["binding_code"] is None
    assert dockgate.ok("card")["binding_code"] is None
    assert "org code add fleet" in dockgate.run("card").err
    again = dockgate.ok("org", "code", "add", "fleet")["binding_code"]
    assert dockgate.ok("card")["binding_code"] == again


@pytest.mark.parametrize(
    "words",
    [
        ["add", ""],
        ["add", "x" * 129],
        ["add", "a\x00b"],
        ["add", "name", "--id", "a b"],
        ["add", "name", "--id", "a/b"],
        ["rename", "fleet", "\t"],
        ["code", "add", "fleet", "--uses", "0"],
        ["code", "add", "fleet", "--uses", "many"],
        ["code", "add", "fleet", "--expires", "yesterday"],
        ["code", "add", "fleet", "--expires", "2001-01-01"],
        ["code", "add", "fleet", "--sn", "#"],
    ],
)
def test_unusable_words(dockgate: Any, words: list[str]) -> None:
    ended = dockgate.run("-o", "json", "org", *words)
    assert ended.code == 2, ended
    assert ended.error["code"] == "usage"


@pytest.mark.parametrize(
    "words",
    [
        ["show", "nobody"],
        ["rename", "nobody", "x"],
        ["delete", "nobody"],
        ["code", "add", "nobody"],
        ["code", "list", "nobody"],
        ["code", "revoke", "nothing"],
    ],
)
def test_unknown(dockgate: Any, words: list[str]) -> None:
    assert dockgate.run("org", *words).code == 3


def test_conflicts(dockgate: Any) -> None:
    assert dockgate.run("org", "add", "Again", "--id", "fleet").code == 4
    ended = dockgate.run("org", "delete", "fleet")
    assert ended.code == 4
    assert "account" in ended.err


def test_delete_takes_its_codes_along(dockgate: Any) -> None:
    code = dockgate.ok("org", "add", "Harbour", "--id", "harbour")["binding_code"]
    assert dockgate.ok("org", "delete", "harbour") == {"id": "harbour", "deleted": True}
    assert code not in [each["binding_code"] for each in dockgate.ok("org", "code", "list")]


def test_every_change_is_audited_with_its_code_cut_short(dockgate: Any) -> None:
    code = dockgate.ok("org", "add", "Harbour", "--id", "harbour")["binding_code"]
    second = dockgate.ok("org", "code", "add", "harbour")["binding_code"]
    dockgate.ok("org", "code", "revoke", code)
    dockgate.ok("org", "rename", "harbour", "Pier")
    dockgate.ok("org", "delete", "harbour", "--yes")
    entries = [entry for entry in dockgate.ok("audit", "list") if entry["target"] == "harbour"]
    assert [entry["action"] for entry in entries] == [
        "org.add", "org.code.add", "org.code.revoke", "org.rename", "org.delete",
    ]  # fmt: skip
    assert code not in str(entries)
    assert second not in str(entries)
