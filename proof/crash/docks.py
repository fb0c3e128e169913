"""Docks that bind, bind again and try to bind elsewhere, while there is a gateway; what they are told goes into the ledger."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from typing import Any

from proof.network.ground import Ground, Login, promise
from proof.network.line import Line, publish, requests_topic

from .ledger import Ledger, aircraft_of

_PAUSE_S = 0.3  # between two requests of a dock, on average half of it
_RETRY_S = 0.2
_LEAVES = 0.05
_SHARED = 0.3  # of the codes are tried by two docks
_LOST = (ConnectionError, TimeoutError, OSError, asyncio.IncompleteReadError)


class Codes:
    """Codes of one use by organization; some are given to two docks, and only one of them may get in."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._fresh: dict[str, deque[str]] = {}
        self._again: dict[str, str] = {}

    def put(self, organization: str, codes: list[str]) -> None:
        self._fresh.setdefault(organization, deque()).extend(codes)

    def take(self, organization: str) -> str | None:
        """None: there is none left."""
        if (again := self._again.pop(organization, None)) is not None:
            return again
        left = self._fresh[organization]
        if not left:
            return None
        code = left.popleft()
        if self._chance.random() < _SHARED:
            self._again[organization] = code
        return code

    def left(self) -> int:
        return min(len(codes) for codes in self._fresh.values())


def bind_request(sn: str, organization: str, code: str, tid: str) -> bytes:
    named = {"device_binding_code": code, "organization_id": organization}
    wishes = [
        {**named, "device_callsign": "Dock", "sn": sn, "device_model_key": "3-2-0"},
        {**named, "device_callsign": "Bird", "sn": aircraft_of(sn), "device_model_key": "0-91-1"},
    ]
    asked: dict[str, Any] = {"bind_devices": wishes}
    body = {"tid": tid, "bid": tid, "timestamp": 1, "method": "airport_organization_bind", "data": asked}
    return json.dumps(body).encode()


class Fleet:
    def __init__(self, ground: Ground, ledger: Ledger, codes: Codes, organizations: list[str], seed: int) -> None:
        self._ground = ground
        self._ledger = ledger
        self._codes = codes
        self._organizations = organizations
        self._chance = random.Random(seed)
        self._tid = 0
        self.connected = 0
        self.came_in = asyncio.Event()

    async def live(self, ended: asyncio.Event) -> None:
        """All docks, until the gateway is gone; they are as after a power cut of the site."""
        async with asyncio.TaskGroup() as group:
            for login in self._ground.docks:
                group.create_task(self._dock(login, ended))

    async def _dock(self, login: Login, ended: asyncio.Event) -> None:
        while not ended.is_set():
            try:
                async with await Line(self._ground).open() as line:
                    await line.come_in(login)
                    self.connected += 1
                    self.came_in.set()
                    while not ended.is_set() and self._chance.random() > _LEAVES:
                        await self._bind(line, login.sn)
                        await asyncio.sleep(self._chance.random() * _PAUSE_S)
            except _LOST:
                await asyncio.sleep(_RETRY_S * (0.5 + self._chance.random()))

    async def _bind(self, line: Line, sn: str) -> None:
        organization = self._chance.choice(self._organizations)
        code = self._codes.take(organization)
        if code is None:
            await line.ping()
            return
        self._tid += 1
        tid = f"t{self._tid}"
        deed = self._ledger.begin(sn, organization, code)
        try:
            await line.send(publish(requests_topic(sn), bind_request(sn, organization, code, tid)))
            reply = await line.reply()
        except BaseException:
            self._ledger.unknown(deed)
            raise
        promise(reply["tid"] == tid and reply["method"] == "airport_organization_bind", f"another's reply: {reply}")
        errors = [each["err_code"] for each in reply["data"].get("output", {}).get("err_infos", [])]
        if errors == [0, 0]:
            self._ledger.done(deed)
        else:
            promise(all(errors), f"half a binding was told: {reply}")
            (self._ledger.refused if errors else self._ledger.unknown)(deed)
