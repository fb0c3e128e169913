"""What an operator does: it asks before it hurts, a mouse is not needed, and the audit trail has it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Error, Page, expect

from .chromium import Visit, aside
from .desk import Desk


async def test_unbind_asks_first(page: Page, desk: Desk) -> None:
    profile = await aside(desk.profile, 21)
    assert (await aside(desk.visit_of, profile)).ok
    await aside(desk.settle)

    await page.goto(f"/docks/{profile.sn}")
    await page.get_by_role("link", name="Unbind").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Unbind {profile.sn}?")
    assert profile.aircraft_sn is not None
    await expect(page.get_by_role("main")).to_contain_text(profile.aircraft_sn)
    await page.get_by_role("link", name="Cancel").click()
    await expect(page).to_have_url(f"{desk.origin}/docks/{profile.sn}")
    assert (await aside(desk.dockgate, "dock", "show", profile.sn))["bound"]
    assert await aside(desk.audited, "dock.unbind") == []

    await page.get_by_role("link", name="Unbind").click()
    await page.get_by_role("button", name="Unbind").click()
    await expect(page.get_by_role("status").first).to_contain_text(f"Unbound: {profile.sn}")
    await expect(page.get_by_role("main")).to_contain_text("bound to none")
    assert not (await aside(desk.dockgate, "dock", "show", profile.sn))["bound"]

    await page.get_by_role("link", name="Audit").last.click()
    entry = (
        page.get_by_role("row")
        .filter(has_text="dock.unbind")
        .filter(has=page.get_by_role("cell", name=profile.sn, exact=True))
    )
    await expect(entry).to_contain_text(profile.sn)
    await expect(entry).to_contain_text(f"operator:{desk.operator}")
    await expect(entry).to_contain_text("ok")


async def test_an_account_is_made_with_nothing_but_the_keyboard(page: Page, desk: Desk) -> None:
    """From the first Tab on, and without a place where it is not seen where one is."""

    async def tab_to(name: str) -> None:
        for _ in range(40):
            await page.keyboard.press("Tab")
            focused = page.locator(":focus")
            label = await focused.evaluate(
                "element => (element.getAttribute('aria-label') || element.labels?.[0]?.textContent"
                " || element.textContent).trim()"
            )
            outline = await focused.evaluate("element => parseFloat(getComputedStyle(element).outlineWidth)")
            assert outline >= 2, f"nobody sees that {label!r} has the focus"
            if label == name:
                return
        raise AssertionError(f"the keyboard does not lead to {name!r}")

    await page.goto("/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="To the content")).to_be_focused()
    await tab_to("Accounts")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Accounts")
    await tab_to("Add an account")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Add an account")
    await tab_to("Name")
    await page.keyboard.type("by-keyboard")
    await tab_to("Role")
    await page.keyboard.type("observer")
    await tab_to("Add")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Password of by-keyboard")
    password = await page.locator("dd code").last.text_content()
    assert password
    await tab_to("Done")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("by-keyboard")
    assert password not in await page.content()  # shown that once
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # the browser was told to keep nothing
        await page.go_back()
    assert (await aside(desk.dockgate, "account", "show", "by-keyboard"))["role"] == "observer"


async def test_a_refused_deed_says_why_and_keeps_what_was_typed(visit: Visit, desk: Desk) -> None:
    page = visit.page
    await page.goto("/accounts/add")
    await page.get_by_label("Name").fill("no good name")
    await page.get_by_label("Serial number of the dock").fill("7CTDM7SM000022")
    await page.get_by_label("Password").fill("a password of mine")
    visit.expect("400")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_label("Serial number of the dock")).to_have_value("7CTDM7SM000022")
    await expect(page.get_by_label("Password")).to_have_value("")
    assert [one["account"] for one in await aside(desk.dockgate, "account", "list") if " " in one["account"]] == []


async def test_a_binding_code_is_made_and_revoked(page: Page, desk: Desk) -> None:
    await page.goto(f"/organizations/{desk.installation.organization_id}")
    await page.get_by_role("link", name="New binding code").click()
    await page.get_by_label("Uses").fill("2")
    await page.get_by_label("Expires").fill("7d")
    await page.get_by_role("button", name="Make").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="2", exact=True))
    await expect(row).to_contain_text("usable")
    code = await row.get_by_role("rowheader").text_content()
    assert code
    await row.get_by_role("link", name=f"Revoke {code}").click()
    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("row").filter(has_text=code)).to_contain_text("revoked")


async def test_a_disabled_account_ends_its_connection_and_may_come_back(page: Page, desk: Desk) -> None:
    profile = await aside(desk.profile, 23)
    dock = await aside(desk.bring_online, profile)
    await page.goto(f"/accounts/show?name={profile.account}")
    await page.get_by_role("link", name="Disable").click()
    await page.get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("status").first).to_contain_text("is kept out")
    assert await aside(dock.wait_closed)
    await page.get_by_role("link", name="Enable").click()
    await page.get_by_role("button", name="Enable").click()
    await expect(page.get_by_role("main")).to_contain_text("enabled")
    await aside(dock.connect)


async def test_the_theme_that_was_chosen_stays(visit: Visit) -> None:
    page = visit.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("Docks")
    back = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.evaluate(back)
    await page.get_by_role("button", name=re.compile("dark theme")).click()
    dark = await page.evaluate(back)
    assert dark != light
    await page.goto("/audit")
    assert await page.evaluate(back) == dark


async def test_the_pages_work_without_their_script(visit: Visit, desk: Desk) -> None:
    plain = await visit.context.browser.new_context(  # type: ignore[union-attr]
        base_url=desk.origin, java_script_enabled=False, storage_state=await visit.context.storage_state()
    )
    try:
        page = await plain.new_page()
        await page.goto("/accounts")
        await page.get_by_label("Search").fill("dock")
        await page.get_by_role("button", name="Show").click()
        await expect(page).to_have_url(re.compile(r"q=dock"))
        await expect(page.get_by_role("row").filter(has_text="dock").first).to_be_visible()
    finally:
        await plain.close()
