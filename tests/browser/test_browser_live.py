"""What an open page shows of docks as it happens; nobody reloads anything here."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.simulator import payloads, run_dock

from .chromium import aside
from .desk import Desk

# The event itself brings it: the page's own round of ten seconds can't. It is there within a second on a quiet machine.
SOON_MS = 4_000


def row(page: Page, sn: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=sn, exact=True))


async def test_a_dock_appears_and_moves_through_its_steps(page: Page, desk: Desk) -> None:
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    profile = await aside(desk.profile, 11, pinned=True, callsign="")
    dock = desk.dock(profile)
    step = row(page, profile.sn).locator(".badge").first
    await expect(row(page, profile.sn)).to_have_count(0)

    await aside(dock.connect)
    await aside(dock.subscribe)
    await expect(step).to_have_text("connected", timeout=SOON_MS)
    await aside(dock.request, "config", payloads.config_data())
    await expect(step).to_have_text("licensed", timeout=SOON_MS)
    await aside(dock.request, "airport_organization_bind", payloads.organization_bind_data(profile))
    await expect(step).to_have_text("bound", timeout=SOON_MS)
    await aside(dock.update_topo)
    await aside(dock.publish_osd, qos=1)
    await expect(step).to_have_text("online", timeout=SOON_MS)
    await expect(row(page, profile.sn).locator(f'a[href="/docks/{profile.aircraft_sn}"]')).to_be_visible()

    await aside(dock.close)
    await expect(step).to_have_text("bound", timeout=SOON_MS)


async def test_a_wrong_binding_code_is_shown_with_its_reason_and_what_mends_it(page: Page, desk: Desk) -> None:
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    profile = await aside(desk.profile, 12)
    refused = (
        page.get_by_role("region", name="Refused in the last hour").get_by_role("listitem").filter(has_text=profile.sn)
    )
    await expect(refused).to_have_count(0)
    run = await aside(run_dock, desk.target, profile, misbehaviour="wrong-code")
    assert run.ok
    await expect(refused.first).to_contain_text(re.compile("no such binding code", re.IGNORECASE), timeout=SOON_MS)
    await expect(refused.first).to_contain_text("dockgate card")
    await refused.first.get_by_role("link", name="The card for Pilot 2").click()
    await expect(page.get_by_role("main")).to_contain_text(desk.installation.binding_code)


@pytest.mark.parametrize("pinned", [True, False], ids=["known", "new"])
async def test_a_wrong_password_is_shown_with_its_reason(page: Page, desk: Desk, pinned: bool) -> None:
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    profile = await aside(desk.profile, 13 if pinned else 23, pinned=pinned)
    assert (await aside(run_dock, desk.target, profile, misbehaviour="wrong-password")).ok
    refused = page.get_by_role("region", name="Refused in the last hour").get_by_role("listitem")
    await expect(refused.filter(has_text=profile.account)).to_contain_text(
        re.compile("the password was wrong", re.IGNORECASE), timeout=SOON_MS
    )


async def test_the_story_of_a_dock_grows_while_one_reads_it(page: Page, desk: Desk) -> None:
    """And what was opened stays open, and the keyboard stays where it was."""
    profile = await aside(desk.profile, 14, pinned=True, callsign="")
    dock = desk.dock(profile)
    await aside(dock.connect)
    await aside(dock.subscribe)
    await row(page, profile.sn).get_by_role("link", name=profile.sn).click()
    asked = page.get_by_role("region", name="What it asked since the gateway started").locator("details")
    await expect(asked).to_have_count(0)

    await aside(dock.request, "config", payloads.config_data())
    await expect(asked).to_have_count(1, timeout=SOON_MS)
    summary = asked.first.locator("summary")
    await summary.focus()
    await page.keyboard.press("Enter")
    reply = asked.last.locator("pre").last
    await expect(reply).to_contain_text("123456")
    await expect(reply).not_to_contain_text("0f1e2d3c")  # the key of the license

    await aside(dock.request, "airport_organization_bind", payloads.organization_bind_data(profile))
    await expect(asked).to_have_count(2, timeout=SOON_MS)
    await expect(reply).to_be_visible()
    await expect(asked.last.locator("summary")).to_be_focused()
    story = page.get_by_role("region", name="How it tried to get in")
    await expect(story).to_contain_text("bound", timeout=SOON_MS)


async def test_requests_are_shown_as_they_come(page: Page, desk: Desk) -> None:
    profile = await aside(desk.profile, 15)
    await page.goto("/requests")
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    rows = page.locator("tbody tr")
    assert (await aside(desk.visit_of, profile)).ok
    await expect(rows.filter(has_text="airport_organization_bind")).to_have_count(1, timeout=SOON_MS)
    await expect(rows.filter(has_text="config")).to_have_count(1)

    await page.get_by_label("Only with").fill("organization_bind")
    await expect(rows.filter(visible=True)).to_have_count(1)
    await page.get_by_label("Only with").fill("")
    shown = await rows.count()
    await page.get_by_role("button", name="Pause").click()
    assert (await aside(desk.visit_of, profile)).ok
    await expect(page.locator("[data-log-count]")).to_contain_text("paused")
    assert await rows.count() == shown


async def test_a_refused_bind_is_red_among_the_requests(page: Page, desk: Desk) -> None:
    """Though its reply says result 0."""
    profile = await aside(desk.profile, 17)
    await page.goto("/requests")
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    assert (await aside(run_dock, desk.target, profile, misbehaviour="wrong-code")).ok
    cell = page.locator("tbody tr").filter(has_text="airport_organization_bind").locator("td").nth(3)
    await expect(cell).to_have_text("210230", timeout=SOON_MS)
    await expect(cell).to_have_class("refused")


async def test_who_marks_a_text_keeps_it(page: Page, desk: Desk) -> None:
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    profile = await aside(desk.profile, 16, callsign="")
    assert (await aside(desk.visit_of, profile)).ok
    await expect(row(page, profile.sn)).to_be_visible()
    await (
        row(page, profile.sn)
        .get_by_role("link", name=profile.sn)
        .evaluate("link => getSelection().selectAllChildren(link)")
    )
    async with page.expect_response(lambda answer: "x-fragment" in answer.request.headers):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert await page.evaluate("String(getSelection())") == profile.sn
