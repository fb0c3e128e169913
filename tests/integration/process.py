"""``dockgate`` as processes of their own: a gateway whose log lines a test reads, and an operator's commands beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKGATE")}
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def dockgate(config: Path, *words: str, stdin: str = "") -> Any:
    """An operator's command in a process of its own; returns its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--config", str(config), "-o", "json", *words],
        input=stdin, capture_output=True, text=True, timeout=30, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, f"dockgate {' '.join(words)}: exit {done.returncode}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


class Served:
    """``dockgate serve``; killed at the end if it still runs. ``lines`` is all it has written to standard error."""

    host = HOST

    def __init__(self, config: Path, *words: str, command: list[str] | None = None, **extra: str) -> None:
        self.config = config
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._process = subprocess.Popen(
            [*(command or [sys.executable, "-m", "gateway"]), "--config", str(config), *words, "serve"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=environment(**extra),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="gateway's log", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                with self._came:
                    self.lines.append(line.rstrip("\n"))
                    self._came.notify_all()
        with self._came:
            self._came.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self, pattern: str, *, within_s: float = 15.0) -> re.Match[str]:
        """The first line with this in it, waiting for it if need be."""
        deadline = time.monotonic() + within_s
        with self._came:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                left = deadline - time.monotonic()
                assert left > 0, f"no line {pattern!r} in {self.lines[-20:]}"
                assert self._process.poll() is None or self._reader.is_alive(), f"it ended: {self.lines[-20:]}"
                self._came.wait(min(left, 0.5))

    def ready(self) -> Self:
        self.line("ready")
        return self

    def port(self, listener: str = "plain") -> int:
        return int(self.line(rf"listener\W+{listener}\W+address\W+[\d.]+:(\d+)")[1])

    def signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        code = self._process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code
