"""Host names and addresses as certificates carry them: text in, alternative names out; and which this machine has.

The machine is asked, never the network: a name server may be absent, slow or wrong on a site without internet.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import re
import socket
import struct
from pathlib import Path

from cryptography import x509

from gateway.errors import UsageError

# RFC 5280 4.2.1.6 with RFC 1123 2.1; underscores as resolvers accept them.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_MAX_NAME = 253
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_SIOCGIFCONF = 0x8912  # netdevice(7): every IPv4 address of every interface
_IFREQ_BYTES = 16 + (24 if struct.calcsize("P") == 8 else 16)
_MAX_INTERFACE_ADDRESSES = 512
_IF_INET6 = Path("/proc/net/if_inet6")
_SCOPE_GLOBAL = 0x00
_TEMPORARY, _DEPRECATED, _TENTATIVE = (
    0x01,
    0x20,
    0x40,
)  # linux/if_addr.h; such an address is gone before the certificate


def alternative_name(host: str) -> x509.GeneralName:
    """An IP address or a DNS name as a subject alternative name. UsageError when it is neither."""
    text = host.strip().removeprefix("[").removesuffix("]")
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    name = text.removesuffix(".").lower()
    if not name.isascii():
        raise UsageError(f"{host!r}: write a name with other than ASCII letters in its xn-- form")
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(map(_LABEL.match, labels)) or labels[-1].isdigit():
        raise UsageError(f"{host!r} is neither a host name nor an IP address")
    return x509.DNSName(name)


def alternative_names(hosts: list[str] | tuple[str, ...]) -> list[x509.GeneralName]:
    """Each once, in the order given. UsageError: none, or one that is no name."""
    names = list(dict.fromkeys(alternative_name(host) for host in hosts))
    if not names:
        raise UsageError("a certificate needs at least one host name or address")
    return names


def text_of(name: x509.GeneralName) -> str:
    return str(name.value) if isinstance(name, x509.DNSName | x509.IPAddress) else f"{type(name).__name__}:{name.value}"


def covers(sans: tuple[str, ...], host: str) -> bool:
    """Would a client that asks for ``host`` accept these names (RFC 6125 6.4: ``*`` stands for one first label)."""
    wanted = text_of(alternative_name(host))
    if wanted in {san.lower() for san in sans}:
        return True
    if isinstance(alternative_name(host), x509.IPAddress):
        return False
    first, _, rest = wanted.partition(".")
    return bool(first and "." in rest) and f"*.{rest}" in {san.lower() for san in sans}


def local_names() -> tuple[str, ...]:
    """``localhost``, the loopback addresses, this machine's host name and the addresses of its interfaces."""
    found = [*LOOPBACK_NAMES, socket.gethostname(), *_ipv4_addresses(), *_ipv6_addresses()]
    usable: dict[str, None] = {}
    for name in found:
        try:
            usable[text_of(alternative_name(name))] = None
        except UsageError:
            continue  # a host name such as "my machine" cannot stand in a certificate
    return tuple(usable)


def _ipv4_addresses() -> list[str]:
    buffer = array.array("B", bytes(_MAX_INTERFACE_ADDRESSES * _IFREQ_BYTES))
    address, size = buffer.buffer_info()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFCONF, struct.pack("iL", size, address))
    except OSError:
        return []
    used = struct.unpack("iL", answer)[0]
    raw = buffer.tobytes()[:used]
    found = [socket.inet_ntoa(raw[start + 20 : start + 24]) for start in range(0, used, _IFREQ_BYTES)]
    return [text for text in found if not ipaddress.IPv4Address(text).is_link_local]


def _ipv6_addresses() -> list[str]:
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:  # address, index, prefix length, scope, flags, interface: all but the last in hexadecimal
        digits, _, _, scope, flags, _ = line.split()
        if int(scope, 16) == _SCOPE_GLOBAL and not int(flags, 16) & (_TEMPORARY | _DEPRECATED | _TENTATIVE):
            found.append(str(ipaddress.IPv6Address(bytes.fromhex(digits))))
    return found
