"""What every system is: processes on one core, started from the same seeds (accounts, keys, binding code), ended by their ids."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
SERVERS = BENCH / "servers"
HOST = "127.0.0.1"

_START_S = 60.0
_STOP_S = 5.0
_LOOK_S = 0.02


def cores() -> tuple[int, int]:
    """The server's and the generator's; the same one where there is no second."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started meanwhile runs on that core, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Seeds:
    """What ``seeds.plant`` made. A system copies what it changes."""

    folder: Path
    durable: bool = False
    """Whether the databases beside the other systems wait for the disk at a binding, as dockgate's always does."""

    @property
    def fleet(self) -> Path:
        return self.folder / "fleet.json"

    @property
    def installation(self) -> Path:
        return self.folder / "dockgate"

    @property
    def ca(self) -> Path:
        return self.installation / "certs" / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.installation / "certs" / "server.pem"

    @property
    def key(self) -> Path:
        return self.installation / "certs" / "server.key"

    @property
    def peers_database(self) -> Path:
        return self.folder / "peers.db"

    @property
    def mosquitto_passwords(self) -> Path:
        return self.folder / "mosquitto.passwd"

    def synchronous(self) -> str:
        return "FULL" if self.durable else "NORMAL"


def wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """For programs that do not say when they are ready."""
    until = time.monotonic() + _START_S
    pause = threading.Event()
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        pause.wait(_LOOK_S)
    raise RuntimeError(f"nothing listens on port {port}:\n{tail(log)}")


def tail(log: Path) -> str:
    return "".join(log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-20:])


def free_port() -> int:
    with socket.create_server((HOST, 0)) as one:
        port: int = one.getsockname()[1]
    return port


class System(ABC):
    """Used as a context: entered it serves on ``port`` and ``tls_port``, left it has ended and its copies are gone."""

    def __init__(self, name: str, seeds: Seeds) -> None:
        self.name = name
        self.seeds = seeds
        self.folder = seeds.folder / "running" / name
        self.port, self.tls_port = free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def missing() -> str | None:
        """What has to be installed before it can be started, in words; None: nothing."""
        return None

    @abstractmethod
    def start(self) -> None:
        """Serve. Raises RuntimeError, with the end of the log, when that fails."""

    @property
    def pids(self) -> dict[str, int]:
        """All processes that serve, by what they are."""
        return {role: process.pid for role, process in self._processes.items()}

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        # What was copied is on the disk before anybody measures how long it takes to write there
        os.sync()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- for those who start something

    def log_of(self, role: str) -> Path:
        return self.folder / f"{role}.log"

    def run(
        self,
        role: str,
        command: Sequence[str | Path],
        *,
        says_ready: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process on the server's core. ``says_ready``: it prints a line when it serves, and that is awaited."""
        with self._log(role) as log, on_core(cores()[0]):
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if says_ready else log,
                stderr=log,
                cwd=ROOT,
                env={**environment(), **(env or {})},
            )
        self._processes[role] = process
        if says_ready:
            self._await_line(role, process)
        return process

    def python(self, role: str, server: str, *words: str | Path) -> None:
        """Start one of ``servers/``."""
        self.run(role, [sys.executable, SERVERS / server, *words], says_ready=True)

    def peers_database(self) -> Path:
        """A fresh copy."""
        return Path(shutil.copy(self.seeds.peers_database, self.folder / "peers.db"))

    @contextlib.contextmanager
    def _log(self, role: str) -> Iterator[IO[bytes]]:
        with self.log_of(role).open("wb") as log:
            yield log

    def _await_line(self, role: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe, see ``run``
        alarm = threading.Timer(_START_S, process.kill)
        alarm.start()
        try:
            line = process.stdout.readline()
        finally:
            alarm.cancel()
        if line.strip() != b"ready":
            raise RuntimeError(f"{self.name}: {role} does not start:\n{tail(self.log_of(role))}")


def environment() -> dict[str, str]:
    """Without what would configure dockgate from outside; with the clone as the place of its packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKGATE")}
    return {**kept, "PYTHONPATH": str(ROOT)}
