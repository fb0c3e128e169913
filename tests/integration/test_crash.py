"""Killed at any moment: what a dock was told stays true, nothing is half done. Ended or reloaded by a signal: nobody is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import trustme

from gateway.store import audit, devices
from gateway.store import codes as binding_codes
from gateway.topics import Kind, device_topic

from .process import Served, dockgate, environment
from .town import DOCK_A
from .wire import Wire

CHILD = Path(__file__).with_name("crash_child.py")
KILLS = 100
READY_S = 15.0


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


class Nursery:
    """Gateways on one database, one after the other."""

    host = "127.0.0.1"

    def __init__(self, config: Path, port: int) -> None:
        self.port = port
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD), str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        self._pid = 0
        self._starts = 0
        self._ready = 0
        self._came = threading.Condition()
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="gateways' log", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid:
            self.kill()
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()
        self._process.stderr.close()

    def _read(self) -> None:
        for line in self._process.stderr:
            with self._came:
                self.lines.append(line.rstrip())
                self._ready += line.rstrip().endswith(" ready")
                self._came.notify_all()

    def _say(self, word: str) -> int:
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self) -> None:
        self._pid = self._say("start")
        self._starts += 1
        with self._came:
            assert self._came.wait_for(lambda: self._ready == self._starts, READY_S), self.lines[-5:]

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        assert self._say("wait") == -signal.SIGKILL
        self._pid = 0


def sns(number: int) -> tuple[str, str]:
    return f"7CTDM7100B{number:04d}", f"1581F5BKX{number:011d}"


def bind_request(number: int, organization_id: str, code: str, tid: str) -> bytes:
    wishes = [
        {"device_binding_code": code, "organization_id": organization_id, "device_callsign": sn, "sn": sn,
         "device_model_key": key}
        for sn, key in zip(sns(number), ("3-2-0", "0-91-1"), strict=True)
    ]  # fmt: skip
    body = {
        "tid": tid,
        "bid": "b",
        "timestamp": 1,
        "method": "airport_organization_bind",
        "data": {"bind_devices": wishes},
    }
    return json.dumps(body).encode()


def log_in(host: str, port: int, number: int, password: str) -> Wire:
    wire = Wire(host, port)
    assert wire.login(f"dock-{number}", f"dock-{number}", password).code == 0
    assert wire.subscribe(f"{device_topic(sns(number)[0], Kind.REQUESTS)}_reply") == [1]
    return wire


def acknowledged(wire: Wire) -> list[int] | None:
    """The codes of the reply that is on this connection, if any."""
    if not wire.inbox:
        return None
    data = json.loads(wire.inbox.popleft().payload)["data"]
    assert data["result"] == 0
    return [info["err_code"] for info in data["output"]["err_infos"]]


class Record:
    """What the database says of one dock, its aircraft and their one-use code."""

    def __init__(self, database: Path, number: int, code: str) -> None:
        self.sns = dock, bird = sns(number)
        with contextlib.closing(sqlite3.connect(database)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            known = {device.sn: device.organization_id for device in devices.list_all(db)}
            self.bound = [known.get(sn) is not None for sn in (dock, bird)]
            self.uses_left = binding_codes.get(db, code).uses_left
            entries = [entry for entry in audit.list_since(db, limit=100_000) if entry.target in {dock, bird}]
            fresh = [entry for entry in entries if entry.action == "bind" and entry.detail.get("fresh")]
            assert {entry.outcome for entry in fresh} <= {"ok"}
            self.audited = sorted(entry.target for entry in fresh)

    def check(self, codes: list[int] | None) -> None:
        assert self.bound in ([True, True], [False, False]), "half a binding"
        done = self.bound[0]
        if codes is not None:
            assert codes == [0, 0]
            assert done, "acknowledged, and lost"
        assert self.uses_left == (0 if done else 1)
        assert self.audited == (sorted(self.sns) if done else [])


def test_killed_a_hundred_times_between_request_and_reply(installation: Any) -> None:
    port = free_port()
    installation.configure(lambda settings: settings["listeners"]["plain"].update(bind=f"127.0.0.1:{port}"))
    organization_id = installation.organization_id
    passwords, codes = [], []
    for number in range(KILLS + 1):
        passwords.append(installation.account(f"dock-{number}", "dock", "--sn", sns(number)[0]).password)
        codes.append(installation.dockgate("org", "code", "add", organization_id, "--uses", "1")["binding_code"])
    database = installation.folder / "dockgate.db"
    with Nursery(installation.config_file, port) as gateway:
        gateway.start()
        topic = device_topic(sns(KILLS)[0], Kind.REQUESTS)
        with log_in(gateway.host, port, KILLS, passwords[KILLS]) as wire:  # one undisturbed, to know how long it takes
            began = time.perf_counter()
            wire.send_publish(topic, bind_request(KILLS, organization_id, codes[KILLS], "t"))
            assert wire.receive()
            usual_s = time.perf_counter() - began
        moments = [1.6 * usual_s * number / KILLS for number in range(KILLS)]
        random.shuffle(moments)
        known = 0
        for number, moment in enumerate(moments):
            if number:
                gateway.start()
                # the one before asks again: whatever had become of it, it is bound now, and its code was used once
                with log_in(gateway.host, port, number - 1, passwords[number - 1]) as again:
                    request = bind_request(number - 1, organization_id, codes[number - 1], "again")
                    again.send_publish(device_topic(sns(number - 1)[0], Kind.REQUESTS), request)
                    again.inbox.append(again.receive())
                    Record(database, number - 1, codes[number - 1]).check(acknowledged(again))
            with log_in(gateway.host, port, number, passwords[number]) as wire:
                began = time.perf_counter()
                request = bind_request(number, organization_id, codes[number], "t")
                wire.send_publish(device_topic(sns(number)[0], Kind.REQUESTS), request)
                while time.perf_counter() - began < moment:
                    pass
                gateway.kill()
                assert wire.wait_closed(5)
                told = acknowledged(wire)
            known += told is not None
            Record(database, number, codes[number]).check(told)
        assert 0 < known < KILLS, f"the kills came all too early or all too late: {known} of {KILLS} had been answered"
    assert not [line for line in gateway.lines if " error " in line]


def certified(installation: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=installation.ca)


def test_a_real_process_is_killed_and_comes_back(installation: Any, keep: Any) -> None:
    login = installation.account("dock-7", "dock", "--sn", sns(7)[0])
    code = installation.dockgate("org", "code", "add", installation.organization_id, "--uses", "1")["binding_code"]
    topic = device_topic(sns(7)[0], Kind.REQUESTS)
    for attempt in range(3):
        with Served(installation.config_file).ready() as gateway:
            wire = keep(log_in(gateway.host, gateway.port(), 7, login.password))
            wire.send_publish(topic, bind_request(7, installation.organization_id, code, f"t-{attempt}"))
            wire.inbox.append(wire.receive())
            gateway.signal(signal.SIGKILL)
            assert gateway.wait() == -signal.SIGKILL
            Record(installation.folder / "dockgate.db", 7, code).check(acknowledged(wire))
    # killed while the dock was there: it is not there any more, whatever the database was last told
    with Served(installation.config_file).ready():
        deadline = time.monotonic() + 5
        while installation.dockgate("dock", "show", sns(7)[0])["online"]:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_cleanly_and_it_starts_again(installation: Any, keep: Any, number: signal.Signals) -> None:
    login = installation.account("dock-a", "dock", "--sn", DOCK_A)
    for _ in range(2):
        with Served(installation.config_file).ready() as gateway:
            docks = [keep(Wire(gateway.host, gateway.port(), version=version)) for version in (4, 5)]
            for dock in docks:
                assert dock.login(f"dock-{dock.version}", "dock-a", login.password).code == 0
            silent = keep(Wire(gateway.host, gateway.port("tls")))
            gateway.signal(number)
            assert gateway.wait(10) == 0
            assert [dock.wait_closed(1) for dock in (*docks, silent)] == [True] * 3
            assert docks[1].goodbye == 0x8B  # server shutting down
            assert not [line for line in gateway.lines if " error " in line or "Traceback" in line]
    assert dockgate(installation.config_file, "dock", "show", DOCK_A)["online"] is False
    with contextlib.closing(sqlite3.connect(installation.folder / "dockgate.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def replace(file: Path, content: bytes) -> None:
    """As a certificate client does: a new file takes the name."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    fresh.replace(file)


@pytest.mark.case(28)
def test_a_renewed_certificate_is_served_and_nobody_is_dropped(installation: Any, keep: Any) -> None:
    login = installation.account("dock-a", "dock", "--sn", DOCK_A)
    certificate, key = installation.folder / "certs" / "server.pem", installation.folder / "certs" / "server.key"
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    renewed = ssl.create_default_context()
    authority.configure_trust(renewed)

    def enter(gateway: Served, context: ssl.SSLContext) -> Wire:
        wire: Wire = keep(Wire(gateway.host, gateway.port("tls"), tls=context))
        assert wire.login(f"link-{wire.sock.getsockname()[1]}", "dock-a", login.password).code == 0
        return wire

    def reload(gateway: Served, told: str) -> None:
        count = len([line for line in gateway.lines if told in line])
        gateway.signal(signal.SIGHUP)
        deadline = time.monotonic() + 5
        while len([line for line in gateway.lines if told in line]) == count:
            assert time.monotonic() < deadline, gateway.lines[-5:]
            gateway.line("ready")

    with Served(installation.config_file).ready() as gateway:
        old = enter(gateway, certified(installation))
        with pytest.raises(ssl.SSLCertVerificationError):
            enter(gateway, renewed)
        replace(key, leaf.private_key_pem.bytes())
        replace(certificate, b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        reload(gateway, "reload: new connections use the files")
        new = enter(gateway, renewed)
        with pytest.raises(ssl.SSLCertVerificationError):
            enter(gateway, certified(installation))
        # a pair that does not fit, and a file that is half written: the last good one stays, and it says so
        replace(key, authority.issue_cert("localhost").private_key_pem.bytes())
        reload(gateway, "the old certificate stays in use")
        broken = enter(gateway, renewed)
        replace(key, leaf.private_key_pem.bytes())
        replace(certificate, leaf.cert_chain_pems[0].bytes()[:400])
        reload(gateway, "the old certificate stays in use")
        halved = enter(gateway, renewed)
        certificate.unlink()
        reload(gateway, "the old certificate stays in use")
        for link in (old, new, broken, halved, enter(gateway, renewed)):
            link.ping()
        # and what an operator changed in the database is obeyed as ever
        dockgate(installation.config_file, "account", "disable", "dock-a")
        for link in (old, new, broken, halved):
            assert link.wait_closed(1)
