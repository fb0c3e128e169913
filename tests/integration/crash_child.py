"""Run by ``test_crash``: one ``dockgate serve`` after another, each a process that can be killed, without importing it all anew.

Arguments: the configuration. A line "start" on standard input: answered with the new process's id; "wait": with how it ended.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from gateway import cli


def main(config: str) -> None:
    import_module("gateway.cli.serve")  # once, before the first fork
    pid = 0
    for line in sys.stdin:
        if line.strip() == "start":
            pid = os.fork()
            if not pid:
                nothing = os.open(os.devnull, os.O_RDWR)
                os.dup2(nothing, 0)
                os.dup2(nothing, 1)
                os._exit(cli.main(["--config", config, "serve"]))
            print(pid, flush=True)  # noqa: T201 - its answer
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1])
