"""``dockgate token``: what programs show to the admin HTTP. A name comes in, a token goes out, this once; its digest is kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import render
from gateway.cli.context import Change, Cli
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local, minute
from gateway.operations import tokens
from gateway.store import tokens as stored
from gateway.store.tokens import Scope

app = noun(
    "Tokens with which programs use the JSON API and read the metrics. A running gateway obeys a change at once."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the audit calls it.", show_default=False)]

_COLUMNS = (
    Column("name", "name"),
    Column("scope", "scope", whole=True),
    Column("state", "state", whole=True),
    Column("expires_at", "expires", show=lambda value: "never" if value is None else minute(value), whole=True),
    Column("last_used_at", "last used", show=minute, whole=True),
)
_DETAILS = (
    Column("name", "name"),
    Column("scope", "scope"),
    Column("expires_at", "expires", show=lambda value: "never" if value is None else local(value)),
    Column("token", "token"),
)


@app.command(
    "add",
    epilog=example(
        "dockgate token add prometheus --scope read", "dockgate token add platform --scope write --expires 90d"
    ),
)
def add(
    ctx: typer.Context,
    name: Name,
    scope: Annotated[Scope, typer.Option("--scope", help="read, or write, which may read too.", show_default=False)],
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="T", help="Until when: 7d, 12h, 2026-05-01; else for ever.", show_default=False
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Make a token. It is shown this once."""
    cli = Cli.of(ctx, output)

    def work(change: Change) -> dict[str, Any]:
        found, made = tokens.add(change, name, scope=scope, expires=expires, prefix="--")
        return {**found, "token": made}

    render.record(cli.change(work), cli.format, columns=_DETAILS)
    if cli.is_table:
        render.note("The token is shown this once; only its digest is kept. Send it as: Authorization: Bearer TOKEN")


@app.command("list", epilog=example("dockgate token list"))
def list_tokens(ctx: typer.Context, output: Output = None) -> None:
    """All tokens, expired and revoked ones too."""
    cli = Cli.of(ctx, output)
    render.rows(
        cli.read(tokens.every, cli.now), cli.format, _COLUMNS, empty="no tokens: dockgate token add NAME --scope read"
    )


@app.command("revoke", epilog=example("dockgate token revoke platform --yes"))
def revoke(ctx: typer.Context, name: Name, yes: Yes = False, output: Output = None) -> None:
    """End a token, for good; its name is not given again."""
    cli = Cli.of(ctx, output)
    cli.read(stored.get, name)
    cli.confirm(f"Revoke the token {render.visible(name)}?", yes=yes)
    found = cli.change(lambda change: tokens.revoke(change, name))
    render.record(found, cli.format, text=f"{render.visible(name)}: revoked")
