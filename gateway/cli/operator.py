"""``dockgate operator``: who may log in to the console. Names and a password come in; never goes out what somebody chose."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import render, secrets
from gateway.cli.context import Change, Cli
from gateway.cli.options import AskPassword, Output, PasswordStdin, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local, minute
from gateway.operations import operators
from gateway.operations.accounts import check_name
from gateway.operations.credentials import slowly_hashed
from gateway.store import operators as stored

app = noun("People who may log in to the console. A running gateway obeys a change at once.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The operator.", show_default=False)]

_COLUMNS = (
    Column("operator", "operator"),
    Column("changed_at", "password of", show=minute, whole=True),
    Column("last_login_at", "last login", show=minute, whole=True),
)
_DETAILS = (Column("operator", "operator"), Column("created_at", "created", show=local))


@app.command("add", epilog=example("dockgate operator add maria", "dockgate operator add maria --ask-password"))
def add(
    ctx: typer.Context,
    name: Name,
    password_stdin: PasswordStdin = False,
    ask_password: AskPassword = False,
    output: Output = None,
) -> None:
    """Add an operator. Without a password one is made, and shown this once."""
    cli = Cli.of(ctx, output)
    check_name(name, what="an operator")
    made, password_hash = slowly_hashed(secrets.chosen_password(from_stdin=password_stdin, ask=ask_password))
    _show(cli, cli.change(lambda change: operators.add(change, name, password_hash)), made)


@app.command("list", epilog=example("dockgate operator list"))
def list_operators(ctx: typer.Context, output: Output = None) -> None:
    """All operators."""
    cli = Cli.of(ctx, output)
    render.rows(cli.read(operators.every), cli.format, _COLUMNS, empty="no operators: dockgate operator add NAME")


@app.command("passwd", epilog=example("dockgate operator passwd maria --ask-password"))
def passwd(
    ctx: typer.Context,
    name: Name,
    password_stdin: PasswordStdin = False,
    ask_password: AskPassword = False,
    output: Output = None,
) -> None:
    """A new password; who is logged in with the old one is logged out. Without one given, one is made and shown this once."""
    cli = Cli.of(ctx, output)
    made, password_hash = slowly_hashed(secrets.chosen_password(from_stdin=password_stdin, ask=ask_password))

    def work(change: Change) -> dict[str, Any]:
        return operators.set_password(change, name, password_hash, made=made is not None)

    _show(cli, cli.change(work), made)


@app.command("delete", epilog=example("dockgate operator delete maria --yes"))
def delete(ctx: typer.Context, name: Name, yes: Yes = False, output: Output = None) -> None:
    """Delete an operator, and log him out."""
    cli = Cli.of(ctx, output)
    cli.read(stored.get, name)
    cli.confirm(f"Delete the operator {render.visible(name)}?", yes=yes)
    found = cli.change(lambda change: operators.delete(change, name))
    render.record(found, cli.format, text=f"{render.visible(name)}: deleted")


def _show(cli: Cli, result: dict[str, Any], made: str | None) -> None:
    columns: tuple[Column, ...] = _DETAILS
    if made is not None:
        result["password"] = made
        columns = (*_DETAILS, Column("password", "password"))
    render.record(result, cli.format, columns=columns)
    if made is not None and cli.is_table:
        render.note("The password is shown this once; only its hash is kept.")
