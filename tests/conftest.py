"""A real gateway for tests: configuration and database of ``dockgate init``, real listeners on ports of the system's choice."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
import yaml

from gateway import cli
from gateway.broker.broker import GatewayBroker
from gateway.config import Config, load
from gateway.runtime import Runtime
from gateway.serve import build_admin, build_broker

T = TypeVar("T")

LICENSE = {
    "app_id": "123456",
    "app_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "app_license": "bGljZW5zZS1mb3ItdGVzdHM==",
    "ntp_server_host": "192.0.2.10",
    "ntp_server_port": 123,
}


@dataclass(frozen=True)
class Login:
    account: str
    password: str = field(repr=False)


class Installation:
    """A directory made by ``dockgate init``, and the operator's commands on it."""

    def __init__(self, folder: Path, capture: Callable[[], Any]) -> None:
        self.folder = folder
        self.config_file = folder / "broker.yaml"
        self._capture = capture
        self.first = self._run("init", "--dir", str(folder), "--no-input", "--host", "localhost", "--host", "127.0.0.1",
                               "--tls-bind", "127.0.0.1:0", "--plain-bind", "127.0.0.1:0", "--admin-bind", "off",
                               alone=True)  # fmt: skip

    def _run(self, *words: str, alone: bool = False) -> Any:
        before = [] if alone else ["--config", str(self.config_file)]
        self._capture()
        code = cli.main([*before, "-o", "json", *words])
        out, err = self._capture()
        assert code == 0, f"dockgate {' '.join(words)}: exit {code}: {err}"
        return json.loads(out) if out.strip() else None

    def dockgate(self, *words: str) -> Any:
        """Run a command in this process; returns its JSON. A non-zero exit fails the test."""
        return self._run(*words)

    @property
    def organization_id(self) -> str:
        return str(self.first["organization"]["id"])

    @property
    def binding_code(self) -> str:
        return str(self.first["organization"]["binding_code"])

    @property
    def ca(self) -> Path:
        return self.folder / "certs" / "ca.pem"

    def account(self, name: str, role: str = "dock", *options: str) -> Login:
        made = self.dockgate("account", "add", name, "--role", role, *options)
        return Login(name, made["password"])

    def license(self, **changes: Any) -> None:
        file = self.folder / "license.json"
        file.write_text(json.dumps({**LICENSE, **changes}))
        self.dockgate("license", "set", "--file", str(file))

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit broker.yaml as an operator would."""
        settings = yaml.safe_load(self.config_file.read_text())
        for section, value in list(settings.get("dockgate", {}).items()):
            if value is None:
                settings["dockgate"][section] = {}
        change(settings)
        self.config_file.write_text(yaml.safe_dump(settings))


class Gateway:
    """A served installation, in a thread of its own with an event loop of its own."""

    host = "127.0.0.1"

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stop: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self.loop: asyncio.AbstractEventLoop
        self.broker: GatewayBroker
        self.admin: Any
        self.runtime: Runtime

    def _run(self) -> None:
        try:
            uvloop.run(self._serve(load(self.installation.config_file, {})))
        except BaseException as error:  # noqa: BLE001 - handed to the test that waits
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self, config: Config) -> None:
        self.loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._stop = lambda: self.loop.call_soon_threadsafe(stop.set)
        self.runtime = await Runtime.build(config)
        try:
            self.broker = build_broker(config, self.runtime)
            self.admin = build_admin(config, self.runtime, self.broker)
            await self.broker.start()
            try:
                self.runtime.start()
                if self.admin is not None:
                    self.admin.start()
                self._ready.set()
                await stop.wait()
            finally:
                if self.admin is not None:
                    await self.admin.close()
                await self.broker.shutdown()
        finally:
            await self.runtime.close()

    def start(self) -> Gateway:
        self._thread.start()
        assert self._ready.wait(30), "the gateway did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def close(self) -> None:
        self._stop()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the gateway did not stop"
        if self._failure is not None:
            raise self._failure

    def port(self, listener: str = "plain") -> int:
        return self.broker.listening.address(listener)[1]

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def ask(self, question: Callable[[], T]) -> T:
        """Evaluate something on the gateway's loop."""

        async def answer() -> T:
            return question()

        return self.call(answer())


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a test or the code it runs makes of the process's logging ends with the test."""
    root = logging.getLogger()
    level, handlers, disabled = root.level, list(root.handlers), logging.root.manager.disable
    levels = {name: known.level for name, known in root.manager.loggerDict.items() if isinstance(known, logging.Logger)}
    yield
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.disable(disabled)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)


@pytest.fixture
def install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Installation]:
    """Make an installation; ``install("second")`` a further one."""

    def make(name: str = "dockgate") -> Installation:
        return Installation(tmp_path / name, capsys.readouterr)

    return make


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


@pytest.fixture
def serve() -> Iterator[Callable[[Installation], Gateway]]:
    """Serve an installation until the end of the test."""
    with ExitStack() as running:

        def start(installation: Installation) -> Gateway:
            gateway = Gateway(installation).start()
            running.callback(gateway.close)
            return gateway

        yield start


@pytest.fixture
def gateway(installation: Installation, serve: Callable[[Installation], Gateway]) -> Gateway:
    """A gateway with a license, one organization and its binding code, and no account but the one that ``init`` made."""
    installation.license()
    return serve(installation)
