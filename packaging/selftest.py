"""Tries a built dockgate: ``python packaging/selftest.py PROGRAM`` runs it as somebody would who has nothing else: version,
first run, check, and one simulated dock's whole access over TLS through the running program.
Prints each step; never leaves a process or a file behind. Exit code 1 when a step failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LICENSE = {
    "app_id": "123456",
    "app_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "app_license": "bGljZW5zZQ==",
    "ntp_server_host": "192.0.2.10",
}
SLOWEST_START_S = 2.0
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "DOCKGATE_CACHE", "CACHE_DIRECTORY")


class FailedError(Exception):
    """A step that went wrong, in words."""


@dataclass
class Trial:
    """One program in one empty directory, which is its home too. ``before``: words that run it as something else."""

    program: Path
    folder: Path
    before: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    reload: Callable[[], None] = field(default=lambda: None, repr=False)
    """Of the gateway that is served."""

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.environment = {**kept, "HOME": str(self.folder), **self.environment}

    @property
    def config(self) -> Path:
        return self.folder / "installation" / "broker.yaml"

    def words(self, *words: str) -> list[str]:
        return [*self.before, str(self.program), *words]

    def run(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            self.words(*words), input=stdin, capture_output=True, text=True, timeout=60, check=False,
            env=self.environment, cwd=self.folder,
        )  # fmt: skip
        if done.returncode != 0:
            raise FailedError(
                f"dockgate {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}"
            )
        return done.stdout

    def ask(self, *words: str, stdin: str = "") -> Any:
        return json.loads(self.run("--config", str(self.config), "-o", "json", *words, stdin=stdin))

    @contextlib.contextmanager
    def served(self, **environment: str) -> Iterator[set[str]]:
        """The gateway, from its READY=1 to its end; what else it told systemd meanwhile is in the set afterwards."""
        told: set[str] = set()
        (self.folder / "notify").unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(str(self.folder / "notify"))
            (self.folder / "notify").chmod(0o777)
            heard: queue.Queue[str] = queue.Queue()
            threading.Thread(target=_listen, args=(ear, heard, told), daemon=True).start()
            log = self.folder / "log"
            with log.open("wb") as to:
                process = subprocess.Popen(
                    self.words("--config", str(self.config), "serve"), stdout=to, stderr=to, cwd=self.folder,
                    env={
                        **self.environment, **environment, "NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": "200000",
                    },
                )  # fmt: skip

            def reload() -> None:
                process.send_signal(signal.SIGHUP)
                _hear(heard, "RELOADING=1", log)
                _hear(heard, "READY=1", log)

            self.reload = reload
            try:
                _hear(heard, "READY=1", log)
                yield told
                reload()
                _hear(heard, "WATCHDOG=1", log)
                process.send_signal(signal.SIGTERM)
                _hear(heard, "STOPPING=1", log)
                if (code := process.wait(30)) != 0:
                    raise FailedError(f"serve ended with {code}: {log.read_text()}")
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                with contextlib.suppress(OSError):
                    ear.shutdown(socket.SHUT_RD)


def _listen(ear: socket.socket, heard: queue.Queue[str], told: set[str]) -> None:
    """Read at once, as systemd does; "" is the end."""
    with contextlib.suppress(OSError):
        while word := ear.recv(4096).decode():
            told.add(word)
            heard.put(word)


def _hear(heard: queue.Queue[str], wanted: str, log: Path) -> None:
    latest = time.monotonic() + 30
    while (left := latest - time.monotonic()) > 0:  # keepalives may go on for ever
        with contextlib.suppress(queue.Empty):
            if heard.get(timeout=left) == wanted:
                return
    raise FailedError(f"serve never said {wanted}: {log.read_text()}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def version(trial: Trial) -> str:
    trial.run("--version")  # the first one unpacks
    begin = time.monotonic()
    said = trial.run("--version").strip()
    if (took := time.monotonic() - begin) > SLOWEST_START_S:
        raise FailedError(f"--version took {took:.1f} s")
    return f"{said}, in {took:.2f} s"


def first_start(trial: Trial) -> str:
    begin = time.monotonic()
    trial.run("--version")
    return f"first start, with unpacking, in {time.monotonic() - begin:.2f} s"


def init(trial: Trial) -> str:
    made = json.loads(
        trial.run(
            "-o", "json", "init", "--dir", str(trial.config.parent), "--no-input", "--host", "127.0.0.1",
            "--tls-bind", f"127.0.0.1:{free_port()}", "--plain-bind", "off", "--admin-bind", f"127.0.0.1:{free_port()}",
        )
    )  # fmt: skip
    trial.ask("license", "set", "--file", "-", stdin=json.dumps(LICENSE))
    return f"init: {made['organization']['id']}"


def check(trial: Trial) -> str:
    found = trial.ask("check")
    if not found["ok"]:
        raise FailedError(f"check: {found['problems']}")
    return "check: nothing is wrong"


def access(trial: Trial) -> str:
    password = trial.ask("account", "add", "harbour-1", "--role", "dock")["password"]
    with trial.served() as told:
        got = trial.ask(
            "simulate", "--account", "harbour-1", "--sn", "7CTDM7100B1234", "--password-stdin", stdin=f"{password}\n"
        )
        if not got["ok"]:
            raise FailedError(f"simulate: {got}")
        bound = [one["sn"] for one in trial.ask("dock", "list") if one["bound"]]
        if "7CTDM7100B1234" not in bound:
            raise FailedError(f"the dock is not bound: {bound}")
    return f"a simulated dock got through over TLS in {got['access_ms']} ms; systemd was told {', '.join(sorted(told))}"


STEPS = (first_start, version, init, check, access)


def main(program: Path) -> int:
    folder = Path(tempfile.mkdtemp(prefix="dockgate-selftest-"))
    try:
        trial = Trial(program.absolute(), folder)
        for step in STEPS:
            sys.stdout.write(f"ok      {step(trial)}\n")
    except FailedError as failure:
        sys.stdout.write(f"FAILED  {failure}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
