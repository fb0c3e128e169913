"""docs/reference.md says what the program declares and does: tables, JSON keys, topics, events, codes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.config import options
from gateway.simulator import Target, make_profile, run_dock
from gateway.simulator.models import dock_model
from gateway.store.bindings import BindRefusal
from gateway.topics import Kind

from .reference_tables import ARCHITECTURE, REFERENCE, ROOT, TABLES, blocks, commands, error_kinds, parameters

TEXT = REFERENCE.read_text(encoding="utf-8")
# Counters by name, and what depends on the action: their inside is not a promise
OPEN = ("messages", "requests", "logins", "rates", "detail", "said")


def test_the_tables_are_what_the_declarations_say() -> None:
    found = blocks(TEXT) | blocks(ARCHITECTURE.read_text(encoding="utf-8"))
    assert found.keys() == TABLES.keys()
    for name, make in TABLES.items():
        assert found[name] == make(), f"python tests/docs/reference_tables.py renews the table {name!r}"


def test_every_command_and_option_is_named() -> None:
    seen = 0
    for path, found in commands():
        if hasattr(found, "list_commands"):
            continue
        assert re.search(rf"^#### `dockgate {path}[ `]", TEXT, re.MULTILINE), path
        for one in parameters(found):
            if one.param_type_name == "option":
                seen += 1
                assert all(f"`{name}" in TEXT for name in one.opts), f"{path} {one.opts}"
    assert seen > 40


def test_every_configuration_option_is_named_with_its_default() -> None:
    for option in options():
        name = option.name.rpartition(".")[2]
        assert re.search(rf"^\| `{name}` \|", TEXT, re.MULTILINE), option.name


def test_every_error_code_is_named_with_its_exit_code() -> None:
    kinds = error_kinds()
    assert {kind.exit_code for kind in kinds} == {1, 2, 3, 4, 5, 6, 7}
    for kind in kinds:
        assert f"| `{kind.code}` | {kind.exit_code} |" in TEXT


def test_every_kind_of_topic_is_named() -> None:
    for kind in Kind:
        assert f"`{kind.value}`" in TEXT or f"/{kind.value}`" in TEXT, kind


def emitted() -> Iterator[str]:
    """The events of the program, from its source: the second argument of each ``events.emit``."""
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("events.emit"):
                name = node.args[1]
                assert isinstance(name, ast.Constant), f"{path}: an event without a constant name"
                yield str(name.value)


def test_the_events_are_those_that_are_sent() -> None:
    section = TEXT[TEXT.index("### Events") :]
    rows = re.findall(r"^\| `(\w+)` \|", section[: section.index("\n### ", 1)], re.MULTILINE)
    assert sorted(rows) == sorted(set(emitted()))


def test_every_audited_action_is_named() -> None:
    section = TEXT[TEXT.index("## Audit") :]
    for action in set(audited()):
        noun, _, verb = action.rpartition(".")
        assert f"`{noun}.*`" in section if noun else f"`{verb}`" in section, action


def audited() -> Iterator[str]:
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func)
            words = [keyword.value for keyword in node.keywords if keyword.arg == "action"]
            if function.endswith("change.audit"):
                words = node.args[:1]
            elif function.endswith("audit.Entry") and len(node.args) > 2:
                words = [node.args[2]]
            elif not function.endswith("audit.record"):
                continue
            for word in words:
                yield from (
                    str(one.value)
                    for one in ast.walk(word)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )


# -- JSON


def promised(command: str) -> str:
    """The row of a command in the table of JSON results."""
    section = TEXT[TEXT.index("### JSON results") : TEXT.index("### Errors and exit codes")]
    for line in section.splitlines():
        cells = line.split("|")
        if len(cells) > 2 and f"`{command}`" in cells[1]:
            return cells[2]
    raise AssertionError(f"{command} is not in the table of JSON results")


def keys_of(value: Any, path: str = "") -> Iterator[str]:
    """``a.b`` and ``a[].b`` for every key that holds no further ones."""
    if isinstance(value, list):
        for one in value:
            yield from keys_of(one, f"{path}[]" if path else "")
    elif isinstance(value, dict) and not path.endswith(OPEN):
        for key, inner in value.items():
            yield from keys_of(inner, f"{path}.{key}" if path else key)
    elif path:
        yield path


def assert_promised(command: str, result: Any, *more: str) -> None:
    """Every key is in the command's row, or, within a list, in the row of the command whose record it is (``more``)."""
    rows = " ".join(promised(name) for name in (command, *more))
    for key in set(keys_of(result)):
        last = re.split(r"\[\]\.", key)[-1]
        # a list that holds plain values stands there as itself
        assert f"`{key.removesuffix('[]')}`" in rows or f"`{last}`" in rows, f"{command}: {key}"


@pytest.fixture
def ask(installation: Any) -> Callable[..., Any]:
    """Run a command and hold its JSON to the promise; the words up to the first that is no word of a command name it."""
    names = {path for path, _ in commands()}

    def run(*words: str, also: tuple[str, ...] = ()) -> Any:
        command = max((" ".join(words[:n]) for n in range(1, 4) if " ".join(words[:n]) in names), key=len)
        result = installation.dockgate(*words)
        assert_promised(command, result, *also)
        return result

    return run


def test_every_result_has_the_keys_that_are_promised(ask: Callable[..., Any], gateway: Any, installation: Any) -> None:
    """One life of an installation, in which each command has something to show."""
    assert_promised("init", installation.first)
    dock, aircraft = "7CTDM7100B1234", "1581F6Q8D245H00A1B2C"
    card = ask("card")
    password = ask("account", "passwd", "dock", also=("account show",))["password"]
    profile = make_profile(
        dock_model("dock2"), account="dock", password=password, sn=dock, aircraft_sn=aircraft,
        organization_id=card["organization_id"], binding_code=card["binding_code"],
    )  # fmt: skip
    run = run_dock(Target(gateway.host, gateway.port("plain")), profile)
    assert run.ok, run.failure
    result = {"sn": run.sn, "ok": run.ok, "access_ms": run.access_ms, **run.as_dict()}
    assert_promised("simulate", {key: result[key] for key in ("sn", "ok", "access_ms", "steps")})

    ask("status")
    ask("check")
    ask("doctor")
    ask("account", "add", "second", "--role", "dock", also=("account show",))
    for words in (("list",), ("show", "second"), ("disable", "second"), ("enable", "second"), ("unlock", "second")):
        ask("account", *words, also=("account show",))
    ask("account", "delete", "second", "--yes")
    ask("org", "add", "Pier")
    code = ask("org", "code", "add", "pier", "--uses", "1", "--expires", "7d")["binding_code"]
    ask("org", "code", "list")
    ask("org", "list")
    ask("org", "show", "pier", also=("org code add",))
    ask("org", "rename", "pier", "Pier and harbour")
    ask("org", "code", "revoke", code)
    ask("org", "delete", "pier", "--yes")
    for word in ("show", "list"):
        ask("license", word)
    ask("license", "set", "--file", str(installation.folder / "license.json"))
    ask("license", "clear", "--yes")
    assert ask("dock", "list")[0]["children"][0]["sn"] == aircraft
    gateway.call(gateway.runtime.contacts.flush())
    shown = ask("dock", "show", dock, also=("audit list",))
    assert shown["contacts"][0]["said"]["level"] == 4
    assert shown["binding"]["account"] == "dock"
    assert shown["events"]
    ask("dock", "rename", dock, "North")
    assert ask("dock", "unbind", dock, "--yes")["unbound"] == [dock, aircraft]
    ask("dock", "forget", aircraft, "--yes")
    assert ask("audit", "list")
    ask("db", "check")
    ask("db", "migrate")
    assert ask("cert", "list", also=("cert show",))
    ask("cert", "show")
    serial = ask("cert", "issue", "dock")["serial"]
    ask("cert", "renew", also=("cert show",))
    ask("cert", "revoke", serial, "--yes", also=("cert show",))
    file = str(installation.folder / "backup.tar.gz")
    ask("backup", "create", file)
    ask("backup", "verify", file)
    ask("backup", "restore", file, "--dir", str(installation.folder / "elsewhere"), "--yes")
    assert ask("health", "--address", f"127.0.0.1:{gateway.port('tls')}", "--wait", "5")["ok"]
    ask("completion", "bash")
    ask("doctor", "--address", f"127.0.0.1:{gateway.port('tls')}", "--ca", str(installation.ca), also=("health",))
    ask("card", "--qr")


def test_every_command_that_shows_something_has_its_row() -> None:
    silent = {"serve"}
    for path, found in commands():
        if path and not hasattr(found, "list_commands") and path not in silent:
            assert promised(path)


def test_reasons_of_refused_bindings_are_explained_where_they_are_decided() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    section = protocol[protocol.index("### 1.4") : protocol.index("### 1.5")]
    assert {"210230", "210231", "210232"} <= set(re.findall(r"\b2102\d\d\b", section))
    assert len(BindRefusal) == 10, "another reason: does the order in docs/protocol.md 1.4 still hold?"


def test_an_error_looks_as_it_is_described(installation: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway import cli

    assert cli.main(["--config", str(installation.config_file), "-o", "json", "dock", "show", "NOBODY"]) == 3
    error = json.loads(capsys.readouterr().err)
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"code", "message", "hint"}
    assert error["error"]["code"] == "not_found"
