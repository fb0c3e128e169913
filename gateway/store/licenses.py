"""Licenses: what ``config`` is answered with, for one organization or for all without their own. Never logs them."""

from __future__ import annotations

import sqlite3

from gateway.errors import NotFoundError, UsageError
from gateway.model import License


def put(db: sqlite3.Connection, *, license: License) -> None:  # noqa: A002 -- the noun
    """Set or replace.

    :raises NotFoundError: the organization. :raises UsageError: an empty field (case 7: no placeholder is ever sent).
    """
    if not (license.app_id and license.app_key and license.app_license):
        raise UsageError("a license needs app_id, app_key and app_license")
    if not 1 <= license.ntp_server_port <= 65535:
        raise UsageError("ntp_server_port is not between 1 and 65535")
    organization_id = license.organization_id
    if (
        organization_id is not None
        and not db.execute("SELECT 1 FROM organization WHERE id = ?", (organization_id,)).fetchone()
    ):
        raise NotFoundError(f"there is no organization {organization_id}", hint="dockgate org list")
    db.execute("DELETE FROM license WHERE organization_id IS ?", (organization_id,))
    db.execute(
        "INSERT INTO license"
        " (organization_id, app_id, app_key, app_license, ntp_server_host, ntp_server_port, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            organization_id,
            license.app_id,
            license.app_key,
            license.app_license,
            license.ntp_server_host or None,
            license.ntp_server_port,
            license.changed_at,
        ),
    )


def get_all(db: sqlite3.Connection) -> list[License]:
    """The default first, then by organization."""
    rows = db.execute(
        "SELECT organization_id, app_id, app_key, app_license, ntp_server_host, ntp_server_port, changed_at"
        " FROM license ORDER BY organization_id"
    )
    return [
        License(
            organization_id=organization_id,
            app_id=app_id,
            app_key=app_key,
            app_license=app_license,
            ntp_server_host=host,
            ntp_server_port=port,
            changed_at=changed_at,
        )
        for organization_id, app_id, app_key, app_license, host, port, changed_at in rows
    ]


def clear(db: sqlite3.Connection, organization_id: str | None) -> None:
    if not db.execute("DELETE FROM license WHERE organization_id IS ?", (organization_id,)).rowcount:
        whose = "no default license" if organization_id is None else f"no license of organization {organization_id}"
        raise NotFoundError(f"there is {whose}", hint="dockgate license show")
