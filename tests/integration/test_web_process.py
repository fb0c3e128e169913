"""The admin HTTP in the process that a service manager runs: there from the start, and gone at once when it is told to stop."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .process import Served, dockgate


@pytest.fixture
def served(installation: Any) -> Iterator[Served]:
    installation.configure(lambda settings: settings["dockgate"]["admin"].update(bind="127.0.0.1:0"))
    with Served(installation.config_file) as running:
        yield running.ready()


def test_signals_are_the_gateway_s(served: Served) -> None:
    """An open stream does not hold the end up, and SIGTERM ends with 0."""
    origin = f"http://127.0.0.1:{served.port('admin')}"
    token = dockgate(served.config, "token", "add", "ci", "--scope", "read")["token"]
    with httpx.Client(base_url=origin, headers={"Authorization": f"Bearer {token}"}, timeout=10) as client:
        assert client.get("/healthz").json() == {"ok": True}
        with client.stream("GET", "/api/v1/events") as response:
            lines = response.iter_lines()
            assert next(lines).startswith("retry:")
            served.signal(signal.SIGHUP)
            served.signal(signal.SIGTERM)
            with contextlib.suppress(httpx.RemoteProtocolError):
                assert not [line for line in lines if line.startswith("data:")]
    assert served.wait(10) == 0
    assert not any("rror" in line or "raceback" in line for line in served.lines), served.lines


def test_ctrl_c_ends_it_too(served: Served) -> None:
    served.signal(signal.SIGINT)
    assert served.wait(10) == 0
