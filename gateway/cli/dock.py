"""``dockgate dock``: docks and their aircraft, bound or only seen. A serial number comes in, a device's record goes out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.audit import show_entries
from gateway.cli.context import Cli
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local, minute
from gateway.errors import UsageError
from gateway.operations import docks
from gateway.store import devices

app = noun("Docks and their aircraft.")

Sn = Annotated[str, typer.Argument(metavar="SN", help="Serial number of a dock or an aircraft.", show_default=False)]


def _bound(binding: dict[str, Any] | None) -> str:
    if binding is None:
        return "no"
    return f"{local(binding['at'])} by account {render.visible(binding['account'])} with code {binding['code']}"


_COLUMNS = (
    Column("sn", "sn", whole=True),
    Column("callsign", "callsign"),
    Column("organization_id", "org"),
    Column("access_step", "step", whole=True),
    Column("last_seen", "last seen", show=minute, whole=True),
)
_DETAILS = (
    Column("sn", "sn"),
    Column("callsign", "callsign"),
    Column("model_key", "model key"),
    Column("gateway_sn", "hangs on dock"),
    Column("organization_id", "organization"),
    Column("organization_name", "its name"),
    Column("binding", "bound", show=_bound),
    Column("online", "online"),
    Column("access_step", "step"),
    Column("first_seen", "first seen", show=local),
    Column("last_seen", "last seen", show=local),
)


def _said(value: Any) -> str:  # noqa: ANN401 - what a client may say of itself
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_said(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(
            f"{entry['filter']} (QoS {entry['qos']}{'' if entry['granted'] else ', refused'})"
            if isinstance(entry, dict)
            else str(entry)
            for entry in value
        )
    return render.visible("yes" if value is True else "no" if value is False else str(value))


def _told(cli: Cli, attempt: dict[str, Any]) -> str:
    """The story of one attempt: each step with its time, and what it came to."""
    lines = [
        render.wrapped(step["what"], first=f"{local(step['at'])}  {'' if step['ok'] else 'refused: '}", indent=" " * 21)
        for step in attempt["steps"]
    ]
    if attempt["repeats"]:
        until = f", until {local(attempt['ended_at'])}" if attempt["ended_at"] else ""
        lines.append(render.wrapped(f"and {attempt['repeats']} times more{until}", first=" " * 21, indent=" " * 21))
    lines.append(render.wrapped(attempt["verdict"], first="  = ", indent="    "))
    if attempt["hint"]:
        lines.append(render.wrapped(cli.naming_config(attempt["hint"]), first="    > ", indent="      ", whole=True))
    return "".join(lines)


@app.command("list", epilog=example("dockgate dock list", "dockgate -o json dock list --unbound"))
def list_docks(
    ctx: typer.Context,
    org: Annotated[
        str | None, typer.Option("--org", metavar="ID", help="Only docks of this organization.", show_default=False)
    ] = None,
    unbound: Annotated[bool, typer.Option("--unbound", help="Only docks that no organization has.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Only docks that are online.")] = False,
    output: Output = None,
) -> None:
    """Docks with their aircraft: bound ones, and those that were only seen."""
    cli = Cli.of(ctx, output)
    if org is not None and unbound:
        raise UsageError("--org and --unbound exclude each other")
    found = cli.read(docks.every, cli.now, organization_id=org, unbound=unbound, online=online)
    if cli.is_table:
        lines: list[dict[str, Any]] = []
        for dock in found:
            lines.append(dock)
            lines.extend({**child, "sn": f"└ {child['sn']}"} for child in dock["children"])
        render.rows(
            lines, cli.format, _COLUMNS, empty="no docks" if org or unbound or online else "no dock was seen yet"
        )
    else:
        render.rows(found, cli.format, _COLUMNS, empty="")


@app.command("show", epilog=example("dockgate dock show 7CTDM7100B1234"))
def show(ctx: typer.Context, sn: Sn, output: Output = None) -> None:
    """One device: whose it is, how far it has come, and the story of its last attempts to get in."""
    cli = Cli.of(ctx, output)
    found = cli.read(docks.show, sn, cli.now)
    render.record(found, cli.format, columns=_DETAILS)
    if cli.is_table:
        if found["children"]:
            render.say("\nAircraft\n")
            render.rows(found["children"], cli.format, _COLUMNS, empty="")
        for contact in found["contacts"]:
            render.say(
                f"\nClient {render.visible(contact['client_id'])} of account {render.visible(contact['account'])}\n"
            )
            columns = tuple(Column(key, key.replace("_", " "), show=_said) for key in contact["said"])
            render.record(contact["said"], cli.format, columns=columns)
        if found["attempts"]:
            render.say("\nAttempts\n")
            for attempt in found["attempts"]:
                render.say(_told(cli, attempt))
        if found["events"]:
            render.say("\nEvents\n")
            show_entries(found["events"], cli.format)


@app.command("rename", epilog=example('dockgate dock rename 7CTDM7100B1234 "Dock North"'))
def rename(
    ctx: typer.Context,
    sn: Sn,
    callsign: Annotated[str, typer.Argument(metavar="CALLSIGN", help="What it is called.", show_default=False)],
    output: Output = None,
) -> None:
    """Give a dock or an aircraft another callsign; Pilot 2 shows it at the next look."""
    cli = Cli.of(ctx, output)
    found = cli.change(lambda change: docks.rename(change, sn, callsign))
    render.record(found, cli.format, text=f"{render.visible(sn)}: {render.visible(found['callsign'])}")


@app.command("unbind", epilog=example("dockgate dock unbind 7CTDM7100B1234 --yes"))
def unbind(ctx: typer.Context, sn: Sn, yes: Yes = False, output: Output = None) -> None:
    """End a binding; with a dock, that of its aircraft too. Afterwards any organization may bind it."""
    cli = Cli.of(ctx, output)
    device = cli.read(devices.get, sn)
    cli.confirm(f"Unbind {render.visible(sn)} from {device.organization_id or 'its organization'}?", yes=yes)
    found = cli.change(lambda change: docks.unbind(change, sn))
    render.record(found, cli.format, text="".join(f"{one}: unbound\n" for one in found["unbound"]))


@app.command("forget", epilog=example("dockgate dock forget 7CTDM7100B1234 --yes"))
def forget(ctx: typer.Context, sn: Sn, yes: Yes = False, output: Output = None) -> None:
    """Forget a device that is not bound; when it comes again it is new."""
    cli = Cli.of(ctx, output)
    cli.read(devices.get, sn)
    cli.confirm(f"Forget {render.visible(sn)}?", yes=yes)
    found = cli.change(lambda change: docks.forget(change, sn))
    render.record(found, cli.format, text=f"{render.visible(sn)}: forgotten")
