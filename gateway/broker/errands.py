"""Work that plugins leave for later: begun at once, awaited in the order of the messages it belongs to, its replies sent.

A plugin's fault ends its own work and nothing else. Of one connection only so much may wait; then it is not read any more.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gateway import logs
from gateway.model import Outcome
from gateway.tasks import Done, Rest, Tasks, begin

if TYPE_CHECKING:
    from .connection import Connection
    from .session import Session

_log = logging.getLogger(__name__)


class Errands:
    """``most``: how many may wait before the connection is held."""

    __slots__ = ("_connection", "_most", "_running", "_session", "_tasks", "_waiting")

    def __init__(self, connection: Connection, session: Session, tasks: Tasks, most: int) -> None:
        self._connection = connection
        self._session = session
        self._tasks = tasks
        self._most = most
        # ``most`` at most; an empty deque is ten times as large
        self._waiting: list[Coroutine[Any, Any, Outcome] | Rest[Outcome]] = []
        self._running = False

    def add(self, work: Coroutine[Any, Any, Outcome]) -> None:
        if self._running:
            self._waiting.append(work)
        else:
            begun = self._begin(work)
            if isinstance(begun, Done):
                self._reply(begun.value)
                return
            self._running = True
            self._waiting.append(begun)
            self._tasks.spawn(self._run(), name=f"requests {self._session.client_id}")
        if len(self._waiting) >= self._most:
            self._connection.hold()

    def _begin(self, work: Coroutine[Any, Any, Outcome]) -> Done[Outcome] | Rest[Outcome]:
        try:
            return begin(work)
        except Exception:  # noqa: BLE001 - a plugin's fault is not the client's
            return Done(self._failed())

    def _failed(self) -> Outcome:
        _log.exception("a plugin failed on a request", extra={logs.CLIENT_ID: self._session.client_id})
        return Outcome(route=False)

    def _reply(self, outcome: Outcome) -> None:
        for reply in outcome.replies:
            self._session.reply(reply)

    async def _run(self) -> None:
        try:
            while self._waiting:
                try:
                    outcome = await self._waiting[0]
                except Exception:  # noqa: BLE001 - see _begin
                    outcome = self._failed()
                del self._waiting[0]
                self._reply(outcome)
                if len(self._waiting) < self._most:
                    self._connection.release()
        finally:
            self._running = False
            for left in self._waiting:  # the gateway stops
                if not isinstance(left, Rest):
                    left.close()
            self._waiting.clear()
