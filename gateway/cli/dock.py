"""``dockgate dock``: docks and their aircraft, bound or only seen. A serial number comes in, a device's record goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.audit import describe as describe_entry
from gateway.cli.audit import show_entries
from gateway.cli.context import Change, Cli, Db
from gateway.cli.live import Live, look
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.org import cut
from gateway.cli.render import Column
from gateway.cli.status import current_step
from gateway.cli.times import iso, local
from gateway.errors import UsageError
from gateway.model import Device
from gateway.store import audit, bindings, contacts, devices, organizations
from gateway.store.bindings import MAX_CALLSIGN
from gateway.store.contacts import Contact

app = noun("Docks and their aircraft.")

SHOWN_EVENTS = 50
Sn = Annotated[str, typer.Argument(metavar="SN", help="Serial number of a dock or an aircraft.", show_default=False)]


def _bound(binding: dict[str, Any] | None) -> str:
    if binding is None:
        return "no"
    return f"{local(binding['at'])} by account {render.visible(binding['account'])} with code {binding['code']}"


_COLUMNS = (
    Column("sn", "sn", whole=True),
    Column("callsign", "callsign"),
    Column("organization_id", "organization"),
    Column("access_step", "step", whole=True),
    Column("last_seen", "last seen", show=local, whole=True),
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


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "account": contact.account,
        "client_id": contact.client_id,
        "first_at": iso(contact.first_at),
        "changed_at": iso(contact.changed_at),
        "said": contact.facts,
    }


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

    def query(db: Db) -> list[dict[str, Any]]:
        if org is not None:
            organizations.get(db, org)
        return trees(devices.list_all(db), look(db, cli.now))

    found = [
        dock
        for dock in cli.read(query)
        if (org is None or dock["organization_id"] == org)
        and not (unbound and dock["bound"])
        and not (online and not dock["online"])
    ]
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
    """One device: whose it is, how far it has come, and what happened to it last."""
    cli = Cli.of(ctx, output)

    def query(db: Db) -> dict[str, Any]:
        device = devices.get(db, sn)
        everything = devices.list_all(db)
        result = describe(device, everything, look(db, cli.now))
        owner = None if device.organization_id is None else organizations.get(db, device.organization_id)
        result["organization_name"] = owner.name if owner else None
        result["first_seen"] = iso(device.first_seen_at)
        result["binding"] = _binding(db, device)
        result["contacts"] = [_contact(contact) for contact in contacts.list_for(db, sn=sn)]
        result["events"] = [describe_entry(entry) for entry in audit.list_since(db, dock=sn, limit=SHOWN_EVENTS)]
        return result

    found = cli.read(query)
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
    name = callsign.strip()
    if not 1 <= len(name) <= MAX_CALLSIGN or not name.isprintable():
        raise UsageError(f"a callsign is 1 to {MAX_CALLSIGN} visible characters")

    def work(change: Change) -> dict[str, Any]:
        device = devices.rename(change.db, sn, name)
        change.audit("dock.rename", sn, callsign=name, dock=device.gateway_sn)
        return describe(device, devices.list_all(change.db), look(change.db, change.now))

    render.record(cli.change(work), cli.format, text=f"{render.visible(sn)}: {render.visible(name)}")


@app.command("unbind", epilog=example("dockgate dock unbind 7CTDM7100B1234 --yes"))
def unbind(ctx: typer.Context, sn: Sn, yes: Yes = False, output: Output = None) -> None:
    """End a binding; with a dock, that of its aircraft too. Afterwards any organization may bind it."""
    cli = Cli.of(ctx, output)
    device = cli.read(devices.get, sn)
    cli.confirm(f"Unbind {render.visible(sn)} from {device.organization_id or 'its organization'}?", yes=yes)

    def work(change: Change) -> list[Device]:
        freed = devices.unbind(change.db, sn, change.now)
        for one in freed:
            change.audit(
                "dock.unbind",
                one.sn,
                organization_id=device.organization_id if one.sn == sn else None,
                dock=None if one.sn == sn else sn,
            )
        return freed

    freed = [one.sn for one in cli.change(work)]
    result = {"sn": sn, "organization_id": device.organization_id, "unbound": freed}
    render.record(result, cli.format, text="".join(f"{one}: unbound\n" for one in freed))


@app.command("forget", epilog=example("dockgate dock forget 7CTDM7100B1234 --yes"))
def forget(ctx: typer.Context, sn: Sn, yes: Yes = False, output: Output = None) -> None:
    """Forget a device that is not bound; when it comes again it is new."""
    cli = Cli.of(ctx, output)
    cli.read(devices.get, sn)
    cli.confirm(f"Forget {render.visible(sn)}?", yes=yes)

    def work(change: Change) -> None:
        devices.forget(change.db, sn)
        change.audit("dock.forget", sn)

    cli.change(work)
    render.record({"sn": sn, "forgotten": True}, cli.format, text=f"{render.visible(sn)}: forgotten")


def trees(everything: Sequence[Device], live: Live) -> list[dict[str, Any]]:
    """Docks, each with what hangs on it; after them what hangs on nothing."""
    tops = [device for device in everything if device.is_gateway or device.gateway_sn is None]
    tops.sort(key=lambda device: (not device.is_gateway, device.sn))
    return [describe(device, everything, live) for device in tops]


def describe(device: Device, everything: Sequence[Device], live: Live) -> dict[str, Any]:
    """The keys are a promise."""
    result = _flat(device, live)
    result["children"] = [_flat(child, live) for child in everything if child.gateway_sn == device.sn]
    return result


def _flat(device: Device, live: Live) -> dict[str, Any]:
    return {
        "sn": device.sn,
        "model_key": device.model_key,
        "organization_id": device.organization_id,
        "callsign": device.callsign,
        "bound": device.organization_id is not None,
        "online": live.is_online(device),
        "access_step": current_step(device, live).value,
        "last_seen": iso(device.last_seen_at),
        "gateway_sn": device.gateway_sn,
        "is_gateway": device.is_gateway,
    }


def _binding(db: Db, device: Device) -> dict[str, Any] | None:
    """Who bound it, when, and with which code, cut short: the code may still open the door to others."""
    if device.organization_id is None:
        return None
    found = bindings.get(db, device.sn)
    return {"at": iso(found.bound_at), "account": found.account, "code": cut(found.code)}
