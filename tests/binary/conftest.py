"""The one file and the package, made once for all tests here, as ``make`` does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"


def made_by(script: str) -> str:
    done = subprocess.run([sys.executable, str(PACKAGING / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def program() -> Path:
    """dist/dockgate of today's sources."""
    said = made_by("binary/build.py")
    assert re.search(r"for glibc 2\.\d+ or newer", said), said
    return ROOT / "dist" / "dockgate"


@pytest.fixture(scope="session")
def package(program: Path) -> Path:
    """The Debian package, of the same program."""
    return ROOT / made_by("deb/build.py").partition(":")[0]


@pytest.fixture(scope="session")
def ended_well() -> Callable[..., str]:
    """Run words as they are; what they print."""

    def run(*words: str | Path) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
