"""The systems that are measured, by name. Each is a file: how it is started, which processes it is, how it is stopped."""

from __future__ import annotations

from typing import Any, Final

from .aedes import Aedes
from .base import Seeds, System
from .dockgate import Dockgate
from .floor import Floor
from .mosquitto import Mosquitto
from .stock_amqtt import StockAmqtt
from .watched import WatchedDockgate

__all__ = ["DEFAULT", "SYSTEMS", "Seeds", "System", "make", "missing"]

SYSTEMS: Final[dict[str, tuple[type[System], dict[str, Any]]]] = {
    "dockgate": (Dockgate, {}),
    # each access has to write to the disk whose dock the account is, too
    "dockgate-untied": (Dockgate, {"ties": False}),
    # with the console open in a browser
    "dockgate-watched": (WatchedDockgate, {}),
    "amqtt": (StockAmqtt, {}),
    # a loop that amqtt itself does not choose
    "amqtt-uvloop": (StockAmqtt, {"loop": "uvloop"}),
    "mosquitto-paho": (Mosquitto, {"responder": "responder_paho.py"}),
    "mosquitto-aiomqtt": (Mosquitto, {"responder": "responder_aiomqtt.py"}),
    "aedes": (Aedes, {}),
    "floor": (Floor, {}),
}
DEFAULT: Final = ("dockgate", "amqtt", "mosquitto-paho", "mosquitto-aiomqtt", "aedes", "floor")


def make(name: str, seeds: Seeds) -> System:
    kind, options = SYSTEMS[name]
    return kind(name, seeds, **options)


def missing(name: str) -> str | None:
    """What has to be installed before it can be started, in words; None: nothing."""
    return SYSTEMS[name][0].missing()
