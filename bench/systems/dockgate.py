"""dockgate as it is installed: ``dockgate serve`` on what ``dockgate init`` made, nothing switched off."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import sys
import time
from pathlib import Path

import yaml

from .base import HOST, Seeds, System, free_port, tail

_START_S = 60.0
_LOOK_S = 0.2


class Dockgate(System):
    """``ties``: each account has its dock's SN from the start; else the first SUBSCRIBE has it written to the disk."""

    def __init__(self, name: str, seeds: Seeds, *, ties: bool = True) -> None:
        super().__init__(name, seeds)
        self._ties = ties

    def configuration(self) -> Path:
        """A copy of the installation that listens on our ports."""
        folder = self.folder / "dockgate"
        shutil.copytree(self.seeds.installation, folder)
        if not self._ties:
            with sqlite3.connect(folder / "dockgate.db") as db:
                db.execute("UPDATE account SET sn = NULL")
            db.close()
        file = folder / "broker.yaml"
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        settings["listeners"]["plain"]["bind"] = f"{HOST}:{self.port}"
        settings["listeners"]["tls"]["bind"] = f"{HOST}:{self.tls_port}"
        admin = settings["dockgate"].get("admin") or {}
        if admin.get("bind"):
            admin["bind"] = f"{HOST}:{free_port()}"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return file

    def start(self) -> None:
        # As systemd would, it is told when everything listens (sd_notify(3))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            address = self.folder / "notify"
            notify.bind(str(address))
            notify.settimeout(_LOOK_S)
            process = self.run(
                "dockgate",
                [sys.executable, "-m", "gateway", "--config", self.configuration(), "serve"],
                env={"NOTIFY_SOCKET": str(address)},
            )
            until = time.monotonic() + _START_S
            while process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(TimeoutError):
                    notify.recv(256)
                    return
        raise RuntimeError(f"dockgate does not start:\n{tail(self.log_of('dockgate'))}")
