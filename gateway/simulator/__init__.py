"""A dock that speaks MQTT, for tests, the demo and by hand; a stranger to the gateway's code, so that no mistake agrees
with itself.

It builds its own topics and JSON, speaks through paho-mqtt, and of this program imports ``gateway.errors`` only.
"""

from __future__ import annotations

from gateway.simulator.client import Message
from gateway.simulator.device import SimulatedDock
from gateway.simulator.dock import run_dock
from gateway.simulator.fleet import FleetSummary, Percentiles, run_fleet
from gateway.simulator.misbehave import Misbehaviour
from gateway.simulator.models import (
    MODELS,
    AircraftModel,
    DockModel,
    DockProfile,
    Run,
    Step,
    dock_model,
    make_profile,
    number_profiles,
)
from gateway.simulator.target import Target, TlsFiles

__all__ = [
    "MODELS",
    "AircraftModel",
    "DockModel",
    "DockProfile",
    "FleetSummary",
    "Message",
    "Misbehaviour",
    "Percentiles",
    "Run",
    "SimulatedDock",
    "Step",
    "Target",
    "TlsFiles",
    "dock_model",
    "make_profile",
    "number_profiles",
    "run_dock",
    "run_fleet",
]
