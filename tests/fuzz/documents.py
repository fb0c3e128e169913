"""JSON as docks send it, and nearly: for the envelope alone, and for every method of a dispatcher on a real store."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from gateway import envelope
from gateway.errors import EnvelopeError
from gateway.methods import METHODS, PLATFORM_METHODS, STATUS_METHODS
from gateway.model import OutgoingMessage
from gateway.topics import Kind
from tests.unit import dock_world
from tests.unit.dock_world import BIRD1, BIRD2, CODE_A, CODE_ONCE, DOCK1, DOCK2, ORG_A, ORG_B, World

from .mutation import Mutator
from .targets import Errors, listening

_WORDS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"-0", b"1e999", b"1.50", b"-", b"null", b"true", b"\\u0000", b"\\ud800",
    b"\xff", b"\x00",
    b'"tid":1.0', b'"need_reply":1', b'"method":"config"', b'"data":{}', b"[" * 40, b'{"a":' * 40, b"9" * 400,
    b"\xed\xa0\x80", b"NaN",
    b'"data":{"sub_device":{"device_sn":"A"}}',
)  # fmt: skip
_TEXTS = (
    "", "a", DOCK1, DOCK2, BIRD1, BIRD2, ORG_A, ORG_B, CODE_A, CODE_ONCE, "0-91-1", "3-2-0", "+", "a/b", "#", "x" * 70,
    "\x00", "\u202e",
    "\U0001f6f8", "é", "'; --", "1", "null", " 7CTDM7100B0001 ", "-1", "99999999999-1-1",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 3, 1.5, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**40, True, False, None)
_TIDS = tuple(f"t-{number}" for number in range(30))
_METHODS = (*METHODS, *STATUS_METHODS, *sorted(PLATFORM_METHODS)[:3], "no_such_method", "")


def value(random: Random, depth: int = 0) -> Any:
    draw = random.random()
    if draw < 0.35 or depth > 3:
        return random.choice(_TEXTS)
    if draw < 0.7:
        return random.choice(_NUMBERS)
    if draw < 0.85:
        return [value(random, depth + 1) for _ in range(random.choice((0, 1, 2, 40 if depth == 0 else 3)))]
    return {random.choice(_TEXTS): value(random, depth + 1) for _ in range(random.randint(0, 3))}


def _field(random: Random, good: object) -> object:
    """Mostly what it should be."""
    return good if random.random() < 0.8 else value(random)


def _shaped(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    made = {key: _field(random, good) for key, good in fields.items() if random.random() < 0.93}
    if random.random() < 0.1:
        made[random.choice(_TEXTS)] = value(random)
    return made


def _several(random: Random, make: Any) -> list[Any]:
    return [make() for _ in range(random.choice((0, 1, 1, 2, 3, 70)))]


def data_for(random: Random, method: str) -> object:
    """The ``data`` that a method takes, and nearly."""
    sn = lambda: random.choice((DOCK1, DOCK2, BIRD1, BIRD2, *_TEXTS))  # noqa: E731
    match method:
        case "config":
            good: dict[str, Any] = {"config_type": "json", "config_scope": random.choice(("product", "device"))}
        case "airport_bind_status":
            good = {"devices": _several(random, lambda: _shaped(random, {"sn": sn()}))}
        case "airport_organization_get":
            good = {
                "device_binding_code": random.choice((CODE_A, CODE_ONCE, "x")),
                "organization_id": random.choice((ORG_A, "", "x")),
            }
        case "airport_organization_bind":
            wish = lambda: _shaped(random, dock_world.wish(sn(), code=random.choice((CODE_A, CODE_ONCE, "x"))))  # noqa: E731
            good = {"bind_devices": _several(random, wish)}
        case "update_topo":
            kind = {"domain": "0", "type": random.choice((91, "91")), "sub_type": 1, "sub_devices": []}
            bird = lambda: _shaped(random, {"sn": sn(), **kind, "index": "A", "device_secret": "s", "nonce": "n"})  # noqa: E731
            good = {**kind, "domain": "3", "sub_devices": _several(random, bird)}
        case _:
            good = {}
    return _shaped(random, good)


def message(random: Random) -> bytes:
    method = random.choice(_METHODS)
    body = _shaped(
        random,
        {
            "tid": random.choice(_TIDS), "bid": "b", "timestamp": 1_767_225_600_000, "method": method, "gateway": DOCK1,
            "data": _field(random, data_for(random, method)), "need_reply": 1,
        },
    )  # fmt: skip
    return json.dumps(body, ensure_ascii=random.random() < 0.5).encode(errors="replace")


_NEARLY = Mutator([message(Random(seed)) for seed in range(300)], _WORDS)


def made(random: Random) -> bytes:
    draw = random.random()
    if draw < 0.5:
        return _NEARLY.make(random)
    if draw < 0.9:
        return message(random)
    return b"".join(random.choice(_WORDS) for _ in range(random.randint(0, 12)))


class Envelopes:
    """Every reader of the envelope: an answer or ``EnvelopeError``, and a reply that is JSON with what was asked in it."""

    make = staticmethod(made)

    def feed(self, random: Random) -> None:
        self.read(made(random))

    @staticmethod
    def read(data: bytes) -> None:
        envelope.wants_reply(data)
        envelope.sub_device_of(data)
        try:
            parsed = envelope.parse(data)
        except EnvelopeError as error:
            str(error).encode()
            return
        repr(parsed).encode(errors="backslashreplace")
        answer = json.loads(envelope.reply(parsed, {"result": 0}, now_ms=1))
        assert answer["data"] == {"result": 0}


@contextmanager
def envelopes(_folder: Path) -> Iterator[Envelopes]:
    yield Envelopes()


class Methods:
    """One dock after another asks for anything; a store, a directory, an audit trail behind it as in a gateway."""

    def __init__(self, world: World, errors: Errors, runner: asyncio.Runner) -> None:
        self._world, self._errors, self._runner = world, errors, runner
        self._fed = 0

    def feed(self, random: Random) -> None:
        self._world.listening = random.random() < 0.1
        dock = random.choice((DOCK1, DOCK1, DOCK2))
        self._ask(made(random), dock, random.choice((Kind.REQUESTS, Kind.REQUESTS, Kind.STATUS, Kind.EVENTS, Kind.OSD)))

    @staticmethod
    def make(random: Random) -> bytes:
        return random.randbytes(1) + made(random)

    def read(self, data: bytes) -> None:
        """The first byte says on which topic."""
        self._ask(data[1:], DOCK1, Kind.STATUS if data[:1] < b"\x80" else Kind.REQUESTS)

    def _ask(self, payload: bytes, dock: str, kind: Kind) -> None:
        self._runner.run(self._asked(payload, dock, kind))

    async def _asked(self, payload: bytes, dock: str, kind: Kind) -> None:
        world = self._world
        world.clock.now += 40
        world.dispatcher.observe(world.identity(dock), f"thing/product/{dock}/osd", payload)
        world.dispatcher.platform_answered(f"thing/product/{dock}/requests_reply", payload)
        outcome = await world.outcome(payload, dock=dock, kind=kind)
        replies: list[OutgoingMessage] = [] if outcome is None else list(outcome.replies)
        while not world.late.empty():
            replies.append(world.late.get_nowait())
        for reply in replies:
            json.loads(reply.payload)
        assert not self._errors.records, (self._errors.records[0].getMessage(), self._errors.records[0].exc_info)
        world.events.clear()
        self._fed += 1


@contextmanager
def methods(folder: Path) -> Iterator[Methods]:
    folder.mkdir(parents=True, exist_ok=True)
    errors = Errors()
    (folder / "dockgate.db").unlink(missing_ok=True)
    with asyncio.Runner() as runner, listening(errors):
        stack = AsyncExitStack()
        licenses = (dock_world.license_of(None), dock_world.license_of(ORG_A))
        try:
            world = runner.run(stack.enter_async_context(dock_world.opened(folder, with_licenses=licenses)))
            yield Methods(world, errors, runner)
        finally:
            runner.run(stack.aclose())
    assert not [record for record in errors.records if record.levelno >= logging.ERROR]
