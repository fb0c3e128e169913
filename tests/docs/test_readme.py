"""What README.md and broker.yaml promise, typed and served: from a copy of the clone whose environment is this one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import MODELS, Target, TlsFiles, make_profile, run_dock

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# by default they are taken by whoever runs dockgate here
_PORTS = "--tls-bind 127.0.0.1:0 --plain-bind 127.0.0.1:0 --admin-bind 127.0.0.1:0"


def fences(text: str = README) -> list[str]:
    return _FENCE.findall(text)


def fence(part: str) -> str:
    """The one block of the README with these words in it."""
    (found,) = [block for block in fences() if part in block]
    return found


class Clone:
    """A directory as ``git clone`` and ``make``'s set-up leave it, with this interpreter in the place of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_ = folder / ".venv" / "bin"
        bin_.mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "requirements.lock", "broker.yaml"):
            shutil.copy(ROOT / name, folder)
        dockgate = bin_ / "dockgate"
        dockgate.write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
        dockgate.chmod(0o755)
        (bin_ / "activate").write_text(f'PATH="{bin_}:$PATH"\n')
        (folder / ".venv" / "runtime").touch()
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(("DOCKGATE", "MAKE", "MFLAGS"))
            },
            "PYTHONPATH": str(ROOT),
            "INIT": _PORTS,
        }

    def type(self, text: str) -> str:
        """Type it into a shell of its own; fails when a command does. Gives what came on standard output."""
        done = subprocess.run(
            ["bash", "-eu", "-c", text], cwd=self.folder, env=self.environment, capture_output=True, encoding="utf-8",
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin(self, text: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {text.strip()}"], cwd=self.folder, env=self.environment, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.fixture
def running(clone: Clone) -> Iterator[tuple[list[str], Callable[[], int]]]:
    """``make run``: the lines up to "ready", and what stops it as a service manager would and gives its exit code."""
    process = clone.begin(fence("make run"))
    assert process.stdout is not None
    lines: list[str] = []

    def stop() -> int:
        if process.poll() is None:
            pid = int(
                clone.type(
                    ".venv/bin/dockgate --config var/broker.yaml -o json status | grep -o '\"pid\": [0-9]*'"
                ).split()[1]
            )
            os.kill(pid, signal.SIGTERM)
        return process.wait(30)

    try:
        for line in process.stdout:
            lines.append(line)
            if line.rstrip().endswith("info ready"):
                break
        yield lines, stop
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        process.stdout.close()


def test_the_first_minutes(clone: Clone, running: tuple[list[str], Callable[[], int]]) -> None:
    lines, stop = running
    said = "".join(lines)
    for name in ("Gateway address", "Account", "Password", "Organization ID", "Device binding code"):
        assert name in said
    until_heard_of(clone)
    shown = clone.type(fence("dockgate license set"))
    assert "123456" in shown
    assert "VGhlIGxpY2Vuc2Ugb2YgeW91ciBhcHA==" not in shown
    assert "Type into Pilot 2" in shown
    service = clone.type(
        ". .venv/bin/activate; export DOCKGATE_CONFIG=var/broker.yaml\n" + fence("account add platform")
    )
    heard = listen(clone, lines, password=service.split()[-1])
    assert heard
    port = re.search(r"listener=admin address=127\.0\.0\.1:(\d+)", said)
    assert port
    asked = clone.type(
        ". .venv/bin/activate; export DOCKGATE_CONFIG=var/broker.yaml\n"
        + fence("token add eyes").replace(":8080", f":{port[1]}")
    )
    assert '"access_step"' in asked
    assert '"ready":true' in asked
    assert stop() == 0


def until_heard_of(clone: Clone) -> None:
    """The heartbeat of the gateway is in the database, so that ``status`` can tell its process."""
    clone.type(
        "until .venv/bin/dockgate --config var/broker.yaml -o json status | grep -q '\"running\": true'; do :; done"
    )


def listen(clone: Clone, lines: list[str], *, password: str) -> str:
    """The README's service hears the first telemetry of a dock."""
    port = re.search(r"listener=plain address=127\.0\.0\.1:(\d+)", "".join(lines))
    assert port
    typed = fence("mosquitto_sub").replace("-p 1883", f"-p {port[1]}").replace("PASSWORD", password).strip()
    # -C 1: the README's goes on until it is stopped
    listener = clone.begin(f"{typed} -C 1 -W 20")
    passwd = clone.type(".venv/bin/dockgate --config var/broker.yaml -o json account passwd dock")
    found = re.search(r'"password": "(\w+)"', passwd)
    assert found
    # it goes on for a while: nothing tells when the listener's subscription is there
    clone.type(
        f"export DOCKGATE_PASSWORD={found[1]}\n.venv/bin/dockgate --config var/broker.yaml simulate --account dock --plain"
        f" --address 127.0.0.1:{port[1]} --telemetry 3"
    )
    heard, _ = listener.communicate(timeout=30)
    assert listener.returncode == 0, heard
    return heard


def test_the_demo_and_its_second_run(clone: Clone) -> None:
    first = clone.type(fence("make demo"))
    assert "organization_bind" in first
    assert "is bound now" in first
    assert re.search(r"online +1 ", first), "the operator sees the dock while it is there"
    second = clone.type(fence("make demo"))
    assert "organization_bind" not in second
    assert "was bound by an earlier run" in second
    assert (clone.folder / "var" / "demo" / "broker.yaml").is_file()


def test_the_demo_leaves_other_installations_alone(installation: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway import cli

    before = installation.config_file.read_bytes()
    assert cli.main(["demo", "--dir", str(installation.folder)]) == 4
    assert "left alone" in capsys.readouterr().err
    assert installation.config_file.read_bytes() == before
    assert "demo.txt" not in [path.name for path in installation.folder.iterdir()]


def test_a_demo_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway import cli

    (tmp_path / "file").touch()
    assert cli.main(["demo", "--dir", str(tmp_path / "file" / "below")]) == 1
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["run", "test", "demo", "lint"])
def test_every_target_that_is_named_is_there(target: str) -> None:
    """What make would do in a fresh clone; to do it here would not end."""
    named = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"make {target}" in named
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_no_other_target_is_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"`?\bmake ([a-z]+)\b(?=`|\n| INIT)", document.read_text(encoding="utf-8")):
            assert target in targets, f"{document}: make {target}"


@pytest.mark.parametrize("kind", ["tls", "plain"])
def test_the_shipped_configuration_is_served(
    kind: str, installation: Any, serve: Callable[[Any], Any], tmp_path: Path
) -> None:
    """broker.yaml from the top level, with certificates and database of ``init`` where it looks for them; only ports differ."""
    folder = tmp_path / "shipped"
    (folder / "var").mkdir(parents=True)
    shutil.copytree(installation.folder / "certs", folder / "certs")
    text, count = re.subn(r"(?m)^(    bind: [0-9.]+):\d+$", r"\1:0", (ROOT / "broker.yaml").read_text(encoding="utf-8"))
    assert count >= 2
    (folder / "broker.yaml").write_text(text, encoding="utf-8")
    installation.license()
    shutil.move(installation.folder / "dockgate.db", folder / "var" / "dockgate.db")
    installation.config_file = folder / "broker.yaml"
    assert installation.dockgate("check")["problems"] == []
    card = installation.first["card"]
    gateway = serve(installation)
    tls = TlsFiles(ca=folder / "certs" / "ca.pem") if kind == "tls" else None
    profile = make_profile(
        MODELS["dock3"], account=card["account"], password=card["password"], organization_id=card["organization_id"],
        binding_code=card["binding_code"],
    )  # fmt: skip
    run = run_dock(Target("127.0.0.1", gateway.port(kind), tls=tls), profile)
    assert run.ok, run.failure
