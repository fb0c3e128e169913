"""``dockgate cert``: server and client certificates of the own CA, and certificates of others. Names and files come in,
certificates and a revocation list go into their files; a key is never shown, and leaves its directory only encrypted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import pki
from gateway.cli import reloading, render, secrets
from gateway.cli.context import Change, Cli, Db
from gateway.cli.options import Output, PasswordStdin, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import local
from gateway.config import Config
from gateway.errors import ConflictError, UsageError
from gateway.operations import issued
from gateway.pki import Layout
from gateway.store import accounts

app = noun(
    "Server and client certificates, and which of them are revoked. A running gateway uses new files for new connections."
)

DIRECTORY = "certs"
_DETAILS = (
    Column("subject", "subject"),
    Column("sans", "for"),
    Column("issuer", "issuer"),
    Column("own", "of our CA"),
    Column("not_before", "valid from", show=local),
    Column("not_after", "valid until", show=local),
    Column("days_left", "days left"),
    Column("serial", "serial"),
    Column("fingerprint_sha256", "SHA-256"),
    Column("file", "file"),
    Column("key_file", "key"),
)
_COLUMNS = (
    Column("kind", "kind", whole=True),
    Column("name", "name"),
    Column("days_left", "days", whole=True, right=True),
    Column("state", "state", whole=True),
    Column("serial", "serial", whole=True),
)

HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME_OR_IP", help="What docks connect to; may be repeated.", show_default=False),
]


@app.command("show", epilog=example("dockgate cert show", "dockgate cert show dock-7"))
def show(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A client's; else the one that docks are shown.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """The certificate that docks are shown, or a client's."""
    cli = Cli.of(ctx, output)
    found = issued.show(cli.config(), cli.now, name)
    render.record(found, cli.format, columns=_DETAILS)


@app.command("list", epilog=example("dockgate cert list"))
def list_certificates(ctx: typer.Context, output: Output = None) -> None:
    """The CA and all that it has issued, with the days left; and certificates of others that are in use."""
    cli = Cli.of(ctx, output)
    found = issued.every(cli.config(), cli.now, lambda error: render.note(f"dockgate: cert list: {error}"))
    render.rows(found, cli.format, _COLUMNS, empty="no certificates: dockgate cert renew --host NAME_OR_IP")


@app.command(
    "issue",
    epilog=example(
        "dockgate cert issue dock-7",
        "pass show p12 | dockgate cert issue dock-7 --p12 dock-7.p12 --password-stdin",
    ),
)
def issue(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The account that it is for.", show_default=False)],
    replace: Annotated[
        bool, typer.Option("--replace", help="Make another one; the earlier is good until it is revoked.")
    ] = False,
    p12: Annotated[
        Path | None,
        typer.Option(
            "--p12", metavar="FILE", help="Write certificate, key and CA as PKCS#12, too.", show_default=False
        ),
    ] = None,
    password_stdin: PasswordStdin = False,
    output: Output = None,
) -> None:
    """A client certificate for an account, as PEM files; signed by this installation's CA."""
    cli = Cli.of(ctx, output)
    if password_stdin and p12 is None:
        raise UsageError("--password-stdin is for --p12")
    config = cli.config()
    layout = issued.layout_of(config)
    password = ""
    if p12 is not None:
        if p12.exists():
            raise ConflictError(f"{p12}: exists already and is left alone")
        password = secrets.chosen_secret("a password for the PKCS#12 file", from_stdin=password_stdin)

    result = cli.change(lambda change: issued.issue(change, layout, name, replace=replace))
    if p12 is not None:
        pki.write_private(p12, pki.client_bundle(layout.directory, name, password))
        result["p12"] = str(p12)
    render.record(result, cli.format, columns=(*_DETAILS, Column("p12", "PKCS#12")) if p12 else _DETAILS)
    _advise_client(cli, config, name)


@app.command("renew", epilog=example("dockgate cert renew", "dockgate cert renew --host dock.example.org"))
def renew(
    ctx: typer.Context,
    host: HostOption = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="With a new key, too.")] = False,
    output: Output = None,
) -> None:
    """Another server certificate of this installation's CA, for the same names unless others are given."""
    cli = Cli.of(ctx, output)
    config = cli.config()
    issued.require_in_use(config, issued.layout_of(config))
    found = cli.change(lambda change: issued.renew(change, config, hosts=host or (), new_key=new_key))
    _show_server(cli, found)


@app.command("import", epilog=example("dockgate cert import --chain fullchain.pem --key privkey.pem"))
def import_(
    ctx: typer.Context,
    chain: Annotated[
        Path,
        typer.Option(
            "--chain", metavar="F", help="PEM: the server's certificate, then each issuer in turn.", show_default=False
        ),
    ],
    key: Annotated[Path, typer.Option("--key", metavar="F", help="PEM: its private key.", show_default=False)],
    host: HostOption = None,
    output: Output = None,
) -> None:
    """Use a certificate of another CA. All that a dock would refuse is found before anything is changed."""
    cli = Cli.of(ctx, output)
    config = cli.config()
    layout = issued.layout_of(config)
    issued.require_in_use(config, layout)
    address = config.dockgate.card.address
    hosts = tuple(host) if host else (address,) if address else ()

    def work(change: Change) -> pki.Imported:
        imported = pki.import_server(layout.directory, chain_file=chain, key_file=key, now=change.now, hosts=hosts)
        info = imported.info
        change.audit("cert.import", info.subject, serial=info.serial, sans=list(info.sans), issuer=info.issuer)
        return imported

    imported = cli.change(work)
    found = issued.describe(imported.info, layout, layout.server, layout.server_key)
    _show_server(cli, found, warnings=imported.warnings)


@app.command("revoke", epilog=example("dockgate cert revoke 4f2a91c07be3 --yes"))
def revoke(
    ctx: typer.Context,
    serial: Annotated[
        str, typer.Argument(metavar="SERIAL", help="As `dockgate cert list` shows it.", show_default=False)
    ],
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Put a client certificate on the revocation list, for good."""
    cli = Cli.of(ctx, output)
    config = cli.config()
    layout = issued.layout_of(config)
    cli.confirm(f"Revoke the certificate {render.visible(serial)} for good?", yes=yes)

    found, name = cli.change(lambda change: issued.revoke(change, layout, serial))
    told = reloading.tell(cli)
    result = {**found, "reloaded": told["reloaded"]}
    render.record(result, cli.format, text=f"{found['serial']} ({found['subject']}): revoked")
    if not _looks_at(config, layout):
        render.note(
            f"hint: no listener looks at revoked certificates: set crlfile: {layout.crl} beside cafile in {config.path}"
        )
    elif cli.is_table:
        render.note(reloading.advice(told))
    if name and cli.is_table:
        render.note(f"Connections that are open stay open: dockgate account disable {name} ends them.")


def _show_server(cli: Cli, found: dict[str, Any], *, warnings: tuple[str, ...] = ()) -> None:
    told = reloading.tell(cli)
    result = {**found, "warnings": list(warnings), "reloaded": told["reloaded"]}
    render.record(result, cli.format, columns=_DETAILS)
    for warning in warnings:
        render.note(f"warning: {warning}")
    if cli.is_table:
        render.note(reloading.advice(told))


def _looks_at(config: Config, layout: Layout) -> bool:
    return any(one.crlfile == layout.crl for one in config.listeners.values())


def _advise_client(cli: Cli, config: Config, name: str) -> None:
    if not any(one.client_auth != "none" for one in config.listeners.values()):
        render.note(f"hint: no listener asks for client certificates: set cafile and client_auth in {config.path}")

    def query(db: Db) -> bool:
        return any(name in {account.name, account.sn} for account in accounts.list_all(db))

    if not cli.read(query):
        render.note(cli.naming_config(f"hint: no account is called {name}: dockgate account add {name} --role dock"))
