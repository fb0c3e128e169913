"""The life of the process: build, open, say ready, obey signals, close in reverse. Exit codes as for every command.

SIGTERM and SIGINT end it cleanly; SIGHUP reads certificates and the database's accounts again.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING, Any

import uvloop

from gateway import logs, pki, renewal
from gateway.broker.broker import GatewayBroker
from gateway.broker.tls import server_context
from gateway.config import Config, Problem, differences, load
from gateway.errors import ConfigError, DockgateError
from gateway.operations.configuration import problems_of
from gateway.runtime import Runtime
from gateway.store.exclusive import served

if TYPE_CHECKING:
    from gateway.web.server import Admin

_log = logging.getLogger(__name__)

# Descriptors besides those of the connections that may be there: database, log, signals, listeners.
_OWN_DESCRIPTORS = 256
_NOTIFY_S = 0.1
# Fewer than a large site has docks, with their platforms.
_FEW_CONNECTIONS = 2_000
# How often memory that is free goes back to the system.
_TRIM_S = 60.0


def run(config: Config) -> int:
    """Serve until a signal says stop; returns the exit code. Raises DockgateError when it can't start."""
    logs.configure(config.dockgate.log.level, config.dockgate.log.format)
    _take_descriptors(config)
    if not config.dockgate.database.exists():
        return uvloop.run(_serve(config))  # says so
    with served(config.dockgate.database):
        return uvloop.run(_serve(config))


def _take_descriptors(config: Config) -> None:
    """Each connection takes a descriptor, and the usual soft limit is 1,024. Who finds none waits in the kernel's queue."""
    limits = config.dockgate.limits
    wanted = limits.connections + limits.pending_connections + _OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    room = most - _OWN_DESCRIPTORS
    # The default of limits.connections is a ceiling that few sites come near: falling short of it is no news
    is_meant = config.source_of("limits.connections") != "default"
    if room < limits.connections and (is_meant or room < _FEW_CONNECTIONS):
        _log.warning(
            "this machine lets the gateway hold %d connections, and limits.connections is %d (ulimit -n, LimitNOFILE=)",
            room,
            limits.connections,
        )


async def _serve(config: Config) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_LoopErrors(loop))
    stop = asyncio.Event()
    await asyncio.to_thread(_settle_certificates, config)
    runtime = await Runtime.build(config)
    try:
        broker = build_broker(config, runtime)
        admin = build_admin(config, runtime, broker)
        await broker.start()
        try:
            runtime.start()
            await runtime.presence.flush()  # who is told "ready" may ask `dockgate status` at once
            certificates = [
                listener.certfile for listener in config.listeners.values() if listener.certfile is not None
            ]
            runtime.services.tasks.spawn(
                renewal.run(runtime.services, certificates, lambda: _read_certificates(broker, admin)),
                name="certificate renewal",
            )
            if admin is not None:
                admin.start()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(
                signal.SIGHUP, lambda: runtime.services.tasks.spawn(_reload(broker, runtime, admin), name="reload")
            )
            # What lives as long as the process is not looked at again by the collector.
            gc.collect()
            gc.freeze()
            # Connections are made of a few hundred objects each, and none is part of a cycle for long.
            gc.set_threshold(50_000, 20, 100)
            runtime.services.tasks.spawn(_give_memory_back(_TRIM_S), name="memory")
            notify("READY=1")
            if interval := watchdog_interval_s():
                runtime.services.tasks.spawn(_keep_watchdog_quiet(interval), name="watchdog")
            _log.info("ready")
            await stop.wait()
            notify("STOPPING=1")
            _log.info("stopping")
        finally:
            if admin is not None:
                await admin.close()
            await broker.shutdown()
    finally:
        await runtime.close()
    _log.info("stopped")
    return 0


def _settle_certificates(config: Config) -> None:
    """A kill between the two files of a pair must not keep the gateway from starting."""
    for directory in dict.fromkeys(one.certfile.parent for one in config.listeners.values() if one.certfile):
        try:
            if pki.settle(directory):
                _log.warning("the change of the server certificate that was interrupted is finished now")
        except DockgateError as error:  # what cannot be used is told where it is used
            _log.error("the server certificate: %s", error)


def build_broker(config: Config, runtime: Runtime) -> GatewayBroker:
    """Raises ConfigError when a plugin that the configuration names can't be loaded."""
    try:
        return GatewayBroker(config, runtime)
    except DockgateError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        told = ": ".join(text for text in dict.fromkeys((str(error), str(cause))) if text)
        raise ConfigError(f"plugins ({', '.join(config.plugins)}): {told}", hint="dockgate check") from error


def build_admin(config: Config, runtime: Runtime, broker: GatewayBroker) -> Admin | None:
    """None: it is off. Raises ConfigError: others could listen in, or its certificate can't be used."""
    if config.dockgate.admin.bind is None:
        return None
    from gateway.web.server import Admin  # noqa: PLC0415 - HTTP is loaded where it is spoken only

    return Admin(config, runtime, broker, check=lambda config, now: problems_of(config, now, check))


async def _read_certificates(broker: GatewayBroker, admin: Admin | None) -> None:
    await broker.listening.reload()
    if admin is not None:
        admin.reload()


async def _reload(broker: GatewayBroker, runtime: Runtime, admin: Admin | None) -> None:
    notify("RELOADING=1")
    _read_configuration(broker)
    await _read_certificates(broker, admin)
    await runtime.reload()
    notify("READY=1")


def _read_configuration(broker: GatewayBroker) -> None:
    """Take over what can change while docks are connected, and say what can't; an unusable file changes nothing."""
    old = broker.settings
    try:
        new = load(old.path, os.environ)
    except ConfigError as error:
        _log.error("reload: the configuration can't be used, the old one stays in use: %s", error)
        return
    live, restart = differences(old, new)
    if live:
        logs.configure(new.dockgate.log.level, new.dockgate.log.format)
        broker.listening.configure(new.listeners)
        _log.info("reload: options taken over", extra={logs.OPTION: ", ".join(live)})
    if restart:
        _log.warning("reload: options that need a restart", extra={logs.OPTION: ", ".join(restart)})


def check(config: Config) -> list[Problem]:
    """Build everything that the configuration names, and start nothing."""
    problems = []
    for name, listener in config.listeners.items():
        if listener.ssl:
            try:
                server_context(name, listener)
            except ConfigError as error:
                problems.append(Problem(f"listeners.{name}", str(error), error.hint or ""))
    try:
        problems += asyncio.run(_build_and_drop(config))
    except DockgateError as error:
        problems.append(Problem("dockgate", str(error), error.hint or ""))
    return problems


async def _build_and_drop(config: Config) -> list[Problem]:
    runtime = await Runtime.build(config, read_only=True)
    try:
        broker = build_broker(config, runtime)
        try:
            admin = build_admin(config, runtime, broker)
        except ConfigError as error:
            return [Problem("admin", str(error), error.hint or "")]
        if admin is not None:
            await admin.close()
        return []
    finally:
        await runtime.close()


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); nothing happens when nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(_NOTIFY_S)  # docks must not wait for a systemd that does not read
            channel.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("systemd could not be told %s: %s", message, error)


def watchdog_interval_s() -> float | None:
    """How often systemd wants to hear of this process (sd_watchdog_enabled(3)); None: not at all."""
    wanted, of = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not wanted.isdecimal() or int(wanted) == 0 or of not in {None, "", str(os.getpid())}:
        return None
    return int(wanted) / 1_000_000 / 2  # half of the time, as its manual recommends


async def _keep_watchdog_quiet(interval_s: float) -> None:
    # From the event loop that serves the docks: when that hangs, nothing is said, and the process is started anew
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)


async def _give_memory_back(interval_s: float) -> None:
    """The C library keeps what was freed in between what is used, and a storm over TLS frees some 250 kB for each connection: a
    gateway that has gone through it would hold most of that for good (malloc_trim(3), which only glibc has).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(interval_s)
        await asyncio.to_thread(trim, 0)  # it takes milliseconds for each 100 MB


class _LoopErrors:
    """What reaches the event loop unhandled: strangers' TLS mistakes in one line, everything else in full."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._limited = logs.RateLimited(_log, interval_s=60, clock=loop.time)

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):  # ssl.SSLError is one: a handshake that failed, a peer that reset
            self._limited.warning("tls", f"a connection failed before MQTT began: {error}")
            return
        _log.error("unhandled: %s", context.get("message"), exc_info=error)
