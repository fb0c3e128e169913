"""``check`` and ``doctor``: each thing that can be wrong with an installation is found once, with the step that mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import segno

from gateway import pki
from gateway.cli.times import now_ms
from gateway.model import AccessStep
from gateway.operations.organizations import CODE_LETTERS
from gateway.store import accounts, devices, lockouts
from gateway.store.devices import Presence
from gateway.store.lockouts import Lock

DAY_MS = int(timedelta(days=1).total_seconds() * 1000)
LICENSE = {"app_id": "123456", "app_key": "k" * 32, "app_license": "l" * 40, "ntp_server_host": "192.0.2.10"}


def license_(dockgate: Any, *words: str, **changes: Any) -> None:
    dockgate.ok("license", "set", "--file", "-", *words, stdin=json.dumps({**LICENSE, **changes}))


def edit(dockgate: Any, old: str, new: str) -> None:
    text = dockgate.config.read_text()
    assert text.count(old) == 1, old
    dockgate.config.write_text(text.replace(old, new))


def findings(dockgate: Any) -> dict[str, dict[str, str]]:
    """By id; each finding has the promised keys, and the exit code says whether docks are kept out."""
    ended = dockgate.run("-o", "json", "doctor")
    found = ended.json
    assert set(found) == {"ok", "findings"}
    for finding in found["findings"]:
        assert set(finding) == {"id", "severity", "what", "fix"}
        assert finding["fix"]
    assert found["ok"] == all(finding["severity"] != "error" for finding in found["findings"])
    assert ended.code == (0 if found["ok"] else 1)
    # What is not of the installation but of this moment and machine: test_cli_doctor.py
    elsewhere = {"gateway_not_running", "port_taken", "disk_space"}
    return {finding["id"]: finding for finding in found["findings"] if finding["id"] not in elsewhere}


def healthy(dockgate: Any) -> Any:
    license_(dockgate)
    dockgate.write(accounts.touch_logins, {"dock": now_ms()})
    return dockgate


def test_nothing_to_find(dockgate: Any) -> None:
    assert findings(healthy(dockgate)) == {}
    assert "the gateway does not run" in dockgate.run("doctor").out


@pytest.mark.case(7)
def test_fresh_installation_lacks_the_license(dockgate: Any) -> None:
    found = findings(dockgate)
    assert found["license_missing"]["severity"] == "error"
    assert found["license_missing"]["fix"] == "dockgate license set --file license.json"
    assert found["account_unused"]["severity"] == "info"
    license_(dockgate, "--org", "fleet")
    assert "license_missing" not in findings(dockgate)
    dockgate.ok("org", "add", "Other", "--id", "other")
    assert "other" in findings(dockgate)["license_missing"]["what"]


def test_ntp(dockgate: Any) -> None:
    license_(healthy(dockgate), "--org", "fleet", ntp_server_host=None)
    found = findings(dockgate)
    assert list(found) == ["ntp_missing"]
    assert "fleet" in found["ntp_missing"]["what"]
    assert "--org fleet" in found["ntp_missing"]["fix"]


def test_organization_without_code(dockgate: Any, first: dict[str, Any]) -> None:
    healthy(dockgate).ok("org", "code", "revoke", first["organization"]["binding_code"])
    assert findings(dockgate)["organization_without_code"]["fix"] == "dockgate org code add fleet"
    dockgate.ok("org", "code", "add", "fleet", "--sn", "7CTDM7100B1234")
    assert findings(dockgate) == {}


@pytest.mark.parametrize("step", [AccessStep.SEEN, AccessStep.CONNECTED, AccessStep.LICENSED])
def test_dock_that_stopped_on_its_way(dockgate: Any, step: AccessStep) -> None:
    healthy(dockgate).write(devices.see_gateway, "7CTDM7100B1234", now=now_ms())
    dockgate.write(devices.flush_presence, [Presence("7CTDM7100B1234", now_ms(), online=False, access_step=step)])
    found = findings(dockgate)["dock_not_bound"]
    assert found["severity"] == "warning"
    assert f"7CTDM7100B1234 stopped at step {step}" in found["what"]


@pytest.mark.case(21)
def test_nobody_can_log_in(dockgate: Any) -> None:
    healthy(dockgate).ok("account", "disable", "dock")
    assert findings(dockgate)["dock_account_missing"]["fix"] == "dockgate account add NAME --role dock"


def test_locked_account(dockgate: Any) -> None:
    healthy(dockgate).write(lockouts.put, Lock("dock", "192.0.2.7", 10, now_ms() + 60_000, now_ms()))
    assert findings(dockgate)["account_locked"]["fix"] == "dockgate account unlock dock"
    dockgate.write(lockouts.put, Lock("dock", "192.0.2.7", 10, now_ms() - 1, now_ms()))
    assert findings(dockgate) == {}


@pytest.mark.parametrize(
    ("made_days_ago", "finding", "severity"),
    [(0, None, None), (380, "certificate_expiring", "warning"), (400, "certificate_expired", "error")],
)
def test_certificate_by_age(dockgate: Any, made_days_ago: int, finding: str | None, severity: str | None) -> None:
    certs = dockgate.folder / "certs"
    hosts = ["192.0.2.10", "localhost"]
    made_at = now_ms() - made_days_ago * DAY_MS
    for path in [*certs.glob("*.pem"), *certs.glob("*.key")]:
        path.unlink()
    pki.initialize(certs, hosts, now=made_at)
    found = findings(healthy(dockgate))
    if finding is None:
        assert found == {}
        return
    assert found[finding]["severity"] == severity
    assert found[finding]["fix"] == "dockgate cert renew"
    assert str(certs / "server.pem") in found[finding]["what"]
    check = dockgate.run("-o", "json", "check")
    assert check.code == (1 if severity == "error" else 0)


def test_certificate_of_the_future(dockgate: Any) -> None:
    certs = dockgate.folder / "certs"
    for path in [*certs.glob("*.pem"), *certs.glob("*.key")]:
        path.unlink()
    pki.initialize(certs, ["192.0.2.10"], now=now_ms() + 10 * DAY_MS)
    assert findings(healthy(dockgate))["certificate_not_yet_valid"]["severity"] == "error"


def test_certificate_for_other_names(dockgate: Any) -> None:
    edit(healthy(dockgate), "address: 192.0.2.10", "address: dock.example.org")
    found = findings(dockgate)["certificate_names"]
    assert found["severity"] == "error"
    assert "dock.example.org" in found["what"]
    assert "192.0.2.10" in found["what"]


def test_certificate_that_cannot_be_read(dockgate: Any) -> None:
    (healthy(dockgate).folder / "certs" / "server.pem").write_text("no certificate")
    assert "certificate_unreadable" in findings(dockgate)
    assert dockgate.run("card").code == 0


def test_plain_listener_open_to_the_world(dockgate: Any) -> None:
    edit(healthy(dockgate), "bind: 127.0.0.1:1883", "bind: 0.0.0.0:1883")
    assert findings(dockgate)["plain_listener_open"]["severity"] == "warning"
    problems = dockgate.run("-o", "json", "check").json["problems"]
    assert [problem["where"] for problem in problems] == ["listeners.plain.bind"]


def test_findings_change_nothing(dockgate: Any) -> None:
    before = dockgate.database.read_bytes()
    dockgate.run("doctor")
    dockgate.run("check")
    dockgate.run("card")
    assert dockgate.database.read_bytes() == before


def test_check_of_a_good_installation(dockgate: Any) -> None:
    assert dockgate.ok("check") == {"ok": True, "problems": []}
    ended = dockgate.run("check")
    assert (ended.code, ended.out) == (0, f"{dockgate.config}: nothing is wrong\n")


def _lose(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _other_key(folder: Path) -> None:
    pki.initialize(folder / "other", ["localhost"], now=now_ms())
    (folder / "other" / "server.key").replace(folder / "certs" / "server.key")


@pytest.mark.parametrize(
    ("harm", "where"),
    [
        (_lose("certs/server.pem"), "listeners.tls.certfile"),
        (_lose("certs/server.key"), "listeners.tls.keyfile"),
        (lambda folder: (folder / "certs/server.pem").write_text("text"), "listeners.tls.certfile"),
        (lambda folder: (folder / "certs/server.key").chmod(0o644), "listeners.tls.keyfile"),
        (_other_key, "listeners.tls.certfile"),
        (_lose("dockgate.db"), "database"),
        (lambda folder: (folder / "dockgate.db").write_bytes(b"text" * 2000), "dockgate"),
    ],
    ids=["no certificate", "no key", "unreadable", "open key", "another key", "no database", "damaged database"],
)
def test_check_tells_each_harm_once(dockgate: Any, harm: Callable[[Path], object], where: str) -> None:
    harm(dockgate.folder)
    ended = dockgate.run("-o", "json", "check")
    assert ended.code == 1
    assert ended.json["ok"] is False
    assert [problem["where"] for problem in ended.json["problems"]] == [where]
    assert set(ended.json["problems"][0]) == {"where", "what", "hint"}
    text = dockgate.run("check")
    assert text.code == 1
    assert text.out.startswith(f"{where}: ")


def test_check_of_a_plugin_that_is_missing(dockgate: Any) -> None:
    text = dockgate.config.read_text()
    dockgate.config.write_text(text.replace("broker_plugins.acl.TopicRulesPlugin", "broker_plugins.acl.NoSuchPlugin"))
    ended = dockgate.run("-o", "json", "check")
    assert ended.code == 1
    assert any("NoSuchPlugin" in problem["what"] for problem in ended.json["problems"])


class TestCard:
    def test_account_decides_the_organization(self, dockgate: Any) -> None:
        other = dockgate.ok("org", "add", "Other", "--id", "other")
        dockgate.ok("account", "add", "dock-9", "--role", "dock", "--org", "other")
        card = dockgate.ok("card", "--account", "dock-9")
        assert set(card) == {"address", "port", "tls", "account", "organization_id", "binding_code"}
        assert (card["organization_id"], card["binding_code"]) == ("other", other["binding_code"])
        assert dockgate.ok("card", "--org", "other")["account"] == "dock-9"

    def test_code_for_that_dock_only_comes_first(self, dockgate: Any) -> None:
        dockgate.ok("account", "add", "dock-9", "--role", "dock", "--sn", "7CTDM7100B1234", "--org", "fleet")
        own = dockgate.ok("org", "code", "add", "fleet", "--sn", "7CTDM7100B1234")["binding_code"]
        assert dockgate.ok("card", "--account", "dock-9")["binding_code"] == own
        assert dockgate.ok("card", "--account", "dock")["binding_code"] != own

    def test_unknown_and_unfit(self, dockgate: Any) -> None:
        dockgate.ok("account", "add", "svc", "--role", "service")
        assert dockgate.run("card", "--account", "nobody").code == 3
        assert dockgate.run("card", "--org", "nobody").code == 3

    def test_the_account_of_somebody_else(self, dockgate: Any) -> None:
        dockgate.ok("account", "add", "svc", "--role", "service")
        dockgate.ok("account", "add", "watch", "--role", "observer")
        for name, text in (("svc", "svc is a service's account"), ("watch", "watch is an observer's account")):
            ended = dockgate.run("-o", "json", "card", "--account", name)
            assert (ended.code, ended.error["message"]) == (5, f"{text}, not a dock's")

    def test_an_unused_account_of_the_organization_comes_first(self, dockgate: Any) -> None:
        assert dockgate.run("card").err == ""  # one account: nothing to explain
        dockgate.ok("org", "add", "Other", "--id", "other")
        for name, *more in (("dock-b", "--org", "other"), ("dock-c",), ("dock-a", "--org", "fleet")):
            dockgate.ok("account", "add", name, "--role", "dock", *more)
        assert dockgate.ok("card", "--org", "other")["account"] == "dock-b"
        dockgate.write(accounts.pin_sn, "dock-b", "7CTDM7100B1234", 1)
        shown = dockgate.run("card", "--org", "other")
        assert "Account              dock-c" in shown.out
        told = " ".join(shown.err.split())
        assert told.startswith("note: account dock-c of 2 for docks: it belongs to no organization and is unused;")
        # `dock`, which `init` made, has been used and dock-a not
        dockgate.write(accounts.touch_logins, {"dock": 1})
        dockgate.write(accounts.pin_sn, "dock", "7CTDM7100B0001", 1)
        shown = dockgate.run("card")
        assert "Account              dock-a" in shown.out
        told = " ".join(shown.err.split())
        assert told.startswith("note: account dock-a of 4 for docks: it belongs to fleet and is unused;")
        assert dockgate.run("card", "--account", "dock-a").err == ""
        dockgate.ok("account", "disable", "dock-a")
        assert dockgate.ok("card", "--org", "fleet")["account"] == "dock-c"
        dockgate.ok("account", "disable", "dock-c")
        assert dockgate.ok("card")["account"] == "dock-b"  # for a dock that has not come yet
        dockgate.ok("account", "disable", "dock-b")
        assert dockgate.ok("card")["account"] == "dock"

    def test_without_anything(self, dockgate: Any) -> None:
        dockgate.ok("account", "delete", "dock")
        dockgate.ok("org", "delete", "fleet")
        ended = dockgate.run("-o", "json", "card")
        assert ended.code == 0
        assert (ended.json["account"], ended.json["organization_id"], ended.json["binding_code"]) == (None, None, None)
        assert "account add NAME --role dock" in ended.err
        assert "org add NAME" in ended.err

    def test_address_guessed_from_the_certificate(self, outside: Any, tmp_path: Path) -> None:
        here = outside.at(tmp_path / "d")
        assert here.bare("init", "--dir", str(here.folder)).code == 0
        address = here.ok("card")["address"]
        assert address in pki.inspect(here.folder / "certs/server.pem", now=now_ms()).sans
        if set(pki.local_names()) - {"localhost", "127.0.0.1", "::1"}:
            assert address not in {"localhost", "127.0.0.1", "::1"}

    def test_plain_only(self, dockgate: Any) -> None:
        text = dockgate.config.read_text()
        start, end = text.index("  tls:\n"), text.index("  plain:\n")
        dockgate.config.write_text(text[:start] + text[end:])
        card = dockgate.ok("card")
        assert (card["tls"], card["port"]) == (False, 1883)
        assert "tcp://192.0.2.10:1883" in dockgate.run("card").out

    def test_never_a_password(self, dockgate: Any, first: dict[str, Any]) -> None:
        ended = dockgate.run("card")
        assert first["card"]["password"] not in ended.out + ended.err
        assert set(first["organization"]["binding_code"]) <= set(CODE_LETTERS)

    def test_as_a_qr_code(self, dockgate: Any, first: dict[str, Any]) -> None:
        card = dockgate.ok("card", "--qr")
        assert card["qr"].splitlines() == [
            "Gateway address: ssl://192.0.2.10:8883",
            "Account: dock",
            "Organization ID: fleet",
            f"Device binding code: {card['binding_code']}",
        ]
        assert "qr" not in dockgate.ok("card")
        shown = dockgate.process("card", "--qr", PYTHONIOENCODING="utf-8").out
        code = [line for line in shown.splitlines() if line and set(line) <= set("█▀▄ ")]
        assert modules(code) == modules_of(card["qr"])
        assert max(map(len, code)) <= 80
        assert "\x1b" not in shown
        assert first["card"]["password"] not in shown

    def test_as_a_qr_code_where_there_are_no_blocks(self, dockgate: Any) -> None:
        plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
        ended = dockgate.process("card", "--qr", **plain)
        assert ended.out.endswith(f"\n\nText for a QR code:\n\n{dockgate.ok('card', '--qr')['qr']}")
        assert "LC_ALL=C.UTF-8" in ended.err
        assert max(map(len, ended.out.splitlines())) <= 80

    def test_as_a_qr_code_on_a_terminal(self, dockgate: Any) -> None:
        code, shown = dockgate.terminal("card", "--qr", PYTHONIOENCODING="utf-8")
        assert code == 0
        assert "\x1b[97;40m" in shown


def modules_of(text: str) -> list[list[bool]]:
    """Light modules, with the quiet zone."""
    return [[not dark for dark in row] for row in segno.make(text, error="m", micro=False).matrix_iter(border=4)]


def modules(lines: list[str]) -> list[list[bool]]:
    """What half blocks show: two rows in each line."""
    width = max(map(len, lines))
    rows = []
    for line in lines:
        rows.append([char in "█▀" for char in line.ljust(width)])
        rows.append([char in "█▄" for char in line.ljust(width)])
    return rows if any(rows[-1]) else rows[:-1]
