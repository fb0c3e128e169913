"""Who was refused, as the first page shows it: what is known here first and always, strangers together, repetitions at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.simulator import Target, make_profile, run_dock
from gateway.simulator.models import dock_model

DOCK = "7CTDM7100B1234"


@pytest.fixture
def knock(site: Any) -> Any:
    """One login with a wrong password."""
    profile = make_profile(
        dock_model("dock2"), account="dock", password="not the one", sn=DOCK,
        organization_id=site.installation.organization_id, binding_code=site.installation.binding_code,
    )  # fmt: skip
    target = Target(site.gateway.host, site.gateway.port("plain"))

    def attempt(account: str = "dock") -> None:
        assert run_dock(target, replace(profile, account=account), misbehaviour="wrong-password").ok

    return attempt


def refused(page: Any) -> list[str]:
    """The lines."""
    text = page("/").html.partition('class="refusals">')[2].partition("</ul>")[0]
    return [" ".join(line.split()) for line in text.split("<li>")[1:]]


def test_neither_traffic_nor_strangers_hide_what_a_known_dock_was_refused(site: Any, page: Any, knock: Any) -> None:
    knock()
    for number in range(14):
        knock(f"made-up-{number:02}")
    record = site.runtime.services.audit.record

    def traffic() -> None:
        for number in range(700):
            record(actor="dock", action="connect", target=f"SN{number}", outcome="ok", detail={"address": "192.0.2.9"})
        # and from elsewhere a single one, as when somebody has mistyped the account in Pilot 2
        detail = {"reason": "unknown_account", "address": "192.0.2.7", "client_id": "x"}
        record(actor="192.0.2.7", action="login", target="dokc-7", outcome="refused", detail=detail)

    site.gateway.ask(traffic)
    page.settle()
    known, *others = refused(page)
    assert "<strong>dock</strong> from 127.0.0.1: Login as dock refused: the password was wrong." in known
    assert "/accounts" in known
    assert len(others) == 2
    assert "<strong>dokc-7</strong> from 192.0.2.7: Login as dokc-7 refused: there is no such account." in others[0]
    assert "<strong>14 names that are no accounts</strong> from 127.0.0.1" in others[1]
    assert "The last: login as made-up-13 refused: there is no such account." in others[1]
    # all of them are one step away
    found = page("/audit?outcome=refused&since=1h")
    assert "/audit?outcome=refused&since=1h" in page("/").links
    assert {f"made-up-{number:02}" for number in range(14)} <= set(found.text.split())
    assert "SN699" not in found.text
    assert "outcome=refused" not in page("/audit?outcome=nonsense").html
    assert "SN699" in page("/audit").text


def test_a_known_dock_stays_though_names_go_on_for_hours(site: Any, page: Any, knock: Any) -> None:
    """More names, and more addresses, than the page has lines."""
    knock()
    record = site.runtime.services.audit.record

    def flood() -> None:
        for number in range(180):
            detail = {"reason": "unknown_account", "address": f"198.51.100.{number}", "client_id": "x"}
            record(actor="x", action="login", target=f"name-{number}", outcome="refused", detail=detail)

    site.gateway.ask(flood)
    page.settle()
    lines = refused(page)
    assert "<strong>dock</strong>" in lines[0]
    assert len(lines) < 10


def test_a_repetition_is_shown_before_its_minute_is_over(site: Any, page: Any, knock: Any) -> None:
    """The audit writes it when the minute is over."""
    knock()
    page.settle()
    (first,) = refused(page)
    assert " times" not in first
    knock()
    knock()
    (later,) = refused(page)
    assert ", 3 times: Login as dock refused" in later
    assert len([each for each in page.audited("login") if each["outcome"] == "refused"]) == 1
    stranger = "nobody-knows"
    for _ in range(2):
        knock(stranger)
    page.settle()
    assert "2 times" in next(line for line in refused(page) if stranger in line)


def test_a_wrong_code_again_is_shown_at_once(page: Any, bring_in: Any) -> None:
    for _ in range(2):
        bring_in("NOT-A-CODE")
    page.settle()
    line = next(line for line in refused(page) if f">{DOCK}<" in line and "binding code" in line)
    assert "2 times" in line
