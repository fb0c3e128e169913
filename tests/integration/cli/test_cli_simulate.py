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


def test_a_fleet_from_an_accounts_file(serve: Callable[..., Served], tmp_path: Path) -> None:
    file = tmp_path / "accounts.jsonl"

    def add_accounts(dockgate: Any) -> None:
        with file.open("w") as lines:
            for number in (1, 2, 3):
                name = f"dock-{number}"
                lines.write(dockgate.run("-o", "jsonl", "account", "add", name, "--role", "dock", "--org", "fleet").out)

    served = serve(add_accounts)
    address = f"127.0.0.1:{served.ports['plain']}"
    words = ("simulate", "--address", address, "--plain", "--accounts-file", str(file), "--model", "dock3")
    ended = served.commands.run("-o", "json", *words)
    assert ended.code == 0, ended
    assert {key: ended.json[key] for key in ("docks", "ok", "failed", "failures")} == {
        "docks": 3, "ok": 3, "failed": 0, "failures": [],
    }  # fmt: skip
    assert len(served.commands.ok("dock", "list")) == 3
    assert served.commands.run(*words, "--docks", "4").code == 2


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
