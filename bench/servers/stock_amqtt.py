"""amqtt's own broker with the plugins, the database and the listeners of a dockgate configuration: FILE LOOP on the command line.

``runtime`` is all that it adds: the attribute in which the plugins look for the program around them.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import uvloop
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig

from gateway import logs
from gateway.config import Config, load
from gateway.runtime import Runtime


class StockBroker(Broker):
    def __init__(self, config: Config, runtime: Runtime) -> None:
        self.runtime = runtime
        super().__init__(BrokerConfig.from_dict(config.amqtt()), loop=asyncio.get_running_loop())


async def serve(config: Config) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runtime = await Runtime.build(config)
    broker = StockBroker(config, runtime)
    await broker.start()
    runtime.start()
    print("ready", flush=True)
    await stop.wait()
    await broker.shutdown()
    await runtime.close()


if __name__ == "__main__":
    wanted = load(Path(sys.argv[1]), {})
    # amqtt writes several lines for each connection; dockgate's own are kept, and amqtt's troubles
    logs.configure("warning", wanted.dockgate.log.format)
    (uvloop.run if sys.argv[2] == "uvloop" else asyncio.run)(serve(wanted))
