"""The endpoints of the JSON API, one file for each subject: calls come in, ``gateway.operations`` is asked, its words go out."""

from __future__ import annotations

from gateway.web.api import accounts, certificates, docks, installation, organizations, streams
from gateway.web.declarations import Endpoint

ENDPOINTS: list[Endpoint] = [
    *installation.endpoints,
    *docks.endpoints,
    *accounts.endpoints,
    *organizations.endpoints,
    *certificates.endpoints,
    *streams.endpoints,
]
