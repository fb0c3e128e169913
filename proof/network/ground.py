"""Where a proof is fought out: an installation with as many docks as wanted, and ``dockgate serve`` on it as a process of its own.

What the process holds (descriptors, threads, tasks, memory) is read from proc(5) and ``/metrics``, and nothing of it may be
left over when an attack has ended. Everything stays on the loopback; passwords are in no argument.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from gateway import passwords
from gateway.model import License, Role
from gateway.store import accounts, codes, licenses
from gateway.store.connection import Store

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
LICENSE: dict[str, Any] = {
    "app_id": "123456",
    "app_key": "0123456789abcdef0123456789abcdef",
    "app_license": "VGhlIGxpY2Vuc2Ugb2YgeW91ciBhcHA=",
    "ntp_server_host": "192.0.2.10",
    "ntp_server_port": 123,
}
_START_S = 60.0
_STOP_S = 30.0
_LOOK_S = 0.1


class BrokenPromise(AssertionError):  # noqa: N818 - it says what it is
    """What was promised did not hold; the text says what was seen instead."""


def promise(held: object, seen: str) -> None:
    """``seen``: what there was to see, for the case that it did not hold."""
    if not held:
        raise BrokenPromise(seen)


@dataclass(frozen=True, slots=True)
class Login:
    account: str
    password: str = field(repr=False)
    sn: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What the gateway holds at one moment. ``tasks``: on its event loop, the one that answered this question included."""

    descriptors: int
    threads: int
    tasks: int
    connections: int
    pending: int
    sessions: int
    queued: int
    resident_bytes: int

    def more_than(self, before: Held) -> dict[str, int]:
        """What of the countable is more than before; memory is judged apart, over several rounds."""
        mine, theirs = asdict(self), asdict(before)
        return {
            name: mine[name] - theirs[name] for name in mine if name != "resident_bytes" and mine[name] > theirs[name]
        }


def sn_of(number: int) -> str:
    return f"7CTDM{number:09d}"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as one:
        port: int = one.getsockname()[1]
    return port


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKGATE")}
    return {**kept, "PYTHONPATH": str(ROOT)}


class Ground:
    """``docks``: accounts that are tied to their SN from the start; ``untied``: further ones, tied by their first use.

    ``chosen``: their passwords are such as people choose, behind the slow hash (argon2id). ``change`` edits broker.yaml.
    """

    def __init__(
        self,
        folder: Path,
        *,
        docks: int,
        untied: int = 0,
        chosen: bool = False,
        change: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.folder = folder / "dockgate"
        self.config = self.folder / "broker.yaml"
        self.log = folder / "gateway.log"
        self.ports = {"plain": free_port(), "tls": free_port(), "admin": free_port()}
        self._process: subprocess.Popen[bytes] | None = None
        made = self._command(
            "-o", "json", "init", "--dir", str(self.folder), "--no-input", "--host", "localhost", "--host", HOST,
            "--tls-bind", f"{HOST}:{self.ports['tls']}", "--plain-bind", f"{HOST}:{self.ports['plain']}",
            "--admin-bind", f"{HOST}:{self.ports['admin']}",
        )  # fmt: skip
        self.organization = str(json.loads(made)["organization"]["id"])
        self.code = secrets.token_hex(8)  # one that counts its uses
        self._uses = 1_000_000
        # One chosen password and its hash for all, as hashing a thousand would take half a minute; checking them is not cheaper
        shared = secrets.token_urlsafe(9) if chosen else None
        self.docks = [Login(sn_of(number), shared or passwords.generate(), sn_of(number)) for number in range(docks)]
        more = range(docks, docks + untied)
        self.untied = [Login(sn_of(number), passwords.generate(), sn_of(number)) for number in more]
        self.service = Login("platform", passwords.generate())
        self.witness = Login("witness", passwords.generate(), "7CTDMWITNESS01")
        asyncio.run(self._fill(passwords.hash_chosen(shared) if shared else None))
        settings = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        for section, value in list(settings["dockgate"].items()):
            settings["dockgate"][section] = {} if value is None else value
        for section in ("login", "limits"):
            settings["dockgate"].setdefault(section, {})
        if change is not None:
            change(settings)
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.connect_timeout_s = float(settings["dockgate"]["login"].get("connect_timeout_s", 10.0))
        self.outbound_bytes = int(settings["dockgate"]["limits"].get("outbound_bytes", 4 * 1024 * 1024))
        self.per_account = int(settings["dockgate"]["limits"].get("connections_per_account", 20))
        self._tls = ssl.create_default_context(cafile=str(self.folder / "certs" / "ca.pem"))

    async def _fill(self, hashed_once: str | None) -> None:
        """One transaction: a command for each would take an hour."""
        store = await Store.open(self.folder / "dockgate.db", clock=_now_ms)
        try:
            await store.write(self._add_all, hashed_once)
        finally:
            await store.close()

    def _add_all(self, db: sqlite3.Connection, hashed_once: str | None) -> None:
        now = _now_ms()
        wanted: list[tuple[Login, Role, str | None, str | None]] = [
            *((each, Role.DOCK, each.sn, hashed_once) for each in self.docks),
            *((each, Role.DOCK, None, None) for each in self.untied),
            (self.service, Role.SERVICE, None, None),
            (self.witness, Role.DOCK, self.witness.sn, None),
        ]
        for login, role, sn, hashed in wanted:
            accounts.add(
                db, name=login.account, role=role, sn=sn, organization_id=None, can_read_sys=False, now=now,
                password_hash=hashed or passwords.hash_generated(login.password),
            )  # fmt: skip
        codes.add(
            db, code=self.code, organization_id=self.organization, uses=self._uses, expires_at=None, sn=None, now=now
        )
        licenses.put(db, license=License(organization_id=None, changed_at=now, **LICENSE))

    # -- life

    def __enter__(self) -> Self:
        # As systemd would, it is told when everything listens (sd_notify(3))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self.log.open("wb") as log:
            address = self.folder / "notify"
            notify.bind(str(address))
            notify.settimeout(_LOOK_S)
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "--config", str(self.config), "serve"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                env={**_environment(), "NOTIFY_SOCKET": str(address)},
            )  # fmt: skip
            until = time.monotonic() + _START_S
            while process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(TimeoutError):
                    notify.recv(256)
                    return self
        self.stop()
        raise RuntimeError(f"the gateway does not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        promise(self._process is not None and self._process.poll() is None, "the gateway has ended")
        return self._process.pid  # type: ignore[union-attr] # just looked

    def tls(self) -> ssl.SSLContext:
        """Trusts the installation's own authority, and no other."""
        return self._tls

    # -- what it holds

    def metrics(self) -> dict[str, float]:
        """By name and labels as they are written, and by name alone the sum over the labels."""
        link = http.client.HTTPConnection(HOST, self.ports["admin"], timeout=10)
        try:
            link.request("GET", "/metrics", headers={"Accept": "text/plain"})
            answer = link.getresponse()
            text = answer.read().decode()
            promise(answer.status == 200, f"/metrics answered {answer.status}")
        finally:
            link.close()
        found: dict[str, float] = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                bare = name.partition("{")[0]
                found[name] = float(value)
                if bare != name:
                    found[bare] = found.get(bare, 0.0) + float(value)
        return found

    def held(self) -> Held:
        """The descriptors and the task of the question itself are in it, always the same number of them."""
        told = self.metrics()
        proc = Path(f"/proc/{self.pid}")
        return Held(
            descriptors=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
            tasks=int(told["dockgate_event_loop_tasks"]),
            connections=int(told["dockgate_connections_open"]),
            pending=int(told["dockgate_connections_pending"]),
            sessions=int(told["dockgate_messages_sessions"]),
            queued=int(told["dockgate_messages_queued"]),
            resident_bytes=self.resident_bytes(),
        )

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def calm(self) -> Held:
        """What it holds when nothing goes on: the same twice in a row."""
        last = await asyncio.to_thread(self.held)
        for _ in range(40):
            await asyncio.sleep(_LOOK_S)
            now = await asyncio.to_thread(self.held)
            if not now.more_than(last) and not last.more_than(now):
                break
            last = now
        return last

    async def nothing_left(self, before: Held, *, within_s: float = 15.0) -> Held:
        """Wait until the gateway holds no more than before. Pools may keep their threads, up to their size: those are
        counted once they are there, so ``before`` has to be taken after a first round.
        """
        until = time.monotonic() + within_s
        while True:
            now = await asyncio.to_thread(self.held)
            left = now.more_than(before)
            if not left:
                return now
            promise(time.monotonic() < until, f"left over {within_s:g} s after the attack: {left}")
            await asyncio.sleep(_LOOK_S)

    # -- what it wrote

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """To look at, from outside."""
        db = sqlite3.connect(f"file:{self.folder / 'dockgate.db'}?mode=ro", uri=True)
        try:
            yield db
        finally:
            db.close()

    def uses(self) -> int:
        """How often the code has been used."""
        with self.database() as db:
            left = db.execute("SELECT uses_left FROM bind_code WHERE code = ?", (self.code,)).fetchone()[0]
        return self._uses - int(left)

    def bound(self) -> set[str]:
        """The docks that are bound to the organization."""
        with self.database() as db:
            rows = db.execute(
                "SELECT sn FROM device WHERE is_gateway = 1 AND organization_id = ?", (self.organization,)
            ).fetchall()
        return {str(row[0]) for row in rows}

    def binds(self) -> dict[str, int]:
        """How often the audit tells of a dock that it was bound."""
        with self.database() as db:
            rows = db.execute(
                "SELECT target, count(*) FROM audit WHERE action = 'bind' AND outcome = 'ok' AND target = dock GROUP BY 1"
            ).fetchall()
        return {str(sn): int(count) for sn, count in rows}

    def faults(self) -> list[str]:
        """Lines of the log that tell of a fault of the gateway's own."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or " ERROR " in line or " error " in line.lower()[:40]]

    def _command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"dockgate {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def check_database(self) -> None:
        """The operator's own check, after the gateway has stopped or beside it."""
        self._command("--config", str(self.config), "db", "check")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
