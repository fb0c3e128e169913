"""Renew the server certificate that this installation's own CA has issued, before it expires: looked at once a day.

In: the certificates in use, the CA's directory, the clock. Out: a new certificate in the same file, an audit entry, and a call to
whoever has to read it again. A certificate of another CA is left alone; `dockgate doctor` warns of that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from gateway import pki
from gateway.errors import DockgateError
from gateway.pki import CertificateInfo
from gateway.services import Services

_log = logging.getLogger(__name__)

EVERY_S = 24 * 60 * 60.0
# A tenth of its life: a gateway that stands still over a site's winter break finds it in time, and one that cannot write the
# file has been warning for a month.
BEFORE_DAYS = 40
ACTOR = "gateway"


async def run(
    services: Services,
    certfiles: Iterable[Path],
    reload: Callable[[], Awaitable[object]],
    *,
    every_s: float = EVERY_S,
) -> None:
    """Until cancelled: at the start, and once a day. ``certfiles``: those of the listeners."""
    directories = [*dict.fromkeys(file.parent for file in certfiles if file.name == "server.pem")]
    while True:
        for directory in directories:
            if await renew(services, directory):
                await reload()
        await asyncio.sleep(every_s)


async def renew(services: Services, directory: Path) -> bool:
    """Whether there is a new one. What hinders it is logged, once a day."""
    try:
        info = await asyncio.to_thread(_renew, directory, services.clock())
    except DockgateError as error:
        _log.error("the server certificate cannot be renewed: %s", error)
        return False
    if info is None:
        return False
    services.audit.record(
        actor=ACTOR,
        action="cert.renew",
        target=info.subject,
        outcome="ok",
        detail={"serial": info.serial, "sans": list(info.sans), "days": info.days_left},
    )
    _log.info("server certificate renewed", extra={"subject": info.subject, "days": info.days_left})
    return True


def _renew(directory: Path, now: int) -> CertificateInfo | None:
    certfile = pki.Layout(directory).server
    if not pki.is_ours(certfile) or pki.inspect(certfile, now=now).days_left >= BEFORE_DAYS:
        return None
    return pki.renew_server(directory, now=now)
