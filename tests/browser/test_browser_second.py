"""The promise of the first page: within one second of the event an operator sees that a dock was refused, and reads why.

From the time that the refusal has in the audit to the change of the page, both by this machine's clock. The page's own round takes
ten seconds: what is there in half of that was brought by the event. On a quiet machine it takes 0.3 to 0.4 s.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.simulator import run_dock

from .chromium import aside
from .desk import Desk

WITHIN_MS = 5000
TRIES = 3

_WATCH = """who => {
  window.seenAt = null;
  const region = document.querySelector("[data-live]");
  const look = () => {
    const lines = [...region.querySelectorAll(".refusals li")].map((each) => each.textContent);
    if (window.seenAt === null && lines.some((line) => line.includes(who))) window.seenAt = Date.now();
  };
  new MutationObserver(look).observe(region, { childList: true, subtree: true });
}"""


def _written_at(desk: Desk, action: str, who: str) -> float:
    told = [each for each in desk.audited(action) if each["outcome"] == "refused" and who in each["target"]]
    return datetime.fromisoformat(told[0]["at"]).timestamp() * 1000


@pytest.mark.parametrize(
    ("number", "case", "action", "words"),
    [
        (30, "wrong-password", "login", "the password was wrong"),
        (40, "unknown", "login", "there is no such account"),
        (50, "wrong-code", "bind", "no such binding code"),
    ],
    ids=["wrong password", "unknown account", "wrong code"],
)
async def test_a_refusal_is_seen_within_a_second(
    page: Page, desk: Desk, number: int, case: str, action: str, words: str
) -> None:
    await expect(page.locator("[data-live-state]")).to_have_text("up to date")
    took: list[float] = []
    for attempt in range(TRIES):
        profile = await aside(desk.profile, number + attempt, pinned=True)
        if case == "unknown":
            profile = replace(profile, account=f"nobody-{number + attempt}")
        who = profile.sn if action == "bind" else profile.account
        await page.evaluate(_WATCH, who)
        misbehaviour: Any = "wrong-code" if case == "wrong-code" else "wrong-password"
        assert (await aside(run_dock, desk.target, profile, misbehaviour=misbehaviour)).ok
        line = page.get_by_role("listitem").filter(has_text=who).filter(has_text=words)
        await expect(line.first).to_be_visible()
        took.append(await page.evaluate("window.seenAt") - await aside(_written_at, desk, action, who))
        if took[-1] < WITHIN_MS:
            break
    assert min(took) < WITHIN_MS, took
    assert min(took) > 0, took
