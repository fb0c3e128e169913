"""Requests that come twice, together, and in another order than docks ask them in.

Promised (docs/protocol.md 5.1): each is answered once, in the order asked; one that comes again with the same tid is answered as
before and carried out once, on whatever connection it comes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

from .ground import Ground, Login, promise
from .line import METHODS, PUBACK, Line, is_good, publish, request, requests_topic, subscribe


async def _answers(line: Line, count: int) -> list[dict[str, Any]]:
    replies = [await line.reply() for _ in range(count)]
    await line.ping()  # what comes before its answer would be a reply too many
    promise(line.unread() == 0, "more replies than requests")
    return replies


def _same(replies: list[dict[str, Any]], times: int) -> None:
    by_tid = Counter(reply["tid"] for reply in replies)
    promise(set(by_tid.values()) == {times}, f"asked {times} times each, answered {dict(by_tid)}")
    for tid in by_tid:
        data = [reply["data"] for reply in replies if reply["tid"] == tid]
        promise(all(each == data[0] for each in data), f"{tid}: two answers to one request")
        promise(
            is_good(tid.partition("-")[2], replies[[each["tid"] for each in replies].index(tid)]), f"{tid}: refused"
        )


async def duplicated(ground: Ground, *, docks: int, times: int) -> dict[str, Any]:
    """Each request ``times`` times at once, on two connections of the dock at the same time, and again on a third later."""
    uses, repeated = ground.uses(), ground.metrics()["dockgate_requests_repeated_total"]
    mine = [ground.untied.pop() for _ in range(docks)]

    async def ask(line: Line, dock: Login) -> None:
        topic = requests_topic(dock.sn)
        for method in METHODS:
            await line.send(publish(topic, request(ground, dock.sn, method, f"d-{method}")) * times)
        _same(await _answers(line, times * len(METHODS)), times)

    async def one(dock: Login) -> None:
        async with Line(ground) as first, Line(ground) as second:
            for number, line in enumerate((first, second)):
                await line.open()
                await line.come_in(dock, client_id=f"{dock.account}-{number}")
            async with asyncio.TaskGroup() as both:
                both.create_task(ask(first, dock))
                both.create_task(ask(second, dock))
        async with Line(ground, tls=True) as third:
            await third.open()
            await third.come_in(dock)
            await ask(third, dock)

    async with asyncio.TaskGroup() as group:
        for dock in mine:
            group.create_task(one(dock))
    used, told = ground.uses() - uses, ground.binds()
    promise(used == docks, f"{docks} docks, each asking {3 * times} times, used the code {used} times")
    promise(all(told[dock.sn] == 1 for dock in mine), "a repeated binding is in the audit again")
    again = int(ground.metrics()["dockgate_requests_repeated_total"] - repeated)
    promise(again == docks * len(METHODS) * (3 * times - 1), f"{again} requests were known as repeated")
    return {
        "docks": docks,
        "requests": docks * len(METHODS) * 3 * times,
        "carried_out": docks * len(METHODS),
        "uses": used,
    }


async def duplicated_packets(ground: Ground, *, docks: int) -> dict[str, Any]:
    """QoS 1 and DUP: the acknowledgement was lost, and the whole packet comes again on the next connection (MQTT 3.1.1, 4.4)."""
    uses = ground.uses()
    mine = [ground.untied.pop() for _ in range(docks)]

    async def one(dock: Login) -> None:
        bind = METHODS[-1]
        payload = request(ground, dock.sn, bind, f"q-{bind}")
        for dup in (False, True):
            async with Line(ground) as line:
                await line.open()
                promise(await line.login(dock, clean=False) == 0, "not let in")
                await line.send(subscribe(f"{requests_topic(dock.sn)}_reply", qos=1))
                await line.send(publish(requests_topic(dock.sn), payload, qos=1, packet_id=7, dup=dup))
                if not dup:
                    await line.wait_for(PUBACK)
                    line.reset()  # its reply was not acknowledged, and comes again too
                    continue
                promise(is_good(bind, await line.reply()), "the binding was refused")
                await line.ping()
        async with Line(ground) as line:  # leave no session behind
            await line.open()
            await line.login(dock, clean=True)

    async with asyncio.TaskGroup() as group:
        for dock in mine:
            group.create_task(one(dock))
    used = ground.uses() - uses
    promise(used == docks, f"{docks} bindings, sent twice, used the code {used} times")
    return {"docks": docks, "uses": used}


async def reordered(ground: Ground, *, rounds: int) -> dict[str, Any]:
    """All orders of the four requests, sent at once and not one by one."""
    uses = ground.uses()
    orders = list(itertools.permutations(METHODS)) * rounds
    mine = [ground.untied.pop() for _ in orders]

    async def one(dock: Login, order: tuple[str, ...]) -> None:
        async with Line(ground) as line:
            await line.open()
            await line.come_in(dock)
            topic = requests_topic(dock.sn)
            await line.send(b"".join(publish(topic, request(ground, dock.sn, each, f"r-{each}")) for each in order))
            replies = await _answers(line, len(order))
            came = tuple(reply["method"] for reply in replies)
            promise(came == order, f"asked {order}, answered {came}")
            _same(replies, 1)

    async with asyncio.TaskGroup() as group:
        for dock, order in zip(mine, orders, strict=True):
            group.create_task(one(dock, order))
    used = ground.uses() - uses
    promise(used == len(orders), f"{len(orders)} docks used the code {used} times")
    return {"orders": len(orders), "answers": len(orders) * len(METHODS)}
