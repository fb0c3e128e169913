"""Pictures of the console, into docs/images/console: ``make screenshots``. It is written as tests are, and is none: its name is not
one that pytest looks for.

A small fleet is made, and each page taken in both themes, the board on a telephone, too. Takes about a minute, so that the charts
have something to show.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.simulator import DockProfile
from gateway.web.console import samples

from . import town as towns
from .chromium import Visit, aside
from .desk import Desk

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "console"
WIDTH, HEIGHT, MOST_HEIGHT = 1280, 720, 900
# What is worth being seen whole.
_WHOLE = {"docks": 1200, "dock-refused": 1200, "docks-telephone": 1200}
TELEPHONE = {"width": 390, "height": 844}
# Half an hour of the charts, sooner.
CHARTS_S = 45
_SAMPLES_EVERY_S = CHARTS_S / samples.KEPT
NAMES = (
    "docks", "dock", "dock-refused", "unbind", "accounts", "account", "account-add", "organizations", "organization",
    "code-add", "licenses", "license-set", "certificates", "certificate-issue", "audit", "card", "access",
)  # fmt: skip


async def take(page: Page, name: str) -> None:
    size: dict[str, Any] = page.viewport_size or {}
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        tall = await page.evaluate("document.documentElement.scrollHeight")
        clip = {
            "x": 0,
            "y": 0,
            "width": size["width"],
            "height": min(max(tall, size["height"]), _WHOLE.get(name, MOST_HEIGHT)),
        }
        await page.screenshot(path=FOLDER / f"{name}-{theme}.png", full_page=True, clip=clip)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def desk(make_desk: Callable[..., Desk]) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "EVERY_S", _SAMPLES_EVERY_S)
        yield make_desk(towns.prepare)


@pytest.fixture(scope="module")
def town(desk: Desk) -> towns.Town:
    return towns.settle_in(desk)


@pytest.fixture
def wide(visits: Callable[..., Visit]) -> Visit:
    FOLDER.mkdir(parents=True, exist_ok=True)
    return visits(viewport={"width": WIDTH, "height": HEIGHT})


@pytest.mark.timeout(300)
async def test_take_them(wide: Visit, desk: Desk, town: towns.Town) -> None:
    page = wide.page
    await page.goto("/login")
    await take(page, "login")
    await wide.log_in(desk.operator, desk.password)
    addresses = await aside(towns.pages, desk, town)
    visitor = await aside(desk.profile, 7, pinned=True, callsign="West pier")
    await page.goto("/health")
    await aside(come_and_go, desk, visitor, CHARTS_S)
    await page.reload()
    await take(page, "health")
    await page.goto("/requests")
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    await aside(desk.visit_of, visitor)
    await expect(page.locator("tbody tr").first).to_be_visible()
    await take(page, "requests")
    for name in NAMES:
        await page.goto(addresses[name])
        if name == "dock":
            await page.locator("details").first.locator("summary").click()
        await take(page, name)
    await page.goto("/accounts/add")
    await page.get_by_label("Name").fill("dock-east")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Password of dock-east")
    await take(page, "password")
    await page.set_viewport_size(TELEPHONE)  # type: ignore[arg-type]
    await page.goto("/")
    await take(page, "docks-telephone")


def come_and_go(desk: Desk, profile: DockProfile, seconds: float) -> None:
    """Now and then, and at times more often."""
    until, pause, rare = time.monotonic() + seconds, threading.Event(), random.Random(7)
    while time.monotonic() < until:
        desk.visit_of(profile)
        pause.wait(rare.uniform(0.02, 0.5))
