"""Types a guide: a document with fenced ``sh`` and ``console`` blocks comes in, and what each of them did goes out. Its commands
run in order in one shell in a scratch directory, against real gateways on loopback; it must never leave one of those behind.

``sh`` blocks hold commands, ``console`` blocks commands after ``$ `` (``> `` continues) and what they print: ``...`` stands for
anything, and blanks and line ends are all the same. A comment before a block says what is special about it:

- ``<!-- exit: N -->``        its last command ends with N, not with 0
- ``<!-- goes on -->``        it serves until the guide is over, as in a terminal of its own
- ``<!-- stops it -->``       the reader stops that gateway (Ctrl-C) before this block
- ``<!-- new machine -->``    from here on in another empty directory, and another shell
- ``<!-- root: WHY -->``      not here: it changes the system
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GUIDES = (
    "index.md",
    "getting-started.md",
    "connect-a-dji-dock.md",
    "tls.md",
    "accounts-and-organizations.md",
    "closed-networks.md",
    "console.md",
    "backup-and-upgrade.md",
    "troubleshooting.md",
    "errors.md",
)
_BLOCK = re.compile(
    r"(?P<marks>(?:^<!-- [^\n]* -->\n)*)^```(?P<kind>sh|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_KNOWN = ("exit", "goes on", "stops it", "new machine", "root")
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Typed:
    """One command, what it should print (None: not shown), and how it should end."""

    command: str
    prints: str | None = None
    exit: int = 0


@dataclass(frozen=True)
class Block:
    line: int
    kind: str
    commands: tuple[Typed, ...]
    marks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    typed: Typed
    said: str
    code: int

    @property
    def fault(self) -> str | None:
        if self.code != self.typed.exit:
            return f"$ {self.typed.command}\nended with {self.code}, not with {self.typed.exit}:\n{self.said}"
        if self.typed.prints is not None and not matches(self.typed.prints, self.said):
            return f"$ {self.typed.command}\nshould print:\n{self.typed.prints}\nprinted:\n{self.said}"
        return None


def blocks(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        marks = {}
        for mark in re.findall(r"<!-- (.*?) -->", match["marks"]):
            name, _, value = mark.partition(": ")
            if name not in _KNOWN:
                raise ValueError(f"no mark of a block: {mark}")
            marks[name] = value
        commands = list(_shown(match["text"])) if match["kind"] == "console" else [Typed(match["text"].rstrip("\n"))]
        if "exit" in marks:
            last = commands[-1]
            commands[-1] = Typed(last.command, last.prints, int(marks["exit"]))
        yield Block(text.count("\n", 0, match.start("text")), match["kind"], tuple(commands), marks)


def _shown(text: str) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        number = next((n for n, line in enumerate(lines[1:], 1) if not line.startswith("> ")), len(lines))
        command = "\n".join([lines[0], *(line[2:] for line in lines[1:number])])
        yield Typed(command, "\n".join(lines[number:]))


def matches(shown: str, said: str) -> bool:
    """``...`` stands for anything; how lines are broken depends on the length of names and numbers, and is not compared."""
    pieces = (re.escape(" ".join(piece.split())) for piece in shown.split("..."))
    return re.fullmatch(r" ?.*? ?".join(pieces), " ".join(said.split()), re.DOTALL) is not None


class Machine:
    """A directory with ``dockgate`` on the path; ``init`` there takes free ports of loopback for those of the guide."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = dict(zip(("8883", "1883", "8080"), _free_ports(3), strict=True))
        bin_ = folder / "bin"
        bin_.mkdir(parents=True)
        binds = " ".join(
            f"--{name}-bind 127.0.0.1:{port}"
            for name, port in zip(("tls", "plain", "admin"), self.ports.values(), strict=True)
        )
        python = shlex.quote(sys.executable)
        (bin_ / "dockgate").write_text(
            f'#!/bin/sh\ncase " $* " in *" init "*) set -- "$@" {binds};; esac\nexec {python} -m gateway "$@"\n'
        )
        (bin_ / "dockgate").chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DOCKGATE", "MAKE", "MFLAGS", "SSH_"))},
            "PYTHONPATH": str(ROOT), "PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "80",
            "LC_ALL": "C.UTF-8", "INIT": binds,
        }  # fmt: skip
        # Where make and an install look for them
        (folder / "dist").mkdir()
        (folder / "dist" / "dockgate").symlink_to(bin_ / "dockgate")
        venv = folder / ".venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "dockgate").symlink_to(bin_ / "dockgate")
        (venv / "bin" / "activate").write_text(f'PATH="{bin_}:$PATH"\n')
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        (venv / "runtime").touch()

    def there(self, text: str) -> str:
        """The guide's ports as those of this machine."""
        for name, port in self.ports.items():
            text = re.sub(rf"(?<!\d){name}(?!\d)", str(port), text)
        return text

    def back(self, text: str) -> str:
        for name, port in self.ports.items():
            text = text.replace(str(port), name)
        return text

    def type(self, typed: list[tuple[Typed, str]]) -> list[Outcome]:
        """Commands with "", "goes on" or "stops it", in one shell."""
        script = [
            'stop() { if [ -n "${SERVING-}" ]; then kill $SERVING 2>/dev/null; wait $SERVING; SERVING=; fi; }',
            "trap stop EXIT",
        ]
        for one, how in typed:
            command = self.there(one.command)
            if how == "goes on":
                script.append(f"{{ exec {command}; }} >serving.log 2>&1 </dev/null & SERVING=$!")
                script.append(_WAIT)
            else:
                script += [*(["stop"] if how == "stops it" else []), f"{{ {command}\n}} 2>&1 </dev/null"]
            script.append("printf '\\036%s\\036' $?")
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(script)], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        try:
            out, _ = process.communicate(timeout=_TIMEOUT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        pieces = self.back(out).split("\x1e")
        said = list(zip(pieces[::2], pieces[1::2], strict=False))
        return [Outcome(one, text, int(code)) for (one, _), (text, code) in zip(typed, said, strict=True)]


# "ready" is the line that serve ends its start with
_WAIT = """\
for _ in $(seq 600); do
    if grep -q "info ready" serving.log || ! kill -0 $SERVING 2>/dev/null; then break; fi
    sleep 0.05
done
if ! grep -q "info ready" serving.log; then cat serving.log; false; fi"""


def _free_ports(number: int) -> list[int]:
    """Of the system's choice, all different; five digits, so that they are nothing else in a text."""
    held = []
    try:
        while len(held) < number:
            one = socket.socket()
            one.bind(("127.0.0.1", 0))
            held.append(one)
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def run(document: Path, folder: Path) -> list[Outcome]:
    """All blocks that may run here; a machine after the other."""
    machines: list[list[tuple[Typed, str]]] = [[]]
    for block in blocks(document.read_text(encoding="utf-8")):
        if "new machine" in block.marks:
            machines.append([])
        if "root" in block.marks:
            continue
        how = next((name for name in ("goes on", "stops it") if name in block.marks), "")
        for number, one in enumerate(block.commands):
            machines[-1].append((one, how if number == 0 or how == "goes on" else ""))
    outcomes = []
    for number, typed in enumerate(machines):
        if typed:
            outcomes += Machine(folder / f"machine-{number}").type(typed)
    return outcomes
