"""Where the gateway is and how to reach it; from TLS files to a context that verifies the server as a dock does. No
network.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. ``ca`` None = the system's authorities; ``certificate`` and ``key`` for servers that ask for one.

    ``is_expired``: the certificate is, as whoever names it has seen; not every server that hangs up for that says so.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_expired: bool = False

    @property
    def trusted(self) -> str:
        return "the system's authorities" if self.ca is None else f"the CA in {self.ca}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the gateway is. ``tls`` None = plain; ``protocol`` 4 = MQTT 3.1.1, 5 = MQTT 5."""

    host: str
    port: int
    tls: TlsFiles | None = None
    websocket: bool = False
    protocol: Literal[4, 5] = 4

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def manner(self) -> str:
        version = "MQTT 5" if self.protocol == 5 else "MQTT 3.1.1"
        return f"{version} over {'WebSocket' if self.websocket else 'TCP'}{' with TLS' if self.tls else ''}"


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Verifies the server and its name, as a dock does. Raises ConfigError for files that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot use the CA file {files.ca}: {error}", hint="--ca takes a PEM file") from error
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (OSError, ValueError) as error:
            hint = "--cert and --key take PEM files that belong together"
            raise ConfigError(f"cannot use the client certificate {files.certificate}: {error}", hint=hint) from error
    return context
