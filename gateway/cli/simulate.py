"""``dockgate simulate``: a dock, or many, on their way in. Address and account come in, each step with its time goes out.

What is not said is taken from the configuration of this machine, when there is one. The password is never an argument.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import pki
from gateway.cli import render, secrets
from gateway.cli.context import Cli
from gateway.cli.options import Output, PasswordStdin, example
from gateway.cli.progress import Progress
from gateway.cli.times import now_ms
from gateway.config import Config, ListenerSettings, parse_bind
from gateway.errors import ConfigError, DatabaseError, DockgateError, NotFoundError, UsageError
from gateway.operations.card import best_listener, invitation
from gateway.simulator import (
    MODELS,
    DockProfile,
    Misbehaviour,
    Run,
    Step,
    Target,
    TlsFiles,
    dock_model,
    make_profile,
    number_profiles,
    run_dock,
    run_fleet,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None)

MAX_DOCKS = 10_000
_TLS_PORT, _PLAIN_PORT = 8883, 1883


@app.command(
    epilog=example(
        "dockgate simulate --account dock --sn 7CTDM7100B1234",
        "pass show dock-1 | dockgate simulate --account dock-1 --password-stdin \\",
        "    --address 192.0.2.10:8883 --ca ca.pem --org harbour --code H4RB0RTEAM",
        "dockgate simulate --docks 100 --accounts-file accounts.jsonl",
    )
)
def simulate(
    ctx: typer.Context,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help="The gateway; else the one of this machine.", show_default=False
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            metavar="A",
            help="The dock's account; with --docks, {n} in it is the number.",
            show_default=False,
        ),
    ] = None,
    password_stdin: PasswordStdin = False,
    accounts_file: Annotated[
        Path | None,
        typer.Option(
            "--accounts-file",
            metavar="F",
            help="JSON lines with account, password and sn, as `-o jsonl account add` prints them; one for each dock.",
            show_default=False,
        ),
    ] = None,
    sn: Annotated[
        str | None,
        typer.Option("--sn", metavar="SN", help="The dock's serial number; else a made one.", show_default=False),
    ] = None,
    aircraft_sn: Annotated[
        str | None,
        typer.Option("--aircraft-sn", metavar="SN", help="The aircraft's; else a made one.", show_default=False),
    ] = None,
    no_aircraft: Annotated[bool, typer.Option("--no-aircraft", help="A dock without an aircraft.")] = False,
    model: Annotated[str, typer.Option("--model", metavar="M", help=f"{', '.join(MODELS)}.")] = "dock2",
    org: Annotated[
        str | None,
        typer.Option("--org", metavar="ID", help="Organization to bind to; else as `card`.", show_default=False),
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="C", help="Binding code; else as `card`.", show_default=False)
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="F",
            help="PEM file of the CA to trust; else this gateway's, else the system's.",
            show_default=False,
        ),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option("--cert", metavar="F", help="PEM file of a client certificate.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="F", help="PEM file of its key.", show_default=False)
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Without TLS.")] = False,
    mqtt5: Annotated[bool, typer.Option("--mqtt5", help="Speak MQTT 5 instead of 3.1.1.")] = False,
    telemetry: Annotated[
        float, typer.Option("--telemetry", metavar="S", min=0, help="Send telemetry for so many seconds.")
    ] = 0,
    misbehave: Annotated[
        Misbehaviour | None,
        typer.Option(
            "--misbehave",
            metavar="NAME",
            help=f"Do something wrong; ok when the gateway deals with it rightly: {', '.join(Misbehaviour)}.",
            show_default=False,
        ),
    ] = None,
    app_id: Annotated[
        str | None,
        typer.Option(
            "--app-id",
            metavar="ID",
            help="Accept a license of this app only, and go silently away from others, as a real dock does.",
            show_default=False,
        ),
    ] = None,
    docks: Annotated[int, typer.Option("--docks", metavar="N", min=1, max=MAX_DOCKS, help="So many docks.")] = 1,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=256, help="So many at a time.")
    ] = 32,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", min=0.1, help="Seconds to wait for an answer.")
    ] = 10,
    output: Output = None,
) -> None:
    """A dock that goes through the access and then sends telemetry. Exit code 1 when a step failed."""
    cli = Cli.of(ctx, output)
    if no_aircraft and aircraft_sn is not None:
        raise UsageError("--aircraft-sn and --no-aircraft exclude each other")
    if (cert is None) != (key is None):
        raise UsageError("--cert and --key go together")
    config = _config(cli)
    target = _target(config, address, ca=ca, cert=cert, key=key, plain=plain, mqtt5=mqtt5)
    listed = None if accounts_file is None else _listed(accounts_file)
    if listed is None and account is None:
        raise UsageError("--account is missing", hint="dockgate account list shows the accounts")
    if listed is not None and (account is not None or password_stdin):
        raise UsageError(
            "--accounts-file brings accounts and passwords along: leave out --account and --password-stdin"
        )
    invited = _invited(cli, config, account=account if docks == 1 else None, org=org, code=code)
    template = make_profile(
        dock_model(model),
        account=account or "",
        password="" if listed is not None else secrets.known_password(from_stdin=password_stdin),
        sn=sn,
        aircraft_sn=aircraft_sn,
        organization_id=invited["organization_id"],
        binding_code=invited["binding_code"],
    )
    profiles = _profiles(template, docks, listed)
    if no_aircraft:
        profiles = [replace(profile, aircraft_sn=None) for profile in profiles]
    if app_id is not None:
        profiles = [replace(profile, app_id=app_id) for profile in profiles]
    if len(profiles) == 1:
        _one(cli, target, profiles[0], telemetry, misbehave, timeout)
        return
    with Progress() as progress:
        told = _Told(cli, progress, len(profiles))
        summary = run_fleet(
            target,
            profiles,
            concurrency=concurrency,
            telemetry_s=telemetry,
            misbehaviour=misbehave,
            on_run=told.run,
            timeout_s=timeout,
        )
    found = {**summary.as_dict(), "steps": told.steps}
    times = found["access_ms"]
    spread = ", ".join(f"{name} {times[name]} ms" for name in ("p50", "p95", "max"))
    render.record(found, cli.format, text=f"{summary.ok} of {summary.docks} docks got through; access took {spread}")
    if summary.failed:
        raise typer.Exit(1)


def _one(
    cli: Cli, target: Target, profile: DockProfile, telemetry: float, misbehave: Misbehaviour | None, timeout: float
) -> None:
    run = run_dock(
        target,
        profile,
        telemetry_s=telemetry,
        misbehaviour=misbehave,
        on_step=(lambda step: _tell_step(cli, step)) if cli.is_table else None,
        timeout_s=timeout,
    )
    found = {"sn": run.sn, "ok": run.ok, "access_ms": round(run.access_ms, 1), **run.as_dict()}
    verdict = f"{run.sn}: {'got through' if run.ok else 'failed'}; access took {found['access_ms']} ms"
    render.record(found, cli.format, text=verdict)
    if not run.ok:
        raise typer.Exit(1)


def _tell_step(cli: Cli, step: Step) -> None:
    first = f"{_verdict(ok=step.ok):<6} {step.step:<17} {step.ms:>8.1f} ms  "
    render.say(render.wrapped(step.detail, first=first, indent=" " * 12) + _remedy(cli, step))


def _remedy(cli: Cli, step: Step) -> str:
    if not step.hint:
        return ""
    return render.wrapped(cli.naming_config(step.hint), first=f"{' ' * 7}> ", indent=" " * 9, whole=True)


class _Told:
    """What many docks come to, told as they come: a line for each in a table, and how far it is on a terminal."""

    def __init__(self, cli: Cli, progress: Progress, docks: int) -> None:
        self._cli = cli
        self._progress = progress
        self._docks = docks
        self._done = 0
        self._mended: set[str] = set()
        self.steps: list[dict[str, Any]] = []

    def run(self, run: Run) -> None:
        self._done += 1
        self._progress.clear()
        if self._cli.is_table:
            self._tell(run)
        else:
            self.steps += [{"sn": run.sn, **step.as_dict()} for step in run.steps]
        self._progress("docks", self._done, self._docks)

    def _tell(self, run: Run) -> None:
        failure = run.failure
        why = "" if failure is None else f"{failure.step}: {failure.detail}"
        first = f"{_verdict(ok=run.ok):<6} {render.visible(run.sn):<20} {run.access_ms:>8.1f} ms  "
        text = render.wrapped(why, first=first, indent=" " * 12)
        if failure is not None and failure.step not in self._mended:  # what keeps one out keeps out many
            self._mended.add(failure.step)
            text += _remedy(self._cli, failure)
        render.say(text)


def _verdict(*, ok: bool) -> str:
    return "ok" if ok else "FAILED"


def _config(cli: Cli) -> Config | None:
    """The configuration of this machine; a simulated dock does not need one."""
    try:
        return cli.config()
    except ConfigError:
        if cli.names_config:
            raise
        return None


def _target(
    config: Config | None,
    address: str | None,
    *,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    plain: bool,
    mqtt5: bool,
) -> Target:
    host, port, own_ca = _where(config, address, plain=plain)
    return Target(
        host=host,
        port=port,
        tls=None if plain else TlsFiles(ca=ca or own_ca, certificate=cert, key=key, is_expired=_is_expired(cert)),
        protocol=5 if mqtt5 else 4,
    )


def _is_expired(certificate: Path | None) -> bool:
    """What cannot be read as a certificate fails with better words when it is used."""
    if certificate is None:
        return False
    try:
        return pki.inspect(certificate, now=now_ms()).not_after < now_ms()
    except DockgateError:
        return False


def _where(config: Config | None, address: str | None, *, plain: bool) -> tuple[str, int, Path | None]:
    """Host, port, and the CA that signed this machine's own certificate (None when the gateway is another machine's)."""
    if address is not None:
        return *address_of(address, default=_PLAIN_PORT if plain else _TLS_PORT), None
    if config is None:
        raise UsageError("--address is missing, and there is no configuration to take it from")
    listener = best_listener(config, tls=not plain)
    if listener is None or listener.bind.port == 0:
        raise UsageError("--address is missing, and the configuration names no such listener")
    host = listener.bind.host
    if listener.bind.is_wildcard:
        host = "::1" if ":" in host else "127.0.0.1"
    return host, listener.bind.port, own_ca(listener)


def address_of(text: str, *, default: int) -> tuple[str, int]:
    """``--address`` as host and port. Errors: ``UsageError``."""
    for candidate in (text, f"{text}:{default}"):
        try:
            bind = parse_bind(candidate)
        except ValueError:
            continue
        return bind.host, bind.port
    raise UsageError(f"--address {text!r}: not HOST:PORT", hint='an IPv6 address needs brackets: "[2001:db8::1]:8883"')


def _invited(
    cli: Cli, config: Config | None, *, account: str | None, org: str | None, code: str | None
) -> dict[str, str]:
    """Organization and binding code: as given, else as ``card`` would say."""
    known: dict[str, Any] = {}
    if (org is None or code is None) and config is not None:
        # An account or organization that only another machine's gateway has is no mistake here
        with contextlib.suppress(NotFoundError, DatabaseError):
            known = cli.read(invitation, account=account, org=org, now=cli.now)
    # A dock that is bound already needs neither; one that is not is refused with the gateway's own words
    return {
        "organization_id": org or known.get("organization_id") or "",
        "binding_code": code or known.get("binding_code") or "",
    }


def own_ca(listener: ListenerSettings) -> Path | None:
    """The CA that ``init`` put beside the certificate; without one the certificate is from somewhere else."""
    file = listener.certfile.with_name("ca.pem") if listener.certfile else None
    return file if file is not None and file.is_file() else None


def _listed(path: Path) -> list[dict[str, Any]]:
    accounts = []
    for number, text in enumerate(secrets.read_file(str(path), what="accounts").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in ("account", "password")):
            raise UsageError(f"{path}, line {number}: not a JSON object with account and password")
        accounts.append(entry)
    return accounts


def _profiles(template: DockProfile, docks: int, listed: list[dict[str, Any]] | None) -> list[DockProfile]:
    if listed is None:
        if docks == 1:
            return [template]
        return list(number_profiles(template, docks))
    if docks > len(listed):
        raise UsageError(f"--docks {docks}: the file has {len(listed)} accounts")
    chosen = listed[:docks] if docks > 1 else listed
    numbered = number_profiles(template, len(chosen))
    return [
        make_profile(
            profile.model,
            account=entry["account"],
            password=entry["password"],
            sn=entry.get("sn") or profile.sn,
            aircraft_sn=profile.aircraft_sn,
            organization_id=profile.organization_id,
            binding_code=profile.binding_code,
            callsign=profile.callsign,
        )
        for profile, entry in zip(numbered, chosen, strict=True)
    ]
