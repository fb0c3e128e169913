"""Steps of the wall clock of a gateway that runs, each as a case: what lasts so and so long lasts as long as it would have."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateRevocationListBuilder

from gateway.pki.authority import Authority
from gateway.pki.files import Layout
from gateway.pki.leaf import CLIENT_LIFETIME, issue_client
from gateway.store import codes
from proof.disk.stage import Figures, Stage
from proof.lives import command
from proof.network.ground import Ground, Login, promise
from proof.network.line import PINGREQ, Line, connect, publish, requests_topic

DAY = timedelta(days=1)
HOURS_S = 3 * 3600.0
YEARS_S = 56 * 365 * 86400.0
STEPS_S = (HOURS_S, -HOURS_S, 0.0, -24 * HOURS_S, 24 * HOURS_S, 0.0)
LOCK_S = 3.0  # longer than a command takes on a slow machine
NEARLY_S = 0.6
FAILURES = 3
_KEEPALIVE_S = 2
_LOOKS_S = 1.0
_NOTICED_S = 10.0
_OTHERS = "127.0.0.9"  # where wrong passwords come from, so that nobody else is locked out with them


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    run: Callable[[Stage], Awaitable[Figures]]


def settings(told: dict[str, Any]) -> None:
    """What the cases need in broker.yaml."""
    told["dockgate"]["login"] |= {"lockout_failures": FAILURES, "lockout_s": LOCK_S, "address_failures": 0}
    told["listeners"]["tls"] |= {"cafile": "certs/ca.pem", "crlfile": "certs/crl.pem", "client_auth": "optional"}


async def connected(stage: Stage) -> Figures:
    """Who keeps alive stays, through all steps; who falls silent in the middle of one is put out after 1.5 times his keep alive."""
    kept, silent = [await Line(stage.ground).open() for _ in range(2)]
    login = stage.ground.docks[0]
    for number, line in enumerate((kept, silent)):
        await line.send(connect(login, client_id=f"keep-{number}", keepalive_s=_KEEPALIVE_S))
        await line.wait_for(2)
    for step in STEPS_S:
        stage.faults.clock(step)
        await stage.witness()
        await kept.ping()
        spoke = time.monotonic()
        await silent.ping()
        await asyncio.sleep(0.2)
    stage.faults.clock(HOURS_S)

    async def keep_alive() -> None:
        while True:
            await kept.send(PINGREQ)
            await asyncio.sleep(_KEEPALIVE_S / 2)

    keeping = asyncio.create_task(keep_alive())  # noqa: TID251 - ended below
    promise(await silent.closed(4 * _KEEPALIVE_S), "a silent dock was not put out")
    silent_s = time.monotonic() - spoke
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    await kept.ping()
    for line in (kept, silent):
        line.drop()
    # The gateway looks at its clock once a second, and takes a packet to have come when it last did
    early, late = 1.5 * _KEEPALIVE_S - _LOOKS_S, 1.5 * _KEEPALIVE_S + 3 * _LOOKS_S
    promise(early <= silent_s <= late, f"put out after {silent_s:.1f} s")
    stage.faults.clock(0)
    return {"steps": len(STEPS_S), "keepalive_s": _KEEPALIVE_S, "silent_s": round(silent_s, 1)}


async def locked_out(stage: Stage) -> Figures:
    """A lock lasts as long as it should, whichever way the clock steps, and though the locks are read anew meanwhile."""
    lasted = []
    for number, step in enumerate((0.0, HOURS_S, -HOURS_S)):
        login = stage.ground.docks[number + 1]
        wrong = replace(login, password="wrong")  # noqa: S106 - that is the point
        stage.faults.clock(0)
        for _ in range(FAILURES):
            promise(await _login(stage, wrong) != 0, "a wrong password was taken")
        began = time.monotonic()
        stage.faults.clock(step)
        promise(await _login(stage, login) != 0, f"a step of {step / 3600:+.0f} h lifted a lock")
        # an operator's change has the gateway read the locks again, by a clock that tells another time now
        await asyncio.to_thread(_rename_something, stage)
        refused = 0.0  # when the last attempt began that was refused
        while True:
            begins = time.monotonic() - began
            if await _login(stage, login) == 0:
                break
            refused = begins
            promise(refused < LOCK_S + NEARLY_S, f"a step of {step / 3600:+.0f} h made a lock last {refused:.1f} s")
            await asyncio.sleep(0.05)
        lasted.append(time.monotonic() - began)
        promise(lasted[-1] > LOCK_S - NEARLY_S, f"a step of {step / 3600:+.0f} h ended a lock after {lasted[-1]:.1f} s")
    stage.faults.clock(0)
    return {"lock_s": LOCK_S, "lasted_s": [round(each, 1) for each in lasted]}


def _rename_something(stage: Stage) -> None:
    code, said = command(stage.ground.config, "org", "add", f"Org {time.monotonic_ns()}")
    promise(code == 0, said)


async def _login(stage: Stage, login: Login) -> int:
    async with await Line(stage.ground).open(source=_OTHERS) as line:
        return await line.login(login, client_id=f"{login.account}-again")


async def bound(stage: Stage) -> Figures:
    """Docks bind while the clock steps by hours and by a leap second; a request that comes again is carried out once."""
    count = 0
    for step in (*STEPS_S, -1.0, 0.0, -1.0):
        stage.faults.clock(step)
        promise(await stage.bind(), f"not bound after a step to {step:+.0f} s")
        await stage.witness()
        count += 1
    login = stage.newcomer()
    async with await Line(stage.ground).open() as line:
        await line.come_in(login)
        deed = stage.ledger.begin(login.sn, stage.ground.organization, stage.ground.code)
        before = stage.ground.uses()
        for step in (0.0, HOURS_S, -HOURS_S):
            stage.faults.clock(step)
            reply = await line.ask(login, "airport_organization_bind", "the same")
            promise(reply["data"]["result"] == 0, f"{reply}")
        stage.ledger.done(deed)
    promise(stage.ground.uses() == before + 1, "a repeated request was carried out again")
    stage.faults.clock(0)
    await asyncio.to_thread(stage.look)
    return {"bindings": count + 1}


async def expiring(stage: Stage) -> Figures:
    """A code counts until its date, by the clock as it is: a wrong clock refuses, and nothing is lost when it is right again."""
    now = time.time_ns() // 1_000_000
    with closing(_writable(stage)) as db, db:
        codes.add(
            db, code="FOR2HOURS", organization_id=stage.ground.organization, uses=1, expires_at=now + 2 * 3_600_000,
            sn=None, now=now,
        )  # fmt: skip
    login = stage.newcomer()
    async with await Line(stage.ground).open() as line:
        await line.come_in(login)

        async def look(step: float, number: int) -> int:
            stage.faults.clock(step)
            await line.send(publish(requests_topic(login.sn), _get(stage, f"g{step}-{number}")))
            result: int = (await line.reply())["data"]["result"]
            return result

        async with asyncio.timeout(5):
            number = 0
            while await look(0, number):  # until the gateway has noticed the new code
                number += 1
                await asyncio.sleep(0.1)
        outcomes = [await look(step, -1) for step in (HOURS_S, 0.0)]
    promise(outcomes[0] != 0 == outcomes[1], f"the code was answered with {outcomes}")
    return {"refused_then_taken": outcomes}


def _writable(stage: Stage) -> sqlite3.Connection:

    return sqlite3.connect(stage.database)


def _get(stage: Stage, tid: str) -> bytes:

    data = {"device_binding_code": "FOR2HOURS", "organization_id": stage.ground.organization}
    return json.dumps(
        {"tid": tid, "bid": tid, "timestamp": 1, "method": "airport_organization_get", "data": data}
    ).encode()


async def certificate(stage: Stage) -> Figures:
    """The server certificate expires while a dock is connected over TLS: the dock stays, and ``/readyz`` tells why."""
    login = stage.ground.docks[5]
    async with await Line(stage.ground, tls=True).open() as line:
        await line.send(connect(login, client_id="over-tls"))
        await line.wait_for(2)
        stage.faults.clock(600 * 86400.0)
        told = await stage.is_told(of="has expired")
        await line.ping()
        await stage.witness()
        stage.faults.clock(0)
        await stage.is_well()
        await line.ping()
    return {"told": told}


class _Shown(Line):
    """Shows a client certificate in its TLS handshake."""

    def __init__(self, ground: Ground, account: str) -> None:
        super().__init__(ground, tls=True)
        layout = Layout(ground.folder / "certs")
        context = ssl.create_default_context(cafile=str(layout.ca))
        context.load_cert_chain(layout.client(account), layout.client_key(account))
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    async def come(self, login: Login) -> bool:
        """False: its certificate was refused. With TLS 1.3 that comes after the handshake, as seen from here."""
        try:
            await self.open()
            return await self.login(login, client_id=f"{login.account}-{id(self)}") == 0
        except (ConnectionError, ssl.SSLError):
            return False


async def client_certificate(stage: Stage) -> Figures:
    """A client certificate expires while its dock is connected: it stays; with a new connection it is refused, and that is told."""
    login = stage.ground.docks[6]
    now = round(time.time() * 1000)
    issue_client(
        stage.ground.folder / "certs",
        login.account,
        now=now - round((CLIENT_LIFETIME - 3 * DAY).total_seconds() * 1000),
    )
    return await _shown_while_it_expires(stage, login, "certificate has expired")


async def revocation_list(stage: Stage) -> Figures:
    """So does the list of revoked certificates, without which nobody can say whether one is good."""
    login = stage.ground.docks[7]
    certs = stage.ground.folder / "certs"
    issue_client(certs, login.account, now=round(time.time() * 1000))
    authority, whole = Authority.load(Layout(certs)), Layout(certs).crl.read_bytes()
    now = datetime.now(tz=UTC)
    short = CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    signed = short.last_update(now - DAY).next_update(now + DAY).sign(authority.key, SHA256())
    _put(Layout(certs).crl, signed.public_bytes(Encoding.PEM))
    stage.lives.send(signal.SIGHUP)
    figures = await _shown_while_it_expires(stage, login, "CRL has expired")
    _put(Layout(certs).crl, whole)
    stage.lives.send(signal.SIGHUP)
    return figures


async def _shown_while_it_expires(stage: Stage, login: Login, why: str) -> Figures:
    async with _Shown(stage.ground, login.account) as line:
        promise(await line.come(login), "a good certificate was refused")
        stage.faults.clock(2 * DAY.total_seconds())
        until = time.monotonic() + _NOTICED_S
        while await _comes_shown(stage, login) or not (told := stage.lives.lines(why)):
            promise(time.monotonic() < until, f"taken, or not told of, {_NOTICED_S:g} s after it had expired")
            await asyncio.sleep(0.1)
        await line.ping()
        await stage.witness()
        promise(not await _comes_shown(stage, login), "what has expired was taken")
        stage.faults.clock(0)
        promise(await _comes_shown(stage, login), "what counts again was refused")
        await line.ping()
    return {"told": told[-1].partition(" warning ")[2].partition(" address=")[0]}


async def _comes_shown(stage: Stage, login: Login) -> bool:
    async with _Shown(stage.ground, login.account) as line:
        return await line.come(login)


def _put(path: Path, content: bytes) -> None:
    """At once, as a gateway reads it when it has changed."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


async def never_set(stage: Stage) -> Figures:
    """The machine has no time from anywhere, starts in 1970 with docks that bind, and gets the time at last."""

    async def set_back() -> None:
        stage.faults.clock(-YEARS_S)

    await stage.restart(meanwhile=set_back)
    for _ in range(3):
        promise(await stage.bind(), "not bound in 1970")
    told = await stage.is_told(of="not valid yet", within_s=10)
    stage.faults.clock(0)
    await stage.witness()
    await stage.is_well()
    return {"told": told}


CASES = (
    Case("connected docks stay", connected),
    Case("locks last as long as they should", locked_out),
    Case("docks bind meanwhile", bound),
    Case("codes count until their date", expiring),
    Case("a certificate expires", certificate),
    Case("a client certificate expires", client_certificate),
    Case("a list of revoked certificates expires", revocation_list),
    Case("a clock that was never set", never_set),
)
