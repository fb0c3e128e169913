"""The license: what is taken, what is refused, and that key and license never come out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.store import licenses

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
TEXT = "bGljZW5zZS1mb3ItdGVzdHMtb25seQ=="
GOOD: dict[str, Any] = {"app_id": "123456", "app_key": KEY, "app_license": TEXT, "ntp_server_host": "192.0.2.10"}
KEYS = {
    "organization_id", "app_id", "app_key", "app_license", "ntp_server_host", "ntp_server_port", "changed_at",
}  # fmt: skip


def set_(dockgate: Any, value: Any, *words: str) -> Any:
    return dockgate.run("-o", "json", "license", "set", "--file", "-", *words, stdin=json.dumps(value))


def test_key_and_license_are_cut_short(dockgate: Any) -> None:
    made = set_(dockgate, GOOD)
    assert made.code == 0, made
    shown = dockgate.ok("license", "show")
    assert set(shown) == KEYS
    assert shown == made.json
    assert (shown["app_id"], shown["app_key"]) == ("123456", "0f1e… (32 characters)")
    assert (shown["ntp_server_host"], shown["ntp_server_port"]) == ("192.0.2.10", 123)
    assert dockgate.ok("license", "list") == [shown]
    told = [made, dockgate.run("license", "show"), dockgate.run("license", "list"), dockgate.run("audit", "list")]
    for ended in told:
        assert KEY[4:] not in ended.out + ended.err
        assert TEXT[4:] not in ended.out + ended.err


def test_short_secret_shows_nothing_of_itself(dockgate: Any) -> None:
    assert set_(dockgate, {**GOOD, "app_license": "shortone"}).json["app_license"] == "… (8 characters)"


def test_stored_whole(dockgate: Any) -> None:
    set_(dockgate, {**GOOD, "app_id": 123456, "ntp_server_port": "1123"})
    (stored,) = dockgate.write(licenses.get_all)
    assert (stored.app_id, stored.app_key, stored.app_license) == ("123456", KEY, TEXT)
    assert stored.ntp_server_port == 1123


def test_from_a_file_as_windows_writes_it(dockgate: Any, tmp_path: Path) -> None:
    file = tmp_path / "license.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).replace(",", ",\r\n").encode())
    assert dockgate.ok("license", "set", "--file", str(file))["app_id"] == "123456"


def test_of_an_organization(dockgate: Any) -> None:
    assert set_(dockgate, {**GOOD, "app_id": "777"}, "--org", "fleet").json["organization_id"] == "fleet"
    assert dockgate.run("license", "show").code == 3
    assert dockgate.ok("license", "show", "--org", "fleet")["app_id"] == "777"
    assert set_(dockgate, GOOD, "--org", "nobody").code == 3
    assert dockgate.ok("license", "clear", "--org", "fleet") == {"organization_id": "fleet", "cleared": True}
    assert dockgate.run("license", "clear", "--org", "fleet").code == 3


def test_unknown_keys_are_named(dockgate: Any) -> None:
    ended = set_(dockgate, {**GOOD, "app_secret": "s3cr3t-value"})
    assert ended.code == 0
    assert "app_secret is not known here" in ended.err
    assert "s3cr3t-value" not in ended.err


def test_missing_ntp_server_is_pointed_out(dockgate: Any) -> None:
    ended = set_(dockgate, {key: value for key, value in GOOD.items() if not key.startswith("ntp")})
    assert ended.code == 0
    assert "ntp_server_host" in ended.err


@pytest.mark.case(7)
@pytest.mark.parametrize("key", ["app_id", "app_key", "app_license"])
@pytest.mark.parametrize(
    "value", ["Please enter the app id.", "<app key>", "your-license", "CHANGEME", "xxxx", "${KEY}"]
)
def test_placeholders_are_refused(dockgate: Any, key: str, value: str) -> None:
    ended = set_(dockgate, {**GOOD, key: value})
    assert ended.code == 5
    assert ended.error["code"] == "refused"
    assert ended.error["message"].startswith(key)
    assert dockgate.run("license", "show").code == 3


@pytest.mark.parametrize(
    "value",
    [
        [],
        "text",
        None,
        {},
        {**GOOD, "app_id": None},
        {**GOOD, "app_id": ""},
        {**GOOD, "app_id": True},
        {**GOOD, "app_id": 1.5},
        {**GOOD, "app_id": -1},
        {**GOOD, "app_key": 5},
        {**GOOD, "app_key": "   "},
        {**GOOD, "app_license": f"{TEXT}\n{TEXT}"},
        {**GOOD, "app_license": "x" * 20_000},
        {**GOOD, "ntp_server_host": "ntp://192.0.2.1"},
        {**GOOD, "ntp_server_host": 5},
        {**GOOD, "ntp_server_port": 0},
        {**GOOD, "ntp_server_port": 65_536},
        {**GOOD, "ntp_server_port": "ntp"},
        {**GOOD, "ntp_server_port": False},
    ],
    ids=repr,
)
def test_unusable_values(dockgate: Any, value: Any) -> None:
    ended = set_(dockgate, value)
    assert ended.code == 2, ended
    assert KEY not in ended.err
    assert TEXT not in ended.err
    assert dockgate.run("license", "show").code == 3


@pytest.mark.parametrize("content", [f'{{"app_key": "{KEY}"', f"{KEY}", "", b"\xff\xfe{}", "[" * 5000])
def test_unreadable_files_are_not_quoted(dockgate: Any, content: str | bytes) -> None:
    ended = dockgate.run("license", "set", "--file", "-", stdin=content)
    assert ended.code == 2
    assert "not JSON" in ended.err
    assert KEY not in ended.err


def test_files_that_are_none(dockgate: Any, tmp_path: Path) -> None:
    assert dockgate.run("license", "set", "--file", str(tmp_path / "absent")).code == 3
    assert dockgate.run("license", "set", "--file", str(tmp_path)).code == 2
    assert dockgate.run("license", "set", "--file", "/dev/zero").code == 2
    assert dockgate.run("license", "set").code == 2


def test_audited(dockgate: Any) -> None:
    set_(dockgate, GOOD)
    dockgate.ok("license", "clear")
    entries = dockgate.ok("audit", "list")[-2:]
    assert [(entry["action"], entry["outcome"]) for entry in entries] == [
        ("license.set", "ok"),
        ("license.clear", "ok"),
    ]
    assert KEY[:8] not in str(entries)
    assert TEXT[:8] not in str(entries)
