"""TLS contexts for listeners, built from files; a context that can't be built leaves the one in use where it is.

Only TLS 1.2 and 1.3. What a client must show is the listener's ``client_auth``.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config import ListenerSettings

# TLS 1.2 suites with forward secrecy and AEAD only (RFC 9325, 4.2); those of 1.3 are all of that kind.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def server_context(name: str, settings: ListenerSettings) -> ssl.SSLContext:
    """Raises ConfigError that names the listener and the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # A dock that has lost power has lost its session too, and each ticket costs a write to every other one.
    context.num_tickets = 0
    context.verify_mode = _VERIFY[settings.client_auth]
    if settings.certfile is None or settings.keyfile is None:
        raise ConfigError(f"listener {name}: ssl needs certfile and keyfile")
    try:
        context.load_cert_chain(settings.certfile, settings.keyfile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"listener {name}: certificate {settings.certfile} with key {settings.keyfile} can't be used: {_why(error)}",
            hint="dockgate check",
        ) from error
    for purpose, file in (("client CA", settings.cafile), ("revocation list", settings.crlfile)):
        if file is None:
            continue
        try:
            context.load_verify_locations(file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"listener {name}: {purpose} {file} can't be used: {_why(error)}", hint="dockgate check"
            ) from error
    if settings.crlfile is not None:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _why(error: OSError | ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)
