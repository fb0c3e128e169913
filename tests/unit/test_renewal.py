"""A server certificate of the own CA is renewed before it expires; one of another CA is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway import pki, renewal
from gateway.errors import DockgateError
from gateway.tasks import Tasks

NOW = 1_767_225_600_000
DAY = 24 * 60 * 60 * 1000
LIFE = 395


@dataclass
class Stage:
    now: int = NOW
    entries: list[dict[str, Any]] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    @property
    def audit(self) -> Stage:
        return self

    def record(self, **entry: Any) -> None:
        self.entries.append(entry)

    def renew(self, directory: Path) -> bool:
        return asyncio.run(renewal.renew(self, directory))  # type: ignore[arg-type]


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    pki.initialize(tmp_path / "certs", ["dock.example.org"], now=NOW)
    return tmp_path / "certs"


def test_only_when_its_time_has_come(certs: Path) -> None:
    here = Stage()
    before = (certs / "server.pem").read_bytes(), (certs / "server.key").read_bytes()
    here.now = NOW + (LIFE - renewal.BEFORE_DAYS - 1) * DAY
    assert here.renew(certs) is False
    assert (certs / "server.pem").read_bytes() == before[0]
    here.now += 3 * DAY
    assert here.renew(certs) is True
    info = pki.inspect(certs / "server.pem", now=here.now)
    assert info.days_left > 390
    assert info.sans == ("dock.example.org",)
    assert (certs / "server.key").read_bytes() == before[1]
    assert [(entry["actor"], entry["action"], entry["detail"]["serial"]) for entry in here.entries] == [
        ("gateway", "cert.renew", info.serial)
    ]
    assert here.renew(certs) is False


def test_one_that_has_expired_is_renewed_too(certs: Path) -> None:
    here = Stage(now=NOW + 500 * DAY)
    assert here.renew(certs) is True
    pki.check_pair(certs / "server.pem", certs / "server.key", now=here.now)


def test_one_of_another_authority_is_left_alone(certs: Path, tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("dock.example.org")
    (certs / "server.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    (certs / "server.key").write_bytes(made.private_key_pem.bytes())
    before = (certs / "server.pem").read_bytes()
    assert Stage(now=NOW + 500 * DAY).renew(certs) is False
    assert (certs / "server.pem").read_bytes() == before
    assert Stage().renew(tmp_path / "none") is False


def test_without_the_key_of_the_authority_it_is_left_alone(certs: Path) -> None:
    (certs / "ca.key").unlink()
    assert Stage(now=NOW + 380 * DAY).renew(certs) is False


def test_what_hinders_it_is_told(
    certs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DockgateError("the disk is full")

    monkeypatch.setattr(pki, "renew_server", fail)
    assert Stage(now=NOW + 380 * DAY).renew(certs) is False
    assert "the disk is full" in caplog.text


def test_whoever_serves_it_is_told_to_read_it_again(certs: Path) -> None:
    here = Stage(now=NOW + 380 * DAY)
    files = [certs / "server.pem", certs / "server.pem", certs / "elsewhere.pem"]

    async def scenario() -> None:
        told = asyncio.Event()

        async def reload() -> None:
            told.set()

        work = renewal.run(here, files, reload, every_s=3600)  # type: ignore[arg-type]
        running = Tasks().spawn(work, name="renewal")
        await asyncio.wait_for(told.wait(), 10)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scenario())
    assert len(here.entries) == 1
