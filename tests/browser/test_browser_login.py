"""The first minutes: no operator yet, the first login, a wrong password, and the way out."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import expect

from .chromium import Visit, aside
from .desk import Desk


async def test_the_first_login_leads_to_the_page_that_was_asked_for(stranger: Visit, desk: Desk) -> None:
    page = stranger.page
    await page.goto("/audit?since=2h")
    await expect(page).to_have_url(re.compile(r"/login\?next="))
    await expect(page.get_by_label("Operator")).to_be_focused()
    await stranger.log_in(desk.operator, desk.password)
    await expect(page).to_have_url(f"{desk.origin}/audit?since=2h")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Audit")
    await expect(page.get_by_role("row", name=re.compile("operator.login")).first).to_be_visible()


async def test_an_empty_board_says_how_a_dock_gets_here(page: Any, desk: Desk) -> None:
    await expect(page.get_by_role("heading", name="No dock has been here yet")).to_be_visible()
    await page.get_by_role("main").get_by_role("link", name="The card").click()
    main = page.get_by_role("main")
    await expect(main).to_contain_text(desk.installation.binding_code)
    await expect(main).to_contain_text(desk.installation.organization_id)


async def test_a_wrong_password_is_said_and_keeps_the_way(stranger: Visit, desk: Desk) -> None:
    page = stranger.page
    await page.goto("/accounts")
    await stranger.log_in(desk.operator, "not the password")
    await expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    await stranger.log_in(desk.operator, desk.password)
    await expect(page).to_have_url(f"{desk.origin}/accounts")


async def test_who_logs_out_is_out_and_back_shows_nothing(visit: Visit, desk: Desk) -> None:
    page = visit.page
    await page.goto("/accounts")
    await page.get_by_role("button", name=f"Log out {desk.operator}").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert await visit.context.cookies() == []


async def test_the_cookie_is_out_of_reach_of_a_script_and_of_other_sites(visit: Visit) -> None:
    await expect(visit.page.get_by_role("heading", level=1)).to_have_text("Docks")
    (cookie,) = await visit.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert await visit.page.evaluate("document.cookie") == ""


async def test_a_session_that_somebody_else_ended_leads_to_the_login(visit: Visit, desk: Desk) -> None:
    """The open page notices when its operator looks at it again; with the new password he is where he was."""
    page = visit.page
    await page.goto("/?step=trouble")
    desk.password = (await aside(desk.dockgate, "operator", "passwd", desk.operator))["password"]
    visit.expect("401")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page).to_have_url(re.compile(r"/login\?next="))
    await visit.log_in(desk.operator, desk.password)
    await expect(page).to_have_url(f"{desk.origin}/?step=trouble")
