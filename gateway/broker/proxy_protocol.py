"""The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): first bytes in, the client's address out.

Only for connections from a proxy that is trusted: everybody can write such a header. ``parse`` is sans-io; ``read_header``
takes the header off a socket, and not a byte of what follows.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_LONGEST = 107  # with its line end, section 2.1
_V2_HEAD = struct.Struct("!12sBBH")
# Address block and whatever else a proxy adds (TLVs); ours are read over, so a bound is all that matters.
_V2_LONGEST = _V2_HEAD.size + 2048

# Both addresses and ports of a family: unspecified, IPv4, IPv6, UNIX (section 2.2).
_ADDRESS_BYTES = {0: 0, 1: 12, 2: 36, 3: 216}
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")  # without zeros in front (section 2.1)

# The rest of a header that came in pieces: what is there already keeps the socket readable, so waiting means looking again.
_AGAIN_S = 0.01

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyError(Exception):
    """Not a PROXY header: the connection is to be closed (section 2)."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """``length`` bytes belong to it. ``address`` None: the proxy speaks for itself (LOCAL, UNKNOWN), the socket's holds."""

    length: int
    address: str | None = None
    port: int = 0


def parse(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of ``data``; None: more bytes are needed. ProxyError: it is none."""
    if data.startswith(b"PROXY "[: len(data)]):
        return _version_1(data)
    if data[:12] == _SIGNATURE[: len(data)]:
        return _version_2(data)
    raise ProxyError("the connection does not begin with a PROXY header")


async def read_header(client: socket.socket, peer: str, trusted: Sequence[Network]) -> tuple[str, int] | None:
    """The client's address and port; None when the proxy speaks for itself. ProxyError: not trusted, or no header."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not any(address.version == network.version and address in network for network in trusted):
        raise ProxyError("this listener takes connections of its trusted proxies only (trusted_proxies)")
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = client.recv(_V2_LONGEST, socket.MSG_PEEK)
        except BlockingIOError:
            data = b""
        else:
            if not data:
                raise ProxyError("the connection ended before its PROXY header")
        header = parse(data) if data else None
        if header is not None:
            await loop.sock_recv(client, header.length)
            return None if header.address is None else (header.address, header.port)
        await asyncio.sleep(_AGAIN_S)


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST:
            raise ProxyError("a PROXY line of more than 107 bytes")
        return None
    words = data[:end].split(b" ")
    if len(words) >= 2 and words[1] == b"UNKNOWN":
        return ProxyHeader(end + 2)
    if len(words) != 6 or words[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyError("a PROXY line that is not understood")
    family = ipaddress.IPv4Address if words[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        address, _ = (family(word.decode("ascii")) for word in words[2:4])
    except ValueError:
        raise ProxyError("a PROXY line with an address that is none, or of another family") from None
    if b"%" in words[2] or not all(_PORT.fullmatch(word) and int(word) <= 65_535 for word in words[4:]):
        raise ProxyError("a PROXY line with a port or a zone that none has")
    return ProxyHeader(end + 2, str(address), int(words[4]))


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, version_command, family, size = _V2_HEAD.unpack_from(data)
    length = _V2_HEAD.size + size
    if version_command >> 4 != 2 or version_command & 0x0F > 1:
        raise ProxyError("a PROXY header of an unknown version or command")
    if length > _V2_LONGEST:
        raise ProxyError(f"a PROXY header of {length} bytes")
    if len(data) < length:
        return None
    if version_command & 0x0F == 0:  # LOCAL: a health check of the proxy's own
        return ProxyHeader(length)
    if family >> 4 not in _ADDRESS_BYTES or family & 0x0F > 2:
        raise ProxyError(f"a PROXY header of the unknown family 0x{family:02x}")
    if size < _ADDRESS_BYTES[family >> 4]:
        raise ProxyError(f"a PROXY header of family 0x{family:02x} with {size} bytes, too few for its addresses")
    body = data[_V2_HEAD.size : length]
    if family == 0x11:
        return ProxyHeader(length, str(ipaddress.IPv4Address(body[:4])), int.from_bytes(body[8:10], "big"))
    if family == 0x21:
        return ProxyHeader(length, str(ipaddress.IPv6Address(body[:16])), int.from_bytes(body[32:34], "big"))
    return ProxyHeader(length)  # UNSPEC, UNIX, not TCP: the connection is to be taken as it is (section 2.2)
