"""The table of attacks on the network side, each in a long and a short form, and what holds for all of them.

Before, during and after each a well-behaved dock is connected and answered within a second; afterwards the gateway holds no
descriptor, thread, task, connection or session more than before, its memory is within a bound and stops growing, and it has met
no fault.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from . import crowds, cuts, far, memory, readers, repeats, slow
from .ground import Ground, Login, promise
from .line import Line
from .witness import Witness

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attack:
    """``docks`` and ``untied``: accounts that the long form needs, as (long, short). ``rounds``: of the long form;
    as many as it takes to tell from a leak what TLS buffers fill up.
    ``at_once``: TLS connections of the long form that are there at a time.
    """

    name: str
    work: Callable[..., Awaitable[dict[str, Any]]]
    long: Options
    short: Options
    docks: tuple[int, int] = (20, 20)
    untied: tuple[int, int] = (0, 0)
    rounds: int = 3
    at_once: int = 200
    limits: Options = field(default_factory=lambda: MappingProxyType({}))
    chosen: bool = False  # the docks' passwords are behind the slow hash


ATTACKS: Final = (
    Attack("silent sockets", slow.silent, {"count": 1500}, {"count": 80}, at_once=750, rounds=8),
    Attack("endless TLS handshakes", slow.handshake, {"count": 800}, {"count": 60}, at_once=800, rounds=8),
    Attack("endless CONNECTs", slow.login, {"count": 400}, {"count": 40}),
    Attack("endless packets after the login", slow.packet, {"count": 200, "seconds": 20}, {"count": 20, "seconds": 1},
           docks=(200, 20)),
    Attack("silence in the middle of a packet", slow.silence_in_a_packet, {"count": 200}, {"count": 10}, docks=(200, 20)),
    Attack("platforms that never read", readers.deaf_platform,
           {"deaf": 10, "docks": 10, "messages": 20_000, "until_closed_s": 60}, {"deaf": 1, "docks": 5, "messages": 2500},
           rounds=2, limits={"outbound_bytes": 64 * 1024}),
    Attack("docks that never read", readers.deaf_docks, {"docks": 20, "requests": 20_000}, {"docks": 3, "requests": 2000},
           limits={"outbound_bytes": 64 * 1024}),
    Attack("half-closed connections", readers.half_closed, {"count": 2000}, {"count": 40}),
    Attack("clients that are closed and stay", readers.never_close, {"count": 300}, {"count": 10}),
    Attack("cut after every byte, plain", cuts.everywhere, {"tls": False}, {"tls": False, "step": 31},
           untied=(1500, 50), rounds=1),
    Attack("cut after every byte, TLS", cuts.everywhere, {"tls": True}, {"tls": True, "step": 61},
           untied=(2300, 50), rounds=1),
    Attack("requests asked again and again", repeats.duplicated, {"docks": 100, "times": 15}, {"docks": 5, "times": 4},
           untied=(300, 5)),
    Attack("packets sent again", repeats.duplicated_packets, {"docks": 100}, {"docks": 5}, untied=(300, 5)),
    Attack("requests in every order", repeats.reordered, {"rounds": 10}, {"rounds": 1}, untied=(720, 24)),
    Attack("all docks back at once", crowds.storm, {"docks": 5000, "times": 10}, {"docks": 200, "times": 3},
           docks=(5000, 200), rounds=1, at_once=5000),
    Attack("all docks back at once, chosen passwords", crowds.storm, {"docks": 1000, "times": 6}, {"docks": 60, "times": 2},
           docks=(1000, 60), rounds=1, at_once=1000, chosen=True),
    Attack("a flapping dock", crowds.flapping, {"times": 3000}, {"times": 60}),
    Attack("one client id for two docks", crowds.one_client_id, {"times": 500}, {"times": 15}),
    Attack("one account from a hundred addresses", crowds.addresses, {"count": 100, "guesses": 5},
           {"count": 100, "guesses": 0}, rounds=2),
    Attack("half a second there and back, and losses", far.accesses, {"docks": 200, "round_trip_s": 0.5},
           {"docks": 8, "round_trip_s": 0.5}, untied=(600, 8)),
)  # fmt: skip


def ground_for(attack: Attack, folder: Path, *, short: bool) -> Ground:
    def change(settings: dict[str, Any]) -> None:
        settings["dockgate"]["limits"].update(attack.limits)
        if short:
            settings["dockgate"]["login"]["connect_timeout_s"] = 2

    return Ground(
        folder, docks=attack.docks[short], untied=attack.untied[short] + 2, chosen=attack.chosen, change=change
    )


async def under_fire(ground: Ground, attack: Attack, *, short: bool) -> dict[str, Any]:
    """The figures. Raises BrokenPromise."""
    options = attack.short if short else attack.long
    grown: list[int] = []
    figures: dict[str, Any] = {}
    began = time.monotonic()
    async with Witness(ground) as witness:
        await _warm(ground)
        before = await ground.calm()
        for _ in range(1 if short else attack.rounds):
            figures = await attack.work(ground, **options)
            after = await ground.nothing_left(before)
            grown.append(after.resident_bytes)
    memory.judge(before.resident_bytes, grown, at_once=attack.at_once)
    promise(not ground.faults(), f"the log tells of faults: {ground.faults()[:3]}")
    return {
        **figures,
        "rounds": len(grown),
        "resident_mb": [round(each / 1e6, 1) for each in (before.resident_bytes, *grown)],
        "left_over": 0,
        "witness": witness.figures,
        "seconds": round(time.monotonic() - began, 1),
    }


async def _warm(ground: Ground) -> None:
    """What is started once and stays, as the threads that check passwords, is there before anything is counted."""
    async with Line(ground, tls=True) as line:
        await line.open()
        await line.access(ground.untied.pop())

    async def stranger(number: int) -> None:
        async with Line(ground) as line:
            await line.open(source="127.9.9.9")
            await line.login(Login(f"nobody-{number}", "nothing"))

    await asyncio.gather(*(stranger(number) for number in range(4)))
