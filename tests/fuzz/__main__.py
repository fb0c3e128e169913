"""``python tests/fuzz TARGET …``: so many inputs for each target named, for every one when none is. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TELL_S = 5.0


def _find_the_tests() -> None:
    """This directory has no packages, and others install a package that is called ``tests``."""
    sys.path[0] = str(ROOT)
    package = types.ModuleType("tests")
    package.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = package


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class Teller:
    """Writes a line now and then, and one at the end; for one target."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run = f"{time.time():.3f}-{os.getpid()}"
        self._began = self._told = time.monotonic()
        self._page = os.sysconf("SC_PAGE_SIZE")

    def __call__(self, inputs: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._told < _TELL_S and not last:
            return
        self._told = now
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * self._page
        entry = {
            "run": self._run, "inputs": inputs, "seconds": round(now - self._began, 3), "rss_mib": round(held / 2**20, 1),
        }  # fmt: skip
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def main() -> int:
    _find_the_tests()
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, whatever is left")
    parser.add_argument("--guided", type=Path, metavar="CORPUS", help="one target, led by what code an input reaches")
    parser.add_argument(
        "--tell", type=Path, metavar="FILE", help="append JSON lines of what was done and is held meanwhile"
    )
    asked = parser.parse_args()
    if asked.guided is not None:
        from tests.fuzz import guided

        guided.run(*asked.targets, inputs=asked.inputs, seed=asked.seed, corpora=asked.guided)
    from tests.fuzz.fuzzing import Finding, fuzz
    from tests.fuzz.registry import TARGETS

    tell = Teller(asked.tell) if asked.tell is not None else lambda _: None
    until = time.monotonic() + 60 * asked.minutes
    for target in asked.targets or TARGETS:
        say(f"{target}: ")
        try:
            with tempfile.TemporaryDirectory() as folder:
                done = fuzz(target, asked.inputs, asked.seed, Path(folder) / "fuzz", until=until, tell=tell)
            if isinstance(tell, Teller):
                tell(done.inputs, last=True)
            say(f"{done}\n")
        except Finding as finding:
            say("FOUND\n")
            raise finding from finding.__cause__
    return 0


if __name__ == "__main__":
    sys.exit(main())
