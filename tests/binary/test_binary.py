"""What is given to others: the one file, the Debian package, the unit, the bill of materials; made as ``make`` does, and used."""

from __future__ import annotations

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


def made_by(script: str) -> str:
    done = subprocess.run([sys.executable, str(PACKAGING / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program() -> Path:
    """dist/dockgate of today's sources."""
    said = made_by("binary/build.py")
    assert re.search(r"for glibc 2\.\d+ or newer", said), said
    return ROOT / "dist" / "dockgate"


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


def test_the_package_is_installed_used_upgraded_removed_and_purged(program: Path) -> None:
    package = ROOT / made_by("deb/build.py").partition(":")[0]
    glibc = (ROOT / "build" / "binary" / "glibc").read_text()
    depends = subprocess.run(["dpkg-deb", "-f", str(package), "Depends"], capture_output=True, text=True, check=True)
    assert f"libc6 (>= {glibc})" in depends.stdout
    done = subprocess.run(
        ["sh", str(PACKAGING / "deb" / "try.sh"), str(package), str(PACKAGING / "selftest.py")],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "purged: nothing is left" in done.stdout


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
