"""``dockgate serve`` as a process that is started, killed and started again on one installation; each start is timed.

Told ready as systemd would be (sd_notify(3)). What it writes to its log is kept from life to life.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from proof.network.ground import HOST, ROOT, Ground, promise

_START_S = 60.0
_STOP_S = 60.0
_LOOK_S = 0.1


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Of this process without what configures a gateway; compiled modules may be kept, as they are in the field."""
    left_out = {"PYTHONDONTWRITEBYTECODE", "LD_PRELOAD"}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("DOCKGATE") and name not in left_out
    }
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


class Lives:
    """``extra``: of the environment of the processes, such as a library to be loaded before others. ``program``: what Python
    is started with instead of ``-m gateway``.
    """

    def __init__(self, ground: Ground, *, program: Sequence[str] = ("-m", "gateway"), **extra: str) -> None:
        self.ground = ground
        self.log = ground.folder.parent / "lives.log"
        self._program = program
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ground.folder.parent / "notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._address))
        self._notify.settimeout(_LOOK_S)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reap()
        self._notify.close()
        self._address.unlink()

    def begin(self) -> None:
        """Start it and wait for nothing."""
        with contextlib.suppress(BlockingIOError):
            self._notify.setblocking(False)  # noqa: FBT003 - socket's own
            while self._notify.recv(256):  # what the life before said at its end
                pass
        self._notify.settimeout(_LOOK_S)
        self.count += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._program, "--config", str(self.ground.config), "serve"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                env=environment({**self._extra, "NOTIFY_SOCKET": str(self._address)}),
            )  # fmt: skip

    def wait_ready(self) -> None:
        """Raises BrokenPromise when it ends instead, or takes a minute."""
        until = time.monotonic() + _START_S
        while self.is_alive and time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                if self._notify.recv(256).startswith(b"READY=1"):
                    return
        promise(held=False, seen=f"the gateway does not start:\n{self.tail()}")

    def start(self) -> float:
        """Seconds from the process's beginning to being ready."""
        began = time.monotonic()
        self.begin()
        self.wait_ready()
        return time.monotonic() - began

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        promise(self.is_alive, f"the gateway has ended:\n{self.tail()}")
        return self._process.pid  # type: ignore[union-attr] # just looked

    def cpu_s(self) -> float:
        """Seconds of a core that it has used so far: of a machine that does other things at the same time, too."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """As by the kernel when memory is out: nothing can be tidied up.

        Raises BrokenPromise when it had ended before, or ends of anything else.
        """
        promise(self._process is not None, "nothing runs")
        process: subprocess.Popen[bytes] = self._process  # type: ignore[assignment] # just looked
        promise(process.poll() is None, f"the gateway ended by itself ({process.returncode}):\n{self.tail()}")
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        self._process = None
        promise(code == -signal.SIGKILL, f"the gateway ended with {code} when it was killed:\n{self.tail()}")

    def reap(self) -> None:
        """Nothing is left of it, whatever became of it. Idempotent."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """As an operator does; returns the exit code."""
        process = self._process
        promise(process is not None, "nothing runs")
        self.send(signal.SIGTERM)
        try:
            return process.wait(_STOP_S)  # type: ignore[union-attr] # just looked
        except subprocess.TimeoutExpired:
            promise(held=False, seen=f"the gateway does not stop:\n{self.tail()}")
            raise

    def ended(self, within_s: float) -> int | None:
        """The exit code of one that is to end by itself; None: it has not."""
        promise(self._process is not None, "nothing runs")
        try:
            return self._process.wait(within_s)  # type: ignore[union-attr] # just looked
        except subprocess.TimeoutExpired:
            return None

    # -- what it says

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def lines(self, word: str) -> list[str]:
        return [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if word in line]

    def ready(self, *, timeout_s: float = 10.0) -> tuple[int, dict[str, Any]]:
        """``/readyz``: the status, and what it says."""
        link = http.client.HTTPConnection(HOST, self.ground.ports["admin"], timeout=timeout_s)
        try:
            link.request("GET", "/readyz")
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()


def command(config: Path, *words: str, extra: dict[str, str] | None = None) -> tuple[int, str]:
    """``dockgate WORDS`` in a process of its own: the exit code, and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--config", str(config), *words],
        cwd=ROOT, env=environment(extra or {}), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
