"""``flight_areas_get`` and ``offline_map_get``: nothing comes in, "there are none" goes out (docs/protocol.md 4.2).

A dock that gets no answer waits about 40 seconds before each take-off (cases 16). Where a platform has such files, the
operator switches these answers off, and the requests are left to it.
"""

from __future__ import annotations

from gateway.methods.shapes import success
from gateway.model import Reply, Request
from gateway.services import Services


async def flight_areas_get(_request: Request, _services: Services) -> Reply:
    return success({"files": []})


async def offline_map_get(_request: Request, _services: Services) -> Reply:
    return success({"offline_map_enable": False, "files": []})
