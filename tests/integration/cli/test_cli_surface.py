"""What holds for every command: help, formats, streams, exit codes, colours, and that no secret can be an argument."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import app as app_module
from gateway.store import accounts, bindings, devices, state
from gateway.store.bindings import BindWish
from gateway.store.state import GatewayState


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that lead to it."""
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    if not names:
        yield words, command
    for name in names:
        yield from walk(command.get_command(None, name), (*words, name))


def groups(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that only holds others."""
    if hasattr(command, "list_commands"):
        yield words
        for name in command.list_commands(None):
            yield from groups(command.get_command(None, name), (*words, name))


COMMANDS = dict(walk(app_module.command()))
GROUPS = list(groups(app_module.command()))


def test_every_command_of_this_version_is_there() -> None:
    assert {" ".join(words) for words in COMMANDS} >= {
        "init", "serve", "check", "doctor", "card", "status", "simulate", "audit list",
        "account add", "account list", "account show", "account passwd", "account enable", "account disable",
        "account unlock", "account unpin", "account delete",
        "org add", "org list", "org show", "org rename", "org delete", "org code add", "org code list", "org code revoke",
        "license set", "license show", "license clear",
        "dock list", "dock show", "dock rename", "dock unbind", "dock forget",
    }  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_a_description_and_an_example(outside: Any, words: tuple[str, ...]) -> None:
    ended = outside.bare(*words, "--help")
    assert ended.code == 0
    assert ended.err == ""
    assert f"Usage: dockgate {' '.join(words)} " in ended.out
    lines = ended.out.splitlines()
    example = lines[lines.index("  Example:") + 1 :]
    assert any(f"dockgate {' '.join(words)}" in line or f"{words[-1]}" in line for line in example)
    assert max(len(line) for line in lines) <= 80
    assert lines[2].strip()


def test_no_group_is_missing() -> None:
    assert {" ".join(words) for words in GROUPS} == {
        "", "account", "org", "org code", "license", "dock", "cert", "operator", "token", "audit", "backup", "db",
    }  # fmt: skip


@pytest.mark.parametrize("words", GROUPS, ids=lambda words: " ".join(words) or "dockgate")
def test_help_of_a_group_has_an_example_of_its_commands(outside: Any, words: tuple[str, ...]) -> None:
    ended = outside.bare(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    shown = lines[lines.index("  Example:") + 1 :]
    known = {" ".join(("dockgate", *command)) for command in COMMANDS}
    assert len(shown) >= 2
    for line in shown:
        if "dockgate " in line:
            typed = (
                line[line.index("dockgate ") :]
                .replace("--config /srv/dockgate/broker.yaml ", "")
                .replace("-o json ", "")
            )
            assert any(typed.startswith(name) for name in known), line
            assert typed.startswith(" ".join(("dockgate", *words))), line
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["accont", "list"], "Did you mean 'account'?"),
        (["account", "lst"], "Did you mean 'list'?"),
        (["org", "cod", "add"], "Did you mean 'code'?"),
        (["docks"], "Did you mean 'dock'?"),
        (["frobnicate"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_command_is_told_what_is_near(outside: Any, words: list[str], near: str) -> None:
    ended = outside.bare("-o", "json", *words)
    assert (ended.code, ended.error["code"]) == (2, "usage")
    assert ended.error["message"].partition(". ")[2] == near
    assert ended.error["message"].startswith("No such command ")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_secret_can_be_an_argument(words: tuple[str, ...]) -> None:
    for parameter in COMMANDS[words].params:
        names = " ".join((parameter.name, *parameter.opts)).lower()
        if any(word in names for word in ("password", "passwd", "secret", "app_key", "app_license")):
            assert parameter.is_flag, f"{names} takes a value"


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] != "serve"], ids=" ".join)
def test_output_is_accepted_after_each_command(words: tuple[str, ...]) -> None:
    assert any("-o" in parameter.opts for parameter in COMMANDS[words].params)


def test_the_table_of_commands_is_in_the_general_help(outside: Any) -> None:
    ended = outside.bare("--help")
    assert ended.code == 0
    for name, text in app_module.COMMANDS.items():
        assert f"  {name}  ".rstrip() in ended.out
        assert text.split()[0] in ended.out
    assert max(len(line) for line in ended.out.splitlines()) <= 80


def test_formats(dockgate: Any) -> None:
    dockgate.ok("org", "add", "Harbour", "--id", "harbour")
    before = dockgate.run("-o", "json", "org", "list")
    assert len(before.json) == 2
    assert dockgate.run("org", "list", "-o", "json").json == before.json
    assert dockgate.run("org", "list", "--output=json").json == before.json
    assert dockgate.run("-o", "json", "org", "list", "-o", "jsonl").out.count("\n") == 2
    lines = dockgate.run("-o", "jsonl", "org", "list").out.splitlines()
    assert [json.loads(line) for line in lines] == before.json
    (one,) = dockgate.run("-o", "jsonl", "org", "show", "harbour").out.splitlines()
    assert json.loads(one)["id"] == "harbour"
    table = dockgate.run("org", "list")
    assert table.out.splitlines()[0].split() == ["id", "name", "binding", "code"]
    assert table.err == ""
    assert dockgate.run("-o", "xml", "org", "list").code == 2


def test_tables_fit_80_columns_and_lose_nothing(dockgate: Any) -> None:
    name = "A rather long name of an organization that nobody would choose " * 2
    dockgate.ok("org", "add", name, "--id", "long")
    account = "a" * 64
    dockgate.ok("account", "add", account, "--role", "dock", "--sn", "S" * 30, "--org", "long")
    for words in (["org", "list"], ["account", "list"], ["org", "code", "list"]):
        shown = dockgate.run(*words).out
        assert max(len(line) for line in shown.splitlines()) <= 80, words
    cells = dockgate.run("account", "list").out
    assert cells.count("a" * 10) >= 1
    assert sum(line.split("  ")[0].count("a") for line in cells.splitlines()) >= 64


def test_tables_of_80_columns_split_no_word(dockgate: Any) -> None:
    sns = ["7CTDM7100B1234", "1581F6Q8D245H00A1B2C"]
    dockgate.ok("org", "add", "Harbour team", "--id", "harbour-team")
    dockgate.ok("account", "add", "dock-north-7", "--role", "dock", "--sn", sns[0], "--org", "harbour-team")
    dockgate.ok("org", "code", "add", "harbour-team", "--sn", sns[0], "--expires", "7d")
    dockgate.ok("token", "add", "prometheus", "--scope", "read", "--expires", "7d")
    now = int(time.time() * 1000)
    dockgate.write(accounts.touch_logins, {"dock-north-7": now})
    dockgate.write(devices.attach, sns[0], [(sns[1], "0-91-1")], now=now)
    code = dockgate.ok("org", "show", "harbour-team")["binding_code"]
    wishes = [
        BindWish(sn, "harbour-team", code, callsign, model)
        for sn, callsign, model in zip(sns, ("Dock North 7", "Bird North 7"), ("3-2-0", "0-91-1"), strict=True)
    ]
    dockgate.write(bindings.bind, gateway_sn=sns[0], account="dock-north-7", wishes=wishes, now=now)
    for words, cells in {
        ("dock", "list"): [
            "callsign",
            "org",
            "last seen",
            f"└ {sns[1]}",
            "Dock North 7",
            "Bird North 7",
            "harbour-team",
        ],
        ("account", "list"): ["account", "org", "last login", "dock-north-7", "harbour-team", sns[0]],
        ("org", "code", "list"): ["binding code", "only for", "uses left", "harbour-team", sns[0]],
        ("token", "list"): ["expires", "last used", "prometheus"],
    }.items():
        shown = dockgate.run(*words).out
        assert max(len(line) for line in shown.splitlines()) <= 80
        for cell in cells:
            assert re.search(rf"(^|  ){cell}($|  )", shown, re.MULTILINE), (cell, shown)
        assert not re.search(r"\d\d:\d\d:\d\d", shown)
        assert shown.count("\n") == 1 + len(dockgate.ok(*words)) + (words == ("dock", "list"))


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (["frobnicate"], 2, "usage"),
        (["account", "show"], 2, "usage"),
        (["account", "show", "a", "b"], 2, "usage"),
        (["account", "list", "--frob"], 2, "usage"),
        (["account", "show", "nobody"], 3, "not_found"),
        (["org", "add", "Fleet", "--id", "fleet"], 4, "conflict"),
    ],
)
def test_errors(dockgate: Any, words: list[str], code: int, name: str) -> None:
    plain = dockgate.run(*words)
    assert (plain.code, plain.out) == (code, "")
    first, *more = plain.err.splitlines()
    assert first.startswith("dockgate: ")
    assert first.count(": ") >= 2
    assert all(line.startswith("hint: ") for line in more)
    for told in (dockgate.run("-o", "json", *words), dockgate.run(*words, "-o", "jsonl")):
        assert (told.code, told.out) == (code, "")
        assert told.error["code"] == name
        assert told.error["message"]


def test_errors_of_the_configuration(outside: Any, tmp_path: Path) -> None:
    for words in (["account", "list"], ["serve"], ["check"], ["card"]):
        ended = outside.bare("-o", "json", *words)
        assert (ended.code, ended.error["code"]) == (7, "configuration")
        assert ended.error["hint"] == "dockgate init --dir ."
    (tmp_path / "broker.yaml").write_text("listeners: [")
    assert outside.bare("account", "list").code == 7
    (tmp_path / "broker.yaml").write_text("listeners: {}\nplugins: {}\n")
    ended = outside.bare("account", "list")
    assert ended.code == 7
    assert "listeners" in ended.err
    assert outside.bare("--config", "absent.yaml", "account", "list").code == 7


def test_where_the_configuration_is_looked_for(dockgate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKGATE_CONFIG", str(dockgate.config))
    assert dockgate.bare("org", "list").code == 0
    monkeypatch.delenv("DOCKGATE_CONFIG")
    monkeypatch.chdir(dockgate.folder)
    assert dockgate.bare("org", "list").code == 0


def test_errors_of_the_database(dockgate: Any) -> None:
    content = dockgate.database.read_bytes()
    for path in dockgate.folder.glob("dockgate.db*"):
        path.unlink()
    for words in (["account", "list"], ["account", "disable", "dock"]):
        ended = dockgate.run("-o", "json", *words)
        assert (ended.code, ended.error["code"]) == (6, "database")
    assert not dockgate.database.exists()

    dockgate.database.write_bytes(b"this is no database at all, but a text of some length " * 100)
    assert dockgate.run("account", "list").code == 6
    assert dockgate.run("account", "disable", "dock").code == 6

    dockgate.database.write_bytes(content)
    with closing(sqlite3.connect(dockgate.database)) as db:
        db.execute("PRAGMA user_version=9999")
    ended = dockgate.run("-o", "json", "account", "list")
    assert (ended.code, ended.error["code"]) == (6, "database_newer")

    dockgate.database.unlink()
    dockgate.database.mkdir()
    assert dockgate.run("account", "list").code == 6


@pytest.mark.case(33)
def test_works_while_another_process_writes(dockgate: Any) -> None:
    with closing(sqlite3.connect(dockgate.database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        # Reading waits for nobody
        started = time.monotonic()
        assert dockgate.run("account", "list").code == 0
        assert time.monotonic() - started < 1.5
        release = threading.Timer(0.5, lambda: other.execute("COMMIT"))
        release.start()
        try:
            assert dockgate.ok("account", "disable", "dock")["enabled"] is False
        finally:
            release.join()


def test_locked_for_long_is_said(dockgate: Any) -> None:
    with closing(sqlite3.connect(dockgate.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = dockgate.run("-o", "json", "account", "disable", "dock")
    assert (ended.code, ended.error["code"]) == (6, "database_busy")
    assert dockgate.ok("account", "show", "dock")["enabled"] is True


def test_unexpected_failure_is_one_line(dockgate: Any) -> None:
    # A row that no gateway writes: the command meets something that nobody foresaw
    dockgate.write(state.heartbeat, GatewayState(1, 0, int(time.time() * 1000), 0, {"rates": "s3cr3t"}))
    ended = dockgate.run("status")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("dockgate: status: unexpected failure: ValueError in status.py:")
    assert "Traceback" not in ended.err
    assert "s3cr3t" not in ended.err
    assert "Traceback" in dockgate.run("-v", "status").err
    assert dockgate.run("-o", "json", "status").error["code"] == "failed"


def test_colours_only_on_a_terminal(dockgate: Any) -> None:
    assert "\x1b" not in dockgate.process("account", "list").out
    code, shown = dockgate.terminal("account", "list")
    assert code == 0
    assert "\x1b[1m" in shown
    assert "\x1b" not in dockgate.terminal("account", "list", NO_COLOR="1")[1]
    assert "\x1b" not in dockgate.terminal("account", "list", TERM="dumb")[1]
    assert "\x1b" not in dockgate.terminal("-o", "json", "account", "list")[1]


def test_a_reader_that_goes_away_is_no_failure(dockgate: Any) -> None:
    process = subprocess.Popen(
        dockgate.command("audit", "list"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dockgate.environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(30) == 0


def test_output_that_cannot_carry_a_name(dockgate: Any) -> None:
    dockgate.ok("org", "add", "港口 😀", "--id", "port")
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    ended = dockgate.process("-o", "json", "org", "show", "port", **ascii_only)
    assert ended.code == 0, ended
    assert ended.json["name"] == "港口 😀"
    assert dockgate.process("org", "list", **ascii_only).code == 0


def test_as_a_process(dockgate: Any) -> None:
    ended = dockgate.process(
        "account", "add", "svc", "--role", "service", "--password-stdin", stdin="a chosen password\n"
    )
    assert (ended.code, ended.err) == (0, "")
    ended = dockgate.process("-o", "json", "account", "show", "nobody")
    assert (ended.code, ended.out, ended.error["code"]) == (3, "", "not_found")


def test_audit_names_the_one_behind_sudo(dockgate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    dockgate.ok("account", "disable", "dock")
    entry = dockgate.ok("audit", "list")[-1]
    assert entry["actor"].startswith("cli:")
    assert entry["detail"]["sudo_user"] == "alice"


def test_audit_tells_from_where_a_change_came(dockgate: Any) -> None:
    def detail(*words: str) -> dict[str, Any]:
        entry = dockgate.ok("audit", "list")[-1]
        assert entry["action"] == words[0]
        return {key: value for key, value in entry["detail"].items() if key in {"terminal", "ssh_from", "sudo_user"}}

    def disable(**extra: str) -> None:
        assert dockgate.process("account", "disable", "dock", **extra).code == 0

    disable()
    assert detail("account.disable") == {}
    disable(SSH_CONNECTION="192.0.2.44 50022 192.0.2.10 22")
    assert detail("account.disable") == {"ssh_from": "192.0.2.44"}
    disable(SSH_CONNECTION="2001:db8::7 50022 2001:db8::1 22", SUDO_USER="alice")
    assert detail("account.disable") == {"ssh_from": "2001:db8::7", "sudo_user": "alice"}
    disable(SSH_CONNECTION="anything\x1b[31m at all")
    assert detail("account.disable") == {}
    code, shown = dockgate.terminal("account", "enable", "dock", SSH_CONNECTION="192.0.2.44 50022 192.0.2.10 22")
    assert code == 0, shown
    found = detail("account.enable")
    assert found.pop("terminal").startswith("pts/")
    assert found == {"ssh_from": "192.0.2.44"}
    assert "ssh_from=192.0.2.44" in dockgate.run("audit", "list").out


def test_version_imports_nothing_heavy(outside: Any) -> None:
    """It is what takes the time of a command; bench/ is for the time itself."""
    script = (
        "import sys; from gateway.cli import main; main(['--version']); "
        "print([name for name in ('cryptography', 'paho', 'aiosqlite', 'amqtt', 'uvloop', 'passlib', 'yaml', 'rich')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=outside.environment(),
        timeout=30,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_words_show_the_help(outside: Any) -> None:
    for words in ([], ["account"], ["org", "code"], ["audit"]):
        ended = outside.bare(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "Usage: dockgate" in ended.err
