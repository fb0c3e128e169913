"""``dockgate`` commands, one after another, each a process of its own that was forked from this one: without importing it all anew.

Arguments: the configuration. A line of JSON on standard input is a command's words; ``null`` is killed a moment after it began.
Answered with its exit code; negative: the signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module

from gateway import cli


def main(config: str) -> None:
    for name in ("dock", "backup"):
        import_module(f"gateway.cli.{name}")
    for line in sys.stdin:
        words, killed_after_s = json.loads(line)
        pid = os.fork()
        if not pid:
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            if killed_after_s is not None:
                signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                signal.setitimer(signal.ITIMER_REAL, killed_after_s)
            os._exit(cli.main(["--config", config, *words]))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
