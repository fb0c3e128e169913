"""Files of keys and certificates: their modes, their owners, and what stays when something goes wrong."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.errors import ConflictError, DockgateError, NotFoundError, UsageError
from gateway.pki import files
from gateway.pki.files import Layout

SECRET = b"-----BEGIN PRIVATE KEY-----\nhunter2\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def only(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write_private(tmp_path / "k", SECRET)
        files.write_public(tmp_path / "c", b"x")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "k"), mode(tmp_path / "c")) == (0o600, 0o644)
    assert (tmp_path / "k").read_bytes() == SECRET
    assert only(tmp_path) == ["c", "k"]


def test_a_key_is_never_open_to_others_not_even_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        seen.extend(mode(path) for path in tmp_path.iterdir())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    before = os.umask(0)
    try:
        files.write_private(tmp_path / "k", SECRET)
    finally:
        os.umask(before)
    assert seen
    assert set(seen) == {0o600}


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "k"
    files.write_private(path, b"first")
    with pytest.raises(ConflictError, match="exists already"):
        files.write_private(path, b"second")
    assert path.read_bytes() == b"first"
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConflictError):
        files.write_public(dangling, b"x")
    assert only(tmp_path) == ["k", "link"]


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    files.write_private(tmp_path / "k", SECRET)
    assert mode(tmp_path / "k") == 0o600
    with pytest.raises(ConflictError):
        files.write_private(tmp_path / "k", b"second")
    assert (tmp_path / "k").read_bytes() == SECRET
    assert only(tmp_path) == ["k"]


def test_replacing_keeps_a_group_that_may_read_and_nothing_wider(tmp_path: Path) -> None:
    for before, after in ((0o640, 0o640), (0o600, 0o600), (0o400, 0o400), (0o666, 0o640), (0o777, 0o640)):
        path = tmp_path / f"{before:o}"
        path.write_bytes(b"old")
        path.chmod(before)
        files.write_private(path, b"new", replace=True)
        assert (mode(path), path.read_bytes()) == (after, b"new")


def test_the_owner_stays_who_has_to_read_it(tmp_path: Path) -> None:
    is_root = os.geteuid() == 0
    owner = 65_534 if is_root else os.geteuid()
    if is_root:
        os.chown(tmp_path, owner, owner)
    files.write_private(tmp_path / "new", b"x")
    files.make_directory(tmp_path / "clients", files.PRIVATE_DIRECTORY_MODE)
    if is_root:
        os.chown(tmp_path, 0, 0)
    files.write_private(tmp_path / "new", b"y", replace=True)
    assert (tmp_path / "new").stat().st_uid == owner
    assert (tmp_path / "clients").stat().st_uid == owner
    assert mode(tmp_path / "clients") == 0o700


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "k"
    files.write_private(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DockgateError, match="cannot be written: No space left on device"):
        files.write_private(path, b"new", replace=True)
    assert path.read_bytes() == b"old"
    assert only(tmp_path) == ["k"]


def test_reading_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        files.read(tmp_path / "x")
    with pytest.raises(DockgateError, match="cannot be read: Is a directory"):
        files.read(tmp_path)
    (tmp_path / "big").write_bytes(b"x" * 1_100_000)
    with pytest.raises(DockgateError, match="too large"):
        files.read(tmp_path / "big")
    with pytest.raises(DockgateError, match="cannot be written: No such file"):
        files.write_public(tmp_path / "none/x", b"")
    (tmp_path / "file").touch()
    with pytest.raises(DockgateError, match="cannot be made"):
        files.make_directory(tmp_path / "file/sub")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with files.exclusive(Layout(tmp_path)):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    with files.exclusive(Layout(tmp_path)):
        inside.set()
        waiting.join(0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    with pytest.raises(NotFoundError, match="no such certificate directory"), files.exclusive(Layout(tmp_path / "x")):
        pass


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a b", "a\n", "ü", "a" * 65, "a\0"])
def test_a_client_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a certificate"):
        Layout(Path("certs")).client(name)


def test_a_client_name() -> None:
    assert Layout(Path("certs")).client_key("dock-1.north@site_2") == Path("certs/clients/dock-1.north@site_2.key")
