"""What is measured, and how much of it: the scenarios by name, in three sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

SCENARIOS: Final = ("accesses", "latency", "reconnect", "telemetry", "scale")
SIZES: Final = ("full", "quick", "tiny")


@dataclass(frozen=True, slots=True)
class Plan:
    """One measurement: a scenario of the generator with its options. ``connections``: its place on the scale, if it has one."""

    name: str
    scenario: str
    options: dict[str, Any]
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """``docks``: accounts. ``limit_s``: until when all docks have to be connected. ``scale``: connections of its points."""

    docks: int
    runs: int
    limit_s: float
    seconds: float
    warm_up: int
    at_once: int
    many: int
    crowd: int
    rounds: int
    asks_per_s: float
    settle_s: float
    warm_s: float
    scale: tuple[int, ...]


# full: what README quotes. quick: to see whether something has changed. tiny: whether it runs at all; says nothing about speed.
_SIZES: Final = {
    "full": Size(
        docks=20_000, runs=3, limit_s=120, seconds=8, warm_up=200, at_once=50, many=1_000, crowd=5_000, rounds=500,
        asks_per_s=200, settle_s=3, warm_s=2, scale=(100, 1_000, 5_000),
    ),
    "quick": Size(
        docks=6_000, runs=1, limit_s=30, seconds=2, warm_up=50, at_once=50, many=300, crowd=500, rounds=100,
        asks_per_s=200, settle_s=1, warm_s=1, scale=(50, 200, 500),
    ),
    "tiny": Size(
        docks=60, runs=1, limit_s=20, seconds=0.3, warm_up=2, at_once=4, many=8, crowd=12, rounds=3,
        asks_per_s=40, settle_s=0.1, warm_s=0.2, scale=(4, 8),
    ),
}  # fmt: skip

# Messages a second of one dock (docs/protocol.md 5.3), and requests a second beside them: of all docks together
PER_DOCK = 2
_ASKS_PER_S = 50
_BYTES = 1_024


def size_of(name: str) -> Size:
    return _SIZES[name]


def plans(scenario: str, size: Size) -> list[Plan]:
    match scenario:
        case "accesses":
            return [_accesses(size, tls=False), _accesses(size, tls=True)]
        case "latency":
            return [_latency(size, size.many)]
        case "reconnect":
            return [_reconnect(size, size.crowd)]
        case "telemetry":
            return [_telemetry(size, size.many)]
        case _:
            return [plan for count in size.scale for plan in _scaled(size, count)]


def _accesses(size: Size, *, tls: bool) -> Plan:
    options = {"tls": tls, "seconds": size.seconds, "at_once": size.at_once, "warm_up": size.warm_up}
    return Plan("accesses-tls" if tls else "accesses-plain", "accesses", options)


def _latency(size: Size, docks: int) -> Plan:
    options = {
        "docks": docks,
        "rounds": size.rounds,
        "per_s": size.asks_per_s,
        "seconds": size.seconds,
        "at_once": size.at_once,
    }
    return Plan("latency", "latency", options)


def _reconnect(size: Size, docks: int) -> Plan:
    return Plan("reconnect", "reconnect", {"docks": docks, "settle_s": size.settle_s})


def _telemetry(size: Size, docks: int) -> Plan:
    options = {
        "docks": docks,
        "per_s": docks * PER_DOCK,
        "size": _BYTES,
        "seconds": size.seconds,
        "asks_per_s": _ASKS_PER_S,
        "window": 2 * docks,
        "warm_s": size.warm_s,
    }
    return Plan("telemetry", "telemetry", options)


def _scaled(size: Size, count: int) -> list[Plan]:
    """The four with ``count`` connections, and otherwise the same load: what grows then, grows with the connections."""
    same = {"per_s": size.many * PER_DOCK, "window": 2 * size.many, "ceiling": False}
    made = [
        _accesses(size, tls=False),
        _latency(size, count),
        _reconnect(size, count),
        _telemetry(size, count),
    ]
    made[0].options["connected"] = count
    made[3].options.update(same)
    return [Plan(f"scale-{plan.name}", plan.scenario, plan.options, count) for plan in made]
