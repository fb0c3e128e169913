"""The kinds of value that options share. In: what YAML or an environment variable holds. Out: a checked value.

What cannot be used is a ``ValueError`` whose text is for the operator. Opens nothing and looks nothing up.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo

# RFC 1123 2.1 and RFC 952; underscores are common in private zones and container names, and resolvers accept them.
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?\Z")
_BIND_SHAPE = 'must be ADDRESS:PORT, for example 0.0.0.0:8883 or "[::]:8883"'
_OFF = (None, False, "off", "none")  # YAML 1.1 reads a bare off as false


@dataclass(frozen=True, slots=True)
class Bind:
    """Where a listener listens. ``host`` is without brackets; ``port`` 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when nobody but this machine can reach it."""
        address = _ip(self.host)
        return self.host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback

    @property
    def is_wildcard(self) -> bool:
        """True when it takes every address of this machine."""
        address = _ip(self.host)
        return address is not None and address.is_unspecified


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_host(text: str) -> bool:
    """Is it an IP address (IPv6 without brackets) or a host name."""
    if re.fullmatch(r"[\d.]+", text):  # looks like IPv4: then it has to be one, 300.1.2.3 is no host name
        return isinstance(_ip(text), ipaddress.IPv4Address)
    return _ip(text) is not None or _HOST_NAME.match(text) is not None


def parse_bind(value: object) -> Bind:
    """``"A:P"`` -> Bind. ValueError with the shape it should have."""
    if isinstance(value, Bind):
        return value
    if not isinstance(value, str):
        raise ValueError(_BIND_SHAPE)  # noqa: TRY004  pydantic turns only ValueError into a problem of the option
    host, colon, port_text = value.strip().rpartition(":")
    if not colon or not host:
        raise ValueError(_BIND_SHAPE)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not isinstance(_ip(host), ipaddress.IPv6Address):
            raise ValueError("what stands in [brackets] must be an IPv6 address")
    elif ":" in host:
        raise ValueError('an IPv6 address needs brackets and quotes: "[::]:8883"')
    elif host == "*":
        raise ValueError('every address is written 0.0.0.0:PORT (IPv4) or "[::]:PORT" (IPv6)')
    elif not is_host(host):
        raise ValueError(f"{_BIND_SHAPE}; the address is neither an IP address nor a host name")
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or int(port_text) > 65535:
        raise ValueError(f"{_BIND_SHAPE}; the port is a number from 0 to 65535")
    return Bind(host, int(port_text))


def _bind_or_off(value: object) -> Bind | None:
    return None if value in _OFF else parse_bind(value)


def _no_bool(value: object) -> object:
    # pydantic would read true as 1
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  see above
    return value


def _host(value: str) -> str:
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not is_host(bare):
        raise ValueError("must be an IP address or a host name, without scheme and port")
    return bare


def _resolve(value: Path, info: ValidationInfo) -> Path:
    if not value.parts:
        raise ValueError("must not be empty")
    base: Path = (info.context or {}).get("base", Path())
    return base / value.expanduser()


def _network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(str(value).strip(), strict=False)
    except ValueError:
        raise ValueError("must be an IP address or a network such as 192.0.2.0/24") from None


def _listed(value: object) -> object:
    # an environment variable has one text for all of them
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network), PlainSerializer(str)]
Number = Annotated[int, BeforeValidator(_no_bool)]
Seconds = Annotated[float, BeforeValidator(_no_bool)]
BindAddress = Annotated[Bind, BeforeValidator(parse_bind), PlainSerializer(str)]
BindAddressOrOff = Annotated[
    Bind | None, BeforeValidator(_bind_or_off), PlainSerializer(lambda bind: str(bind or "off"))
]
HostName = Annotated[str, AfterValidator(_host)]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_listed)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_listed)]
# Relative paths count from the directory of the configuration file: a service's working directory does not matter.
FilePath = Annotated[Path, AfterValidator(_resolve)]
