"""``dockgate license``: what docks are handed when they ask for it. A JSON file comes in; key and license never go out again but
to a dock: everything shown here is cut short.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from gateway.cli import render, secrets
from gateway.cli.context import Change, Cli
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local
from gateway.errors import UsageError
from gateway.operations import licenses
from gateway.operations.licenses import KEYS

app = noun("App id, key and license from developer.dji.com: the default for all docks, or one organization's own.")

OrgOption = Annotated[
    str | None,
    typer.Option("--org", metavar="ID", help="One organization's own; else the default.", show_default=False),
]
_COLUMNS = (
    Column(
        "organization_id", "organization", show=lambda value: "(default)" if value is None else render.visible(value)
    ),
    Column("app_id", "app id", whole=True),
    Column("app_key", "app key"),
    Column("app_license", "license"),
    Column("ntp_server_host", "ntp server"),
)
_DETAILS = (*_COLUMNS, Column("ntp_server_port", "ntp port"), Column("changed_at", "changed", show=local))


@app.command(
    "set",
    epilog=example(
        "dockgate license set --file license.json",
        "pass show dji-license | dockgate license set --file - --org harbour",
    ),
)
def set_license(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Option(
            "--file",
            metavar="F",
            help=f"JSON object with {', '.join(KEYS)}; - is standard input.",
            show_default=False,
        ),
    ],
    org: OrgOption = None,
    output: Output = None,
) -> None:
    """Store the license that docks are given."""
    cli = Cli.of(ctx, output)
    values = parsed(secrets.read_file(file, what="a license"), file)
    for key in sorted(set(values) - set(KEYS)):
        render.note(f"dockgate: license set: {file}: {render.visible(key)} is not known here and is left out")
    given = licenses.checked(values)

    def work(change: Change) -> dict[str, Any]:
        return licenses.put(change, org, given)

    render.record(cli.change(work), cli.format, columns=_DETAILS)
    if given.ntp_server_host is None:
        render.note(
            "hint: without ntp_server_host a dock that cannot reach the internet has a wrong clock and refuses flight tasks"
        )


@app.command("show", epilog=example("dockgate license show", "dockgate license show --org harbour"))
def show(ctx: typer.Context, org: OrgOption = None, output: Output = None) -> None:
    """The default license, or one organization's own. Key and license are cut short."""
    cli = Cli.of(ctx, output)
    render.record(cli.read(licenses.show, org), cli.format, columns=_DETAILS)


@app.command("list", epilog=example("dockgate license list"))
def list_licenses(ctx: typer.Context, output: Output = None) -> None:
    """The default license and those of organizations. Keys and licenses are cut short."""
    cli = Cli.of(ctx, output)
    render.rows(
        cli.read(licenses.every),
        cli.format,
        _COLUMNS,
        empty="no license is set: dockgate license set --file license.json",
    )


@app.command("clear", epilog=example("dockgate license clear --org harbour --yes"))
def clear(ctx: typer.Context, org: OrgOption = None, yes: Yes = False, output: Output = None) -> None:
    """Forget the default license, or one organization's own."""
    cli = Cli.of(ctx, output)
    whose = f"the license of {render.visible(org)}" if org else "the default license"
    cli.confirm(f"Clear {whose}?", yes=yes)
    found = cli.change(lambda change: licenses.clear(change, org))
    render.record(found, cli.format, text=f"{whose}: cleared")


def parsed(content: bytes, file: str) -> dict[str, Any]:
    hint = f"it has to be a JSON object with {', '.join(KEYS[:3])}"
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        # The text around the place could be the key itself
        raise UsageError(f"{file}: not JSON (line {error.lineno}, column {error.colno})", hint=hint) from None
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"{file}: not JSON", hint=hint) from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: JSON, but not an object", hint=hint)
    return values
