"""What systemd asks for in the environment (sd_watchdog_enabled(3)), and how often it is told then."""

from __future__ import annotations

import os

import pytest

from gateway.serve import watchdog_interval_s


@pytest.mark.parametrize(
    ("wanted", "process", "interval"),
    [
        ("30000000", None, 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("-5", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_half_of_the_time_that_systemd_waits(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, process: str | None, interval: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", wanted), ("WATCHDOG_PID", str(os.getpid()) if process == "own" else process)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_interval_s() == interval
