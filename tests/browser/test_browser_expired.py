"""A session whose time is over while a page is open."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.async_api import expect

from .chromium import Visit, aside
from .desk import Desk


@pytest.fixture(scope="module")
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk(session_s=3)


async def test_a_form_left_open_too_long_does_nothing_and_a_page_goes_to_the_login(visit: Visit, desk: Desk) -> None:
    page, form = visit.page, await visit.context.new_page()
    await form.goto("/organizations/add")
    await form.get_by_label("Name").fill("Too late")
    await page.goto("/health")
    visit.expect("401")
    await expect(page).to_have_url(re.compile(r"/login\?next=(%2F|/)health"))  # by itself, when it looks again
    await form.get_by_role("button", name="Add").click()
    await expect(form.get_by_role("heading", level=1)).to_have_text("Log in")
    found = await aside(desk.dockgate, "org", "list")
    assert [one["name"] for one in found if one["name"] == "Too late"] == []
    await visit.log_in(desk.operator, desk.password)
    await expect(page).to_have_url(f"{desk.origin}/health")
