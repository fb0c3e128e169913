"""What is told of a refused login, to whom, and what never is."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest

from gateway.store import lockouts

from .login_stage import (
    DOCK,
    ELSEWHERE,
    GENERATED,
    HOME,
    PASSWORD,
    add_account,
    stage,
)


def refusal_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("login refused ")]


@pytest.mark.case(27)
def test_a_refusal_is_one_line_for_fail2ban(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await at.refused("dock", "s3cret-guess", client_id="pilot")
            await at.refused(None, None, client_id="")

    asyncio.run(main())
    assert refusal_lines(caplog) == [
        "login refused address=192.0.2.1 account=dock client_id=pilot reason=wrong_password",
        "login refused address=192.0.2.1 account=- client_id=- reason=no_credentials",
    ]


def test_what_a_stranger_sends_cannot_forge_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            forged = "x\nlogin refused address=203.0.113.9 account=y"
            await at.refused(forged, "guess", client_id="c\r\x1b[31m\u202e\\" + "z" * 500)
            entries = await at.audited()
            assert all(entry.target.isprintable() and len(entry.target) < 400 for entry in entries)

    asyncio.run(main())
    (line,) = refusal_lines(caplog)
    assert re.fullmatch(
        r"login refused address=192\.0\.2\.1 account=(\S+) client_id=(\S+) reason=unknown_account", line
    )
    assert line.isascii()
    assert line.isprintable()
    assert "account=x\\x0alogin\\x20refused\\x20address=203.0.113.9" in line
    assert "client_id=c\\x0d\\x1b[31m\\u202e\\x5czzz" in line
    assert len(line) < 300


def test_lines_are_limited_for_each_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(tmp_path, address_failures=5) as at:
            for number in range(50):
                await at.refused(f"name-{number}")
            assert len(refusal_lines(caplog)) == 20
            await at.refused("nobody", address=ELSEWHERE)
            assert len(refusal_lines(caplog)) == 21
            assert at.services.metrics.logins.lines_held_back == 30
            at.clock.forward(60)
            await at.refused("nobody")
            assert len(refusal_lines(caplog)) == 22

    asyncio.run(main())
    assert "login refusals not told one by one: address=192.0.2.1 count=30" in caplog.text


def test_refusals_are_audited_and_repeats_are_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await add_account(at.store, "pinned", sn=DOCK)
            await at.services.directory.reload(at.store)
            for _ in range(3):
                await at.refused("pinned", "wrong", client_id="c9")
            first, repeats = await at.audited()
            assert (first.actor, first.action, first.target, first.outcome) == (HOME, "login", "pinned", "refused")
            assert first.detail == {
                "reason": "wrong_password",
                "address": HOME,
                "client_id": "c9",
                "dock": DOCK,
            }
            assert repeats.detail["count"] == 2

    asyncio.run(main())


def test_the_docks_own_refusals_are_events(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as at:
            await add_account(at.store, "pinned", sn=DOCK)
            await at.services.directory.reload(at.store)
            await at.refused("pinned", "wrong")
            await at.refused("dock", "wrong")  # which dock that is, nobody knows
            assert at.told == [
                {
                    "event": "refused",
                    "sn": DOCK,
                    "at": at.clock.now,
                    "account": "pinned",
                    "reason": "wrong_password",
                    "address": HOME,
                }
            ]

    asyncio.run(main())


def test_no_password_is_told_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secrets = ("s3cret-guess", PASSWORD, GENERATED)

    async def main() -> None:
        async with stage(tmp_path, lockout_failures=2) as at:
            caplog.set_level(logging.DEBUG)
            await at.accepted()
            await at.accepted("made", GENERATED)
            for _ in range(4):
                await at.refused("dock", "s3cret-guess")
                await at.refused("made", "s3cret-guess")
                await at.refused("nobody", PASSWORD)
            await at.settle()
            told = [repr(at.told), repr(await at.audited()), repr(vars(at.auth)), repr(at.services.metrics)]
            told.append(repr(await at.store.read(lockouts.get_all)))
            assert not [text for text in told for secret in secrets if secret in text]

    asyncio.run(main())
    assert not [secret for secret in secrets if secret in caplog.text]
