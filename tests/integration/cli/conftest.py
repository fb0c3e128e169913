"""The operator's command line on a real installation: words in, exit code and both streams out."""

from __future__ import annotations

import asyncio
import codecs
import io
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.cli import main
from gateway.cli.times import now_ms
from gateway.store.connection import Store

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
TIMEOUT_S = 60


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which is all that may stand on stderr then."""
        found = json.loads(self.err)
        assert list(found) == ["error"]
        assert list(found["error"]) == ["code", "message", "hint"]
        return dict(found["error"])


class Commands:
    """``run`` stays in this process, ``process`` and ``terminal`` start the real command."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.config = folder / "broker.yaml"
        self.database = folder / "dockgate.db"
        self._capture = capture
        self._monkeypatch = monkeypatch

    def at(self, folder: Path) -> Commands:
        return Commands(folder, self._capture, self._monkeypatch)

    def bare(self, *words: str, stdin: str | bytes = b"") -> Ended:
        """Without ``--config``."""
        content = stdin.encode() if isinstance(stdin, str) else stdin
        self._capture.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
            code = main(list(words))
        out, err = self._capture.readouterr()
        return Ended(code, out, err)

    def run(self, *words: str, stdin: str | bytes = b"") -> Ended:
        return self.bare("--config", str(self.config), *words, stdin=stdin)

    def ok(self, *words: str, stdin: str | bytes = b"") -> Any:
        """The JSON of a command that has to succeed."""
        ended = self.run("-o", "json", *words, stdin=stdin)
        assert ended.code == 0, ended
        return ended.json

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "gateway", "--config", str(self.config), *words]

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DOCKGATE", "NO_COLOR", "SSH_"))
        }
        return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **extra}

    def process(self, *words: str, stdin: str = "", **extra: str) -> Ended:
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env=self.environment(**extra),
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def terminal(self, *words: str, typed: Sequence[tuple[str, str]] = (), **extra: str) -> tuple[int, str]:
        """A command on a terminal of its own: exit code and what it showed. ``typed``: after which prompt to type what.

        Nothing is typed ahead, because a prompt for a password throws away what was typed before it.
        """
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.command(*words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=self.environment(**extra),
        )
        os.close(theirs)
        try:
            shown, seen, waiting = "", 0, list(typed)
            decoder = codecs.getincrementaldecoder("utf-8")()
            while select.select([ours], [], [], TIMEOUT_S)[0]:
                try:
                    part = os.read(ours, 4096)
                except OSError:  # EIO: the command has ended
                    break
                shown += decoder.decode(part)
                if waiting and waiting[0][0] in shown[seen:]:
                    seen = len(shown)
                    os.write(ours, waiting.pop(0)[1].encode() + b"\n")
            return process.wait(TIMEOUT_S), shown.replace("\r\n", "\n")
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    def write(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """A change that the gateway, not an operator, makes."""

        async def change() -> T:
            async with await Store.open(self.database, clock=now_ms) as store:
                return await store.write(work, *args, **kwargs)

        return asyncio.run(change())

    def everything_stored(self) -> bytes:
        """The database as it lies on the disk."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("dockgate.db*")))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "dockgate"
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "-o", "json", "init", "--dir", str(folder), "--host", "192.0.2.10"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
    )
    (folder / "made.json").write_text(done.stdout)
    return folder


@pytest.fixture
def outside(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Commands without an installation."""
    for name in ("DOCKGATE_CONFIG", "DOCKGATE_PASSWORD", "NO_COLOR", "SUDO_USER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Commands(tmp_path / "none", capsys, monkeypatch)


@pytest.fixture
def dockgate(template: Path, outside: Commands, tmp_path: Path) -> Commands:
    """Commands on an installation as ``init`` makes it."""
    shutil.copytree(template, tmp_path / "dockgate")
    return outside.at(tmp_path / "dockgate")


@pytest.fixture
def first(template: Path) -> dict[str, Any]:
    """What ``init`` said."""
    return dict(json.loads((template / "made.json").read_text()))
