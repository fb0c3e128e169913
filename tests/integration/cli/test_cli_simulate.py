"""``simulate`` and ``serve``: a dock on its way into a running gateway, as an operator tries it by hand."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import pki
from gateway.cli.times import now_ms

STEPS = [
    "connect", "subscribe", "config", "bind_status", "organization_get", "organization_bind", "bind_status_after",
    "update_topo", "telemetry", "acknowledge", "disconnect",
]  # fmt: skip
LICENSE = {"app_id": "123456", "app_key": "k" * 32, "app_license": "l" * 40, "ntp_server_host": "192.0.2.10"}


class Served:
    """A gateway in a process of its own on ports of the system's choice."""

    def __init__(self, commands: Any, password: str) -> None:
        self.commands = commands
        self.password = password
        self.process = subprocess.Popen(
            commands.command("serve"), stderr=subprocess.PIPE, text=True, env=commands.environment()
        )
        self.said: list[str] = []
        self.ports: dict[str, int] = {}
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"listening listener=(\w+) address=127\.0\.0\.1:(\d+)", line):
                self.ports[found[1]] = int(found[2])
            if line.rstrip().endswith("ready"):
                break
        assert set(self.ports) == {"tls", "plain"}, self.said

    def simulate(self, *words: str, listener: str = "tls", stdin: str | None = None) -> Any:
        trust = ["--plain"] if listener == "plain" else ["--ca", str(self.commands.folder / "certs" / "ca.pem")]
        return self.commands.run(
            "simulate", "--address", f"127.0.0.1:{self.ports[listener]}", *trust, "--password-stdin", *words,
            stdin=self.password if stdin is None else stdin,
        )  # fmt: skip

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=30)
        self.said.append(rest)
        return self.process.returncode

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def serve(outside: Any, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Make an installation, do with it what ``prepare`` says, then serve it."""
    with ExitStack() as running:

        def start(prepare: Callable[[Any], object] = lambda _: None) -> Served:
            here = outside.at(tmp_path / "dockgate")
            made = here.bare(
                "-o",
                "json",
                "init",
                "--dir",
                str(here.folder),
                "--tls-bind",
                "127.0.0.1:0",
                "--plain-bind",
                "127.0.0.1:0",
                "--admin-bind",
                "off",
            ).json
            here.ok("license", "set", "--file", "-", stdin=json.dumps(LICENSE))
            prepare(here)
            gateway = Served(here, made["card"]["password"])
            running.callback(gateway.close)
            return gateway

        yield start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


def test_first_access_over_tls_and_what_is_seen_of_it(served: Any) -> None:
    ended = served.simulate("--account", "dock", "-o", "json")
    assert ended.code == 0, ended
    found = ended.json
    assert [step["step"] for step in found["steps"]] == STEPS
    assert all(set(step) == {"step", "ok", "ms", "detail"} and step["ok"] for step in found["steps"])
    assert set(found) == {"sn", "ok", "access_ms", "steps"}
    assert served.password not in ended.out + ended.err
    dockgate = served.commands
    (dock,) = dockgate.ok("dock", "list")
    assert (dock["sn"], dock["bound"], len(dock["children"])) == (found["sn"], True, 1)
    assert dockgate.ok("account", "show", "dock")["sn"] == found["sn"]
    assert dockgate.ok("status")["running"] is True

    again = served.simulate("--account", "dock", "--no-aircraft", listener="plain")
    assert again.code == 0, again
    assert again.out.split()[:2] == ["ok", "connect"]
    assert "organization_bind" not in again.out
    assert max(map(len, again.out.splitlines())) <= 80

    assert served.stop() == 0
    assert served.password not in "".join(served.said)
    assert LICENSE["app_key"] not in "".join(served.said)


def test_failures_and_refusals_that_should_be(served: Any) -> None:
    wrong = served.simulate("--account", "dock", stdin="not the password\n")
    assert wrong.code == 1
    assert wrong.out.startswith("FAILED connect")
    assert served.simulate("--account", "dock", "--misbehave", "wrong-password").code == 0
    assert served.simulate("--account", "dock", "--misbehave", "wrong-code").code == 0
    served.commands.ok("account", "disable", "dock")
    listed = served.commands.ok("account", "list")
    assert [account["enabled"] for account in listed] == [False]


def hint_of(ended: Any, step: str) -> str:
    """What stands under the failed step, in one line."""
    assert ended.code == 1, ended
    told = " ".join(ended.out[ended.out.index(f"FAILED {step} ") :].split())
    found = re.search(r" > (.*?)(?= ok | FAILED | \S+: failed;)", told)
    assert found, told
    return found[1]


def test_a_failed_step_names_what_mends_it(served: Any, tmp_path: Path) -> None:
    dockgate, at = served.commands, f"--config {served.commands.config}"
    wrong = served.simulate("--account", "dock", stdin="not the password\n")
    assert hint_of(wrong, "connect").endswith(f": dockgate {at} account passwd dock")
    assert max(len(line) for line in wrong.out.splitlines() if str(tmp_path) not in line) <= 80

    other = served.simulate("--account", "dock", "--app-id", "654321")
    assert "license set --file license.json with a license of that app" in hint_of(other, "config")

    for code in ("WRONG2CODE", dockgate.ok("org", "code", "add", "fleet", "--sn", "7CTDM7100B9999")["binding_code"]):
        unknown = served.simulate("--account", "dock", "--code", code)
        assert hint_of(unknown, "organization_get").endswith(f"another one: dockgate {at} org code add fleet")

    assert served.simulate("--account", "dock").code == 0
    for version in ([], ["--mqtt5"]):
        pinned = served.simulate("--account", "dock", "--sn", "7CTDM7100B4444", *version)
        assert hint_of(pinned, "subscribe") == (
            f"whether the account is another dock's: dockgate {at} account show dock; then another account, or dockgate "
            f"{at} account unpin dock"
        )

    dockgate.ok("org", "add", "Pier")
    card = dockgate.ok("card", "--org", "pier")
    elsewhere = served.simulate("--account", "dock", "--org", "pier", "--code", card["binding_code"])
    assert hint_of(elsewhere, "bind_status") == f"dockgate {at} dock unbind 7CTDM7SM000001"

    address = f"127.0.0.1:{served.ports['tls']}"
    words = ("simulate", "--account", "dock", "--password-stdin", "--address", address)
    assert "--ca FILE names the CA to trust" in hint_of(dockgate.run(*words, stdin="password\n"), "connect")
    assert "leave out --plain" in hint_of(dockgate.run(*words, "--plain", stdin="password\n"), "connect")
    closed = dockgate.run(*words[:-1], "127.0.0.1:1", "--plain", stdin="password\n")
    assert hint_of(closed, "connect").endswith(f"dockgate {at} serve")


def without_license(dockgate: Any) -> None:
    dockgate.ok("license", "clear", "--yes")


def test_a_license_that_is_missing_is_to_be_set(serve: Callable[..., Served]) -> None:
    served = serve(without_license)
    mend = "license set --file license.json"
    at = f"--config {served.commands.config}"
    assert hint_of(served.simulate("--account", "dock"), "config") == f"dockgate {at} {mend}"
    (step,) = [step for step in served.simulate("--account", "dock", "-o", "json").json["steps"] if not step["ok"]]
    assert (step["step"], step["hint"]) == ("config", f"dockgate {mend}")


def test_a_client_certificate_that_expired_is_told_as_that(serve: Callable[..., Served]) -> None:
    def demand(dockgate: Any) -> None:
        text = dockgate.config.read_text()
        for line in ("cafile: certs/ca.pem", "client_auth: optional"):
            assert f"# {line}" in text
            text = text.replace(f"# {line}", line.replace("optional", "required"))
        dockgate.config.write_text(text)
        dockgate.ok("cert", "issue", "dock")
        pki.issue_client(dockgate.folder / "certs", "old", now=now_ms() - 1000 * 86_400_000)

    served = serve(demand)

    def with_certificate(name: str) -> Any:
        files = served.commands.folder / "certs" / "clients"
        return served.simulate("--account", "dock", "--cert", f"{files / name}.pem", "--key", f"{files / name}.key")

    assert with_certificate("dock").code == 0
    expired = with_certificate("old")
    assert "the client certificate is expired" in " ".join(expired.out.split())
    assert hint_of(expired, "connect").endswith("cert issue dock --replace")
    assert hint_of(served.simulate("--account", "dock"), "connect").endswith("cert issue dock")


Fleet = tuple[Served, tuple[str, ...]]


@pytest.fixture
def fleet(serve: Callable[..., Served], tmp_path: Path) -> Fleet:
    return a_fleet(serve, tmp_path / "accounts.jsonl", lambda _: None)


def a_fleet(serve: Callable[..., Served], file: Path, prepare: Callable[[Any], object]) -> Fleet:
    """A gateway with three accounts, and the words that have docks use them."""

    def add_accounts(dockgate: Any) -> None:
        prepare(dockgate)
        with file.open("w") as lines:
            for number in (1, 2, 3):
                name = f"dock-{number}"
                lines.write(dockgate.run("-o", "jsonl", "account", "add", name, "--role", "dock", "--org", "fleet").out)

    served = serve(add_accounts)
    address = f"127.0.0.1:{served.ports['plain']}"
    return served, ("simulate", "--address", address, "--plain", "--accounts-file", str(file), "--model", "dock3")


def test_a_fleet_from_an_accounts_file(fleet: Fleet) -> None:
    served, words = fleet
    ended = served.commands.run("-o", "json", *words)
    assert ended.code == 0, ended
    assert {key: ended.json[key] for key in ("docks", "ok", "failed", "failures")} == {
        "docks": 3, "ok": 3, "failed": 0, "failures": [],
    }  # fmt: skip
    docks = served.commands.ok("dock", "list")
    assert len(docks) == 3
    assert served.commands.run(*words, "--docks", "4").code == 2

    (line,) = served.commands.run("-o", "jsonl", *words, "--docks", "2").out.splitlines()
    steps = json.loads(line)["steps"]
    assert {step["sn"] for step in steps} == {"8UUXN7SM000001", "8UUXN7SM000002"}
    for sn in {step["sn"] for step in steps}:
        assert [step["step"] for step in steps if step["sn"] == sn] == [
            name for name in STEPS if name not in {"organization_get", "organization_bind", "bind_status_after"}
        ]
    assert all(set(step) == {"sn", "step", "ok", "ms", "detail"} and step["ok"] for step in steps)


def test_many_that_fail_name_what_mends_it_once(serve: Callable[..., Served], tmp_path: Path) -> None:
    served, words = a_fleet(serve, tmp_path / "accounts.jsonl", without_license)
    ended = served.commands.run(*words)
    assert ended.code == 1
    assert ended.out.count("FAILED 8UUXN7SM") == 3
    assert " ".join(ended.out.split()).count("license set --file license.json") == 1
    found = served.commands.run("-o", "json", *words).json
    assert [one["hint"] for one in found["failures"]] == ["dockgate license set --file license.json"] * 3


def test_how_far_many_docks_are_is_shown_on_a_terminal_only(fleet: Fleet) -> None:
    served, words = fleet
    slowly = (*words, "--concurrency", "1", "--telemetry", "0.6", "--docks", "2")
    code, shown = served.commands.terminal(*slowly)
    assert code == 0, shown
    assert re.search(r"\rdocks: (50|100) %", shown)
    # Each result has a line of its own, in which nothing of it is left
    lines = [line.rpartition("\r")[2] for line in shown.split("\n")]
    assert [line.split()[:2] for line in lines[:2]] == [["ok", "8UUXN7SM000001"], ["ok", "8UUXN7SM000002"]]
    assert "docks:" not in served.commands.process(*words, "--docks", "2").err


def test_password_from_the_environment(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKGATE_PASSWORD", served.password)
    address = f"127.0.0.1:{served.ports['plain']}"
    assert served.commands.run("simulate", "--address", address, "--plain", "--account", "dock").code == 0


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--account", "dock", "--model", "dock9"],
        ["--account", "dock", "--address", "nowhere:port"],
        ["--account", "dock", "--aircraft-sn", "X", "--no-aircraft"],
        ["--account", "dock", "--cert", "c.pem"],
        ["--account", "dock", "--misbehave", "nothing"],
        ["--account", "dock", "--docks", "0"],
        ["--account", "dock", "--accounts-file", "/dev/null"],
    ],
)
def test_unusable_words(dockgate: Any, words: list[str]) -> None:
    ended = dockgate.run("-o", "json", "simulate", "--password-stdin", *words, stdin="password\n")
    assert (ended.code, ended.out) == (2, ""), ended
    assert ended.error["code"] == "usage"


def test_needs_no_installation(outside: Any) -> None:
    ended = outside.bare("simulate", "--account", "dock", "--password-stdin", stdin="password\n")
    assert ended.code == 2
    assert "--address" in ended.err
    words = ["simulate", "--address", "127.0.0.1:1", "--plain", "--account", "dock", "--password-stdin"]
    ended = outside.bare(*words, stdin="password\n")
    assert ended.code == 1
    assert ended.out.startswith("FAILED connect")
    no_password = outside.bare(*words[:-1])
    assert no_password.code == 2
    assert "DOCKGATE_PASSWORD" in no_password.err


def test_takes_the_gateway_of_this_machine(dockgate: Any) -> None:
    # Nothing serves this installation: what is looked at is where the dock tries to go
    ended = dockgate.run("simulate", "--account", "dock", "--password-stdin", "--timeout", "1", stdin="password\n")
    assert ended.code == 1
    assert "127.0.0.1:8883" in ended.out
    ended = dockgate.run(
        "simulate", "--account", "dock", "--plain", "--password-stdin", "--timeout", "1", stdin="password\n"
    )
    assert ended.code == 1
    assert "127.0.0.1:1883" in ended.out


def test_accounts_file_that_is_none(dockgate: Any, tmp_path: Path) -> None:
    file = tmp_path / "accounts.jsonl"
    file.write_text('{"account": "dock-1"}\n')
    ended = dockgate.run("simulate", "--plain", "--accounts-file", str(file))
    assert ended.code == 2
    assert "line 1" in ended.err


def test_serve_says_why_it_cannot_start(dockgate: Any) -> None:
    (dockgate.folder / "certs" / "server.key").unlink()
    ended = dockgate.process("-o", "json", "serve")
    assert ended.code == 7
    assert json.loads(ended.err.splitlines()[-1])["error"]["code"] == "configuration"
