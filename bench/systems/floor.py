"""The floor: a bare asyncio Protocol on uvloop that looks nothing up and answers constants. What Python could reach at best."""

from __future__ import annotations

from .base import System


class Floor(System):
    def start(self) -> None:
        self.python("floor", "floor.py", str(self.port), str(self.tls_port), self.seeds.certificate, self.seeds.key)
