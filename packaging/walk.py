"""An operator's first day with a built dockgate: ``python packaging/walk.py PROGRAM FOLDER``, FOLDER being empty and on a file
system of less than a gigabyte, which is filled on the way. A simulated dock is bound over TLS with a client certificate; then the
installation is broken in five ways, and each time it has to be told what is wrong and what mends it, and that has to mend it.
Prints each step; never leaves a process behind. Exit code 1 when a step failed. Needs Debian's libfaketime.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selftest import LICENSE, FailedError, Trial, free_port

SMALL_BYTES = 1 << 30
A_YEAR_AGO = "-400d"
LONG_AGO = "2020-01-01 00:00:00"
OTHER_APP = {**LICENSE, "app_id": "654321"}
_PATIENCE_S = 10.0
_PAUSE = threading.Event()
"""Never set: another process is waited for, which tells nobody."""


def faked(clock: str) -> dict[str, str]:
    """The environment in which a program sees another time: "-400d", "@DATE" goes on from there, "DATE" stands still."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        raise FailedError("the clock cannot be stopped without Debian's libfaketime")
    return {"LD_PRELOAD": str(library), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


def expect(wanted: str, text: str, where: str) -> None:
    if wanted not in text:
        raise FailedError(f"{where} does not say {wanted!r}: {text}")


@dataclass
class Dock:
    account: str
    sn: str
    password: str


class Walk(Trial):
    """``said``: what the gateway has written since it was started."""

    port = admin = 0
    token = ""

    @property
    def said(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def heard(self, wanted: str) -> None:
        """The log says so, within a moment."""
        until = time.monotonic() + _PATIENCE_S
        while wanted not in self.said:
            if time.monotonic() > until:
                expect(wanted, self.said, "the log")
            _PAUSE.wait(0.05)

    def attempt(self, *words: str, stdin: str = "", clock: str = "") -> tuple[int, Any, Any]:
        """Exit code, and what stdout and stderr say in JSON (None: nothing)."""
        done = subprocess.run(
            self.words("--config", str(self.config), "-o", "json", *words), input=stdin, capture_output=True, text=True,
            timeout=60, check=False, env={**self.environment, **(faked(clock) if clock else {})}, cwd=self.folder,
        )  # fmt: skip
        return done.returncode, _json(done.stdout), _json(done.stderr)

    def obey(self, hint: str) -> Any:
        """Type what was told, as it was told."""
        words = shlex.split(hint)
        if words.pop(0) != "dockgate":
            raise FailedError(f"no command: {hint}")
        code, found, wrong = self.attempt(*words)
        if code != 0:
            raise FailedError(f"{hint}: exit {code}: {wrong}")
        return found

    def new_dock(self, account: str, sn: str) -> Dock:
        password = self.ask("account", "add", account, "--role", "dock")["password"]
        self.ask("cert", "issue", account)
        return Dock(account, sn, password)

    def come(self, dock: Dock, *words: str, certificate: bool = True, clock: str = "") -> Any:
        """The dock's way in, as a dock that takes the license of one app only."""
        clients = self.config.parent / "certs" / "clients"
        shown = ("--cert", str(clients / f"{dock.account}.pem"), "--key", str(clients / f"{dock.account}.key"))
        _, found, wrong = self.attempt(
            "simulate", "--account", dock.account, "--sn", dock.sn, "--aircraft-sn", f"1581F6Q8D{dock.sn[-4:]}", "--password-stdin",
            "--app-id", LICENSE["app_id"],
            *(shown if certificate else ()), *words, stdin=f"{dock.password}\n", clock=clock,
        )  # fmt: skip
        if found is None:
            raise FailedError(f"simulate: {wrong}")
        return found

    def must_come(self, dock: Dock, *words: str) -> None:
        found = self.come(dock, *words)
        if not found["ok"]:
            raise FailedError(f"{dock.account} does not get in: {found['steps'][-2:]}")

    def must_not_come(self, dock: Dock, at: str, why: str, *words: str, **how: Any) -> None:
        found = self.come(dock, *words, **how)
        wrong = next((step for step in found["steps"] if not step["ok"]), None)
        if wrong is None or wrong["step"] != at:
            raise FailedError(f"{dock.account} was to stop at {at}: {wrong or 'it got through'}")
        expect(why, wrong["detail"], f"step {at} of {dock.account}")

    def finding(self, id_: str, *, clock: str = "", about: str = "") -> dict[str, Any]:
        found = self.findings(id_, clock=clock, about=about)
        if not found:
            raise FailedError(f"doctor does not find {id_} {about}: {self.attempt('doctor', clock=clock)[1]}")
        return found[0]

    def findings(self, id_: str, *, clock: str = "", about: str = "") -> list[dict[str, Any]]:
        _, found, _ = self.attempt("doctor", clock=clock)
        return [one for one in found["findings"] if one["id"] == id_ and about in one["what"]]

    def gone(self, id_: str, about: str = "") -> None:
        if left := self.findings(id_, about=about):
            raise FailedError(f"mended, and doctor still finds {left}")

    def shown(self, dock: Dock) -> Any:
        """`dock show`, once the dock's goodbye is written: within seconds."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            code, found, wrong = self.attempt("dock", "show", dock.sn)
            if code == 0 and found["attempts"] and found["attempts"][-1]["ended_at"]:
                return found
            if time.monotonic() > until:
                raise FailedError(f"dock show {dock.sn}: exit {code}: {wrong or found}")
            _PAUSE.wait(0.2)

    def story(self, dock: Dock, verdict: str, hint: str) -> None:
        """What `dock show` and the API, which the console shows, tell of the latest attempt."""
        shown = self.shown(dock)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin}/api/v1/docks/{dock.sn}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - this machine's own
            told = json.load(answer)
        for where, found in (("dock show", shown), ("the API", told)):
            expect(verdict, found["attempts"][-1]["verdict"], where)
            expect(hint, str(found["attempts"][-1]["hint"]), where)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def bind(walk: Walk) -> str:
    walk.port, walk.admin = free_port(), free_port()
    walk.run(
        "init", "--dir", str(walk.config.parent), "--no-input", "--host", "127.0.0.1",
        "--tls-bind", f"127.0.0.1:{walk.port}", "--plain-bind", "off", "--admin-bind", f"127.0.0.1:{walk.admin}",
    )  # fmt: skip
    walk.ask("license", "set", "--file", "-", stdin=json.dumps(LICENSE))
    text = walk.config.read_text()
    for option, value in (("cafile", "certs/ca.pem"), ("crlfile", "certs/crl.pem"), ("client_auth", "required")):
        text, number = re.subn(rf"^( *)# {option}: .*$", rf"\g<1>{option}: {value}", text, count=1, flags=re.MULTILINE)
        if number != 1:
            raise FailedError(f"broker.yaml has no line for {option} to switch on")
    walk.config.write_text(text)
    if not walk.ask("check")["ok"]:
        raise FailedError(f"check: {walk.ask('check')}")
    walk.token = walk.ask("token", "add", "walk", "--scope", "read")["token"]
    first = walk.new_dock("dock-1", "7CTDM7100B0001")
    with walk.served():
        walk.must_come(first)
        walk.must_not_come(first, "connect", "wants a client certificate", certificate=False)
        walk.heard("no client certificate was shown")
    return "a dock is bound over TLS with a client certificate, and stays outside without one"


def wrong_code(walk: Walk) -> str:
    dock = walk.new_dock("dock-2", "7CTDM7100B0002")
    with walk.served():
        walk.must_not_come(dock, "organization_get", "(2", "--code", "WRONG2CODE")
        walk.heard("code_unknown")
        walk.story(dock, "no such binding code", "dockgate card")
        told = walk.finding("dock_not_bound", about=dock.sn)
        expect("no such binding code", told["what"], "doctor")
        card = walk.obey(told["fix"])
        walk.must_come(dock, "--org", card["organization_id"], "--code", card["binding_code"])
        walk.gone("dock_not_bound", dock.sn)
    return "wrong code: told, and mended with the code on the card"


def expired(walk: Walk) -> str:
    dock = walk.new_dock("dock-3", "7CTDM7100B0003")
    with walk.served():
        if walk.attempt("cert", "renew", clock=A_YEAR_AGO)[0] != 0:
            raise FailedError(f"cert renew, a year ago: {walk.attempt('cert', 'renew', clock=A_YEAR_AGO)}")
        walk.reload()
        walk.must_not_come(dock, "connect", "it is expired")
        walk.heard("expired, by the client's clock")
        told = walk.finding("certificate_expired")
        code, checked, _ = walk.attempt("check")
        if code != 1:
            raise FailedError("check finds nothing wrong with an expired certificate")
        expect("expired", str(checked["problems"]), "check")
        walk.obey(told["fix"])
        walk.must_come(dock)
        walk.gone("certificate_expired")
        walk.attempt("cert", "issue", dock.account, "--replace", clock=A_YEAR_AGO)
        walk.must_not_come(dock, "connect", "the client certificate is expired")
        walk.heard("the client's certificate is not accepted: certificate has expired")
        told = walk.finding("client_certificate_expiring", about=dock.account)
        expect("has expired", told["what"], "doctor")
        walk.obey(told["fix"])
        walk.must_come(dock)
        walk.gone("client_certificate_expiring")
    return "expired certificates, the gateway's and the dock's: told, and mended with `cert renew` and `cert issue`"


def full_disk(walk: Walk) -> str:
    known, dock = walk.new_dock("dock-4", "7CTDM7100B0004"), walk.new_dock("dock-5", "7CTDM7100B0005")
    with walk.served():
        walk.must_come(known)
        filler = fill(walk.folder)
        code, _, wrong = walk.attempt("account", "add", "too-much", "--role", "dock")
        if code != 6:
            raise FailedError(f"account add on a full disk: exit {code}: {wrong}")
        expect("disk is full", wrong["error"]["message"], "account add")
        expect("free some space", str(wrong["error"]["hint"]), "account add")
        told = walk.finding("disk_space")
        expect("0 MB are free", told["what"], "doctor")
        expect("free some space", told["fix"], "doctor")
        walk.must_come(known)
        found = walk.come(dock)
        if found["ok"]:
            raise FailedError("a dock was bound on a full disk")
        walk.heard("the disk is full")
        filler.unlink()
        walk.gone("disk_space")
        walk.ask("account", "add", "not-too-much", "--role", "dock")
        walk.must_come(dock)
    return "full disk: nothing half done, known docks are served on, told, and mended by freeing some"


def fill(folder: Path) -> Path:
    total = os.statvfs(folder)
    if total.f_blocks * total.f_frsize > SMALL_BYTES:
        raise FailedError(f"{folder}: is too large to be filled; mount a tmpfs of 600 MB there")
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        (folder / "one-more").write_bytes(b"x" * 4096)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        (folder / "one-more").unlink(missing_ok=True)
        return filler
    raise FailedError(f"{folder}: could not be filled")


def wrong_license(walk: Walk) -> str:
    dock = walk.new_dock("dock-6", "7CTDM7100B0006")
    with walk.served():
        walk.ask("license", "set", "--file", "-", stdin=json.dumps(OTHER_APP))
        walk.must_not_come(dock, "config", "does not accept the license")
        walk.story(dock, "does not accept it", "dockgate license show")
        told = walk.finding("dock_not_bound", about=dock.sn)
        expect("does not accept it", told["what"], "doctor")
        shown = walk.obey(told["fix"])
        expect(OTHER_APP["app_id"], json.dumps(shown), "license show")
        walk.ask("license", "set", "--file", "-", stdin=json.dumps(LICENSE))
        walk.must_come(dock)
        walk.gone("dock_not_bound", dock.sn)
    return "wrong license: told as what it must be, since a dock says nothing, and mended with `license set`"


def stopped_clock(walk: Walk) -> str:
    dock = walk.new_dock("dock-7", "7CTDM7100B0007")
    with walk.served(**faked(LONG_AGO)):
        walk.must_not_come(dock, "connect", "wants a client certificate")
        walk.heard("is not yet valid")
        told = walk.finding("clock_stopped", clock=LONG_AGO)
        expect("stands still", told["what"], "doctor")
        expect("set the clock", told["fix"], "doctor")
        # It goes again, and is wrong
        told = walk.finding("clock_behind", clock=f"@{LONG_AGO}")
        expect("timedatectl set-ntp true", told["fix"], "doctor")
        code, checked, _ = walk.attempt("check", clock=f"@{LONG_AGO}")
        if code != 1:
            raise FailedError("check finds nothing wrong with a certificate of the future")
        expect("not valid yet", str(checked["problems"]), "check")
    with walk.served():  # by a clock that was set
        walk.must_not_come(dock, "connect", "it is not valid yet (or the clock here is wrong)", clock=f"@{LONG_AGO}")
        walk.must_come(dock)
        walk.gone("clock_stopped")
        walk.gone("clock_behind")
    return "stopped clock, the gateway's and the dock's: told, and mended by setting it"


STEPS = (bind, wrong_code, expired, full_disk, wrong_license, stopped_clock)


def main(program: Path, folder: Path) -> int:
    walk = Walk(program.absolute(), folder)
    try:
        for step in STEPS:
            begin = time.monotonic()
            sys.stdout.write(f"ok      {step(walk)} ({time.monotonic() - begin:.1f} s)\n")
            sys.stdout.flush()
    except FailedError as failure:
        sys.stdout.write(f"FAILED  {failure}\nThe log:\n{walk.said}\n")
        return 1
    finally:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
