"""Binds one dock with its aircraft after another, and writes its number when that was acknowledged, "!" when it was refused.

Arguments: the database, the first number, pages after which the WAL goes into the database.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import sys
from pathlib import Path

from gateway.errors import DatabaseError
from gateway.store import bindings
from gateway.store.bindings import BindWish
from gateway.store.connection import Store


def _checkpoint_after(db: sqlite3.Connection, pages: int) -> None:
    db.execute(f"PRAGMA wal_autocheckpoint={pages:d}")


async def main(path: Path, first: int, pages: int) -> None:
    async with await Store.open(path, clock=lambda: 1) as store:
        await store.write(_checkpoint_after, pages)
        for number in itertools.count(first):
            wishes = [
                BindWish(f"DOCK{number}", "A", "MANY", "", "3-2-0"),
                BindWish(f"AIR{number}", "A", "MANY", "", "0-91-1"),
            ]
            try:
                await store.write(
                    bindings.bind, gateway_sn=f"DOCK{number}", account="acc", wishes=wishes, now=1, durable=True
                )
            except DatabaseError:
                os.write(1, b"!\n")
            else:
                os.write(1, f"{number}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
