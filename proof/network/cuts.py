"""The line is cut after the first byte of an access, after the second, and so on through all of them; then the dock comes back.

Promised: wherever it was cut, the dock's next try completes, with the same requests under the same ids, and what the cut one had
done already is not done again: one use of the code, one entry in the audit, one binding for each dock.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .ground import Ground, Login, promise
from .line import Cut, Line

_AT_ONCE = 8


async def length(ground: Ground, *, tls: bool) -> int:
    """How many bytes a dock sends in a whole access."""
    async with Line(ground, tls=tls) as line:
        await line.open()
        await line.access(ground.untied.pop())
        return line.sent


async def everywhere(ground: Ground, *, tls: bool, step: int = 1, first: int = 0) -> dict[str, Any]:
    """Cut after ``first`` bytes, and then after each ``step`` more."""
    uses, told = ground.uses(), ground.binds()
    total = await length(ground, tls=tls)
    places = iter(range(first, total + 1, step))
    docks: list[Login] = []
    was_cut = 0

    async def one(after: int, dock: Login) -> None:
        nonlocal was_cut
        async with Line(ground, tls=tls, cut_after=after) as line:
            try:
                await line.open()
                await line.access(dock)
            except Cut:
                was_cut += 1
        async with Line(ground, tls=tls) as line:
            await line.open()
            await line.access(dock)

    async def some() -> None:
        for after in places:
            dock = ground.untied.pop()
            docks.append(dock)
            await one(after, dock)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())
    mine = {dock.sn for dock in docks}
    promise(mine <= ground.bound(), f"{len(mine - ground.bound())} docks are not bound")
    used = ground.uses() - uses - 1  # the one that was measured
    promise(used == len(docks), f"{len(docks)} docks were bound with {used} uses of the code")
    doubly = [sn for sn, count in ground.binds().items() if sn in mine and count - told.get(sn, 0) != 1]
    promise(not doubly, f"{len(doubly)} docks are in the audit more than once, or not at all")
    return {"bytes_of_an_access": total, "cuts": was_cut, "completed_after_it": len(docks)}
