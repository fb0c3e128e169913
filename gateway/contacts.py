"""What clients say of themselves comes in with each connection; what is new goes to the log and, a second later, to the database.

A client that says the same as before costs a comparison. Nothing here waits, and what can't be written is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
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
_AT_A_TIME = 16
_ROWS = 128  # of one transaction, which a dock's binding may share


class Filter(NamedTuple):
    """One filter of a SUBSCRIBE, the QoS it was asked with, and whether it was granted."""

    filter: str
    qos: int
    granted: bool


class _Known:
    __slots__ = ("filters", "said")

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        self.filters: dict[str, Filter] = {}

    def facts(self) -> dict[str, Any]:
        return {**self.said, "filters": [filter_._asdict() for filter_ in self.filters.values()]}


class _Fresh(NamedTuple):
    """What is to be written of one client."""

    known: _Known
    sn: str | None
    at: int


class Contacts:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._new: dict[tuple[str, str], _Fresh] = {}
        self._told: dict[str, dict[str, Any]] = {}  # by account: there are no more of them than an operator has made
        self._writer: asyncio.Task[Any] | None = None
        self._flushing = asyncio.Lock()

    def note(
        self, account: str, client_id: str, sn: str | None, said: dict[str, Any], filters: Sequence[Filter] = ()
    ) -> None:
        """``said``: of the CONNECT, JSON-friendly and not changed afterwards; ``filters``: of a SUBSCRIBE that followed it."""
        key = (account, client_id)
        known = self._known.get(key)
        if known is None or known.said != said:
            known = self._known[key] = _Known(said)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        elif all(filter_.filter in known.filters for filter_ in filters):
            return
        for filter_ in filters:
            if len(known.filters) < _MOST_FILTERS:
                known.filters.setdefault(filter_.filter, filter_)
        self._new[key] = _Fresh(known, sn, self._services.clock())
        if self._writer is None or self._writer.done():
            self._writer = self._services.tasks.spawn(self._write_later(), name="first contacts")

    async def _write_later(self) -> None:
        while self._new:
            await asyncio.sleep(_SETTLE_S)
            await self.flush()

    async def flush(self) -> None:
        async with self._flushing:
            fresh, self._new = self._new, {}
            found = []
            for number, ((account, client_id), new) in enumerate(fresh.items(), start=1):
                contact = Contact(account, client_id, new.sn, new.at, new.at, new.known.facts())
                found.append(contact)
                self._tell(contact)
                if number % _AT_A_TIME == 0:  # a fleet that comes back must not have its docks wait for this
                    await asyncio.sleep(0)
            try:
                for at in range(0, len(found), _ROWS):
                    await self._services.store.write(contacts.put, found[at : at + _ROWS], bulk=True)
            except DatabaseError as error:
                self._services.metrics.database.failures.add(error.code)

    def _tell(self, contact: Contact) -> None:
        if self._told.get(contact.account) == contact.facts:
            return  # another client id, as some invent one for each connection
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

    async def close(self) -> None:
        """Write what waits; idempotent."""
        async with self._flushing:  # what is being written is not given up
            if self._writer is not None:
                self._writer.cancel()
        await self.flush()
