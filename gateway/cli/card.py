"""``dockgate card``: what an operator types into Pilot 2 to bring a dock here. Configuration and database come in, six lines go
out; never a password, which nobody knows after it was made.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.options import Output, example
from gateway.cli.qr import drawn
from gateway.operations.card import invitation_and_why, missing_of, place

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=example("dockgate card", "dockgate card --account dock-7 --qr"))
def card(
    ctx: typer.Context,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="A", help="The dock's account; else an unused one.", show_default=False),
    ] = None,
    org: Annotated[
        str | None,
        typer.Option(
            "--org", metavar="ID", help="The organization to bind to; else the account's.", show_default=False
        ),
    ] = None,
    qr: Annotated[
        bool, typer.Option("--qr", help="As a QR code too, for a phone's camera; without the password.")
    ] = False,
    output: Output = None,
) -> None:
    """What to type into Pilot 2. The password is the one that was shown when the account was made."""
    cli = Cli.of(ctx, output)
    invited, why = cli.read(invitation_and_why, account=account, org=org, now=cli.now)
    found = place(cli.config()) | invited
    content = "".join(f"{title}: {value}\n" for title, value in _fields(found))
    render.record({**found, "qr": content} if qr else found, cli.format, text=text_of(found))
    if qr and cli.is_table:
        _draw(content)
    if why is not None and cli.is_table:
        render.note(render.wrapped(f"{why}; --account NAME takes another", first="note: ", indent="      "))
    for missing, hint in missing_of(found):
        render.note(cli.naming_config(f"hint: {missing}: {hint}"))


def _draw(content: str) -> None:
    if render.is_unicode(sys.stdout):
        render.say("\n" + drawn(content, colored=render.has_color(sys.stdout)))
        return
    render.say("\nText for a QR code:\n\n" + content)
    render.note("hint: drawing it takes characters that only a UTF-8 terminal shows: LC_ALL=C.UTF-8 before the command")


def text_of(found: dict[str, Any], *, password: str | None = None) -> str:
    """The card as Pilot 2 asks for it, field by field."""
    first, account, *rest = _fields(found)
    pairs = [first, account, ("Password", password or "(as shown when the account was made)"), *rest]
    return "Type into Pilot 2:\n\n" + render.paired(pairs, indent="  ")


def _fields(found: dict[str, Any]) -> list[tuple[str, str]]:
    scheme = "ssl" if found["tls"] else "tcp"
    gateway = "-"
    if found["address"] is not None:
        host = f"[{found['address']}]" if ":" in found["address"] else found["address"]
        gateway = f"{scheme}://{host}:{found['port']}"
    return [
        ("Gateway address", gateway),
        ("Account", render.cell(found["account"])),
        ("Organization ID", render.cell(found["organization_id"])),
        ("Device binding code", render.cell(found["binding_code"])),
    ]
