"""Tell a running gateway that files it has read have changed. What it says of itself in the database comes in, a signal goes
out; never to a process that is not that gateway, and never one that would end it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.context import Cli, Db
from gateway.cli.live import Live, look
from gateway.store.exclusive import is_open_in

_PROC = Path("/proc")


def tell(cli: Cli) -> dict[str, Any]:
    """``running``, ``pid``, and ``reloaded``: whether the gateway was told (null: there is none to tell)."""

    def query(db: Db) -> Live:
        return look(db, cli.now)

    live = cli.read(query)
    pid = live.state.pid if live.running and live.state else None
    told = None if pid is None else _signal(pid, cli.config().dockgate.database)
    return {"running": live.running, "pid": pid, "reloaded": told}


def advice(told: Mapping[str, Any]) -> str:
    """What to say of it."""
    if told["reloaded"]:
        return f"The running gateway (process {told['pid']}) uses it for new connections."
    if told["running"]:
        return f"The running gateway could not be told; have it read its files again: kill -HUP {told['pid']}"
    return "The gateway does not run; it uses it when it starts."


def _signal(pid: int, database: Path) -> bool:
    # The number may be that of another process by now, or of one in another container: only a process that has this
    # very database open is ours. The descriptor holds on to the process that was looked at.
    if pid == os.getpid():  # a gateway within this process has no signal handler of its own
        return False
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_open_in(pid, database) or not _catches(pid, signal.SIGHUP):
            return False
        signal.pidfd_send_signal(held, signal.SIGHUP)
    except OSError:  # it has just ended, or belongs to another user
        return False
    finally:
        os.close(held)
    return True


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether the signal has a handler there; without one it would end the process (proc(5), SigCgt)."""
    for line in (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & (1 << (number - 1)))
    return False
