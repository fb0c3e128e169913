"""aedes, an MQTT broker for Node.js, with logins, topic rules and the answers in its own process, from SQLite."""

from __future__ import annotations

import shutil

from .base import BENCH, System

_FOLDER = BENCH / "aedes"


class Aedes(System):
    @staticmethod
    def missing() -> str | None:
        if shutil.which("node") is None:
            return "Node.js, 20 or newer"
        return None if (_FOLDER / "node_modules" / "aedes").exists() else "aedes: npm ci --prefix bench/aedes"

    def start(self) -> None:
        self.run(
            "aedes",
            [
                "node",
                _FOLDER / "broker.js",
                str(self.port),
                str(self.tls_port),
                self.peers_database(),
                self.seeds.synchronous(),
                self.seeds.certificate,
                self.seeds.key,
            ],
            says_ready=True,
        )
