"""A responder on aiomqtt and aiosqlite, one request after another: PORT FLEET DATABASE SYNCHRONOUS on the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import aiosqlite
import answers


class Answers:
    """``answers.Answers`` with awaits."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def answer(self, payload: bytes) -> str:
        request = json.loads(payload)
        return answers.reply(request, await self._data(request["method"], request.get("data") or {}))

    async def _one(self, sql: str, *parameters: object) -> tuple[Any, ...] | None:
        async with self._db.execute(sql, parameters) as cursor:
            row = await cursor.fetchone()
        return None if row is None else tuple(row)

    async def _data(self, method: str, data: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "config":
                return answers.config(await self._one(answers.LICENSE) or ())
            case "airport_bind_status":
                asked = [each["sn"] for each in data["devices"]]
                return answers.statuses([answers.status(sn, await self._one(answers.DEVICE, sn)) for sn in asked])
            case "airport_organization_get":
                row = await self._one(answers.CODE, data["device_binding_code"])
                return answers.organization(row, data["organization_id"])
            case "airport_organization_bind":
                results = [(each["sn"], await self._bind(each)) for each in data["bind_devices"]]
                await self._db.commit()
                return answers.bound(results)
            case _:
                return answers.unknown()

    async def _bind(self, wish: dict[str, Any]) -> int:
        wanted = wish["organization_id"]
        code = await self._one(answers.CODE, wish["device_binding_code"])
        refused = answers.refusal(code, wanted, await self._one(answers.DEVICE, wish["sn"]))
        if not refused:
            parameters = (wish["sn"], wanted, wish["device_callsign"], wish["device_model_key"])
            await self._db.execute(answers.BIND, parameters)
        return refused


async def main() -> None:
    port, fleet, database, synchronous = sys.argv[1:]
    name, password = json.loads(Path(fleet).read_text(encoding="utf-8"))["responder"]  # noqa: ASYNC240 - before anything runs
    async with (
        aiosqlite.connect(database) as db,
        aiomqtt.Client("127.0.0.1", int(port), username=name, password=password, identifier="responder") as client,
    ):
        for pragma in answers.PRAGMAS:
            await db.execute(pragma.format(synchronous=synchronous))
        wanted = Answers(db)
        await client.subscribe("thing/product/+/requests", qos=0)
        print("ready", flush=True)
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                await client.publish(f"{message.topic}_reply", await wanted.answer(message.payload), qos=0)


if __name__ == "__main__":
    asyncio.run(main())
