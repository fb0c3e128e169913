"""``dockgate init``: a directory comes in, a working installation goes out: configuration, database, certificates, a first
organization with a binding code, and an account for a first dock. All of it or nothing, and never over something that is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
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
from gateway.cli import render
from gateway.cli.card import invitation, place, text_of
from gateway.cli.context import Change, Cli, change_at
from gateway.cli.options import NoInput, Output, example
from gateway.cli.org import checked_name, create
from gateway.config import parse_bind
from gateway.errors import ConflictError, UsageError
from gateway.model import Role
from gateway.pki import Layout
from gateway.pki.names import LOOPBACK_NAMES, alternative_names
from gateway.store import accounts

app = typer.Typer(add_completion=False, rich_markup_mode=None)

CONFIG_FILE, DATABASE_FILE, CERTIFICATES = "broker.yaml", "dockgate.db", "certs"
FIRST_ORGANIZATION = "Fleet"
FIRST_ACCOUNT = "dock"
_OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What was asked for, checked. ``plain_bind`` None = no plain listener."""

    hosts: tuple[str, ...]
    card_address: str | None
    organization: str
    tls_bind: str
    plain_bind: str | None


@app.command(
    epilog=example(
        "dockgate init --dir /srv/dockgate",
        "dockgate init --dir /srv/dockgate --host dock.example.org --no-input",
    )
)
def init(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="D", help="Where everything goes; made if need be.", show_default=False)
    ],
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
    tls_bind: Annotated[
        str, typer.Option("--tls-bind", metavar="A:P", help="Where to listen for docks, with TLS.")
    ] = "0.0.0.0:8883",
    plain_bind: Annotated[
        str, typer.Option("--plain-bind", metavar="A:P|off", help="Where to listen without TLS, or off.")
    ] = "127.0.0.1:1883",
    admin_bind: Annotated[
        str, typer.Option("--admin-bind", metavar="off", help="The admin HTTP: only off in this version.")
    ] = _OFF,
    no_input: NoInput = False,
    output: Output = None,
) -> None:
    """First run: configuration, database, certificates, an organization, an account for a dock."""
    cli = Cli.of(ctx, output)
    target = directory.absolute()
    # Before any question: answers that lead to a refusal would be wasted
    _refuse_existing(target)
    if admin_bind != _OFF:
        raise UsageError("--admin-bind: the admin HTTP is not part of this version; leave it off")
    interactive = not no_input and cli.is_table and sys.stdin.isatty() and sys.stderr.isatty()
    wish = _wish(host or [], org_name, tls_bind=tls_bind, plain_bind=plain_bind, ask=interactive)
    found = _install(target, wish, cli.now)
    render.record(found, cli.format, text=_text(found, directory, wish))


def _wish(hosts: list[str], org_name: str | None, *, tls_bind: str, plain_bind: str, ask: bool) -> _Wish:
    detected = pki.local_names()
    if not hosts and ask:
        shown = " ".join(name for name in detected if name not in LOOPBACK_NAMES)
        hosts = _ask("Names and addresses that docks connect to", shown).split()
    if org_name is None:
        org_name = _ask("Name of the first organization", FIRST_ORGANIZATION) if ask else FIRST_ORGANIZATION
    # Loopback names are always there: `simulate` and whoever looks at this machine from within use them
    names = (*hosts, *LOOPBACK_NAMES) if hosts else detected
    alternative_names(names)
    return _Wish(
        hosts=tuple(dict.fromkeys(names)),
        card_address=hosts[0] if hosts else None,
        organization=checked_name(org_name),
        tls_bind=_bind("--tls-bind", tls_bind),
        plain_bind=None if plain_bind == _OFF else _bind("--plain-bind", plain_bind),
    )


def _ask(question: str, default: str) -> str:
    sys.stderr.write(f"{question} [{default}]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() or default


def _bind(option: str, text: str) -> str:
    try:
        return str(parse_bind(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}") from None


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
    with _directory(target), _staging(target) as staging:
        certificates = Layout(staging / CERTIFICATES)
        pki.initialize(certificates.directory, list(wish.hosts), now=now)
        password = passwords.generate()
        organization, card = asyncio.run(
            change_at(staging / DATABASE_FILE, lambda change: _first(change, wish, password), now=now, create=True)
        )
        (staging / CONFIG_FILE).write_text(
            configuration.render(
                tls_bind=wish.tls_bind,
                plain_bind=wish.plain_bind,
                admin_bind=None,
                database=DATABASE_FILE,
                certs=CERTIFICATES,
                card_address=wish.card_address,
            ),
            encoding="utf-8",
        )
        # What cannot be read back must not be left behind as an installation
        where = place(configuration.load(staging / CONFIG_FILE, {}))
        _move_in(staging, target)
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
    return organization, invitation(change.db, account=FIRST_ACCOUNT, org=None, now=change.now)


@contextlib.contextmanager
def _directory(target: Path) -> Iterator[None]:
    """``target`` exists; whatever had to be made for that goes again when the rest fails."""
    missing = [path for path in (target, *target.parents) if not path.exists()]
    target.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A directory on the same file system, so that moving out of it is renaming; nobody else can look into it."""
    staging = Path(tempfile.mkdtemp(prefix=".dockgate-init-", dir=target))
    try:
        _give_to_owner_of(target, staging)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_in(staging: Path, target: Path) -> None:
    files = sorted(
        (path.relative_to(staging) for path in staging.rglob("*") if path.is_file()),
        key=lambda path: (path.name == CONFIG_FILE, path.name == DATABASE_FILE, path),
    )
    placed: list[Path] = []
    made: list[Path] = []
    try:
        for file in files:
            place_ = target / file
            for parent in [one for one in reversed(place_.parents) if target in one.parents and not one.exists()]:
                parent.mkdir()
                made.append(parent)
                _give_to_owner_of(target, parent)
            _give_to_owner_of(target, staging / file)
            _rename_without_overwriting(staging / file, place_)
            placed.append(place_)
    except BaseException:
        for path in reversed(placed):
            path.unlink(missing_ok=True)
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _rename_without_overwriting(source: Path, place_: Path) -> None:
    try:
        # link() refuses what rename() would overwrite: another init may run at the same time
        place_.hardlink_to(source)
        source.unlink()
    except FileExistsError:
        raise ConflictError(f"{place_} exists already and is left alone") from None
    except OSError:
        if place_.exists():
            raise
        source.rename(place_)  # a file system without hard links


def _give_to_owner_of(model: Path, path: Path) -> None:
    """An administrator prepares what a service's own user will run."""
    if os.geteuid() == 0:
        owner = model.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


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
            f"  {config} license set --file license.json",
            f"  {config} serve",
        )
    )
