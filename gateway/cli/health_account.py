"""The account that ``dockgate health`` logs in with: made at its first use, kept usable, and found by its password's file.

A role observer without an organization: it may listen and say nothing, so that a check can neither answer a dock nor command
one. What it could hear is no more than who reads its file can read anyway: that file lies beside the database with the same mode
0600, and the database has the licenses too. An account for each check instead would write two changes and two audit entries
every few seconds, and a way in for this program alone would be a second door past ``gateway.auth``, which is what is to be
checked. It is an account like any other: listed, audited, and closed by `dockgate account disable`.
"""

from __future__ import annotations

from pathlib import Path

from gateway import passwords, pki
from gateway.backup.contents import HEALTH_PASSWORD
from gateway.cli.context import Change, Cli, Db
from gateway.cli.probe import Credentials
from gateway.config import Config, ListenerSettings
from gateway.errors import ConflictError, DatabaseError, DockgateError, NotFoundError
from gateway.model import Account, Role
from gateway.operations import accounts as operations
from gateway.pki import Layout
from gateway.store import accounts

NAME = "dockgate-health"
_RENEW_DAYS = 14
_MAX_FILE = 1024


def credentials(cli: Cli, config: Config) -> Credentials:
    """Those of the file when they fit, else fresh ones; what is made is on the disk first.

    :raises ConflictError: the name is somebody's, or it was disabled. :raises DatabaseError: it cannot be made.
    """
    file = config.dockgate.database.parent / HEALTH_PASSWORD
    known = _read(file)
    try:
        account = cli.read(_find)
    except DatabaseError:
        if known is None:
            raise
        return Credentials(NAME, known)  # whether the gateway still lets it in is what is asked
    if account is not None:
        _require_ours(account)
        if known is not None and passwords.verify(known, account.password_hash):
            return Credentials(NAME, known)
    password = passwords.generate()
    cli.change(lambda change: _make(change, password))
    pki.write_private(file, password.encode(), replace=True)
    return Credentials(NAME, password)


def certificate(cli: Cli, layout: Layout, listener: ListenerSettings) -> tuple[Path, Path] | None:
    """A client certificate of its own, for a listener that requires one. None: the CA that is needed is not ours."""
    if listener.cafile != layout.ca or not layout.ca_key.is_file():
        return None
    files = layout.client(NAME), layout.client_key(NAME)
    try:
        if pki.check_pair(*files, now=cli.now).days_left >= _RENEW_DAYS:
            return files
    except DockgateError:  # none yet, or not usable: another is made
        pass

    def work(change: Change) -> None:
        info = pki.issue_client(layout.directory, NAME, now=change.now, replace=True)
        change.audit("cert.issue", NAME, serial=info.serial)

    cli.change(work)
    return files


def _find(db: Db) -> Account | None:
    try:
        return accounts.get(db, NAME)
    except NotFoundError:
        return None


def _require_ours(account: Account) -> None:
    if account.role is not Role.OBSERVER:
        raise ConflictError(
            f"the account {NAME} is a {account.role}, and health needs it as an observer",
            hint=f"dockgate account delete {NAME}",
        )
    if not account.enabled:
        raise ConflictError(f"the account {NAME} is disabled", hint=f"dockgate account enable {NAME}")


def _make(change: Change, password: str) -> None:
    password_hash = passwords.hash_generated(password)
    if _find(change.db) is not None:
        operations.set_password(change, NAME, password_hash, made=True)
        return
    operations.add(
        change,
        NAME,
        role=Role.OBSERVER,
        sn=None,
        organization_id=None,
        can_read_sys=False,
        password_hash=password_hash,
    )


def _read(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_FILE).decode("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
