"""What clients say of themselves comes in with each connection; what is new goes to the log and, a second later, to the database.

A client that says the same as before costs a comparison. Nothing here waits, and what can't be written is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway import logs
from gateway.errors import DatabaseError
from gateway.services import Services
from gateway.store import contacts
from gateway.store.contacts import Contact

_log = logging.getLogger(__name__)

# So long after a change it is written: the subscriptions that follow a CONNECT come along.
_SETTLE_S = 1.0
# Clients that are remembered, to tell what is new: some hundred bytes each.
_REMEMBERED = 20_000
_MOST_FILTERS = 64


class Filter(NamedTuple):
    """One filter of a SUBSCRIBE, the QoS it was asked with, and whether it was granted."""

    filter: str
    qos: int
    granted: bool


@dataclass(slots=True)
class _Known:
    said: dict[str, Any]
    filters: dict[str, Filter]


class Contacts:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._new: dict[tuple[str, str], Contact] = {}
        self._told: dict[str, dict[str, Any]] = {}  # by account: there are no more of them than an operator has made
        self._writer: asyncio.Task[Any] | None = None

    def note(
        self, account: str, client_id: str, sn: str | None, said: dict[str, Any], filters: Sequence[Filter] = ()
    ) -> None:
        """``said``: of the CONNECT, JSON-friendly and not changed afterwards; ``filters``: of a SUBSCRIBE that followed it."""
        key = (account, client_id)
        known = self._known.get(key)
        if known is None or known.said != said:
            known = self._known[key] = _Known(said, {})
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        elif all(filter_.filter in known.filters for filter_ in filters):
            return
        for filter_ in filters:
            if len(known.filters) < _MOST_FILTERS:
                known.filters.setdefault(filter_.filter, filter_)
        now = self._services.clock()
        told = [filter_._asdict() for filter_ in known.filters.values()]
        self._new[key] = Contact(account, client_id, sn, now, now, {**said, "filters": told})
        if self._writer is None or self._writer.done():
            self._writer = self._services.tasks.spawn(self._write_later(), name="first contacts")

    async def _write_later(self) -> None:
        while self._new:
            await asyncio.sleep(_SETTLE_S)
            await self.flush()

    async def flush(self) -> None:
        fresh, self._new = self._new, {}
        for contact in fresh.values():
            if self._told.get(contact.account) == contact.facts:
                continue  # another client id, as some invent one for each connection
            self._told[contact.account] = contact.facts
            _log.info(
                "first contact, or a changed one",
                extra={
                    logs.ACCOUNT: contact.account,
                    logs.CLIENT_ID: contact.client_id,
                    logs.SN: contact.sn,
                    "facts": contact.facts,
                },
            )
        if not fresh:
            return
        try:
            await self._services.store.write(contacts.put, list(fresh.values()))
        except DatabaseError as error:
            self._services.metrics.database.failures.add(error.code)

    async def close(self) -> None:
        """Write what waits; idempotent."""
        if self._writer is not None:
            self._writer.cancel()
        await self.flush()
