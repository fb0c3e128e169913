"""What is given to others: the one file, the Debian package, the unit, the bill of materials; made as ``make`` does, and used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNPACKABLE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - they are covered, not used
# The first test waits for the build
pytestmark = pytest.mark.timeout(300)


def run(program: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *words], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip


def with_noexec(places: tuple[str, ...], program: Path, home: str) -> subprocess.CompletedProcess[str]:
    """``--version`` where PLACES are mounted noexec, for this process only. The program is called from /mnt, whatever hides it."""
    mounts = " && ".join(f"mount -t tmpfs -o noexec,mode=1777 tmpfs {place}" for place in places)
    script = f'mount --bind "$0" /mnt && {mounts} && exec env -i {home} /mnt/{program.name} --version'
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, program.parent],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_one_file_does_all_of_it(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PACKAGING / "selftest.py"), str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "got through over TLS" in done.stdout


@pytest.mark.case(38)
def test_a_tmp_that_is_mounted_noexec_is_passed_over(program: Path) -> None:
    done = with_noexec(("/tmp",), program, "")  # noqa: S108
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dockgate ")


@pytest.mark.case(38)
def test_where_nothing_may_run_the_cause_and_the_way_out_are_named(program: Path) -> None:
    done = with_noexec(UNPACKABLE, program, "TMPDIR=/tmp")
    assert done.returncode == 6
    for place in UNPACKABLE:
        assert f"{place}: on a file system mounted noexec" in done.stderr
    assert "DOCKGATE_CACHE=" in done.stderr


def test_what_a_cleaner_took_is_unpacked_again_and_old_versions_go(program: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    assert run(program, "--version", HOME=str(home)).returncode == 0
    (unpacked,) = (home / ".cache" / "dockgate").iterdir()
    (unpacked / "_internal" / "base_library.zip").unlink()
    (unpacked.parent / "of-an-earlier-version").mkdir()
    done = run(program, "--version", HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(unpacked.parent.iterdir()) == [unpacked]


def test_nothing_is_run_from_where_others_may_write(program: Path, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    done = run(program, "--version", DOCKGATE_CACHE=str(open_to_all))
    assert done.returncode == 6
    assert "others may write to" in done.stderr
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / f"dockgate-{os.geteuid()}").mkdir(mode=0o777)
    (mine / f"dockgate-{os.geteuid()}").chmod(0o777)
    done = run(program, "--version", DOCKGATE_CACHE=str(mine))
    assert done.returncode == 6
    assert "not a directory of this user alone" in done.stderr


def test_a_file_that_was_cut_short_says_so(program: Path, tmp_path: Path) -> None:
    short = tmp_path / "dockgate"
    short.write_bytes(program.read_bytes()[:-1000])
    short.chmod(0o755)
    done = run(short, "--version")
    assert (done.returncode, "cut short" in done.stderr) == (6, True)


def stated_glibc() -> tuple[int, int]:
    """What docs/install.md promises."""
    (stated,) = re.findall(r"need glibc 2\.(\d+) or newer", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"))
    return 2, int(stated)


def wanted_glibc(path: Path) -> tuple[int, int]:
    """The newest version of a symbol that a program or library asks for; (0, 0): none."""
    said = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=True).stdout
    return max(((int(one[1]), int(one[2])) for one in re.finditer(r"GLIBC_(\d+)\.(\d+)", said)), default=(0, 0))


def test_no_part_needs_a_newer_glibc_than_is_stated(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--extract", str(package), str(tmp_path)], check=True)
    files = (path for path in (tmp_path / "usr" / "lib" / "dockgate").rglob("*") if path.is_file())
    parts = [path for path in files if path.read_bytes().startswith(b"\x7fELF")]
    wanted = {path.name: wanted_glibc(path) for path in parts}
    assert max(wanted.values()) > (2, 17), "nothing was looked at"
    assert {name: found for name, found in wanted.items() if found > stated_glibc()} == {}
    depends = subprocess.run(["dpkg-deb", "-f", str(package), "Depends"], capture_output=True, text=True, check=True)
    newest = "{}.{}".format(*max(wanted.values()))
    assert f"libc6 (>= {newest})" in depends.stdout


def test_the_same_program_makes_the_same_package(package: Path, tmp_path: Path) -> None:
    """Bills of materials and all; the whole build was repeated by hand (docs/decisions/0009-one-file.md)."""
    before = hashlib.sha256(package.read_bytes()).hexdigest()
    done = subprocess.run(
        [sys.executable, str(PACKAGING / "deb" / "build.py")],
        capture_output=True, text=True, check=False, env={**os.environ, "TZ": "Asia/Kolkata", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert hashlib.sha256(package.read_bytes()).hexdigest() == before


def test_the_unit_holds_what_it_promises() -> None:
    lines = (PACKAGING / "systemd" / "dockgate.service").read_text().splitlines()
    for promise in (
        "Type=notify", "ExecReload=/bin/sh -c 'kill -HUP $$MAINPID'", "ProtectSystem=strict", "NoNewPrivileges=yes",
        "CapabilityBoundingSet=", "MemoryDenyWriteExecute=yes", "StateDirectory=dockgate", "MemoryMax=1G", "WatchdogSec=30",
    ):  # fmt: skip
        assert promise in lines


def test_the_bill_of_materials_names_what_the_lock_names(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    subprocess.run([sys.executable, str(PACKAGING / "sbom.py"), str(target)], check=True)
    bill = json.loads(target.read_text())
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert bill["bomFormat"] == "CycloneDX"
    assert len(bill["components"]) == len(locked)
    refs = {one["bom-ref"] for one in [*bill["components"], bill["metadata"]["component"]]}
    assert {one["ref"] for one in bill["dependencies"]} == refs
    assert all(set(one["dependsOn"]) <= refs for one in bill["dependencies"])
    assert {one["name"] for one in bill["components"] if "licenses" not in one} == {"pyrage"}  # declares none
