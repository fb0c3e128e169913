"""dockgate with its console open in a browser: the page of the docks, with its events, fetched anew as the page's script does.

The browser is a thread of the generator's; its cost is not counted, what the gateway does for it is.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path

import yaml

from .base import HOST, ROOT, Seeds, environment
from .dockgate import Dockgate

# As gateway/web/console/static/console.js: after an event, and every so often
_SOON_S, _AGAIN_S, _EVERY_S = 0.35, 0.6, 10.0
_TIMEOUT_S = 30.0


class WatchedDockgate(Dockgate):
    def __init__(self, name: str, seeds: Seeds) -> None:
        super().__init__(name, seeds)
        self._is_over = threading.Event()
        self._happened = threading.Event()
        self._threads: list[threading.Thread] = []
        self._streams: list[http.client.HTTPConnection] = []

    def start(self) -> None:
        super().start()
        file = self.folder / "dockgate" / "broker.yaml"
        bind = yaml.safe_load(file.read_text(encoding="utf-8"))["dockgate"]["admin"]["bind"]
        cookie = self._log_in(int(bind.rpartition(":")[2]), _operator(file))
        self._threads = [
            threading.Thread(target=self._listen, args=cookie, daemon=True),
            threading.Thread(target=self._look, args=cookie, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._happened.set()
        for stream in self._streams:
            if stream.sock is not None:
                stream.sock.close()
        super().stop()
        for thread in self._threads:
            thread.join(_TIMEOUT_S)

    def _log_in(self, port: int, password: str) -> tuple[int, str]:
        link = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
        body = json.dumps({"operator": "bench", "password": password})
        link.request("POST", "/login", body, {"Content-Type": "application/json"})
        answer = link.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the console's login answers {answer.status}")
        return port, answer.headers["Set-Cookie"].partition(";")[0]

    def _listen(self, port: int, cookie: str) -> None:
        stream = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
        self._streams.append(stream)
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            stream.request("GET", "/api/v1/events", headers={"Cookie": cookie})
            answer = stream.getresponse()
            while line := answer.readline():
                if line.startswith(b"data:"):
                    self._happened.set()

    def _look(self, port: int, cookie: str) -> None:
        link = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
        while not self._is_over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                link.request("GET", "/", headers={"Cookie": cookie, "X-Fragment": "1"})
                link.getresponse().read()
            self._is_over.wait(_AGAIN_S)
            if self._happened.wait(_EVERY_S - _AGAIN_S):
                self._is_over.wait(_SOON_S)
                self._happened.clear()


def _operator(config: Path) -> str:
    """A new operator's password."""
    command = [sys.executable, "-m", "gateway", "--config", config, "-o", "json", "operator", "add", "bench"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, check=True)
    return str(json.loads(done.stdout)["password"])
