"""``dockgate account``: who may connect. Names and a password come in, an account's record goes out; never a password that
somebody chose, never a hash. A running gateway closes the connections of an account that was changed here.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import render, secrets
from gateway.cli.context import Change, Cli
from gateway.cli.options import AskPassword, Output, PasswordStdin, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local, minute
from gateway.errors import UsageError
from gateway.lockout import is_address
from gateway.model import Role
from gateway.operations import accounts
from gateway.operations.credentials import hashed
from gateway.store import accounts as stored

app = noun(
    "Who may connect: docks, services (a platform), observers (read only). "
    "A running gateway obeys a change within a second and closes connections that it ends."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account.", show_default=False)]

_COLUMNS = (
    Column("account", "account"),
    Column("role", "role", whole=True),
    Column("sn", "sn", whole=True),
    Column("organization_id", "org"),
    Column("enabled", "enabled", whole=True),
    Column("last_login_at", "last login", show=minute, whole=True),
)
_DETAILS = (
    Column("account", "account"),
    Column("role", "role"),
    Column("sn", "sn"),
    Column("organization_id", "organization"),
    Column("can_read_sys", "may read $SYS"),
    Column("enabled", "enabled"),
    Column("created_at", "created", show=local),
    Column("changed_at", "changed", show=local),
    Column("last_login_at", "last login", show=local),
)


@app.command(
    "add",
    epilog=example(
        "dockgate account add dock-7 --role dock --sn 7CTDM7100B1234",
        "pass show svc | dockgate account add svc --role service --password-stdin",
    ),
)
def add(
    ctx: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="dock, service or observer.", show_default=False)],
    sn: Annotated[
        str | None,
        typer.Option(
            "--sn", metavar="SN", help="The dock it is for; else the first one that uses it.", show_default=False
        ),
    ] = None,
    org: Annotated[
        str | None,
        typer.Option(
            "--org", metavar="ID", help="Its organization; a service without one sees every dock.", show_default=False
        ),
    ] = None,
    sys: Annotated[bool, typer.Option("--sys", help="A service may read $SYS topics too.")] = False,
    password_stdin: PasswordStdin = False,
    ask_password: AskPassword = False,
    output: Output = None,
) -> None:
    """Add an account. Without a password one is made, and shown this once."""
    cli = Cli.of(ctx, output)
    accounts.check(name, role=role, sn=sn, can_read_sys=sys, prefix="--")
    made, password_hash = _hashed(password_stdin=password_stdin, ask_password=ask_password)

    def work(change: Change) -> dict[str, Any]:
        return accounts.add(
            change,
            name,
            role=role,
            sn=sn,
            organization_id=org,
            can_read_sys=sys,
            password_hash=password_hash,
        )

    _show_with_password(cli, cli.change(work), made)


@app.command("list", epilog=example("dockgate account list"))
def list_accounts(ctx: typer.Context, output: Output = None) -> None:
    """All accounts."""
    cli = Cli.of(ctx, output)
    render.rows(
        cli.read(accounts.every), cli.format, _COLUMNS, empty="no accounts: dockgate account add NAME --role dock"
    )


@app.command("show", epilog=example("dockgate account show dock-7"))
def show(ctx: typer.Context, name: Name, output: Output = None) -> None:
    """One account, and what is locked for it after wrong passwords."""
    cli = Cli.of(ctx, output)
    found = cli.read(accounts.show, name)
    locks = [lock for lock in found["locks"] if lock["locked_until"] is not None]
    render.record(found, cli.format, columns=_DETAILS)
    if cli.is_table and locks:
        for lock in locks:
            render.note(f"locked for {lock['address'] or 'every address'} until {local(lock['locked_until'])}")
        render.note(cli.naming_config(f"hint: dockgate account unlock {name}"))


@app.command(
    "passwd", epilog=example("dockgate account passwd dock-7", "dockgate account passwd platform --ask-password")
)
def passwd(
    ctx: typer.Context,
    name: Name,
    password_stdin: PasswordStdin = False,
    ask_password: AskPassword = False,
    output: Output = None,
) -> None:
    """A new password; live connections with the old one end. Without one given, one is made and shown this once."""
    cli = Cli.of(ctx, output)
    made, password_hash = _hashed(password_stdin=password_stdin, ask_password=ask_password)

    def work(change: Change) -> dict[str, Any]:
        return accounts.set_password(change, name, password_hash, made=made is not None)

    _show_with_password(cli, cli.change(work), made)


@app.command("enable", epilog=example("dockgate account enable dock-7"))
def enable(ctx: typer.Context, name: Name, output: Output = None) -> None:
    """Let an account in again."""
    _switch(Cli.of(ctx, output), name, enabled=True)


@app.command("disable", epilog=example("dockgate account disable dock-7"))
def disable(ctx: typer.Context, name: Name, output: Output = None) -> None:
    """Keep an account out, and end its live connections."""
    _switch(Cli.of(ctx, output), name, enabled=False)


@app.command(
    "unpin", epilog=example("dockgate account unpin dock-7", "dockgate account unpin dock-7 --sn 7CTDM7100B1234")
)
def unpin(
    ctx: typer.Context,
    name: Name,
    sn: Annotated[
        str | None,
        typer.Option(
            "--sn", metavar="SN", help="The dock it is for from now on; else the next one.", show_default=False
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Untie an account from its dock, when that was replaced; live connections end, and what was bound stays bound."""
    cli = Cli.of(ctx, output)
    found = cli.change(lambda change: accounts.unpin(change, name, sn, prefix="--"))
    text = f"{render.visible(name)}: {f'for {sn} now' if sn else 'for the next dock that uses it'}"
    render.record(found, cli.format, text=text)


@app.command("unlock", epilog=example("dockgate account unlock dock-7", "dockgate account unlock --address 192.0.2.7"))
def unlock(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The account; else every one.", show_default=False)
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="A", help="Only at this IP address.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Forget the wrong passwords that locked an account, or an address with all its accounts."""
    cli = Cli.of(ctx, output)
    if name is None and address is None:
        raise UsageError("say which account, or which --address")
    if address is not None and not is_address(address):
        raise UsageError(f"--address {address!r}: not an IP address")
    found = cli.change(lambda change: accounts.unlock(change, name, address))
    cleared = found["cleared"]
    whose = " at ".join(render.visible(word) for word in (found["account"], found["address"]) if word)
    render.record(found, cli.format, text=f"{whose}: {cleared} lock{'s' * (cleared != 1)} cleared")


@app.command("delete", epilog=example("dockgate account delete dock-7 --yes"))
def delete(ctx: typer.Context, name: Name, yes: Yes = False, output: Output = None) -> None:
    """Delete an account, and end its live connections."""
    cli = Cli.of(ctx, output)
    cli.read(stored.get, name)
    cli.confirm(f"Delete the account {render.visible(name)}?", yes=yes)
    found = cli.change(lambda change: accounts.delete(change, name))
    render.record(found, cli.format, text=f"{render.visible(name)}: deleted")


def _hashed(*, password_stdin: bool, ask_password: bool) -> tuple[str | None, str]:
    """The password that was made (None when it was chosen), and the hash to store."""
    return hashed(secrets.chosen_password(from_stdin=password_stdin, ask=ask_password))


def _show_with_password(cli: Cli, result: dict[str, Any], made: str | None) -> None:
    columns: tuple[Column, ...] = _DETAILS
    if made is not None:
        result["password"] = made
        columns = (*_DETAILS, Column("password", "password"))
    render.record(result, cli.format, columns=columns)
    if made is not None and cli.is_table:
        render.note("The password is shown this once; only its hash is kept.")


def _switch(cli: Cli, name: str, *, enabled: bool) -> None:
    result = cli.change(lambda change: accounts.switch(change, name, enabled=enabled))
    text = f"{render.visible(name)}: {'enabled' if enabled else 'disabled'}"
    render.record(result, cli.format, text=text)
