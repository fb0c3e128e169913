"""``dockgate init``: a directory comes in, a working installation goes out: configuration, database, certificates, a first
organization with a binding code, and an account for a first dock. All of it or nothing, and never over something that is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import config as configuration
from gateway import passwords, pki
from gateway.backup import placing
from gateway.backup.placing import Move, Plan
from gateway.cli import render, wizard
from gateway.cli.card import text_of
from gateway.cli.context import Change, Cli, change_at
from gateway.cli.options import Output, example, may_ask
from gateway.cli.ports import trouble_with
from gateway.cli.reach import offered
from gateway.config import parse_bind
from gateway.config.template import DEFAULT_ADMIN_BIND
from gateway.errors import ConflictError, UsageError
from gateway.model import Role
from gateway.operations import licenses
from gateway.operations.card import invitation, place, strangeness
from gateway.operations.licenses import Values
from gateway.operations.organizations import checked_name, create
from gateway.pki import Layout
from gateway.pki.names import LOOPBACK_NAMES, alternative_names
from gateway.store import accounts

app = typer.Typer(add_completion=False, rich_markup_mode=None)

CONFIG_FILE, DATABASE_FILE, CERTIFICATES = "broker.yaml", "dockgate.db", "certs"
FIRST_ORGANIZATION = "Fleet"
FIRST_ACCOUNT = "dock"
_OFF = "off"
_PREFIX = ".dockgate-init-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What was asked for, checked. ``plain_bind`` None = no plain listener, ``admin_bind`` None = no HTTP."""

    hosts: tuple[str, ...]
    card_address: str | None
    organization: str
    license: Values | None
    tls_bind: str
    plain_bind: str | None
    admin_bind: str | None


@app.command(
    epilog=example(
        "dockgate init --dir /srv/dockgate",
        "dockgate init --dir /srv/dockgate --host dock.example.org --no-input",
    )
)
def init(
    ctx: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="D",
            help="Where everything goes; made if need be. Required where nobody can be asked.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME_OR_IP",
            help="What docks connect to, for the certificate; may be repeated. Else what this machine is called.",
            show_default=False,
        ),
    ] = None,
    org_name: Annotated[
        str | None,
        typer.Option(
            "--org-name", metavar="N", help="Name of the first organization.", show_default=FIRST_ORGANIZATION
        ),
    ] = None,
    license_file: Annotated[
        str | None,
        typer.Option("--license", metavar="F", help="Set this license, too; as in license set.", show_default=False),
    ] = None,
    tls_bind: Annotated[
        str, typer.Option("--tls-bind", metavar="A:P", help="Where to listen for docks, with TLS.")
    ] = "0.0.0.0:8883",
    plain_bind: Annotated[
        str, typer.Option("--plain-bind", metavar="A:P|off", help="Where to listen without TLS, or off.")
    ] = "127.0.0.1:1883",
    admin_bind: Annotated[
        str,
        typer.Option(
            "--admin-bind",
            metavar="A:P|off",
            help="Where to listen for health, metrics and API over HTTP, or off; others than this machine get HTTPS.",
        ),
    ] = DEFAULT_ADMIN_BIND,
    output: Output = None,
) -> None:
    """First run: configuration, database, certificates, an organization, an account for a dock."""
    cli = Cli.of(ctx, output)
    interactive = may_ask() and cli.is_table and sys.stderr.isatty()
    if directory is None:
        if not interactive:
            raise UsageError("--dir is missing", hint="dockgate init --help")
        directory = wizard.ask_directory(_make_sure_is_free)
    target = directory.absolute()
    # Before any other question: answers that lead to a refusal would be wasted
    _make_sure_is_free(target)
    given = wizard.read_license(license_file) if license_file is not None else None
    wish = _wish(
        host or [],
        org_name,
        given,
        tls_bind=tls_bind,
        plain_bind=plain_bind,
        admin_bind=admin_bind,
        ask=interactive,
    )
    found = _install(target, wish, cli.now)
    render.record(found, cli.format, text=_text(found, directory, wish))
    if not interactive:
        _tell_of_taken_ports(wish)


def _wish(
    hosts: list[str],
    org_name: str | None,
    license_: Values | None,
    *,
    tls_bind: str,
    plain_bind: str,
    admin_bind: str,
    ask: bool,
) -> _Wish:
    detected = pki.local_names()
    tls_bind = _bind("--tls-bind", tls_bind)
    plain = None if plain_bind == _OFF else _bind("--plain-bind", plain_bind)
    admin = None if admin_bind == _OFF else _bind("--admin-bind", admin_bind)
    if ask:
        hosts = hosts or wizard.ask_hosts(detected)
        org_name = org_name or wizard.ask_organization(FIRST_ORGANIZATION)
        license_ = license_ or wizard.ask_license()
        tls_bind = wizard.ask_bind("for docks, with TLS,", tls_bind)
        plain = plain and wizard.ask_bind("without TLS", plain)
        admin = admin and wizard.ask_bind("for the console", admin)
    # Loopback names are always there: `simulate` and whoever looks at this machine from within use them
    names = (*hosts, *LOOPBACK_NAMES) if hosts else detected
    alternative_names(names)
    card_address = hosts[0] if hosts else _better_than_the_guess(detected)
    return _Wish(
        hosts=tuple(dict.fromkeys(names)),
        card_address=card_address,
        organization=checked_name(FIRST_ORGANIZATION if org_name is None else org_name),
        license=license_,
        tls_bind=tls_bind,
        plain_bind=plain,
        admin_bind=admin,
    )


def _better_than_the_guess(found: tuple[str, ...]) -> str | None:
    """None: the card finds it by itself, from the certificate."""
    best = offered(found)[0]
    return None if best == min(found, key=strangeness) else best


def _tell_of_taken_ports(wish: _Wish) -> None:
    """It is no mistake: another gateway may run there until this one takes its place."""
    for bind in filter(None, (wish.tls_bind, wish.plain_bind, wish.admin_bind)):
        if trouble := trouble_with(parse_bind(bind)):
            render.note(f"note: {bind}: {trouble}")


def _bind(option: str, text: str) -> str:
    try:
        return str(parse_bind(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}") from None


def _make_sure_is_free(target: Path) -> None:
    """Errors: ``ConflictError``. What an `init` that was killed has begun there is finished first."""
    placing.finish(target.absolute())
    _refuse_existing(target.absolute())


def _refuse_existing(target: Path) -> None:
    certificates = Layout(target / CERTIFICATES)
    ours = (
        target / CONFIG_FILE,
        target / DATABASE_FILE,
        target / f"{DATABASE_FILE}-wal",  # beside a database that is not there it would spoil the new one
        certificates.ca,
        certificates.ca_key,
        certificates.server,
        certificates.server_key,
        certificates.crl,
        certificates.issued,
    )
    present = [path for path in ours if path.exists() or path.is_symlink()]
    if present:
        raise ConflictError(
            f"{present[0]} exists already and is left alone",
            hint=f"dockgate --config {shlex.quote(str(target / CONFIG_FILE))} card, or init in another directory",
        )


def _install(target: Path, wish: _Wish, now: int) -> dict[str, Any]:
    """Build beside, check, then move in; the configuration comes last, because with it the installation counts as made."""
    with _directory(target), placing.writing(target), _scaffold(target) as scaffold:
        certificates = Layout(scaffold / CERTIFICATES)
        pki.initialize(certificates.directory, list(wish.hosts), now=now)
        password = passwords.generate()
        organization, card = asyncio.run(
            change_at(scaffold / DATABASE_FILE, lambda change: _first(change, wish, password), now=now, create=True)
        )
        (scaffold / CONFIG_FILE).write_text(
            configuration.render(
                tls_bind=wish.tls_bind,
                plain_bind=wish.plain_bind,
                admin_bind=wish.admin_bind,
                database=DATABASE_FILE,
                certs=CERTIFICATES,
                card_address=wish.card_address,
            ),
            encoding="utf-8",
        )
        # What cannot be read back must not be left behind as an installation
        where = place(configuration.load(scaffold / CONFIG_FILE, {}))
        _move_in(scaffold, target)
    return {
        "config": str(target / CONFIG_FILE),
        "database": str(target / DATABASE_FILE),
        "ca": str(target / CERTIFICATES / certificates.ca.name),
        "hosts": list(wish.hosts),
        "organization": organization,
        "card": {**where, **card, "password": password},
    }


def _first(change: Change, wish: _Wish, password: str) -> tuple[dict[str, Any], dict[str, Any]]:
    organization = create(change, name=wish.organization)
    accounts.add(
        change.db,
        name=FIRST_ACCOUNT,
        role=Role.DOCK,
        sn=None,
        organization_id=organization["id"],
        password_hash=passwords.hash_generated(password),
        can_read_sys=False,
        now=change.now,
    )
    change.audit("account.add", FIRST_ACCOUNT, role=Role.DOCK.value, organization_id=organization["id"])
    if wish.license is not None:
        licenses.put(change, None, wish.license)
    return organization, invitation(change.db, account=FIRST_ACCOUNT, org=None, now=change.now)


@contextlib.contextmanager
def _directory(target: Path) -> Iterator[None]:
    """``target`` is this command's alone; whatever had to be made for that goes again when the rest fails."""
    missing = [path for path in (target, *target.parents) if not path.exists()]
    try:
        with placing.held(target):
            _refuse_existing(target)  # another one may have been faster
            yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


@contextlib.contextmanager
def _scaffold(target: Path) -> Iterator[Path]:
    """A directory on the same file system, so that moving out of it is renaming; nobody else can look into it."""
    for left in target.glob(f"{_PREFIX}*"):  # by an init that was killed; nobody else is here now
        shutil.rmtree(left, ignore_errors=True)
    scaffold = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target))
    try:
        placing.give_to_owner_of(target, scaffold)
        yield scaffold
    finally:
        if not placing.is_certain(target):
            shutil.rmtree(scaffold, ignore_errors=True)


def _move_in(scaffold: Path, target: Path) -> None:
    files = sorted(
        (path.relative_to(scaffold) for path in scaffold.rglob("*") if path.is_file()),
        key=lambda path: (path.name == CONFIG_FILE, path.name == DATABASE_FILE, path),
    )
    for file in files:
        placing.give_to_owner_of(target, scaffold / file)
        placing.sync(scaffold / file)
    moves = tuple(Move(scaffold / file, target / file, replace=False) for file in files)
    placing.place(target, Plan(moves, (scaffold,)))


def _text(found: dict[str, Any], directory: Path, wish: _Wish) -> str:
    config = f"dockgate --config {shlex.quote(str(directory / CONFIG_FILE))}"
    card = found["card"]
    return "\n".join(
        (
            f"Made in {directory}: {CONFIG_FILE}, {DATABASE_FILE}, {CERTIFICATES}/",
            f"Certificate for: {', '.join(wish.hosts)}",
            f"Docks and platforms have to trust: {found['ca']}",
            "",
            text_of(card, password=card["password"]),
            "The password is shown this once; only its hash is kept.",
            "",
            "Next:",
            *([] if wish.license else [f"  {config} license set --file license.json"]),
            f"  {config} serve",
        )
    )
