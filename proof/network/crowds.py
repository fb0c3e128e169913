"""Many at once, or one again and again: storms, a flapping dock, two docks with one name, one account from everywhere.

Promised: in a storm no CONNECT is turned away, few handshakes are crowded out, and every dock is in at its end; a client id belongs
to the account that has it, one account cannot take the room of others, and whoever guesses passwords locks out himself and not the
dock.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.load.stage import Fleet, Gathering, Stage

from . import memory
from .ground import HOST, Ground, Login, promise
from .line import METHODS, Line

_PATIENCE_S = 120.0
# Of a hundred tries in a storm, as many may end in a TLS handshake that does not; the dock tries again half a second later.
_MOST_FAILED_IN_100 = 3.0
_BAD_CODES = (2, 3, 5)  # identifier rejected, server unavailable, not authorized (MQTT 3.1.1, 3.2.2.3)
_IDENTIFIER_REJECTED = 2


def stage_of(ground: Ground, docks: list[Login]) -> Stage:
    fleet = Fleet(
        [(each.account, each.password) for each in docks],
        (ground.service.account, ground.service.password),
        (ground.organization, ground.code),
    )
    return Stage(
        fleet=fleet, pids={"dockgate": ground.pid}, port=ground.ports["plain"], tls_port=ground.ports["tls"],
        ca=ground.folder / "certs" / "ca.pem", limit_s=_PATIENCE_S,
    )  # fmt: skip


async def storm(ground: Ground, *, docks: int, times: int, tls: bool = True) -> dict[str, Any]:
    """All docks come at once; their lines are cut, and all come back at once; ``times`` times."""
    stage = stage_of(ground, ground.docks[:docks])
    took: list[float] = []
    held: list[int] = []
    refused = failed = 0
    gathering: Gathering | None = None
    for number in range(times):
        if gathering is not None:
            gathering.vanish()
        gathering = await stage.gather(0, docks, tls=tls, at_once=docks)
        promise(
            gathering.complete, f"storm {number + 1}: {gathering.connected} of {docks} are in: {gathering.report()}"
        )
        took.append(gathering.took_s)
        held.append(ground.resident_bytes())
        refused += gathering.refused + gathering.lost
        failed += gathering.errors
    if gathering is not None:
        gathering.leave()
    promise(refused == 0, f"{refused} docks were turned away")
    in_100 = judge_failed(failed, docks * times)
    memory.judge_rounds(held, at_once=docks, what="with all docks in, after each storm")
    return {
        "docks": docks,
        "storms": times,
        "turned_away": refused,
        "failed_attempts": failed,
        "failed_in_100": in_100,
        "last_failure": stage.last_error,
        "all_in_s": {"least": round(min(took), 2), "most": round(max(took), 2)},
    }


def judge_failed(failed: int, docks: int) -> float:
    """In a hundred of what had to come in. Raises BrokenPromise."""
    in_100 = 100 * failed / docks
    promise(
        in_100 <= _MOST_FAILED_IN_100, f"{failed} handshakes failed, {in_100:.1f} for each 100 docks that came back"
    )
    return round(in_100, 2)


async def flapping(ground: Ground, *, times: int) -> dict[str, Any]:
    """One dock that comes, asks and is gone, in turn with and without a session that lasts; then it stays."""
    dock = ground.docks[0]
    began = time.monotonic()
    for number in range(times):
        async with Line(ground, tls=number % 4 == 3) as line:
            await line.open()
            await line.come_in(dock, clean=bool(number % 2))
            await line.ask(dock, METHODS[0], f"flap-{number}")
            line.reset()
    took = time.monotonic() - began
    async with Line(ground) as line:
        await line.open()
        await line.access(dock, tids="stays")
    return {"times": times, "per_s": round(times / took, 1)}


async def one_client_id(ground: Ground, *, times: int) -> dict[str, Any]:
    """Two docks with one client id take over from each other as long as their account is the same; a third account cannot."""
    dock, stranger = ground.docks[0], ground.docks[1]
    lines: list[Line] = []
    refused = 0
    try:
        for number in range(times):
            line = await Line(ground).open()
            lines.append(line)
            await line.come_in(dock, client_id="one-name")
            await line.ask(dock, METHODS[0], f"take-{number}")
            if number:
                promise(await lines[-2].closed(5), "the one before is still connected")
                lines[-2].drop()
            async with Line(ground) as other:
                await other.open()
                code = await other.login(stranger, client_id="one-name")
                promise(code == _IDENTIFIER_REJECTED, f"another account, the same client id: CONNACK {code}")
                refused += 1
            await line.ping()
            await line.ask(dock, METHODS[0], f"still-{number}")
    finally:
        for line in lines:
            line.drop()
    return {"take_overs": times - 1, "strangers_refused": refused}


async def addresses(ground: Ground, *, count: int, guesses: int) -> dict[str, Any]:
    """One account from ``count`` addresses: with its password, until it has its share of connections; then with wrong ones."""
    dock = ground.docks[0]
    lines: list[Line] = []
    codes: list[int] = []
    try:
        for number in range(count):
            line = await Line(ground).open(source=f"127.0.{3 + number // 200}.{1 + number % 200}")
            lines.append(line)
            codes.append(await line.login(dock, client_id=f"from-{number}"))
        inside = codes.count(0)
        promise(inside == min(count, ground.per_account), f"{inside} connections of one account were let in: {codes}")
        promise(all(code in _BAD_CODES for code in codes if code), f"refused with {set(codes)}")
        for line, code in zip(lines, codes, strict=True):
            if code == 0:
                await line.ping()
        wrong = Login(dock.account, "not-the-password", dock.sn)

        async def guess(number: int) -> int:
            async with Line(ground, timeout_s=_PATIENCE_S) as line:
                await line.open(source=f"127.0.{6 + number % count // 200}.{1 + number % count % 200}")
                return await line.login(wrong, client_id=f"guess-{number}")

        got = await asyncio.gather(*(guess(number) for number in range(count * guesses)))
        promise(0 not in got, "a wrong password was let in")
        for line, code in zip(lines, codes, strict=True):
            if code == 0:
                await line.ping()
                line.reset()
        async with Line(ground) as home:  # the dock, from where it always comes
            await home.open(source=HOST)
            await home.access(dock, tids="home")
    finally:
        for line in lines:
            line.drop()
    return {"addresses": count, "let_in": inside, "refused": count - inside, "wrong_passwords": len(got)}
