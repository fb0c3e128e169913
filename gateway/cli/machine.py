"""What is wrong with this machine, seen from an installation on it: ports, files, disk, clock, the database's soundness. The
configuration and what the gateway says of itself come in, findings go out; nothing is changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from gateway import pki
from gateway.backup.contents import Role, parts_of
from gateway.cli.ports import Trouble, trouble_with
from gateway.cli.probe import Probe, ProbeError
from gateway.config import Config, ListenerSettings
from gateway.config.loading import SEARCHED
from gateway.errors import DockgateError
from gateway.operations.finding import Finding, Severity
from gateway.operations.live import Live
from gateway.store import checks, exclusive, hindrance
from gateway.store.checks import Report
from gateway.store.hindrance import Cause

# A database of 1,000 docks and a year of audit has some 100 MB, and a migration or a backup needs as much again.
LOW_BYTES, FULL_BYTES = 500 << 20, 50 << 20
_TIMEOUT_S = 3.0
# Between the last thing that was written and now; a clock that was set by some minutes is no concern.
_BACKWARDS_MS = 10 * 60_000
_STANDS_STILL_S = 0.05
_UNIT = Path("/run/systemd/system")
"""There where systemd runs (sd_booted(3))."""


def of_database(config: Config) -> tuple[Report, list[Finding]]:
    """Reads all of it."""
    report = checks.inspect(config.dockgate.database)
    found = []
    barred = report.hindrance or hindrance.look(config.dockgate.database)
    if report.error is not None:
        fix = report.error.hint or "dockgate db check"
        if barred is not None:
            fix = barred.hint.replace("…", "doctor")
        is_missing = barred is not None and barred.cause is Cause.MISSING
        found.append(
            Finding("database_missing" if is_missing else "database_unreadable", Severity.ERROR, str(report.error), fix)
        )
    elif report.damage:
        what = f"the database is damaged: {'; '.join(report.damage[:3])}"
        found.append(Finding("database_damaged", Severity.ERROR, what, "dockgate backup restore FILE"))
    elif report.version is not None and report.version < report.newest_version:
        what = (
            f"the database is of an older dockgate (version {report.version}, this one needs {report.newest_version})"
        )
        found.append(Finding("database_older", Severity.WARNING, what, "dockgate db migrate"))
    elif report.version is not None and report.version > report.newest_version:
        what = f"the database is of a newer dockgate (version {report.version}, this one knows {report.newest_version})"
        found.append(Finding("database_newer", Severity.ERROR, what, "install the newer dockgate"))
    elif report.problems:
        what = f"the database is not as this dockgate needs it: {'; '.join(report.problems[:3])}"
        found.append(Finding("database_wrong", Severity.ERROR, what, "dockgate backup restore FILE"))
    elif barred is not None and barred.cause in {Cause.FULL, Cause.READ_ONLY}:
        # What only this user may not do is no matter of the installation
        what = f"{config.dockgate.database}: it can be read, and not written: {barred.what}"
        found.append(Finding("database_unwritable", Severity.ERROR, what, barred.hint))
    return report, found


def of_ports(config: Config, live: Live | None) -> Iterator[Finding]:
    """A gateway that runs has to answer on its ports; one that does not has to find them free."""
    if live is None:
        return
    database = config.dockgate.database
    is_there = live.running
    if not live.running and live.state is not None and exclusive.is_open_in(live.state.pid, database):
        is_there = True
        barred = hindrance.look(database)
        what = f"the gateway (process {live.state.pid}) runs and does not write its database"
        yield Finding(
            "gateway_not_writing",
            Severity.ERROR,
            f"{what}: {barred.what}" if barred else what,
            barred.hint.replace("…", "doctor") if barred else "look at its log: journalctl -u dockgate",
        )
    elif not live.running:
        yield Finding("gateway_not_running", Severity.ERROR, "the gateway does not run", _start(config))
    for name, listener in config.listeners.items():
        if listener.bind.port == 0:
            continue
        yield from _answers(name, listener) if is_there else _free(name, listener)


def _start(config: Config) -> str:
    """As the package has it, where it is the package's installation."""
    is_packaged = config.path == SEARCHED[-1] and _UNIT.exists()
    return "systemctl start dockgate" if is_packaged else "dockgate serve"


def of_files(config: Config) -> Iterator[Finding]:
    """Private files that others can read, or anybody can change."""
    for path, mode, wanted in wrong_modes(config):
        what = f"{path}: others can use it (mode {mode:04o})"
        yield Finding("file_mode", Severity.WARNING, what, f"chmod {wanted:04o} {path}")


def wrong_modes(config: Config) -> Iterator[tuple[Path, int, int]]:
    """File, its mode, and the mode that it should have. A group that may read is left alone: that is how keys are shared;
    unless others could too, and nobody has meant it.
    """
    for path, is_private in _files(config):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode & ~(stat.S_IWGRP | stat.S_IRWXO if is_private else stat.S_IWOTH)
        if is_private and mode & stat.S_IRWXO:
            wanted &= ~stat.S_IRWXG
        if wanted != mode:
            yield path, mode, wanted


def of_disk(config: Config) -> Iterator[Finding]:
    folder = config.dockgate.database.parent
    try:
        free = shutil.disk_usage(folder).free
        files = os.statvfs(folder)
    except OSError as error:
        yield Finding("disk_unreadable", Severity.WARNING, f"{folder}: {error.strerror}", f"df {folder}")
        return
    if free < LOW_BYTES:
        severity = Severity.ERROR if free < FULL_BYTES else Severity.WARNING
        yield Finding("disk_space", severity, f"{folder}: {free >> 20} MB are free", "free some space")
    if files.f_files and files.f_favail == 0:
        yield Finding(
            "disk_space", Severity.ERROR, f"{folder}: no further file can be made (inodes)", "delete files there"
        )


def of_clock(config: Config, live: Live | None, newest_at: int | None, now: int) -> Iterator[Finding]:
    """Certificates, codes and a dock's own clock hang on it (docs/protocol.md 3.1, C10)."""
    fix = "set the clock, or switch on NTP: timedatectl set-ntp true"
    if _stands_still():
        yield Finding("clock_stopped", Severity.ERROR, "the clock of this machine stands still", fix)
        return
    latest = max(filter(None, (newest_at, live.state.heartbeat_at if live and live.state else None)), default=0)
    if now < latest - _BACKWARDS_MS:
        minutes = (latest - now) // 60_000
        what = f"the clock of this machine is {minutes} minutes behind what was written last"
        yield Finding("clock_behind", Severity.ERROR, what, fix)
    layout = pki.find([one.certfile for one in config.listeners.values() if one.certfile], config.path.parent / "certs")
    if layout.ca.is_file():
        try:
            made_at = pki.inspect(layout.ca, now=now).not_before
        except DockgateError:
            return
        if now < made_at:
            what = "the clock of this machine is before the day that the CA was made"
            yield Finding("clock_behind", Severity.ERROR, what, fix)


def of_leftovers(config: Config) -> Iterator[Finding]:
    """What a killed command has left behind; private keys are among it."""
    for folder in dict.fromkeys((config.path.parent, config.dockgate.database.parent)):
        for path in sorted(folder.glob(".dockgate-*")):
            if path.is_dir():
                what = f"{path}: left behind by a command that was killed"
                yield Finding("leftover", Severity.INFO, what, f"rm -r {path}, unless such a command runs now")


def _answers(name: str, listener: ListenerSettings) -> Iterator[Finding]:
    host = listener.bind.host
    if listener.bind.is_wildcard:
        host = "::1" if ":" in host else "127.0.0.1"
    probe = Probe(host, listener.bind.port, timeout_s=_TIMEOUT_S)
    try:
        probe.connect()
        if listener.ssl and listener.certfile is not None:
            probe.shake_hands()
            yield from _is_the_file(name, listener.certfile, probe)
    except (ProbeError, DockgateError) as error:
        if not (listener.client_auth == "required" and probe.certificate is not None):
            what = f"listener {name} does not answer: {error}"
            yield Finding("port_unreachable", Severity.ERROR, what, "dockgate health")
    finally:
        probe.close()


def _is_the_file(name: str, certfile: Path, probe: Probe) -> Iterator[Finding]:
    served, file = probe.certificate, pki.inspect(certfile, now=0)
    if served is not None and served.fingerprint_sha256 != file.fingerprint_sha256:
        what = (
            f"listener {name} shows another certificate than {certfile} holds: it was not read again since that changed"
        )
        yield Finding("certificate_not_reloaded", Severity.WARNING, what, "dockgate doctor --fix")


def _free(name: str, listener: ListenerSettings) -> Iterator[Finding]:
    trouble = trouble_with(listener.bind)
    if trouble is None:
        return
    fix = f"change listeners.{name}.bind"
    if trouble is Trouble.TAKEN:
        fix = f"ss -ltnp 'sport = :{listener.bind.port}' shows which; end it, or change listeners.{name}.bind"
    yield Finding("port_taken", Severity.ERROR, f"listener {name} cannot have {listener.bind}: {trouble}", fix)


def _files(config: Config) -> Iterator[tuple[Path, bool]]:
    with contextlib.suppress(PermissionError):  # who may not look there is told by what else is looked for
        for part in parts_of(config):
            yield part.path, part.role in {Role.SECRET, Role.DATABASE}
    database = config.dockgate.database
    for name in (f"{database.name}-wal", f"{database.name}-shm"):
        path = database.with_name(name)
        if os.path.exists(path):  # noqa: PTH110 - False where pathlib raises
            yield path, True
    for folder in dict.fromkeys((config.path.parent, database.parent)):
        for pattern in ("before-restore-*.tar.gz", f"{database.name}.*.bak"):
            for path in sorted(folder.glob(pattern)):
                yield path, True


def _stands_still() -> bool:
    """Does it move while the machine's other clock does."""
    wall, steady = time.time_ns(), time.monotonic()
    while time.monotonic() - steady < _STANDS_STILL_S:
        if time.time_ns() != wall:
            return False
    return True
