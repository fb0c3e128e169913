"""``init`` makes a whole installation or nothing, and never writes over anything."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import passwords, pki
from gateway.cli.times import now_ms
from gateway.config import load
from gateway.operations.organizations import CODE_LETTERS
from gateway.store import accounts

# Nothing that another program on this machine may have taken
QUIET = ("--plain-bind", "off", "--admin-bind", "off", "--tls-bind", "127.0.0.1:0")


def made_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_keys_are_a_promise(dockgate: Any, first: dict[str, Any]) -> None:
    assert {"config", "database", "organization", "card"} <= set(first)
    assert set(first["organization"]) == {"id", "name", "binding_code"}
    assert set(first["card"]) == {
        "address", "port", "tls", "account", "password", "organization_id", "binding_code",
    }  # fmt: skip
    assert first["card"]["address"] == "192.0.2.10"
    assert (first["card"]["port"], first["card"]["tls"]) == (8883, True)


def test_what_was_made_can_be_used(dockgate: Any, first: dict[str, Any]) -> None:
    config = load(dockgate.config, {})
    assert config.dockgate.database == dockgate.database
    assert str(config.dockgate.admin.bind) == "127.0.0.1:8080"
    assert config.dockgate.admin.certfile is None
    assert str(config.listeners["tls"].bind) == "0.0.0.0:8883"
    assert str(config.listeners["plain"].bind) == "127.0.0.1:1883"

    card = dockgate.ok("card")
    assert card == {key: value for key, value in first["card"].items() if key != "password"}

    account = dockgate.write(accounts.get, "dock")
    assert account.role == "dock"
    assert account.sn is None
    assert account.organization_id == first["organization"]["id"]
    assert passwords.verify(first["card"]["password"], account.password_hash)


def test_certificate_is_for_the_hosts_and_for_this_machine(dockgate: Any) -> None:
    info = pki.inspect(dockgate.folder / "certs" / "server.pem", now=now_ms())
    assert info.sans == ("192.0.2.10", "localhost", "127.0.0.1", "::1")
    assert pki.check_pair(dockgate.folder / "certs/server.pem", dockgate.folder / "certs/server.key", now=now_ms())


def test_secrets_are_for_the_owner_only(dockgate: Any) -> None:
    for name in ("dockgate.db", "certs/ca.key", "certs/server.key"):
        assert (dockgate.folder / name).stat().st_mode & 0o777 == 0o600, name


def test_password_is_stored_nowhere(dockgate: Any, first: dict[str, Any]) -> None:
    password = first["card"]["password"].encode()
    for path in dockgate.folder.rglob("*"):
        if path.is_file() and path.name != "made.json":
            assert password not in path.read_bytes(), path


@pytest.mark.parametrize("name", ["broker.yaml", "dockgate.db", "dockgate.db-wal", "certs/ca.key", "certs/server.pem"])
def test_refuses_to_overwrite(outside: Any, tmp_path: Path, name: str) -> None:
    present = tmp_path / "d" / name
    present.parent.mkdir(parents=True)
    present.write_text("mine")
    ended = outside.bare("-o", "json", "init", "--dir", str(tmp_path / "d"))
    assert ended.code == 4
    assert ended.out == ""
    assert ended.error["code"] == "conflict"
    assert str(present) in ended.error["message"]
    assert present.read_text() == "mine"
    assert [path for path in (tmp_path / "d").rglob("*") if path.is_file()] == [present]


def test_again_is_refused_and_changes_nothing(dockgate: Any) -> None:
    before = dockgate.config.read_bytes(), dockgate.database.read_bytes()
    ended = dockgate.bare("init", "--dir", str(dockgate.folder))
    assert ended.code == 4
    assert ended.err.startswith("dockgate: init: ")
    assert "hint: dockgate --config " in ended.err
    assert before == (dockgate.config.read_bytes(), dockgate.database.read_bytes())


def test_files_of_others_stay(outside: Any, tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "README.md").write_text("read me")
    assert outside.bare("init", "--dir", str(tmp_path)).code == 0
    assert (certs / "README.md").read_text() == "read me"
    assert (certs / "server.pem").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--host", "not a host"], 2),
        (["--org-name", " "], 2),
        (["--org-name", "a\x1b[31m"], 2),
        (["--tls-bind", "8883"], 2),
        (["--plain-bind", "nowhere"], 2),
        (["--plain-bind", "0.0.0.0:8883"], 7),  # both listeners on one address: the configuration cannot be read back
        (["--admin-bind", "nowhere"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_failure_leaves_nothing_behind(outside: Any, tmp_path: Path, options: list[str], code: int) -> None:
    folder = tmp_path / "deep" / "d"
    ended = outside.bare("init", "--dir", str(folder), *options)
    assert ended.code == code, ended
    assert ended.out == ""
    assert not (tmp_path / "deep").exists()


def test_failure_while_moving_in_leaves_nothing_behind(outside: Any, tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("a file where the directory has to go")
    ended = outside.bare("init", "--dir", str(tmp_path))
    assert ended.code != 0
    assert made_in(tmp_path) == ["certs"]


def test_two_at_once_make_one_installation(outside: Any, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    command = [*outside.command()[:-2], "-o", "json", "init", "--dir", str(folder)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=outside.environment())
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 4], ended
    winner = next(json.loads(out) for (out, _), code in ended if code == 0)
    here = outside.at(folder)
    assert here.ok("card")["binding_code"] == winner["organization"]["binding_code"]
    assert here.ok("check")["ok"] is True


def test_without_a_plain_listener(outside: Any, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    ended = outside.bare("init", "--dir", str(folder), "--plain-bind", "off", "--admin-bind", "off", "--no-input")
    assert ended.code == 0
    assert list(load(folder / "broker.yaml", {}).listeners) == ["tls"]


def test_text_ends_with_the_card_and_the_next_command(outside: Any, tmp_path: Path) -> None:
    ended = outside.bare("init", "--dir", "d", "--host", "dock.example.org", "--org-name", "Harbour team", *QUIET[:-2])
    assert ended.code == 0
    assert ended.err == ""
    lines = ended.out.splitlines()
    assert lines[-1] == "  dockgate --config d/broker.yaml serve"
    assert "  Gateway address      ssl://dock.example.org:8883" in lines
    assert "  Organization ID      harbour-team" in lines
    password = next(line.split()[-1] for line in lines if line.startswith("  Password"))
    assert ended.out.count(password) == 1
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80


def test_asks_only_on_a_terminal(outside: Any, tmp_path: Path) -> None:
    here = outside.at(tmp_path / "d")
    answers = [("]:", "dock.example.org"), ("[Fleet]:", "Harbour team"), ("[later]:", "")]
    code, shown = here.terminal("init", "--dir", str(tmp_path / "d"), *QUIET, typed=answers)
    assert code == 0, shown
    assert "Name of the first organization [Fleet]:" in shown
    assert here.ok("org", "list")[0]["name"] == "Harbour team"
    assert here.ok("card")["address"] == "dock.example.org"

    other = outside.at(tmp_path / "e")
    code, shown = other.terminal("init", "--dir", str(tmp_path / "e"), "--no-input")
    assert code == 0, shown
    assert "]:" not in shown
    assert other.ok("org", "list")[0]["name"] == "Fleet"


def test_codes_and_ids_are_made_to_be_typed(dockgate: Any, first: dict[str, Any]) -> None:
    assert set(first["organization"]["binding_code"]) <= set(CODE_LETTERS)
    assert not set("01OIL") & set(CODE_LETTERS)
    assert dockgate.ok("org", "add", "Häfen & Pier")["id"] == "hafen-pier"
    assert dockgate.ok("org", "add", "Häfen & Pier")["id"] == "hafen-pier-2"
    assert dockgate.ok("org", "add", "港口")["id"].startswith("org-")


LICENSE = {"app_id": "123456", "app_key": "k" * 32, "app_license": "l" * 40, "ntp_server_host": "192.0.2.10"}


def test_answers_that_cannot_be_used_are_asked_for_again(outside: Any, tmp_path: Path) -> None:
    here = outside.at(tmp_path / "d")
    file = tmp_path / "license.json"
    file.write_text(json.dumps(LICENSE))
    answers = [
        ("]:", "not_a_host!"), ("]:", "192.0.2.10, dock.example.org"),
        ("[Fleet]:", "a\tb"), ("[Fleet]:", ""),
        ("[later]:", str(tmp_path / "none.json")), ("[later]:", str(here.folder.parent)), ("[later]:", str(file)),
    ]  # fmt: skip
    code, shown = here.terminal("init", "--dir", str(here.folder), *QUIET, typed=answers)
    assert code == 0, shown
    assert "none.json: no such file" in shown
    assert here.ok("card")["address"] == "192.0.2.10"
    assert here.ok("cert", "show")["sans"][:2] == ["192.0.2.10", "dock.example.org"]
    assert here.ok("license", "show")["app_id"] == "123456"
    assert [entry["action"] for entry in here.ok("audit", "list")] == ["org.add", "account.add", "license.set"]
    assert "license set --file" not in shown
    assert LICENSE["app_key"] not in shown


def test_a_port_that_is_taken_is_told_and_another_offered(outside: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        here = outside.at(tmp_path / "d")
        words = ["init", "--dir", str(here.folder), "--host", "192.0.2.10", "--org-name", "N", "--tls-bind", bind]
        answers = [("[later]:", ""), ("with TLS, on [", bind), ("with TLS, on [", "nowhere"), ("with TLS, on [", "")]
        code, shown = here.terminal(*words, "--plain-bind", "off", "--admin-bind", "off", typed=answers)
        assert code == 0, shown
        assert shown.count(f"{bind}: another program listens there") == 2
        offered = re.search(r"with TLS, on \[(127.0.0.1:\d+)\]", shown)
        assert offered
        assert str(load(here.config, {}).listeners["tls"].bind) == offered[1] != bind

        other = outside.bare("init", "--dir", str(tmp_path / "e"), *QUIET, "--tls-bind", bind, "--no-input")
        assert other.code == 0
        assert other.err == f"note: {bind}: another program listens there\n"


def test_with_a_license_from_a_file(outside: Any, tmp_path: Path) -> None:
    here = outside.at(tmp_path / "d")
    (tmp_path / "bad.json").write_text(json.dumps({**LICENSE, "app_key": "Please enter the app key."}))
    words = ["init", "--dir", str(here.folder), "--no-input", "--license"]
    assert outside.bare(*words, str(tmp_path / "bad.json")).code == 5
    assert outside.bare(*words, str(tmp_path / "none.json")).code == 3
    assert not here.folder.exists()
    assert outside.bare(*words, "-", stdin=json.dumps(LICENSE)).code == 0
    assert here.ok("license", "show")["app_id"] == "123456"


@pytest.mark.parametrize(
    ("point", "is_there"),
    [("made", False), ("not-certain", False), ("certain", True), ("move:1", True), ("move:4", True), ("move:8", True)],
)
def test_killed_at(outside: Any, tmp_path: Path, point: str, is_there: bool) -> None:
    here = outside.at(tmp_path / "d")
    child = Path(__file__).with_name("initializing_child.py")
    done = subprocess.run(
        [sys.executable, str(child), str(here.folder), point],
        capture_output=True,
        check=False,
        env=outside.environment(),
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)
    if is_there:
        assert here.ok("check") == {"ok": True, "problems": []}
        assert here.bare("init", "--dir", str(here.folder)).code == 4
    else:
        assert here.bare("init", "--dir", str(here.folder), "--no-input").code == 0
        assert here.ok("check") == {"ok": True, "problems": []}
    assert [path.name for path in here.folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.case(36)
def test_a_disk_that_takes_no_more(outside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        ended = outside.bare("-o", "json", "init", "--dir", str(tmp_path / "d"))
    assert ended.code == 6
    assert not (tmp_path / "d").exists()
    (tmp_path / "file").write_text("")
    assert outside.bare("init", "--dir", str(tmp_path / "file" / "d")).code == 6


def test_enter_everywhere_makes_what_no_input_makes(outside: Any, tmp_path: Path) -> None:
    asked, quiet = outside.at(tmp_path / "asked"), outside.at(tmp_path / "quiet")
    answers = [("card's) [", ""), ("[Fleet]:", ""), ("[later]:", "")]
    code, shown = asked.terminal("init", "--dir", str(asked.folder), *QUIET, typed=answers)
    assert code == 0, shown
    assert quiet.bare("init", "--dir", str(quiet.folder), *QUIET, "--no-input").code == 0
    address = asked.ok("card")["address"]
    assert address == quiet.ok("card")["address"]
    names = pki.local_names()
    others = [name for name in names if name not in {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}]
    if others and "." not in socket.gethostname():
        assert address == next((name for name in others if "." in name), others[0])
    assert asked.ok("cert", "show")["sans"][0] == address


@pytest.mark.parametrize(
    ("resolved", "is_first"),
    [("192.0.2.77", True), ("127.0.1.1", False), (None, False)],
    ids=["yes", "to itself", "no"],
)
def test_a_full_name_is_for_the_card_only_where_it_resolves(
    outside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolved: str | None, is_first: bool
) -> None:
    name, real = "gateway.harbour.example", socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != name:
            return real(host, *args, **kwargs)
        if resolved is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (resolved, 0))]

    monkeypatch.setattr(socket, "gethostname", lambda: name)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    here = outside.at(tmp_path / "d")
    assert here.bare("init", "--dir", str(here.folder), *QUIET, "--no-input").code == 0
    others = [one for one in pki.local_names() if one not in {"localhost", "127.0.0.1", "::1", name}]
    assert name in here.ok("cert", "show")["sans"]
    assert (here.ok("card")["address"] == name) is (is_first or not others)


def test_two_words_are_not_two_hosts(outside: Any, tmp_path: Path) -> None:
    here = outside.at(tmp_path / "d")
    answers = [("]:", "my host"), ("]:", "192.0.2.10,dock.example.org"), ("[Fleet]:", ""), ("[later]:", "")]
    code, shown = here.terminal("init", "--dir", str(here.folder), *QUIET, typed=answers)
    assert code == 0, shown
    assert "'my host' is no name and no address; several have commas between them" in shown
    assert here.ok("cert", "show")["sans"][:2] == ["192.0.2.10", "dock.example.org"]


def test_the_directory_is_asked_for_on_a_terminal_only(outside: Any, tmp_path: Path) -> None:
    words = ("init", "--host", "192.0.2.10", "--org-name", "N", *QUIET)
    for more in ((), ("--no-input",)):
        ended = outside.bare("-o", "json", *words, *more)
        assert (ended.code, ended.error["code"], ended.error["message"]) == (2, "usage", "--dir is missing")
    code, shown = outside.terminal(*words, "--no-input")
    assert (code, "--dir is missing" in shown) == (2, True)

    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "broker.yaml").write_text("")
    # An installation of this very machine would be offered before
    offered = "/etc/dockgate" if os.access("/etc/dockgate", os.W_OK) else "gateway"
    answers = [(f"certificates [{offered}]:", "taken"), ("]:", "~/here"), ("[later]:", "")]
    code, shown = outside.terminal(*words, typed=answers, HOME=str(tmp_path))
    assert code == 0, shown
    assert f"{tmp_path}/taken/broker.yaml exists already" in shown
    assert outside.at(tmp_path / "here").ok("check")["ok"] is True

    if offered == "gateway":
        (tmp_path / "gateway").mkdir()
        (tmp_path / "gateway" / "file").write_text("another's")
        code, shown = outside.terminal(*words, typed=[("certificates [dockgate]:", ""), ("[later]:", "")])
        assert code == 0, shown
        assert outside.at(tmp_path / "dockgate").ok("check")["ok"] is True
