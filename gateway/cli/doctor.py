"""``dockgate doctor``: what is missing, or about to go wrong, in an installation that starts, or at an address as docks see it.
Findings with the step that mends each go out; nothing is changed, unless ``--fix`` asks for what can be mended without a risk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import machine, mending, outside, render
from gateway.cli.context import Cli, Db
from gateway.cli.options import Output, example
from gateway.cli.probe import Step
from gateway.cli.simulate import address_of
from gateway.config import Config
from gateway.errors import DatabaseError, UsageError
from gateway.operations.finding import Finding
from gateway.operations.findings import Facts, describe, facts, look_for, ranked
from gateway.store import audit

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_TLS_PORT, _PLAIN_PORT = 8883, 1883


@app.command(
    epilog=example(
        "dockgate doctor --fix",
        "dockgate doctor --address dock.example.org:8883 --ca ca.pem",
        "dockgate -o json doctor | jq '.findings[].fix'",
    )
)
def doctor(
    ctx: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended without a risk: modes of files, own certificates.")
    ] = False,
    network: Annotated[
        bool, typer.Option("--network", help="Ask the time servers, too; nothing else goes over the network.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Look at this address as a dock does, and at nothing else; needs no installation.",
            show_default=False,
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca", metavar="F", help="With --address: the CA to trust; else the system's.", show_default=False
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="With --address: without TLS.")] = False,
    output: Output = None,
) -> None:
    """Find what is missing or about to go wrong, and how to mend it. Exit code 1 when docks are kept out, or strangers let in."""
    cli = Cli.of(ctx, output)
    if address is not None:
        if fix or network:
            raise UsageError("--address looks from the outside: --fix and --network are for the installation")
        _outside(cli, address, ca=ca, plain=plain)
        return
    if ca is not None or plain:
        raise UsageError("--ca and --plain are for --address")
    config = cli.config()
    findings = _findings(cli, config, network=network)
    found: dict[str, Any] = {}
    mended: list[str] = []
    if fix:
        mended = mending.mend(cli, config, findings)
        if mended:
            findings = _findings(cli, config, network=network)
        found["mended"] = mended
    found = {**describe(findings), **found}
    render.record(found, cli.format, text=_text(cli, findings, mended))
    if not found["ok"]:
        raise typer.Exit(1)


def _findings(cli: Cli, config: Config, *, network: bool) -> list[Finding]:
    report, findings = machine.of_database(config)
    stored, newest_at = (_read(cli) if report.ok else None) or (None, None)
    live = stored.live if stored else None
    findings += [
        *machine.of_ports(config, live),
        *machine.of_files(config),
        *machine.of_disk(config),
        *machine.of_clock(config, live, newest_at, cli.now),
        *machine.of_leftovers(config),
    ]
    if stored is not None:
        findings += look_for(config, stored, cli.now)
        if network:
            findings += outside.of_time_servers(list(stored.data.licenses.values()))
    return ranked(findings)


def _read(cli: Cli) -> tuple[Facts, int | None] | None:
    """And when the newest audit entry was written."""

    def query(db: Db) -> tuple[Facts, int | None]:
        return facts(db, cli.now), audit.newest_at(db)

    try:
        return cli.read(query)
    except DatabaseError:  # found by machine.of_database, or it is just being replaced
        return None


def _outside(cli: Cli, text: str, *, ca: Path | None, plain: bool) -> None:
    host, port = address_of(text, default=_PLAIN_PORT if plain else _TLS_PORT)
    probe, findings = outside.look(host, port, ca=ca, plain=plain)
    findings = ranked(findings)
    found = {**describe(findings), "steps": [step.as_dict() for step in probe.steps]}
    render.record(found, cli.format, text=_steps(probe.steps) + _text(cli, findings, []))
    if not found["ok"]:
        raise typer.Exit(1)


def _steps(steps: list[Step]) -> str:
    return "".join(
        render.wrapped(
            step.detail,
            first=f"{'ok' if step.ok else 'FAILED':<6} {step.name:<8} {step.ms:>8.1f} ms  ",
            indent=" " * 28,
        )
        for step in steps
    )


def _text(cli: Cli, findings: list[Finding], mended: list[str]) -> str:
    indent = " " * 9
    text = "".join(render.wrapped(one, first=f"{'mended':<8} ", indent=indent) for one in mended)
    if not findings:
        return text + "nothing found\n"
    return text + "".join(
        render.wrapped(finding.what, first=f"{finding.severity:<8} ", indent=indent)
        + render.wrapped(cli.naming_config(finding.fix), first=f"{indent}> ", indent=f"{indent}  ", whole=True)
        for finding in findings
    )
