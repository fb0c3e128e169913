"""``python -m proof [NAME …]``: the long forms, one after another, each in a process of its own; figures go to build/proof/.

Each name is a folder here with a command line of its own: ``python -m proof.network --help``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path("build/proof")
PARTS: dict[str, list[str]] = {
    "network": ["--out", f"{FOLDER}/network.json"],
    "crash": ["--out", f"{FOLDER}/crash.json"],
    "disk": ["--out", f"{FOLDER}/disk.json"],
    "clock": ["--out", f"{FOLDER}/clock.json"],
    "limits": ["--out", f"{FOLDER}/limits.json"],
    "soak": ["--out", f"{FOLDER}/soak.json", "--plot", f"{FOLDER}/soak.svg"],
    "hostile": [f"{FOLDER}/hostile", "--out", f"{FOLDER}/hostile.json"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*", default=list(PARTS), metavar="NAME", help=f"of {', '.join(PARTS)}")
    told = parser.parse_args()
    unknown = [name for name in told.name if name not in PARTS]
    if unknown:
        parser.error(f"there is no {unknown[0]}: it is one of {', '.join(PARTS)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    broken = []
    for name in told.name:
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"proof.{name}", *PARTS[name]], check=False)
        if done.returncode:
            broken.append(name)
    print(f"broken: {', '.join(broken)}" if broken else "all promises were kept", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
