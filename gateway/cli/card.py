"""``dockgate card``: what an operator types into Pilot 2 to bring a dock here. Configuration and database come in, six lines go
out; never a password, which nobody knows after it was made.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.options import Output, example
from gateway.operations.card import invitation, missing_of, place

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=example("dockgate card", "dockgate card --account dock-7"))
def card(
    ctx: typer.Context,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="A", help="The dock's account; else the first one.", show_default=False),
    ] = None,
    org: Annotated[
        str | None,
        typer.Option(
            "--org", metavar="ID", help="The organization to bind to; else the account's.", show_default=False
        ),
    ] = None,
    output: Output = None,
) -> None:
    """What to type into Pilot 2. The password is the one that was shown when the account was made."""
    cli = Cli.of(ctx, output)
    found = place(cli.config()) | cli.read(invitation, account=account, org=org, now=cli.now)
    render.record(found, cli.format, text=text_of(found))
    for missing, hint in missing_of(found):
        render.note(f"hint: {missing}: {hint}")


def text_of(found: dict[str, Any], *, password: str | None = None) -> str:
    """The card as Pilot 2 asks for it, field by field."""
    scheme = "ssl" if found["tls"] else "tcp"
    gateway = "-"
    if found["address"] is not None:
        host = f"[{found['address']}]" if ":" in found["address"] else found["address"]
        gateway = f"{scheme}://{host}:{found['port']}"
    pairs = [
        ("Gateway address", gateway),
        ("Account", render.cell(found["account"])),
        ("Password", password or "(as shown when the account was made)"),
        ("Organization ID", render.cell(found["organization_id"])),
        ("Device binding code", render.cell(found["binding_code"])),
    ]
    return "Type into Pilot 2:\n\n" + render.paired(pairs, indent="  ")
