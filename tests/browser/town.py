"""A small fleet with a bit of everything, for pages that are looked at: docks at each step, refused ones, codes that are used
up, a locked account.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from gateway.simulator import DockProfile, run_dock
from gateway.store import codes, organizations

from .desk import Desk, LastingInstallation

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Town:
    online: DockProfile
    refused: DockProfile
    locked: str


def prepare(installation: LastingInstallation) -> None:
    def work(db: sqlite3.Connection) -> None:
        organizations.add(db, id="harbour", name="Harbour survey", now=1)
        codes.add(db, code="HARBOUR-2026", organization_id="harbour", uses=5, expires_at=None, sn=None, now=1)
        codes.add(db, code="ONLY-TODAY", organization_id="harbour", uses=1, expires_at=DAY_MS, sn=None, now=1)

    installation.seed(work)
    installation.configure(lambda settings: settings["dockgate"].update(card={"address": "192.0.2.10", "port": 8883}))
    installation.dockgate("cert", "renew", "--host", "192.0.2.10", "--host", "localhost", "--host", "127.0.0.1")
    installation.dockgate("account", "add", "back-end", "--role", "service")
    installation.dockgate("account", "add", "dashboard", "--role", "observer", "--org", "harbour")
    installation.dockgate("cert", "issue", "dock")
    installation.dockgate("token", "add", "grafana", "--scope", "read")


def settle_in(desk: Desk) -> Town:
    online = desk.profile(1, pinned=True, callsign="North gate")
    quay = desk.profile(2, pinned=True, model="dock3", callsign="Quay 4")
    gone = desk.profile(3, pinned=True, callsign="Depot roof")
    refused = desk.profile(4, pinned=True, code="HARBOR-2026")
    picky = replace(desk.profile(5, pinned=True, model="dock1"), app_id="654321")
    stranger = desk.profile(6, pinned=True)
    desk.bring_online(online)
    desk.bring_online(quay)
    assert desk.visit_of(gone).ok
    for profile in (refused, picky):
        run_dock(desk.target, profile)
        desk.settle()
    for _ in range(10):
        run_dock(desk.target, stranger, misbehaviour="wrong-password")
    desk.settle()
    return Town(online, refused, stranger.account)


def pages(desk: Desk, town: Town) -> dict[str, str]:
    """Every page that there is, by a name for its picture."""
    sn, organization = town.online.sn, desk.installation.organization_id
    serial = next(one["serial"] for one in _certificates(desk) if one["kind"] == "client")
    account = f"name={town.locked}"
    return {
        "docks": "/",
        "docks-none": "/?q=nothing-like-it",
        "dock": f"/docks/{sn}",
        "dock-refused": f"/docks/{town.refused.sn}",
        "aircraft": f"/docks/{town.online.aircraft_sn}",
        "unbind": f"/docks/{sn}/unbind",
        "rename": f"/docks/{sn}/rename",
        "disconnect": f"/docks/{sn}/disconnect",
        "disable": f"/docks/{sn}/disable",
        "forget": f"/docks/{town.refused.sn}/forget",
        "accounts": "/accounts",
        "account": f"/accounts/show?{account}",
        "account-add": "/accounts/add",
        "account-password": f"/accounts/password?{account}",
        "account-disable": f"/accounts/disable?{account}",
        "account-unpin": f"/accounts/unpin?{account}",
        "account-unlock": f"/accounts/unlock?{account}",
        "account-delete": f"/accounts/delete?{account}",
        "organizations": "/organizations",
        "organization": f"/organizations/{organization}",
        "organization-add": "/organizations/add",
        "organization-rename": f"/organizations/{organization}/rename",
        "organization-delete": f"/organizations/{organization}/delete",
        "code-add": f"/organizations/{organization}/codes/add",
        "code-revoke": "/organizations/harbour/codes/revoke?code=HARBOUR-2026",
        "licenses": "/licenses",
        "license-set": "/licenses/set",
        "license-clear": "/licenses/clear?org=",
        "certificates": "/certificates",
        "certificate-issue": "/certificates/issue",
        "certificate-renew": "/certificates/renew",
        "certificate-revoke": f"/certificates/revoke?serial={serial}",
        "requests": "/requests",
        "audit": "/audit",
        "health": "/health",
        "card": f"/card?account={town.online.account}",
        "access": "/access",
        "nowhere": "/nowhere",
    }


def _certificates(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.dockgate("cert", "list")
    return found
