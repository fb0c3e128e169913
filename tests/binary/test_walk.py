"""An operator's first day, with the one file and with the installed package; and the package's unit under a real systemd."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
# The first test waits for the build
pytestmark = pytest.mark.timeout(400)
ON_A_SMALL_DISK = 'mount -t tmpfs -o size=600m,mode=700 tmpfs "$0" && exec "$@"'
DAY = (
    "a dock is bound over TLS with a client certificate", "wrong code: told, and mended", "expired certificates",
    "full disk: nothing half done", "wrong license: told", "stopped clock",
)  # fmt: skip


def test_a_day_with_the_one_file(program: Path, tmp_path: Path, ended_well: Callable[..., str]) -> None:
    said = ended_well(
        "unshare", "--mount", "--propagation", "private", "sh", "-c", ON_A_SMALL_DISK, tmp_path,
        sys.executable, PACKAGING / "walk.py", program, tmp_path,
    )  # fmt: skip
    assert all(f"ok      {step}" in said for step in DAY), said


def test_a_day_with_the_package_and_its_end(package: Path, ended_well: Callable[..., str]) -> None:
    said = ended_well(
        "sh", PACKAGING / "deb" / "try.sh", package, PACKAGING / "selftest.py", PACKAGING / "walk.py"
    )  # fmt: skip
    assert all(f"ok      {step}" in said for step in DAY), said
    assert "upgraded: the installation is as it was" in said
    assert "purged: nothing is left" in said


def test_the_unit_under_systemd(package: Path, ended_well: Callable[..., str]) -> None:
    said = ended_well("sh", PACKAGING / "systemd" / "try.sh", package)
    for step in (
        "started: told systemd that it is ready, and answers", "walled in:", "reloaded: the same process",
        "stopped still: the watchdog has started it anew", "purged: stopped, and nothing is left",
    ):  # fmt: skip
        assert f"ok      {step}" in said, said
