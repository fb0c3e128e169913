"""A database that is sound and cannot be used: each cause is told with its own remedy, and never with a restore."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.times import now_ms
from gateway.store import state
from gateway.store.state import GatewayState
from tests.nobody import nobody

# A mount of its own (unshare(1)); where a container forbids that, nothing can be mounted at all.
ALONE = ("unshare", "--map-root-user", "--mount")
MOUNTS = subprocess.run([*ALONE, "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True).returncode
needs_mounts = pytest.mark.skipif(MOUNTS != 0, reason="a container that forbids mounts")
FILLED = 'head -c 20m /dev/zero > "$0/filling" 2>/dev/null || true'
BEGIN = 'mount -t tmpfs -o size=10m none "$0" && cp -r "$1"/. "$0" || exit 8; shift; cd /; '
READ_ONLY = 'mount -o remount,ro "$0"'
BOTH = (("doctor",), ("db", "check"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def reached(dockgate: Any) -> Iterator[Any]:
    """Where another user can come; pytest's own directories are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="dockgate-"))
    shutil.copytree(dockgate.folder, folder / "dockgate")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "data").mkdir()
    (folder / "dockgate" / "dockgate.db").rename(folder / "data" / "dockgate.db")
    config = folder / "dockgate" / "broker.yaml"
    config.write_text(config.read_text().replace("database: dockgate.db", "database: ../data/dockgate.db"))
    there = dockgate.at(folder / "dockgate")
    there.database = folder / "data" / "dockgate.db"
    # Python itself may lie where nobody else may look: what is imported late has to be here by then
    for words in (("doctor",), ("db", "check"), ("account", "add", "first", "--role", "observer"), ("check",)):
        dockgate.run(*words)
    dockgate.run("backup", "create", str(folder / "first.tar.gz"))
    yield there
    (folder / "data").chmod(0o755)
    shutil.rmtree(folder)


def told(dockgate: Any) -> tuple[dict[str, Any], str]:
    """What doctor finds of the database, and what ``db check`` hints at; both with exit code 1."""
    ended = dockgate.run("-o", "json", "doctor")
    assert ended.code == 1, ended
    found = [one for one in ended.json["findings"] if one["id"].startswith("database_")]
    assert [one["severity"] for one in found] == ["error"]
    checked = dockgate.run("-o", "json", "db", "check")
    assert (checked.code, checked.json["ok"]) == (1, False)
    assert checked.json["problems"]
    return found[0], checked.err


def closed_directory(database: Path) -> None:
    database.parent.chmod(0o700)


def closed_file(database: Path) -> None:
    database.chmod(0o600)


def closed_to_writers(database: Path) -> None:
    database.parent.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are closed to the user that runs this")
@pytest.mark.parametrize("close", [closed_directory, closed_file, closed_to_writers])
def test_another_users(reached: Any, close: Callable[[Path], None]) -> None:
    close(reached.database)
    with nobody():
        found, hint = told(reached)
        ended = reached.run("-o", "json", "account", "add", "eyes", "--role", "observer")
    assert found["id"] == "database_unreadable"
    assert "damaged" not in found["what"]
    assert "this user, nobody, may not" in found["what"]
    assert found["fix"].endswith("sudo dockgate doctor")
    assert "restore" not in found["fix"] + hint
    assert "sudo dockgate" in hint
    assert (ended.code, ended.error["code"]) == (6, "database_unwritable"), ended
    assert "sudo dockgate" in ended.error["hint"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are closed to the user that runs this")
def test_other_commands_in_another_users_directory(reached: Any) -> None:
    closed_directory(reached.database)
    with nobody():
        checked = reached.run("-o", "json", "check")
        backup = reached.run("-o", "json", "backup", "create", str(reached.folder / "b.tar.gz"))
    hints = {one["where"]: one["hint"] for one in checked.json["problems"]}
    assert hints["database"] == "run as the user that owns it"
    assert (backup.code, backup.error["code"]) == (6, "database_unwritable")
    assert "sudo dockgate" in backup.error["hint"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_the_owner_is_named_and_the_configuration_too(reached: Any) -> None:
    os.chown(reached.database, 1, 1)
    reached.database.chmod(0o600)
    os.chown(reached.database.parent, 1, 1)
    with nobody():
        shown = reached.run("doctor").out
        hint = reached.run("db", "check").err
    command = f"dockgate --config {reached.config}"
    assert f"sudo -u daemon {command} doctor" in " ".join(shown.split())
    assert "sudo -u daemon dockgate …" in hint


@pytest.mark.skipif(os.geteuid() != 0, reason="the files have to be another user's")
def test_the_own_directory_that_is_read_only(reached: Any) -> None:
    folder = reached.database.parent
    for path in (folder, reached.database):
        os.chown(path, 65534, 65534)
    folder.chmod(0o555)
    with nobody():
        found, hint = told(reached)
    assert found["fix"] == f"chmod u+rwx {reached.folder}/../data"
    assert "restore" not in hint


def test_missing(dockgate: Any) -> None:
    dockgate.database.unlink()
    found, hint = told(dockgate)
    assert found["id"] == "database_missing"
    assert found["what"].endswith("there is no database")
    assert found["fix"] == "dockgate backup restore FILE, or dockgate init --dir NEW"
    assert "init --dir NEW" in hint


@pytest.mark.parametrize("words", BOTH)
def test_only_damage_has_a_restore(dockgate: Any, words: tuple[str, ...]) -> None:
    dockgate.database.write_bytes(b"no database" * 1000)
    ended = dockgate.run(*words)
    assert ended.code == 1
    assert "backup restore FILE" in ended.out + ended.err


def test_held_by_another_process(dockgate: Any) -> None:
    with closing(sqlite3.connect(dockgate.database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        ended = dockgate.run("db", "check")
    assert ended.code == 1
    assert f"fuser -v {dockgate.database}" in ended.err
    assert "restore" not in ended.err


# -- a gateway that runs and does not write


def said_at(dockgate: Any, ago_ms: int) -> None:
    """By this process, which has the database open, as a gateway has."""
    dockgate.write(state.heartbeat, GatewayState(os.getpid(), now_ms() - 60_000, now_ms() - ago_ms, 0, {}))


def gateway_step(dockgate: Any) -> tuple[bool, str]:
    checks = dockgate.run("-o", "json", "health").json["checks"]
    return next((one["ok"], one["detail"]) for one in checks if one["name"] == "gateway")


def test_health_waits_for_a_write_that_is_due(dockgate: Any) -> None:
    with closing(sqlite3.connect(dockgate.database)) as held:
        held.execute("SELECT 1 FROM account").fetchone()
        said_at(dockgate, 500)
        assert gateway_step(dockgate) == (True, f"process {os.getpid()} writes its database")
        said_at(dockgate, 3_000)
        is_well, why = gateway_step(dockgate)
    assert not is_well
    assert why.startswith(f"process {os.getpid()} has not written its database for 5 s: ")
    said_at(dockgate, 10_000)
    assert gateway_step(dockgate) == (False, "it does not run")


def test_doctor_tells_it_from_one_that_is_stopped(dockgate: Any) -> None:
    said_at(dockgate, 10_000)
    with closing(sqlite3.connect(dockgate.database)) as held:
        held.execute("SELECT 1 FROM account").fetchone()
        found = {one["id"]: one for one in dockgate.run("-o", "json", "doctor").json["findings"]}
    assert found["gateway_not_writing"]["severity"] == "error"
    assert "gateway_not_running" not in found


# -- disks


def on_a_small_disk(dockgate: Any, harm: str, *words: str, stdin: str = "") -> dict[str, Any]:
    """A command on a disk of 10 MB, with the installation on it, and ``harm`` done to it. Standard output and error."""
    return in_a_small_disk(dockgate, f'{harm}; exec "$@"', ("-o", "json", *words), stdin)


def in_a_small_disk(dockgate: Any, script: str, words: tuple[str, ...], stdin: str = "") -> dict[str, Any]:
    """``script`` finds the disk in $0, and the command in $@."""
    place = dockgate.folder.with_name("disk")
    place.mkdir()
    # As root of a namespace, so that what was mounted is gone with it
    done = subprocess.run(
        [*ALONE, "sh", "-c", BEGIN + script, place, dockgate.folder, *dockgate.at(place).command(*words)],
        input=stdin, env=dockgate.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    place.rmdir()
    return {"code": done.returncode, "out": json.loads(done.stdout or "{}"), "err": done.stderr, "disk": str(place)}


@needs_mounts
@pytest.mark.parametrize(
    ("harm", "what", "fix"),
    [
        (FILLED, "the disk is full", "free some space on {disk}"),
        (READ_ONLY, "mounted read-only", "mount -o remount,rw {disk};"),
    ],
)
def test_a_disk_that_takes_nothing(dockgate: Any, harm: str, what: str, fix: str) -> None:
    done = on_a_small_disk(dockgate, harm, "doctor")
    found = [one for one in done["out"]["findings"] if one["id"].startswith("database_")]
    assert done["code"] == 1
    assert len(found) == 1
    assert found[0]["severity"] == "error"
    assert what in found[0]["what"]
    assert fix.format(**done) in found[0]["fix"]
    done = on_a_small_disk(dockgate, harm, "db", "check")
    assert done["code"] == 1
    assert any(what in one for one in done["out"]["problems"])
    assert fix.format(**done) in done["err"]
    done = on_a_small_disk(dockgate, harm, "account", "add", "eyes", "--role", "observer")
    assert done["code"] == 6
    error = json.loads(done["err"])["error"]
    assert what in error["message"]
    assert fix.format(**done) in error["hint"]


UNCLEAN = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("UPDATE organization SET name = 'Later'")
os._exit(0)
"""


@needs_mounts
@pytest.mark.case(36)
@pytest.mark.parametrize(
    ("harm", "sealed", "killed"),
    [(FILLED, False, True), (READ_ONLY, False, False), (READ_ONLY, True, True)],
    ids=["full-killed", "read-only-stopped", "read-only-sealed-killed"],
)
def test_a_backup_from_a_disk_that_takes_nothing(
    dockgate: Any, tmp_path: Path, harm: str, sealed: bool, killed: bool
) -> None:
    """To another disk; what a killed gateway wrote last is in it too."""
    file = tmp_path / "elsewhere" / "backup"
    file.parent.mkdir()
    words = ["backup", "create", str(file), *(("--encrypt", "--password-stdin") if sealed else ())]
    before = f'{sys.executable} -c {shlex.quote(UNCLEAN)} "$0/dockgate.db"; ' if killed else ""
    done = on_a_small_disk(dockgate, before + harm, *words, stdin="a long password\n")
    assert done["code"] == 0, done
    assert "is not in the audit trail" in done["err"]
    assert [path.name for path in file.parent.iterdir()] == ["backup"]
    restored = dockgate.at(tmp_path / "restored")
    ended = dockgate.run(
        "-o", "json", "backup", "restore", str(file), "--dir", str(restored.folder), "--yes",
        *(("--password-stdin",) if sealed else ()), stdin="a long password\n",
    )  # fmt: skip
    assert ended.code == 0, ended
    assert [one["name"] for one in restored.ok("org", "list")] == ["Later" if killed else "Fleet"]


BESIDE_A_GATEWAY = (
    '"$@" serve 2> /dev/null & "$@" health --wait 20 > /dev/null || exit 9; '
    + FILLED
    + '; while "$@" -o json health > "$0/../said"; do :; done; "$@" -o json doctor; code=$?; kill $!; wait; exit $code'
)


@needs_mounts
@pytest.mark.case(36)
def test_a_disk_that_fills_up_beneath_a_gateway(dockgate: Any) -> None:
    """In the words of the gateway's own readiness it is not ready then; health and doctor must not say otherwise."""
    for old, port in (("0.0.0.0:8883", free_port()), ("127.0.0.1:1883", free_port())):
        dockgate.config.write_text(dockgate.config.read_text().replace(f"bind: {old}", f"bind: 127.0.0.1:{port}"))
    done = in_a_small_disk(dockgate, BESIDE_A_GATEWAY, ())
    assert done["code"] == 1, done
    found = {one["id"]: one for one in done["out"]["findings"]}
    assert "the disk is full" in found["gateway_not_writing"]["what"]
    assert found["gateway_not_writing"]["fix"] == f"free some space on {done['disk']}"
    said = json.loads((dockgate.folder / "../said").read_text())
    failed = {check["name"]: check["detail"] for check in said["checks"] if not check["ok"]}
    assert "has not written its database" in failed["gateway"]
    assert "the disk is full" in failed["gateway"]
