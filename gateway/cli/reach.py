"""What docks can reach a machine by: its names and addresses come in, the same in the order of how likely they work go out. The
one place of ``init`` that asks name servers, and never for long: a site without them must not wait.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence

from gateway.operations.card import strangeness
from gateway.pki.names import LOOPBACK_NAMES

_RESOLVING_S = 2.0
_BARE_NAME = strangeness("machine")


def likeliest_first(names: Sequence[str]) -> list[str]:
    """As a card would choose (``operations.card``), but a full name that does not resolve, or only to this machine's loopback as
    some systems set it up, comes after the addresses.
    """
    return sorted(
        names, key=lambda name: _BARE_NAME if strangeness(name) == 0 and not _resolves(name) else strangeness(name)
    )


def offered(found: Sequence[str]) -> list[str]:
    """What a wizard offers of the names and addresses that this machine has."""
    return likeliest_first([name for name in found if name not in LOOPBACK_NAMES]) or ["localhost"]


def _resolves(name: str) -> bool:
    """To an address that others could use. The system's resolver knows no limit of time, so that a thread waits for it."""
    found: list[str] = []

    def ask() -> None:
        try:
            found.extend(str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            return

    asking = threading.Thread(target=ask, name="resolver", daemon=True)
    asking.start()
    asking.join(_RESOLVING_S)
    return any(not ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in tuple(found))
