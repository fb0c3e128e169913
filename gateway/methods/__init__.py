"""The table of what docks ask: the name of a method goes in, its handler comes out. What is not here is for a platform.

A handler gets a parsed request and the services, and returns the ``data`` of the reply or raises ``MethodError``. It
knows neither bytes nor topics nor the other handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from gateway.methods import bind_status, config, neutral, organization_bind, organization_get, update_topo
from gateway.methods.platform import PLATFORM_METHODS
from gateway.model import Reply, Request
from gateway.services import Services

Handler = Callable[[Request, Services], Coroutine[Any, Any, Reply]]

# On thing/product/{gateway_sn}/requests (docs/protocol.md 1 and 4.2)
METHODS: Mapping[str, Handler] = MappingProxyType(
    {
        "config": config.handle,
        "airport_bind_status": bind_status.handle,
        "airport_organization_get": organization_get.handle,
        "airport_organization_bind": organization_bind.handle,
        "flight_areas_get": neutral.flight_areas_get,
        "offline_map_get": neutral.offline_map_get,
    }
)

# Those of METHODS that an operator can switch off (neutral_answers); they are then left to a platform.
NEUTRAL_METHODS = frozenset({"flight_areas_get", "offline_map_get"})

# On sys/product/{gateway_sn}/status (docs/protocol.md 4.1)
STATUS_METHODS: Mapping[str, Handler] = MappingProxyType({"update_topo": update_topo.handle})

__all__ = ["METHODS", "NEUTRAL_METHODS", "PLATFORM_METHODS", "STATUS_METHODS", "Handler"]
