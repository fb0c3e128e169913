"""What all systems start from: one fleet of docks with generated passwords, one organization and its code, one certificate.

An installation by ``dockgate init`` is made first; the others get the same accounts, names and keys in the form that they read.
All of it lies in a folder that only its owner can read, and passwords are in no argument of a command.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from systems.base import ROOT, Seeds, environment

from gateway import passwords
from gateway.model import License, Role
from gateway.runtime import now_ms
from gateway.store import accounts, licenses
from gateway.store.connection import Store

LICENSE = {
    "app_id": "123456",
    "app_key": "0123456789abcdef0123456789abcdef",
    "app_license": "VGhlIGxpY2Vuc2Ugb2YgeW91ciBhcHA=" * 8,
    "ntp_server_host": "192.0.2.10",
    "ntp_server_port": 123,
}

_PEERS = """
CREATE TABLE account (name TEXT PRIMARY KEY, role TEXT NOT NULL, salt BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE organization (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE code (code TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organization (id));
CREATE TABLE device (sn TEXT PRIMARY KEY, organization_id TEXT REFERENCES organization (id), callsign TEXT NOT NULL,
  model_key TEXT NOT NULL);
CREATE TABLE license (app_id TEXT, app_key TEXT, app_license TEXT, ntp_server_host TEXT, ntp_server_port INTEGER);
"""


def sn_of(number: int) -> str:
    return f"7CTDM{number:09d}"


def plant(folder: Path, docks: int, *, durable: bool = False) -> Seeds:
    seeds = Seeds(folder, durable)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    made = _dockgate_init(seeds.installation)
    organization = (made["organization"]["id"], made["organization"]["binding_code"])
    fleet = {
        "docks": [(sn_of(number), passwords.generate()) for number in range(docks)],
        "service": ("platform", passwords.generate()),
        "responder": ("responder", passwords.generate()),
        "organization": organization,
    }
    _write(seeds.fleet, json.dumps(fleet))
    asyncio.run(_fill_dockgate(seeds.installation / "dockgate.db", fleet))
    _make_peers_database(seeds.peers_database, fleet, made["organization"]["name"])
    if shutil.which("mosquitto_passwd"):
        logins = [*fleet["docks"], fleet["service"], fleet["responder"]]
        _write(seeds.mosquitto_passwords, "".join(f"{name}:{password}\n" for name, password in logins))
        subprocess.run(["mosquitto_passwd", "-U", seeds.mosquitto_passwords], check=True)
    return seeds


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)


def _dockgate_init(folder: Path) -> dict[str, dict[str, str]]:
    command = [
        sys.executable,
        "-m",
        "gateway",
        "-o",
        "json",
        "init",
        "--dir",
        folder,
        "--no-input",
        "--host",
        "localhost",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, check=True)
    told: dict[str, dict[str, str]] = json.loads(done.stdout)
    return told


async def _fill_dockgate(file: Path, fleet: dict[str, object]) -> None:
    """As ``dockgate account add`` would for each, in one transaction: twenty thousand commands would take an hour."""
    store = await Store.open(file, clock=now_ms)
    try:
        await store.write(_add_all, fleet, now_ms())
    finally:
        await store.close()


def _add_all(db: sqlite3.Connection, fleet: dict[str, object], now: int) -> None:
    wanted = [(sn, password, Role.DOCK, sn) for sn, password in fleet["docks"]]
    wanted.append((*fleet["service"], Role.SERVICE, None))
    for name, password, role, sn in wanted:
        accounts.add(
            db,
            name=name,
            role=role,
            sn=sn,
            organization_id=None,
            password_hash=passwords.hash_generated(password),
            can_read_sys=False,
            now=now,
        )
    licenses.put(db, license=License(organization_id=None, changed_at=now, **LICENSE))


def _make_peers_database(file: Path, fleet: dict[str, object], organization_name: str) -> None:
    db = sqlite3.connect(file)
    file.chmod(0o600)
    organization_id, code = fleet["organization"]
    with db:
        db.executescript(_PEERS)
        rows = [(sn, "dock", password) for sn, password in fleet["docks"]]
        rows.append((fleet["service"][0], "service", fleet["service"][1]))
        db.executemany("INSERT INTO account VALUES (?, ?, ?, ?)", [_digested(*row) for row in rows])
        db.execute("INSERT INTO organization VALUES (?, ?)", (organization_id, organization_name))
        db.execute("INSERT INTO code VALUES (?, ?)", (code, organization_id))
        db.execute("INSERT INTO license VALUES (?, ?, ?, ?, ?)", tuple(LICENSE.values()))
    db.close()


def _digested(name: str, role: str, password: str) -> tuple[str, str, bytes, bytes]:
    salt = secrets.token_bytes(16)
    return name, role, salt, hashlib.sha512(password.encode() + salt).digest()
