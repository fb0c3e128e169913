"""``dockgate org``: organizations and the codes that bind a dock to one. Names come in, ids and codes go out.

Operators type both into Pilot 2, so that they are short and without look-alikes; a code in the audit trail is cut short.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.context import Change, Cli
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local, minute
from gateway.operations import organizations
from gateway.operations.organizations import MAX_USES, checked_name
from gateway.store import organizations as stored

app = noun("Organizations. A dock is bound to one with its id and a binding code, both typed into Pilot 2.")
code_app = noun("Binding codes of an organization.")
app.add_typer(code_app, name="code")

Id = Annotated[str, typer.Argument(metavar="ID", help="The organization's id.", show_default=False)]

_COLUMNS = (
    Column("id", "id", whole=True),
    Column("name", "name"),
    Column("binding_code", "binding code", whole=True),
)
_CODE_COLUMNS = (
    Column("organization_id", "organization"),
    Column("binding_code", "binding code", whole=True),
    Column("uses_left", "uses left", show=lambda value: "any" if value is None else str(value), right=True),
    Column("expires_at", "expires", show=lambda value: "never" if value is None else local(value)),
    Column("sn", "only for"),
)
_CODE_TABLE = (
    Column("organization_id", "org"),
    *_CODE_COLUMNS[1:3],
    Column("expires_at", "expires", show=lambda value: "never" if value is None else minute(value), whole=True),
    Column("sn", "only for", whole=True),
    Column("state", "state", whole=True),
)


@app.command("add", epilog=example('dockgate org add "Harbour team"', 'dockgate org add "Harbour team" --id harbour'))
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What Pilot 2 shows.", show_default=False)],
    id: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--id", metavar="ID", help="Its id; else made from the name.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Add an organization, with a first binding code."""
    cli = Cli.of(ctx, output)
    name = checked_name(name)
    result = cli.change(lambda change: organizations.create(change, name=name, wanted_id=id, option="--id"))
    render.record(result, cli.format, columns=_COLUMNS)


@app.command("list", epilog=example("dockgate org list"))
def list_organizations(ctx: typer.Context, output: Output = None) -> None:
    """All organizations, each with a binding code that can be used now."""
    cli = Cli.of(ctx, output)
    render.rows(
        cli.read(organizations.every, cli.now), cli.format, _COLUMNS, empty="no organizations: dockgate org add NAME"
    )


@app.command("show", epilog=example("dockgate org show harbour"))
def show(ctx: typer.Context, id: Id, output: Output = None) -> None:  # noqa: A002 - the argument's name
    """One organization with its binding codes."""
    cli = Cli.of(ctx, output)
    found = cli.read(organizations.show, id, cli.now)
    columns = (*_COLUMNS, Column("created_at", "created", show=local))
    render.record(found, cli.format, columns=columns)
    if cli.is_table:
        if found["codes"]:
            render.note("")
            render.rows(found["codes"], cli.format, _CODE_TABLE[1:], empty="")
        render.note(f"Another code: dockgate org code add {id}")


@app.command("rename", epilog=example('dockgate org rename harbour "Harbour and pier"'))
def rename(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the argument's name
    name: Annotated[str, typer.Argument(metavar="NAME", help="What Pilot 2 shows from now on.", show_default=False)],
    output: Output = None,
) -> None:
    """Give an organization another name; its id stays."""
    cli = Cli.of(ctx, output)
    name = checked_name(name)
    render.record(cli.change(lambda change: organizations.rename(change, id, name)), cli.format, columns=_COLUMNS)


@app.command("delete", epilog=example("dockgate org delete harbour --yes"))
def delete(ctx: typer.Context, id: Id, yes: Yes = False, output: Output = None) -> None:  # noqa: A002 - the argument's name
    """Delete an organization with its codes and its license. Refused while docks are bound or accounts belong to it."""
    cli = Cli.of(ctx, output)
    cli.read(stored.get, id)
    cli.confirm(f"Delete the organization {id} with its codes and its license?", yes=yes)
    found = cli.change(lambda change: organizations.delete(change, id))
    render.record(found, cli.format, text=f"{id}: deleted")


@code_app.command(
    "add",
    epilog=example(
        "dockgate org code add harbour",
        "dockgate org code add harbour --uses 1 --expires 7d --sn 7CTDM7100B1234",
    ),
)
def code_add(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the argument's name
    uses: Annotated[
        int | None, typer.Option("--uses", min=1, max=MAX_USES, help="How many binds it is good for; else any number.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="T", help="Until when: 7d, 12h, 2026-05-01; else for ever.", show_default=False
        ),
    ] = None,
    sn: Annotated[
        str | None, typer.Option("--sn", metavar="SN", help="Only for this dock.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Make a binding code."""
    cli = Cli.of(ctx, output)

    def work(change: Change) -> dict[str, Any]:
        return organizations.add_code(change, id, uses=uses, expires=expires, sn=sn, prefix="--")

    render.record(cli.change(work), cli.format, columns=_CODE_COLUMNS)


@code_app.command("list", epilog=example("dockgate org code list harbour"))
def code_list(
    ctx: typer.Context,
    id: Annotated[  # noqa: A002 - the argument's name
        str | None, typer.Argument(metavar="[ID]", help="Only of this organization.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Binding codes, used up and revoked ones too."""
    cli = Cli.of(ctx, output)
    found = cli.read(organizations.every_code, id, cli.now)
    render.rows(found, cli.format, _CODE_TABLE, empty=f"no codes: dockgate org code add {id or 'ID'}")


@code_app.command("revoke", epilog=example("dockgate org code revoke H4RB0RTEAM"))
def code_revoke(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The binding code.", show_default=False)],
    output: Output = None,
) -> None:
    """End a binding code. Docks that were bound with it stay bound."""
    cli = Cli.of(ctx, output)
    result = cli.change(lambda change: organizations.revoke_code(change, code))
    render.record(result, cli.format, text=f"{render.visible(code)}: revoked")
