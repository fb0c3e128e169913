"""Limits that the machine and the clock set: file descriptors, and how long a client may be silent (cases 26, 39)."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.topics import Kind, device_topic

from .process import Served
from .town import DOCK_A, Town, settle
from .wire import Will

EVENTS = device_topic(DOCK_A, Kind.EVENTS)


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


def descriptors(pid: int) -> list[int]:
    """The soft and the hard limit of a process (proc(5))."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return [int(word) for word in next(line for line in lines if line.startswith("Max open files")).split()[3:5]]


@pytest.mark.case(26)
def test_it_takes_the_descriptors_that_it_may_have(installation: Any) -> None:
    installation.configure(
        lambda settings: settings["dockgate"]["limits"].update(connections=300, pending_connections=50)
    )
    for limits, taken, complains in (("100:800", 606, False), ("100:400", 400, True)):
        command = ["prlimit", f"--nofile={limits}", sys.executable, "-m", "gateway"]
        with Served(installation.config_file, command=command).ready() as gateway:
            assert descriptors(gateway.pid) == [taken, int(limits.partition(":")[2])]
            assert any("lets the gateway hold" in line for line in gateway.lines) == complains


def test_the_default_ceiling_is_no_reason_to_complain(installation: Any) -> None:
    """Whoever has set no limit does not miss the last hundred of 20,000 places; with room for a few only he is told."""
    for hard, complains in (("20000", False), ("1000", True)):
        command = ["prlimit", f"--nofile=100:{hard}", sys.executable, "-m", "gateway"]
        with Served(installation.config_file, command=command).ready() as gateway:
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0
        assert any("lets the gateway hold" in line for line in gateway.lines) == complains
        assert gateway.lines[-1].endswith("stopped")


@pytest.mark.case(39)
def test_a_client_that_falls_silent_is_put_out_and_its_will_is_heard(installation: Any, serve: Any, keep: Any) -> None:
    installation.configure(lambda settings: settings["dockgate"]["limits"].update(keepalive_max_s=2))
    town: Town = settle(installation, serve, "dock-a", "service-a")
    service = keep(town.login("service-a", keepalive=2))
    service.subscribe(EVENTS)
    began = time.monotonic()
    silent = {
        name: keep(town.login("dock-a", client_id=name, version=version, keepalive=keepalive, will=Will(EVENTS, name.encode())))
        for name, version, keepalive in (("one", 4, 1), ("one of 5", 5, 1), ("none", 4, 0), ("too many", 5, 65_535))
    }  # fmt: skip
    alive = keep(town.login("dock-a", client_id="alive", keepalive=1, will=Will(EVENTS, b"alive")))
    ended: dict[str, float] = {}
    while len(ended) < len(silent):
        assert time.monotonic() - began < 8, ended
        alive.ping()
        service.ping()
        while service.inbox:
            ended[service.inbox.popleft().payload.decode()] = time.monotonic() - began
        silent[next(name for name in silent if name not in ended or len(ended) == len(silent))].wait_closed(0.05)
    assert ended.keys() == silent.keys()
    for name, keepalive in (("one", 1), ("one of 5", 1), ("none", 2), ("too many", 2)):
        assert 1.5 * keepalive - 0.5 < ended[name] < 1.5 * keepalive + 2
        assert silent[name].wait_closed(1)
    assert silent["one of 5"].goodbye == 0x8D  # keep alive timeout (MQTT 5, 3.14.2.1)
