"""``dockgate health``: can a dock get in right now. The configuration comes in, a real login against the running gateway is made,
and the exit code tells; for monitoring, containers, and whoever has just restarted it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import pki
from gateway.cli import health_account, render
from gateway.cli.context import Cli, Db
from gateway.cli.live import Live, look
from gateway.cli.options import Output, example
from gateway.cli.probe import ACCEPTED, Probe, ProbeError, Step
from gateway.cli.simulate import address_of
from gateway.cli.times import now_ms
from gateway.config import Config, ListenerSettings
from gateway.errors import ConfigError, DockgateError
from gateway.operations.card import best_listener, place
from gateway.operations.issued import layout_of
from gateway.store import exclusive, hindrance
from gateway.store.state import GatewayState

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EVERY_S = 0.25
_TIMEOUT_S = 5.0
_CLIENTS = 8
# The heartbeat comes each second; a busy machine may be late by half of one.
_DUE_MS = 1_500


@app.command(epilog=example("dockgate health", "dockgate health --wait 30", "dockgate -o json health | jq .latency_ms"))
def health(
    ctx: typer.Context,
    wait: Annotated[
        float, typer.Option("--wait", metavar="S", min=0, max=3600, help="Try for so many seconds until it is well.")
    ] = 0,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Where to log in; else as the configuration says.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
) -> None:
    """A real MQTT login against the running gateway. Exit code 1 when it does not succeed, or the database cannot be written."""
    cli = Cli.of(ctx, output)
    config = cli.config()
    if address is not None:
        address_of(address, default=1)
    until = time.monotonic() + wait
    pause = threading.Event()
    while not (found := _look(cli, config, address))["ok"] and time.monotonic() < until:
        pause.wait(_EVERY_S)
    render.record(found, cli.format, text=_text(found))
    if not found["ok"]:
        raise typer.Exit(1)


def _look(cli: Cli, config: Config, address: str | None) -> dict[str, Any]:
    """The keys are a promise."""
    checks = [_gateway(cli)]
    latency = None
    try:
        listener, host, port = _target(config, address)
        probe = Probe(host, port, timeout_s=_TIMEOUT_S)
        try:
            _login(cli, config, listener, probe)
            latency = round(sum(step.ms for step in probe.steps), 1)
        except ProbeError:
            pass  # told in the steps
        finally:
            probe.close()
            checks += probe.steps
    except DockgateError as error:
        checks.append(Step("account", ok=False, ms=0.0, detail=f"{error}{f' ({error.hint})' if error.hint else ''}"))
    ok = all(step.ok for step in checks)
    return {"ok": ok, "latency_ms": latency if ok else None, "checks": [step.as_dict() for step in checks]}


def _gateway(cli: Cli) -> Step:
    """What the gateway says of itself: that it can write its database, once a second. Where that is due, it is waited for: a
    gateway whose disk has just filled up still counts as running.
    """

    def query(db: Db) -> Live:
        return look(db, now_ms())

    pause = threading.Event()
    try:
        while (live := cli.read(query)).running and live.state is not None and _age_ms(live.state) > _DUE_MS:
            pause.wait(_EVERY_S)
        if live.state is not None and live.running:
            return Step("gateway", ok=True, ms=0.0, detail=f"process {live.state.pid} writes its database")
        detail = "it does not run"
        path = cli.config().dockgate.database
        if live.state is not None and exclusive.is_open_in(live.state.pid, path):
            barred = hindrance.look(path)
            why = f"{barred.what}; {barred.hint}" if barred else "its log says why"
            detail = f"process {live.state.pid} has not written its database for {_age_ms(live.state) // 1000} s: {why}"
    except DockgateError as error:
        detail = f"{error}{f' ({error.hint})' if error.hint else ''}"
    return Step("gateway", ok=False, ms=0.0, detail=detail)


def _age_ms(said: GatewayState) -> int:
    return now_ms() - said.heartbeat_at


def _login(cli: Cli, config: Config, listener: ListenerSettings, probe: Probe) -> None:
    credentials = health_account.credentials(cli, config)
    client: tuple[Path, Path] | None = None
    if listener.client_auth == "required":
        client = health_account.certificate(cli, layout_of(config), listener)
    probe.connect()
    if listener.ssl:
        name: str | None = place(config)["address"]
        probe.shake_hands(name=name, client=client)
        probe.steps.append(_certificate(probe, name, cli.now))
    # A few names, so that checks beside each other do not end each other, and each check is not a client never seen before
    code = probe.login(credentials, client_id=f"{health_account.NAME}-{os.getpid() % _CLIENTS}")
    if code == ACCEPTED:
        probe.ping()


def _certificate(probe: Probe, name: str | None, now: int) -> Step:
    """Who trusts whom is a matter of each dock; a date and a name are not."""
    info = probe.certificate
    step = Step("certificate", ok=True, ms=0.0, detail="")
    if info is None:
        return Step("certificate", ok=False, ms=0.0, detail="none was shown")
    step.detail = f"for {', '.join(info.sans)}, {info.days_left} days left"
    if not info.not_before <= now < info.not_after:
        step.ok = False
        step.detail = "expired" if now >= info.not_after else "not valid yet, by the clock of this machine"
    elif name is not None and not pki.covers(info.sans, name):
        step.ok = False
        step.detail = f"docks are told to connect to {name}, and it is for {', '.join(info.sans)}"
    return step


def _target(config: Config, address: str | None) -> tuple[ListenerSettings, str, int]:
    listener = best_listener(config)
    if listener is None:
        raise ConfigError("no listener for MQTT over TCP", hint="dockgate check")
    if address is not None:
        return listener, *address_of(address, default=listener.bind.port)
    if listener.bind.port == 0:
        raise ConfigError("the listener's port is chosen by the system: say where it is with --address")
    host = listener.bind.host
    if listener.bind.is_wildcard:
        host = "::1" if ":" in host else "127.0.0.1"
    return listener, host, listener.bind.port


def _text(found: dict[str, Any]) -> str:
    lines = [
        render.wrapped(
            check["detail"], first=f"{'ok' if check['ok'] else 'FAILED':<6} {check['name']:<11} ", indent=" " * 19
        )
        for check in found["checks"]
    ]
    verdict = f"well; logging in took {found['latency_ms']} ms\n" if found["ok"] else "not well\n"
    return "".join((*lines, verdict))
