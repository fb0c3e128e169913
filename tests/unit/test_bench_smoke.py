"""The benchmarks run: a tiny round of each scenario against dockgate ends, with nothing refused or lost. Nothing about speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]


def bench(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "run.py", *words],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def measured(tmp_path: Path) -> Any:
    """Measure one scenario of dockgate; returns what was measured, by plan and connections, and what was printed."""

    def measure(scenario: str, *words: str | Path) -> tuple[dict[tuple[str, int | None], dict[str, Any]], str]:
        kept, work = tmp_path / "runs.json", tmp_path / "work"
        printed = bench(scenario, "--size", "tiny", "--systems", "dockgate", "--work", work, "--out", kept, *words)
        assert not work.exists()
        runs = json.loads(kept.read_text())["runs"]
        return {(run["plan"], run["connections"]): run["result"] for run in runs}, printed

    return measure


def check_accesses(result: dict[str, Any]) -> None:
    assert result["accesses"] > 0
    assert result["failed"] == 0
    assert result["idle_complete"]
    assert all(asked["count"] >= result["accesses"] for asked in result["requests"].values())


def check_latency(result: dict[str, Any]) -> None:
    assert result["complete"]
    for load in ("alone", "seldom", "together"):
        assert result[load]["all"]["count"] > 0
        assert (result[load]["wrong"], result[load]["lost"], result[load]["unanswered"]) == (0, 0, 0)


def check_reconnect(result: dict[str, Any]) -> None:
    assert result["not_let_in"] == 0
    assert result["join"]["connected"] == result["again"]["connected"] == result["docks"]
    assert (result["tls"]["version"], result["tls"]["resumed"]) == ("TLSv1.3", False)


def check_telemetry(result: dict[str, Any]) -> None:
    assert result["complete"]
    assert (result["docks_lost"], result["service_lost"]) == (0, False)
    for load in ("alone", "with_requests", "most"):
        if load in result:
            assert result[load]["lost"] == 0
            assert result[load]["messages_per_s"] > 0


def test_accesses(measured: Any) -> None:
    results, printed = measured("accesses")
    check_accesses(results["accesses-plain", None])
    check_accesses(results["accesses-tls", None])
    assert results["accesses-tls", None]["tls"]["resumed"] is False
    assert "| dockgate |" in printed


def test_latency(measured: Any) -> None:
    results, _ = measured("latency")
    check_latency(results["latency", None])


def test_reconnect(measured: Any) -> None:
    results, _ = measured("reconnect")
    check_reconnect(results["reconnect", None])


def test_telemetry(measured: Any) -> None:
    results, _ = measured("telemetry")
    check_telemetry(results["telemetry", None])


def test_scale_and_its_plot(measured: Any, tmp_path: Path) -> None:
    plot = tmp_path / "scale.svg"
    results, printed = measured("scale", "--plot", plot)
    checks = {
        "scale-accesses-plain": check_accesses,
        "scale-latency": check_latency,
        "scale-reconnect": check_reconnect,
        "scale-telemetry": check_telemetry,
    }
    assert {plan for plan, _ in results} == checks.keys()
    assert len({connections for _, connections in results}) == 2
    for (plan, _), result in results.items():
        checks[plan](result)
    assert "slope" in printed
    assert ET.parse(plot).getroot().tag.endswith("svg")  # noqa: S314 - written a moment ago


def run_of(plan: str, system: str, number: int, **result: Any) -> dict[str, Any]:
    return {"plan": plan, "connections": None, "system": system, "run": number, "options": {}, "result": result}


def test_medians_ratios_and_targets_of_kept_runs(tmp_path: Path) -> None:
    speeds = {"dockgate": (900, 1900, 2000), "mosquitto-paho": (1000, 500, 1100), "amqtt": (100, 200, 300)}
    runs = [
        run_of("accesses-plain", system, number, accesses_per_s=speed)
        for system, each in speeds.items()
        for number, speed in enumerate(each, 1)
    ]
    broken = {"plan": "accesses-plain", "connections": None, "system": "aedes", "run": 1, "error": "no port"}
    kept = tmp_path / "runs.json"
    kept.write_text(json.dumps({"runs": [*runs, broken]}))
    printed = bench("--show", kept)
    assert "| dockgate | 1,900 (900 to 2,000) |" in printed
    assert "| 1.90 x | at least 1.7 x mosquitto-paho | met |" in printed
    assert "| 9.50 x | at least 10 x amqtt | **not met** |" in printed
    assert "- aedes, accesses-plain: no port" in printed
