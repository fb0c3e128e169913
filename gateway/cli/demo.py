"""``dockgate demo``: a directory comes in; a gateway on loopback and a simulated dock go through the access, each step shown.

It types the commands that an operator would, as processes of their own, and touches only an installation that it has made.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from gateway import logs
from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.init import CONFIG_FILE, FIRST_ACCOUNT
from gateway.cli.options import Output, example
from gateway.errors import ConflictError, DockgateError
from gateway.simulator import Run, Step, Target, TlsFiles, dock_model, make_profile, run_dock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

HOST = "127.0.0.1"
MARK = "demo.txt"
"""Tells a directory of ours from an installation whose passwords somebody needs."""
_MARK_TEXT = "Made by `dockgate demo` for itself. Delete this directory to begin anew.\n"
ORGANIZATION = "Demo fleet"
# No dock accepts it; it only has to pass for one that was entered
_LICENSE = {
    "app_id": "100001",
    "app_key": "6465-6d6f-2d6b-6579",
    "app_license": "bm90IGEgcmVhbCBsaWNlbnNl==",
    "ntp_server_host": HOST,
}
MODEL = "dock3"
# Long enough for two looks at it from outside, while the dock is there
TELEMETRY_S = 1.0
READY_S = 30.0
STOPPED_S = 15.0
_ONLINE_S = 10.0
_AUDIT_LINES = 6
_LAST_LINES = 3
_Ports = dict[str, int]


@app.command(epilog=example("dockgate demo --dir demo"))
def demo(
    ctx: typer.Context,
    directory: Annotated[
        Path,
        typer.Option("--dir", metavar="D", help="Where the demo's own installation is, or goes.", show_default=False),
    ],
    output: Output = None,
) -> None:
    """A gateway and a simulated dock on loopback, over TLS, through the whole access. A second run finds the dock bound."""
    cli = Cli.of(ctx, output)
    with _ends_like_ctrl_c():
        found = _Demo(cli, directory).run()
    render.record(found, cli.format, text=_text(found, directory))


class _Demo:
    def __init__(self, cli: Cli, directory: Path) -> None:
        self._tells = cli.is_table
        self._directory = directory
        self._config = directory / CONFIG_FILE

    def run(self) -> dict[str, Any]:
        is_first = self._install()
        self._title("A license for docks, and a password for the dock")
        self._show("license", "set", "--file", "-", given=json.dumps(_LICENSE))
        # Nobody knows the last one any more: only its hash is kept
        passwd = ["--config", str(self._config), "account", "passwd", FIRST_ACCOUNT]
        self._type(passwd)
        password = str(self._found(passwd)["password"])
        self._say("made, for the dock alone\n")
        self._title("The gateway")
        with self._gateway() as ports:
            port = {"DOCKGATE__CARD__PORT": str(ports["tls"])}
            self._show("card", env=port)
            card = self._found(["--config", str(self._config), "card"], env=port)
            self._title("A simulated dock, with what the card says")
            run, seen = self._dock(ports["tls"], card, password)
        self._title("What the audit trail has kept of it")
        self._show("audit", "list", "--dock", run.sn, "--limit", str(_AUDIT_LINES))
        if run.failure is not None:
            raise DockgateError(f"the dock did not get through: {run.failure.step}: {run.failure.detail}")
        bound_before = run.step("organization_bind") is None
        return {"first": is_first, "bound_before": bound_before, "sn": run.sn, **run.as_dict(), **seen}

    # -- the installation

    def _install(self) -> bool:
        """Whether it had to be made."""
        mark = self._directory / MARK
        if self._config.exists():
            if not mark.exists():
                raise ConflictError(
                    f"{self._directory} is an installation that the demo has not made; it is left alone",
                    hint="dockgate demo --dir ANOTHER",
                )
            self._title("Another run")
            self._say(f"with the installation of the first one, in {self._directory}\n")
            return False
        self._title("A first run")
        self._directory.mkdir(parents=True, exist_ok=True)
        # Before the installation: a run that is broken off must not leave one behind that the next run will not touch
        mark.write_text(_MARK_TEXT, encoding="utf-8")
        # fmt: off
        words = ["init", "--dir", str(self._directory), "--host", HOST, "--org-name", ORGANIZATION, "--tls-bind", f"{HOST}:0",
                 "--plain-bind", "off", "--admin-bind", "off", "--no-input"]
        # fmt: on
        self._type(words)
        made = self._found(words)
        self._say(f"made {made['config']}, {made['database']}, {made['ca']}\n")
        return True

    # -- commands

    def _show(self, *words: str, given: str = "", env: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Carry out a command; in a table's place stands what it says, else what it found is given back."""
        typed = ["--config", str(self._config), *words]
        self._type(typed)
        if not self._tells:
            return self._found(typed, given=given, env=env)
        self._say(self._said(typed, given, env).rstrip("\n") + "\n\n")
        return None

    def _found(self, words: list[str], *, given: str = "", env: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self._said(["-o", "json", *words], given, env))

    def _type(self, words: list[str], *, end: str = "") -> None:
        self._say(f"$ dockgate {shlex.join(words)}{end}\n")

    @staticmethod
    def _said(words: list[str], given: str, env: dict[str, str] | None) -> str:
        done = subprocess.run(  # noqa: S603 - this program, with words of our own
            [*_ourselves(), *words],
            input=given,
            capture_output=True,
            encoding="utf-8",
            env=_environment(env),
            check=False,
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()
            raise DockgateError(
                f"`dockgate {shlex.join(words)}` ended with {done.returncode}: {last[0] if last else ''}"
            )
        return done.stdout

    # -- the gateway

    @contextlib.contextmanager
    def _gateway(self) -> Iterator[_Ports]:
        """Serve until the block ends; gives the port that each listener got from the system."""
        typed = ["--config", str(self._config), "serve"]
        self._type(typed, end=" &")
        process = subprocess.Popen(  # noqa: S603 - this program, with words of our own
            [*_ourselves(), *typed],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=_environment({"DOCKGATE__LOG__LEVEL": "info", "DOCKGATE__LOG__FORMAT": "json"}),
        )
        listener = _Listener(process)
        try:
            ports = listener.ready()
            self._say("".join(f"listening: {name} on {HOST}:{port}\n" for name, port in ports.items()) + "\n")
            yield ports
            self._say(f"\n$ kill -TERM {process.pid}\n")
        finally:
            process.terminate()
            try:
                code = process.wait(STOPPED_S)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            listener.close()
        if code:
            raise DockgateError(f"the gateway ended with {code}: {listener.last_words()}")
        self._say("the gateway has ended\n")

    # -- the dock

    def _dock(self, port: int, card: dict[str, Any], password: str) -> tuple[Run, dict[str, Any]]:
        """The way of the dock, and what an operator sees of it while it sends telemetry."""
        ca = self._directory / "certs" / "ca.pem"
        profile = make_profile(
            dock_model(MODEL),
            account=card["account"],
            password=password,
            organization_id=card["organization_id"],
            binding_code=card["binding_code"],
        )
        steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        runs: list[Run] = []
        looked = threading.Event()

        def on_step(step: Step) -> None:
            steps.put(step)
            if step.step == "update_topo" and step.ok:
                looked.wait(READY_S)  # the dock stays until the operator has seen it, however slow the machine is

        def work() -> None:
            target = Target(HOST, port, tls=TlsFiles(ca=ca))
            try:
                runs.append(run_dock(target, profile, telemetry_s=TELEMETRY_S, on_step=on_step))
            finally:
                steps.put(None)

        thread = threading.Thread(target=work, name="dock", daemon=True)
        thread.start()
        seen: dict[str, Any] = {}
        while (step := steps.get()) is not None:
            first = f"{'ok' if step.ok else 'FAILED':<6} {step.step:<17} {step.ms:>8.1f} ms  "
            self._say(render.wrapped(step.detail, first=first, indent=" " * 12))
            if step.step == "update_topo" and step.ok:
                self._say("\nMeanwhile the operator sees:\n\n")
                try:
                    self._wait_online()
                    seen = {"docks": self._show("dock", "list"), "status": self._show("status")}
                finally:
                    looked.set()
        thread.join()
        if not runs:
            raise DockgateError("the simulated dock broke off")
        return runs[0], seen

    def _wait_online(self) -> None:
        """The gateway writes who is there each second; it is no failure of the access when that takes longer."""
        until = time.monotonic() + _ONLINE_S
        words = ["--config", str(self._config), "status"]
        while not self._found(words)["docks"]["online"] and time.monotonic() < until:
            continue  # each look is a process of its own: a quarter of a second

    # -- what is told

    def _title(self, text: str) -> None:
        self._say(f"\n== {text}\n\n")

    def _say(self, text: str) -> None:
        if self._tells:
            render.say(text)


class _Listener:
    """Reads what the gateway writes: which ports it has, and, should it fail, its last words."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._ports: _Ports = {}
        self._plain: deque[str] = deque(maxlen=_LAST_LINES)
        self._warnings: deque[str] = deque(maxlen=1)
        self._is_ready = threading.Event()
        self._reads = threading.Event()
        self._lines: IO[str] = process.stderr or sys.stdin
        self._thread = threading.Thread(target=self._read, name="gateway's lines", daemon=True)
        self._thread.start()

    def ready(self) -> _Ports:
        self._is_ready.wait(READY_S)
        if not self._reads.is_set():
            raise DockgateError(f"the gateway did not start: {self.last_words()}")
        return self._ports

    def last_words(self) -> str:
        return " ".join(self._plain) or (self._warnings[-1] if self._warnings else "it said nothing")

    def close(self) -> None:
        """After the process has ended."""
        self._thread.join()
        self._lines.close()

    def _read(self) -> None:
        for line in self._lines:
            try:
                entry = json.loads(line)
            except ValueError:
                self._plain.append(line.strip())  # not a log line: it could not even start, or broke down
                continue
            message = entry.get("message", "")
            if entry.get("level") in {"warning", "error"}:
                self._warnings.append(message)
            if message == "listening":
                self._ports[entry[logs.LISTENER]] = int(entry[logs.ADDRESS].rpartition(":")[2])
            elif message == "ready":
                self._reads.set()
                self._is_ready.set()
        self._is_ready.set()


def _ourselves() -> list[str]:
    """A program made of one file is its own interpreter."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "gateway"]


def _environment(extra: dict[str, str] | None) -> dict[str, str]:
    """Without what would turn a command to another installation, or change what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKGATE")}
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", **(extra or {})}


@contextlib.contextmanager
def _ends_like_ctrl_c() -> Iterator[None]:
    """A closed terminal and a kill end the gateway too, rather than leave it behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _text(found: dict[str, Any], directory: Path) -> str:
    how = "was bound by an earlier run and skipped the binding" if found["bound_before"] else "is bound now"
    return f"{found['sn']} got through, and {how}. Another run in {directory} finds it bound.\n"
