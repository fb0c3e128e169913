"""``python tests/fuzz``: so many inputs, nine in ten for the codecs, one in ten for whole connections. See README.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _find_the_tests() -> None:
    """This directory has no packages, and others install a package that is called ``tests``."""
    sys.path.insert(0, str(ROOT))
    package = types.ModuleType("tests")
    package.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = package


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, whatever is left")
    asked = parser.parse_args()
    _find_the_tests()
    from tests.fuzz.fuzzing import Finding, fuzz_codecs, fuzz_connections

    until = time.monotonic() + 60 * asked.minutes
    whole = asked.inputs // 10

    def tell(fed: int) -> None:
        if fed % 100_000 == 0:
            sys.stderr.write(f"{fed:,}\n")

    try:
        say("connections: ")
        with tempfile.TemporaryDirectory() as folder:
            say(f"{fuzz_connections(whole, asked.seed, Path(folder) / 'dockgate', until=until, tell=tell)}\n")
        say("framer and codecs: ")
        say(f"{fuzz_codecs(asked.inputs - whole, asked.seed, until=until, tell=tell)}\n")
    except Finding as finding:
        say("FOUND\n")
        raise finding from finding.__cause__
    return 0


if __name__ == "__main__":
    sys.exit(main())
