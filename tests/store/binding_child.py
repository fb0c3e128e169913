"""Binds docks with their aircraft without end, many at a time, and writes a dock's number once its bind was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from gateway.store import bindings
from gateway.store.connection import Store


async def main(path: Path, first: int) -> None:
    numbers = itertools.count(first)
    async with await Store.open(path, clock=lambda: 1) as store:

        async def dock() -> None:
            for number in numbers:
                sn, aircraft = f"DOCK{number}", f"AIR{number}"
                outcome = await store.write(
                    bindings.bind,
                    gateway_sn=sn,
                    account="acc",
                    wishes=[
                        bindings.BindWish(aircraft, "A", "LIMITED", "", "0-91-1"),
                        bindings.BindWish(sn, "A", "LIMITED", "", "3-2-0"),
                    ],
                    now=1,
                    durable=True,
                )
                assert all(result.fresh for result in outcome.results)
                os.write(1, f"{number}\n".encode())

        await asyncio.gather(*(dock() for _ in range(8)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
