"""Is an address free to listen on: a bind comes in, why not goes out. Opens it for a moment and closes it again."""

from __future__ import annotations

import errno
import socket
from enum import StrEnum

from gateway.config import Bind


class Trouble(StrEnum):
    TAKEN = "another program listens there"
    NOT_HERE = "this machine has no such address"
    NOT_ALLOWED = "only root may listen on a port below 1024"
    OTHER = "it cannot be listened on"


_BY_NUMBER = {
    errno.EADDRINUSE: Trouble.TAKEN,
    errno.EADDRNOTAVAIL: Trouble.NOT_HERE,
    errno.EACCES: Trouble.NOT_ALLOWED,
}


def trouble_with(bind: Bind) -> Trouble | None:
    """None: it is free, as far as can be told without serving. Port 0 is always free."""
    if bind.port == 0:
        return None
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    both = bind.host == "::" and socket.has_dualstack_ipv6()
    try:
        socket.create_server((bind.host, bind.port), family=family, dualstack_ipv6=both).close()
    except socket.gaierror:
        return Trouble.NOT_HERE
    except OSError as error:
        return _BY_NUMBER.get(error.errno or 0, Trouble.OTHER)
    return None
