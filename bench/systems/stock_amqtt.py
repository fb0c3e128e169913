"""amqtt as it comes, with dockgate's four plugins, installation and database: only sockets and sessions are amqtt's."""

from __future__ import annotations

from .base import Seeds
from .dockgate import Dockgate


class StockAmqtt(Dockgate):
    def __init__(self, name: str, seeds: Seeds, *, loop: str = "asyncio") -> None:
        super().__init__(name, seeds)
        self._loop = loop

    def start(self) -> None:
        self.python("amqtt", "stock_amqtt.py", self.configuration(), self._loop)
