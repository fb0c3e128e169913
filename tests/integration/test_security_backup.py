"""What somebody has who has come by a backup: no password, no token, no session; and nothing at all of a sealed one."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from tests.conftest import LICENSE, Gateway

from .lasting import LastingInstallation

CHOSEN, SEAL = "ch0sen-by-the-operator-77", "a-seal-of-the-operator-88"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[LastingInstallation, dict[str, bytes]]:
    """An installation, and all that opens a door of it, as those who use it know it."""
    installation = LastingInstallation(tmp_path_factory.mktemp("backup") / "dockgate")
    installation.license()
    made = installation.account("dock-1").password
    chosen = installation.account_with("portal", CHOSEN, "service").password
    operator = installation.dockgate("operator", "add", "maria")["password"]
    token = installation.dockgate("token", "add", "ci", "--scope", "write")["token"]
    secrets = {"a made password": made, "a chosen one": chosen, "an operator's": operator, "a token": token}
    return installation, {name: str(secret).encode() for name, secret in secrets.items()}


def test_a_backup_opens_no_door(seeded: Any, tmp_path: Path) -> None:
    installation, secrets = seeded
    file = tmp_path / "plain"
    installation.dockgate("backup", "create", str(file))
    content = gzip.decompress(file.read_bytes())
    assert [name for name, secret in secrets.items() if secret in content] == []
    # but it is worth keeping safe: these are in it (docs/threat-model.md)
    assert LICENSE["app_key"].encode() in content
    assert b"PRIVATE KEY" in content
    assert installation.binding_code.encode() in content


def test_hashes_in_a_backup_are_not_worth_guessing_at(seeded: Any) -> None:
    """argon2id for what people choose; what is made has 131 bits, and nobody counts that far."""
    installation, secrets = seeded
    with closing(sqlite3.connect(f"file:{installation.folder / 'dockgate.db'}?mode=ro", uri=True)) as db:
        hashes = dict(
            db.execute("SELECT name, password_hash FROM account UNION SELECT name, password_hash FROM operator")
        )
        digests = [row[0] for row in db.execute("SELECT digest FROM api_token")]
    assert hashes["portal"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hashes["dock-1"].startswith("{SSHA512}")
    assert len(secrets["a made password"]) == 29
    assert digests
    assert all(len(digest) == 64 for digest in digests)


def test_a_sealed_backup_shows_nothing(seeded: Any, tmp_path: Path) -> None:
    installation, secrets = seeded
    file = tmp_path / "sealed"
    with patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(SEAL.encode()))):
        installation.dockgate("backup", "create", str(file), "--encrypt", "--password-stdin")
    content = file.read_bytes()
    known = {**secrets, "the seal": SEAL.encode(), "a key": b"PRIVATE KEY", "the license": LICENSE["app_key"].encode(),
             "a code": installation.binding_code.encode(), "the configuration": b"dockgate:", "SQLite": b"SQLite format 3",
             "a name": b"portal", "gzip": b"\x1f\x8b\x08"}  # fmt: skip
    assert [name for name, secret in known.items() if secret in content] == []


def test_a_session_is_in_no_file(seeded: Any) -> None:
    """An operator's session lives in memory: neither a copy of the files nor a backup has it."""
    installation, _ = seeded
    password = installation.dockgate("operator", "add", "of-memory")["password"]
    installation.configure(lambda settings: settings["dockgate"]["admin"].update(bind="127.0.0.1:0"))
    gateway = Gateway(installation).start()
    try:
        host, port = gateway.ask(lambda: gateway.admin.door.address)
        origin = f"http://{host}:{port}"
        answer = httpx.post(
            f"{origin}/login", json={"operator": "of-memory", "password": password}, headers={"Origin": origin}
        )
        cookie, csrf = answer.cookies["dockgate"].encode(), json.loads(answer.content)["csrf"].encode()
        for path in installation.folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert cookie not in content, path
                assert csrf not in content, path
    finally:
        gateway.close()
