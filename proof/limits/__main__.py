"""``python -m proof.limits [docks] [messages] [accesses]``: more and more until something gives; figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from proof.broken import texts
from proof.network.ground import BrokenPromise

from .run import LONG, SHORT, accesses, docks, messages

RAMPS = {"docks": docks, "messages": messages, "accesses": accesses}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ramp", nargs="*", default=list(RAMPS), metavar="RAMP", help=f"of {', '.join(RAMPS)}")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()
    found: dict[str, Any] = {"broken": []}
    for name in told.ramp:
        with tempfile.TemporaryDirectory(prefix="dockgate-proof-") as folder:
            try:
                found[name] = RAMPS[name](Path(folder), SHORT if told.short else LONG)
            except* BrokenPromise as group:
                found["broken"] += texts(group)
        print(json.dumps({name: found.get(name), "broken": found["broken"]}), flush=True)
        if told.out:
            told.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
