"""The zoo under a name that broker.yaml can give, and gateways with other plugins or another broker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig

from gateway.config import Config
from gateway.runtime import Runtime
from tests.conftest import Gateway, Installation
from tests.integration.lasting import CopiedInstallation, LastingInstallation

from . import zoo

OURS = (
    "broker_plugins.auth.AccountAuthPlugin",
    "broker_plugins.acl.TopicRulesPlugin",
    "broker_plugins.requests.DockRequestsPlugin",
    "broker_plugins.presence.PresencePlugin",
)


class StockBroker(Broker):
    """What a stranger would write to run our plugins: amqtt's broker, that carries our runtime."""

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self.runtime = runtime
        super().__init__(BrokerConfig.from_dict(config.amqtt()), loop=asyncio.get_running_loop())


class StockGateway(Gateway):
    """A gateway whose broker is amqtt's."""

    async def _serve(self, config: Config) -> None:
        self.loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._stop = lambda: (self.loop.call_soon_threadsafe(stop.set), None)[1]
        self.runtime = await Runtime.build(config)
        try:
            self.stock = StockBroker(config, self.runtime)
            await self.stock.start()
            try:
                self.runtime.start()
                self._ready.set()
                await stop.wait()
            finally:
                await self.stock.shutdown()
        finally:
            await self.runtime.close()

    def port(self, listener: str = "plain") -> int:
        server: Any = self.stock._servers[listener].instance
        return int(server.sockets[0].getsockname()[1])


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> LastingInstallation:
    return LastingInstallation(tmp_path_factory.mktemp("bare") / "dockgate")


@pytest.fixture
def installation(bare: LastingInstallation, tmp_path: Path) -> Installation:
    """As the fixture of all tests, but copied."""
    return CopiedInstallation(bare, tmp_path / "dockgate")


@pytest.fixture(autouse=True)
def zoo_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """``zoo.Diary`` and the others can be named in broker.yaml."""
    monkeypatch.setitem(sys.modules, "zoo", zoo)
    zoo.forget()


@pytest.fixture
def with_plugins(installation: Installation) -> Callable[..., None]:
    """Name these plugins in broker.yaml instead of ours; a name or (name, options)."""

    def write(*plugins: str | tuple[str, dict[str, Any]]) -> None:
        named = dict((each, {}) if isinstance(each, str) else each for each in plugins)
        installation.configure(lambda settings: settings.update(plugins=named))

    return write


@pytest.fixture
def serve_stock() -> Iterator[Callable[[Installation], StockGateway]]:
    with ExitStack() as running:

        def start(installation: Installation) -> StockGateway:
            gateway = StockGateway(installation)
            gateway.start()
            running.callback(gateway.close)
            return gateway

        yield start
