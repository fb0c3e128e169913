"""``backup``: what goes in comes out, also after a kill at any moment; and nothing is ever half applied."""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import pki
from gateway.backup import placing
from gateway.cli.times import now_ms
from gateway.store import devices
from tests.integration.process import Served

PASSWORD = "a password for backups"
KEYS = {
    "file", "bytes", "integrity", "encrypted", "created_at", "dockgate_version", "schema_version", "files",
}  # fmt: skip


def names(dockgate: Any) -> list[str]:
    return [organization["name"] for organization in dockgate.ok("org", "list")]


def actions(dockgate: Any) -> list[str]:
    return [entry["action"] for entry in dockgate.ok("audit", "list")]


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file but the database's, with mode and content."""
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(("dockgate.db", "before-restore", "made.json"))
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar.gz"


@pytest.fixture
def backed_up(dockgate: Any, file: Path) -> Any:
    """An installation with a backup, and changes since: an organization, a certificate, the configuration."""
    dockgate.ok("cert", "issue", "dock")
    dockgate.ok("backup", "create", str(file))
    dockgate.ok("org", "add", "Later")
    dockgate.ok("cert", "renew", "--host", "later.example.org", "--new-key")
    dockgate.config.write_text(dockgate.config.read_text().replace("address: 192.0.2.10", "address: later.example.org"))
    return dockgate


def state_of(dockgate: Any) -> str:
    """Which of the two it is; a mixture fails."""
    found = (
        "Later" in names(dockgate),
        "later.example.org" in dockgate.ok("cert", "show")["sans"],
        "later.example.org" in dockgate.config.read_text(),
    )
    assert len(set(found)) == 1, f"a mixture: {found}"
    assert dockgate.ok("check") == {"ok": True, "problems": []}
    assert dockgate.ok("db", "check")["ok"] is True
    return "new" if found[0] else "old"


class TestCreate:
    def test_what_is_in_it(self, dockgate: Any, file: Path) -> None:
        dockgate.ok("cert", "issue", "dock")
        made = dockgate.ok("backup", "create", str(file))
        assert set(made) == KEYS
        assert (made["file"], made["bytes"], made["integrity"]) == (str(file), file.stat().st_size, "ok")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with tarfile.open(file) as tar:
            held = {entry.name for entry in tar}
            manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        certs = {f"home/certs/{name}" for name in ("ca.pem", "ca.key", "server.pem", "server.key", "crl.pem")}
        assert held >= {"manifest.json", "home/broker.yaml", "home/dockgate.db", "home/certs/clients/dock.key", *certs}
        assert {member["name"] for member in manifest["members"]} == held - {"manifest.json"}
        assert manifest["schema_version"] == made["schema_version"]
        assert actions(dockgate)[-1] == "backup.create"
        assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
        assert [path.name for path in dockgate.folder.iterdir() if path.name.startswith(".")] == []

    def test_an_existing_file_is_left_alone(self, dockgate: Any, file: Path) -> None:
        file.write_text("mine")
        assert dockgate.run("backup", "create", str(file)).code == 4
        assert file.read_text() == "mine"
        dockgate.ok("backup", "create", str(file), "--force")
        assert dockgate.ok("backup", "verify", str(file))["integrity"] == "ok"
        assert dockgate.run("backup", "create", str(dockgate.folder)).code == 4

    @pytest.mark.case(34)
    def test_while_others_write(self, dockgate: Any, file: Path) -> None:
        stop = threading.Event()

        def write() -> None:
            with closing(sqlite3.connect(dockgate.database, isolation_level=None, timeout=10)) as db:
                while not stop.is_set():
                    devices.see_gateway(db, "7CTDM7100B1234", now=now_ms())

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                dockgate.ok("backup", "create", f"{file}.{number}")
                assert dockgate.ok("backup", "verify", f"{file}.{number}")["integrity"] == "ok"
        finally:
            stop.set()
            writer.join()

    @pytest.mark.case(34)
    def test_damage_is_not_backed_up(self, dockgate: Any, file: Path) -> None:
        damage(dockgate.database)
        ended = dockgate.run("-o", "json", "backup", "create", str(file))
        assert (ended.code, ended.error["code"]) == (6, "database_damaged")
        assert ended.error["hint"] == "dockgate backup restore FILE"
        assert not file.exists()

    @pytest.mark.case(36)
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
    def test_a_disk_that_takes_no_more(
        self, dockgate: Any, file: Path, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            ended = dockgate.run("-o", "json", "backup", "create", str(file))
        assert ended.code == 6
        assert os.strerror(number) in ended.error["message"]
        assert list(file.parent.glob("*backup.tar*")) == []
        assert dockgate.ok("check")["ok"] is True

    @pytest.mark.case(36)
    def test_a_directory_that_is_not_there(self, dockgate: Any, tmp_path: Path) -> None:
        ended = dockgate.run("-o", "json", "backup", "create", str(tmp_path / "none" / "b.tar.gz"))
        assert (ended.code, ended.error["code"]) == (6, "unwritable")

    @pytest.mark.case(36)
    def test_a_file_that_grows_too_large(self, dockgate: Any, file: Path) -> None:
        """The real thing: what the system refuses to write in the middle."""
        words = " ".join(f"'{word}'" for word in dockgate.command("-o", "json", "backup", "create", str(file)))
        for kilobytes in (2, 60):
            done = subprocess.run(
                ["bash", "-c", f"ulimit -f {kilobytes}; exec {words}"],
                capture_output=True,
                text=True,
                check=False,
                env=dockgate.environment(),
            )
            assert done.returncode == 6, done.stderr
        assert not file.exists()
        assert [path.name for path in dockgate.folder.iterdir() if path.name.startswith(".")] == []
        assert dockgate.ok("check")["ok"] is True

    def test_what_a_killed_one_has_left_is_cleared_away(self, dockgate: Any, file: Path) -> None:
        """Private keys are in it. One that is still at work, in another process, keeps its own."""
        dead, alive = (file.with_name(f".dockgate-backup-{name}") for name in ("dead", "alive"))
        for folder in (dead, alive):
            folder.mkdir()
            (folder / "copy.db").write_text("keys")
        descriptor = os.open(alive, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            dockgate.ok("backup", "create", str(file))
        finally:
            os.close(descriptor)
        assert [path.name for path in file.parent.glob(".*")] == [alive.name]

    def test_the_words_for_a_password(self, dockgate: Any, file: Path) -> None:
        assert dockgate.run("backup", "create", str(file), "--password-stdin", stdin=PASSWORD).code == 2
        assert dockgate.run("backup", "create", str(file), "--encrypt").code == 2
        words = ("-o", "json", "backup", "create", str(file), "--encrypt", "--password-stdin")
        ended = dockgate.run(*words, stdin="short")
        assert ended.code == 2
        assert ended.error["message"].startswith("the password of the backup: a password has 8 to")
        assert "leave the option out" not in ended.error["hint"]
        assert dockgate.run("backup", "create", str(file), "--encrypt", "--password-stdin", stdin="short").code == 2
        assert not file.exists()

    def test_files_elsewhere_are_in_it(self, dockgate: Any, file: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "ssl"
        shutil.move(dockgate.folder / "certs", elsewhere)
        text = dockgate.config.read_text()
        dockgate.config.write_text(text.replace("file: certs/", f"file: {elsewhere}/"))
        dockgate.ok("backup", "create", str(file))
        shutil.rmtree(elsewhere)
        refused = dockgate.run("-o", "json", "backup", "restore", str(file), "--dir", str(tmp_path / "new"), "--yes")
        assert refused.code == 5
        assert str(dockgate.config) in refused.error["hint"]
        assert not (tmp_path / "new").exists()
        dockgate.ok("backup", "restore", str(file), "--yes")
        assert dockgate.ok("check")["ok"] is True
        assert stat.S_IMODE((elsewhere / "ca.key").stat().st_mode) == 0o600


class TestVerify:
    def test_without_an_installation(self, dockgate: Any, outside: Any, file: Path) -> None:
        dockgate.ok("backup", "create", str(file))
        ended = outside.bare("-o", "json", "backup", "verify", str(file))
        assert ended.code == 0
        assert ended.json["integrity"] == "ok"
        assert set(ended.json) == {*KEYS, "problems"}

    @pytest.mark.parametrize("harm", ["cut", "bit", "text", "empty", "member", "extra", "missing", "database"])
    def test_any_harm_is_found(self, dockgate: Any, outside: Any, file: Path, harm: str) -> None:
        if harm == "database":
            dockgate.ok("backup", "create", str(file))
            repack(file, lambda name, content: bytes(len(content)) if name.endswith(".db") else content, sums=True)
        else:
            dockgate.ok("backup", "create", str(file))
            HARMS[harm](file)
        ended = outside.bare("-o", "json", "backup", "verify", str(file))
        assert ended.code == 1, ended
        assert ended.json["integrity"] == "damaged"
        assert ended.json["problems"]
        before = everything(dockgate.folder)
        assert dockgate.run("backup", "restore", str(file), "--yes").code in {1, 6}
        assert everything(dockgate.folder) == before
        assert dockgate.ok("check")["ok"] is True

    def test_a_file_that_is_not_there(self, outside: Any) -> None:
        assert outside.bare("backup", "verify", "none.tar.gz").code == 3

    def test_formats_and_databases_of_the_future(self, dockgate: Any, outside: Any, file: Path) -> None:
        dockgate.ok("backup", "create", str(file))
        repack(file, lambda _name, content: content, manifest={"format": 2})
        assert outside.bare("backup", "verify", str(file)).code == 5
        repack(file, lambda _name, content: content, manifest={"format": 1, "schema_version": 999})
        ended = dockgate.run("-o", "json", "backup", "restore", str(file), "--yes")
        assert (ended.code, ended.error["code"]) == (6, "database_newer")

    @pytest.mark.parametrize("name", ["home/../../evil", "/etc/evil", "evil", "home", "outside/../x", "home/./../x"])
    def test_names_that_lead_elsewhere(self, dockgate: Any, file: Path, name: str, tmp_path: Path) -> None:
        dockgate.ok("backup", "create", str(file))
        repack(file, lambda _name, content: content, rename={"home/certs/crl.pem": name})
        before = {str(path) for path in tmp_path.rglob("*")}
        assert dockgate.run("backup", "restore", str(file), "--yes", "--no-keep").code != 0
        assert {str(path) for path in tmp_path.rglob("*")} == before


class TestRestore:
    def test_everything_comes_back(self, backed_up: Any, file: Path) -> None:
        assert state_of(backed_up) == "new"
        done = backed_up.ok("backup", "restore", str(file), "--yes")
        assert set(done) == {*KEYS, "config", "database", "kept", "aside"}
        assert (done["config"], done["database"]) == (str(backed_up.config), str(backed_up.database))
        assert state_of(backed_up) == "old"
        assert actions(backed_up)[-1] == "backup.restore"
        # and what was there can come back too
        backed_up.ok("backup", "restore", done["kept"], "--yes", "--no-keep")
        assert state_of(backed_up) == "new"

    def test_elsewhere(self, backed_up: Any, outside: Any, file: Path, tmp_path: Path) -> None:
        backed_up.ok("backup", "restore", str(file), "--yes")
        folder = tmp_path / "deep" / "elsewhere"
        ended = outside.bare("-o", "json", "backup", "restore", str(file), "--dir", str(folder), "--yes")
        assert ended.code == 0, ended
        assert ended.json["kept"] is None
        assert everything(folder).items() <= everything(backed_up.folder).items()
        there = outside.at(folder)
        assert names(there) == ["Fleet"]
        assert there.ok("check")["ok"] is True
        assert stat.S_IMODE(there.database.stat().st_mode) == 0o600

    def test_a_directory_that_was_lost(self, backed_up: Any, file: Path) -> None:
        shutil.rmtree(backed_up.folder)
        backed_up.ok("backup", "restore", str(file), "--yes")
        assert state_of(backed_up) == "old"

    def test_where_nothing_is_nothing_is_asked(self, dockgate: Any, outside: Any, file: Path, tmp_path: Path) -> None:
        dockgate.ok("backup", "create", str(file))
        (tmp_path / "empty").mkdir()
        for name in ("none", "empty"):
            ended = outside.bare("-o", "json", "backup", "restore", str(file), "--dir", str(tmp_path / name))
            assert ended.code == 0, ended
            assert names(outside.at(tmp_path / name)) == ["Fleet"]
        code, shown = outside.terminal("backup", "restore", str(file), "--dir", str(tmp_path / "typed"))
        assert (code, "[y/N]" in shown) == (0, False)
        (tmp_path / "half").mkdir()
        (tmp_path / "half" / "dockgate.db").write_text("somebody's")
        ended = outside.bare("-o", "json", "backup", "restore", str(file), "--dir", str(tmp_path / "half"))
        assert (ended.code, ended.error["hint"]) == (5, "--yes does it unasked")

    def test_what_is_no_backup_is_refused_before_anything_is_asked(self, dockgate: Any, file: Path) -> None:
        with gzip.open(file.with_name("other.gz"), "wb") as other:
            other.write(b"x" * 10_000)
        file.write_text("a letter")
        for name in (file, file.with_name("other.gz"), dockgate.config):
            ended = dockgate.run("-o", "json", "backup", "restore", str(name))
            assert (ended.code, ended.error["code"]) == (1, "failed"), ended
            assert str(name) in ended.error["message"]
            assert "installation" not in ended.error["message"]
        code, shown = dockgate.terminal("backup", "restore", str(file))
        assert code == 1
        assert "it is not a backup of dockgate" in shown
        assert "[y/N]" not in shown

    def test_asks_or_is_told(self, backed_up: Any, file: Path) -> None:
        refused = backed_up.run("-o", "json", "backup", "restore", str(file))
        assert (refused.code, refused.error["hint"]) == (5, "--yes does it unasked")
        assert state_of(backed_up) == "new"
        code, shown = backed_up.terminal("backup", "restore", str(file), typed=[("[y/N]", "n")])
        assert code == 5, shown
        assert state_of(backed_up) == "new"
        code, shown = backed_up.terminal("backup", "restore", str(file), typed=[("[y/N]", "y")])
        assert code == 0, shown
        assert state_of(backed_up) == "old"

    def test_says_where_to_when_nothing_tells(self, dockgate: Any, outside: Any, file: Path) -> None:
        dockgate.ok("backup", "create", str(file))
        ended = outside.bare("-o", "json", "backup", "restore", str(file), "--yes")
        assert ended.code == 2
        assert "--dir" in ended.error["hint"]

    def test_who_was_revoked_since_stays_out(self, backed_up: Any, file: Path) -> None:
        serial = backed_up.ok("cert", "show", "dock")["serial"]
        backed_up.ok("cert", "revoke", serial, "--yes")
        ended = backed_up.run("backup", "restore", str(file), "--yes")
        assert ended.code == 0
        assert "revocations" in ended.err
        crl = pki.inspect_crl(backed_up.folder / "certs/crl.pem", now=now_ms())
        assert [entry.serial for entry in crl.revoked] == [serial]

    def test_what_another_authority_issued_goes(self, backed_up: Any, file: Path) -> None:
        shutil.rmtree(backed_up.folder / "certs")
        pki.initialize(backed_up.folder / "certs", ["later.example.org"], now=now_ms())
        backed_up.ok("cert", "issue", "stranger")
        backed_up.ok("backup", "restore", str(file), "--yes")
        assert sorted(row["name"] for row in backed_up.ok("cert", "list") if row["kind"] == "client") == ["dock"]

    @pytest.mark.case(34)
    def test_over_a_damaged_database(self, backed_up: Any, file: Path) -> None:
        backed_up.database.write_bytes(b"no database at all" * 500)
        done = backed_up.ok("backup", "restore", str(file), "--yes")
        assert (done["kept"], done["aside"]) == (None, f"{backed_up.database}.replaced")
        assert Path(done["aside"]).read_bytes().startswith(b"no database")
        assert names(backed_up) == ["Fleet"]

    def test_over_a_configuration_that_cannot_be_read(self, backed_up: Any, file: Path) -> None:
        backed_up.config.write_text("listeners: [")
        backed_up.ok("backup", "restore", str(file), "--yes")
        assert state_of(backed_up) == "old"

    @pytest.mark.case(36)
    def test_a_disk_that_takes_no_more(self, backed_up: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It fails at the Nth time that something is to be on the disk, whatever N is; then nothing has changed."""
        real, refused = os.fsync, 0
        for number in range(1, 60):
            calls = 0

            def fail(descriptor: int, number: int = number) -> None:
                nonlocal calls
                calls += 1
                if calls >= number:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                real(descriptor)

            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", fail)
                ended = backed_up.run("backup", "restore", str(file), "--yes")
            if ended.code == 0:
                break
            refused += 1
            assert ended.code == 6, ended
            if (backed_up.folder / placing.JOURNAL).exists():  # certain: the next command carries on
                assert state_of(backed_up) == "old"
                break
            assert state_of(backed_up) == "new"
        assert refused > 8
        backed_up.ok("backup", "restore", str(file), "--yes")
        assert state_of(backed_up) == "old"

    def test_not_while_a_gateway_runs(self, backed_up: Any, file: Path) -> None:
        for old, new in (("bind: 0.0.0.0:8883", "bind: 127.0.0.1:0"), ("bind: 127.0.0.1:1883", "bind: 127.0.0.1:0")):
            backed_up.config.write_text(backed_up.config.read_text().replace(old, new))
        with Served(backed_up.config) as gateway:
            gateway.ready()
            made = backed_up.ok("backup", "create", f"{file}.2")
            assert made["integrity"] == "ok"
            refused = backed_up.run("-o", "json", "backup", "restore", str(file), "--yes")
            assert (refused.code, refused.error["code"]) == (5, "refused")
            assert state_of(backed_up) == "new"
            assert not list(backed_up.folder.glob("before-restore*"))
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0
        backed_up.ok("backup", "restore", str(file), "--yes")
        assert names(backed_up) == ["Fleet"]


def test_encrypted(dockgate: Any, outside: Any, tmp_path: Path) -> None:
    """One life of an encrypted backup: each look inside takes a second or more of computing, which is the point."""
    file = tmp_path / "backup.age"
    made = dockgate.ok("backup", "create", str(file), "--encrypt", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert made["encrypted"] is True
    content = file.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert [path.name for path in tmp_path.iterdir()] == ["dockgate", "backup.age"] or len(
        list(tmp_path.iterdir())
    ) == 2

    refused = outside.bare("-o", "json", "backup", "verify", str(file), "--password-stdin", stdin="another password")
    assert (refused.code, refused.error["code"]) == (5, "refused")
    assert "was given when it was made; capitals count" in refused.error["hint"]
    assert "another password" not in refused.err.replace("another password, or a damaged file", "")
    assert outside.bare("backup", "verify", str(file)).code == 2
    dockgate.ok("org", "add", "Later")
    code, shown = dockgate.terminal("backup", "restore", str(file), "--yes", typed=[("Password:", PASSWORD)])
    assert code == 0, shown
    assert PASSWORD not in shown
    assert names(dockgate) == ["Fleet"]


@pytest.mark.parametrize(
    ("point", "state"),
    [
        ("unpacked", "new"),
        ("kept:2", "new"),
        ("not-certain", "new"),
        ("certain", "old"),
        ("move:1", "old"),
        ("move:3", "old"),
        ("move:8", "old"),
        ("move:9", "old"),
        ("tidying", "old"),
    ],
)
def test_killed_at(backed_up: Any, file: Path, point: str, state: str) -> None:
    child = Path(__file__).with_name("restoring_child.py")
    done = subprocess.run(
        [sys.executable, str(child), str(backed_up.config), str(file), point],
        capture_output=True,
        check=False,
        env=backed_up.environment(),
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)
    assert state_of(backed_up) == state
    assert not (backed_up.folder / placing.JOURNAL).exists()
    backed_up.ok("backup", "restore", str(file), "--yes")
    assert state_of(backed_up) == "old"
    assert [path.name for path in backed_up.folder.iterdir() if path.name.startswith(".")] == []


def test_another_users_word_is_not_taken(dockgate: Any, tmp_path: Path) -> None:
    """Files are moved as an unfinished restore says; that must not make a tool of whoever looks by."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    journal = dockgate.folder / placing.JOURNAL
    told = {"removals": [str(mine)], "moves": [], "scaffolds": []}
    journal.write_text(json.dumps(told))
    if os.geteuid() == 0:
        os.chown(journal, 65534, 65534)
        assert dockgate.run("org", "list").code == 5
        assert mine.exists()
    journal.unlink()
    (tmp_path / "elsewhere.json").write_text(json.dumps(told))
    journal.symlink_to(tmp_path / "elsewhere.json")
    assert dockgate.run("org", "list").code == 5
    assert mine.exists()
    journal.unlink()
    journal.write_text("{")
    assert dockgate.run("org", "list").code == 5


def test_progress_only_on_a_terminal(dockgate: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.cli import progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, is_shown in ((Terminal(), True), (io.StringIO(), False)):
        with monkeypatch.context() as patch:
            patch.setattr(progress, "_AFTER_S", 0)
            patch.setattr(progress, "_EVERY_S", 0)
            patch.setattr(sys, "stderr", stream)
            with progress.Progress() as told:
                told("database", 1, 2)
                told("database", 2, 2)
        assert ("database: 50 %" in stream.getvalue()) is is_shown
        assert stream.getvalue().endswith("\r") is is_shown


# -- harm


def damage(database: Path) -> None:
    """Wreck an index in the middle of the file, so that only a full check finds it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        page, root = (
            db.execute("PRAGMA page_size").fetchone()[0],
            db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'audit_at'").fetchone()[0],
        )
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(database.read_bytes())
    start = (root - 1) * page
    content[start + 8 : start + page] = bytes(page - 8)
    database.write_bytes(content)


def repack(
    file: Path,
    change: Any,
    *,
    manifest: dict[str, Any] | None = None,
    rename: dict[str, str] | None = None,
    sums: bool = False,
    leave_out: str = "",
    add: str = "",
) -> None:
    """Take an archive apart and put it together otherwise."""
    import hashlib

    with tarfile.open(file) as tar:
        held = [(entry, (tar.extractfile(entry) or io.BytesIO()).read()) for entry in tar]
    said = {**json.loads(held[0][1]), **(manifest or {})}
    members = [(entry, change(entry.name, content)) for entry, content in held[1:] if entry.name != leave_out]
    for member in said["members"]:
        member["name"] = (rename or {}).get(member["name"], member["name"])
    if sums:
        by_name = {entry.name: content for entry, content in members}
        for member in said["members"]:
            content = by_name[member["name"]]
            member |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        text = json.dumps(said).encode()
        held[0][0].size = len(text)
        tar.addfile(held[0][0], io.BytesIO(text))
        for entry, content in members:
            entry.name = (rename or {}).get(entry.name, entry.name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if add:
            entry = tarfile.TarInfo(add)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"more"))
    file.write_bytes(gzip.compress(packed.getvalue()))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


HARMS: dict[str, Any] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-100]),
    "bit": flip,
    "text": lambda file: file.write_text("no backup at all"),
    "empty": lambda file: file.write_bytes(b""),
    "member": lambda file: repack(
        file, lambda name, content: content[:-1] + b"#" if name.endswith("broker.yaml") else content
    ),
    "extra": lambda file: repack(file, lambda _name, content: content, add="home/more"),
    "missing": lambda file: repack(file, lambda _name, content: content, leave_out="home/certs/server.key"),
}
