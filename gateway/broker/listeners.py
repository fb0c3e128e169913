"""The doors: sockets and their TLS. Opening is all or nothing; a reload changes the TLS of new connections and no open one."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import logs
from gateway.config import Bind
from gateway.errors import ConfigError

from .connection import Connection
from .handshakes import Handshakes
from .tls import server_context
from .websocket import WebSocketConnection

if TYPE_CHECKING:
    from gateway.config import Config, ListenerSettings

    from .broker import GatewayBroker

_log = logging.getLogger(__name__)

# 5,000 docks come back at once after a power cut; the kernel caps this at net.core.somaxconn.
_BACKLOG = 4096


@dataclass(slots=True)
class _Door:
    name: str
    settings: ListenerSettings
    socket: socket.socket
    server: Handshakes

    @property
    def address(self) -> tuple[str, int]:
        name = self.socket.getsockname()
        return str(name[0]), int(name[1])


class Listeners:
    def __init__(self, broker: GatewayBroker, config: Config) -> None:
        self._broker = broker
        self._settings = dict(config.listeners)
        self._connect_timeout_s = config.dockgate.login.connect_timeout_s
        self._doors: dict[str, _Door] = {}

    def address(self, name: str) -> tuple[str, int]:
        """Where listener ``name`` really listens; tells the port that the system chose for port 0."""
        return self._doors[name].address

    async def open(self) -> None:
        """Raises ConfigError (an address that can't be had, a certificate that can't be used) with everything closed again."""
        try:
            for name, settings in self._settings.items():
                self._doors[name] = self._open_one(name, settings)
        except BaseException:
            await self.close()
            raise

    def _open_one(self, name: str, settings: ListenerSettings) -> _Door:
        bound = _listen(name, settings.bind)
        try:
            server = self._serve(name, settings, bound)
        except BaseException:
            bound.close()
            raise
        door = _Door(name, settings, bound, server)
        host, port = door.address
        _log.info(
            "listening",
            extra={logs.LISTENER: name, logs.ADDRESS: f"{host}:{port}", "tls": settings.ssl, "type": settings.type},
        )
        return door

    def _serve(self, name: str, settings: ListenerSettings, bound: socket.socket) -> Handshakes:
        kind = WebSocketConnection if settings.type == "ws" else Connection
        return Handshakes(
            self._broker,
            name,
            bound,
            server_context(name, settings) if settings.ssl else None,
            lambda origin: kind(self._broker, name, origin),
            timeout_s=self._connect_timeout_s,
            proxies=settings.trusted_proxies,
        )

    def configure(self, settings: Mapping[str, ListenerSettings]) -> None:
        """Use the TLS files that these name from the next ``reload`` on; where a listener listens does not change."""
        for name, door in self._doors.items():
            wanted = settings.get(name)
            if wanted is not None and wanted.ssl and door.settings.ssl:
                door.settings = wanted

    async def reload(self) -> list[str]:
        """Read certificates, keys, CAs and revocation lists again. Returns what went wrong; there the old ones stay in use."""
        problems = []
        for door in self._doors.values():
            if not door.settings.ssl:
                continue
            try:
                door.server.context = server_context(door.name, door.settings)
            except ConfigError as error:
                problems.append(str(error))
                _log.error("reload: the old certificate stays in use: %s", error)
                continue
            _log.info("reload: new connections use the files as they are now", extra={logs.LISTENER: door.name})
        return problems

    async def close(self) -> None:
        for door in self._doors.values():
            door.server.close()
            door.socket.close()
        self._doors.clear()


def _listen(name: str, bind: Bind) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    # "::" takes IPv4 too, where the system has both
    both = bind.host == "::" and socket.has_dualstack_ipv6()
    try:
        bound = socket.create_server((bind.host, bind.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise ConfigError(
            f"listener {name}: can't listen on {bind.host} port {bind.port}: {error.strerror or error}",
            hint=f"free the port, or change listeners.{name}.bind",
        ) from error
    bound.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return bound
