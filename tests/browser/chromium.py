"""Debian's Chromium in a thread of its own with an event loop of its own; and a visit to the console in a profile of its
own, which notes what left for elsewhere and what the browser complained of.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    async_playwright,
    expect,
)

T = TypeVar("T")

PROGRAM = "/usr/bin/chromium"
# As root there is no sandbox of its own. Nothing but loopback has an address: a browser on a closed network.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
# For the slowest machine; what is awaited is there in a fraction of it.
WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)


class Chromium:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chromium", daemon=True)
        self._playwright: Playwright
        self.browser: Browser

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._open())
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the browser's loop; from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    async def _open(self) -> None:
        self._playwright = await async_playwright().start()
        self.browser = await self._playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))

    async def _close(self) -> None:
        await self.browser.close()
        await self._playwright.stop()


async def aside(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """For what blocks: a dock, a command of an operator."""
    return await asyncio.to_thread(work, *args, **kwargs)


class Visit:
    """``went_elsewhere``: addresses of requests that were not the gateway's. ``complaints``: of the browser's console, the
    page's policy among them, and errors of the script.
    """

    def __init__(self, origin: str, context: BrowserContext, page: Page) -> None:
        self.origin = origin
        self.context = context
        self.page = page
        self.went_elsewhere: list[str] = []
        self.complaints: list[str] = []
        self._expected: list[str] = []

    @classmethod
    async def begin(cls, browser: Browser, origin: str, **how: Any) -> Visit:
        options = {"base_url": origin, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce", **how}
        context = await browser.new_context(**options)
        context.set_default_timeout(WAIT_MS)
        visit = cls(origin, context, await context.new_page())
        context.on("request", lambda request: visit._asked(request.url))
        context.on("requestfailed", visit._failed)
        context.on("console", visit._said)
        context.on("weberror", lambda error: visit.complaints.append(str(error.error)))
        return visit

    async def end(self) -> None:
        await self.context.close()

    async def log_in(self, operator: str, password: str) -> None:
        """By the form, and on to the page that was wanted."""
        if not self.page.url.startswith(f"{self.origin}/login"):
            await self.page.goto("/login")
        await self.page.get_by_label("Operator").fill(operator)
        await self.page.get_by_label("Password").fill(password)
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name="Log in").click()

    async def enter(self, operator: str, password: str) -> None:
        """Logged in without the form, and on the first page."""
        words = {"operator": operator, "password": password}
        answer = await self.context.request.post("/login", data=words, headers={"Origin": self.origin})
        assert answer.ok, await answer.text()
        await self.page.goto("/")

    def expect(self, complaint: str) -> None:
        """Of the console, once it has come or before: it is what the test is about."""
        self._expected.append(complaint)
        self.complaints = [each for each in self.complaints if not re.search(complaint, each)]

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.went_elsewhere.append(url)

    def _failed(self, request: Request) -> None:
        """What the page's policy has stopped has not left."""
        if request.failure == "csp" and request.url in self.went_elsewhere:
            self.went_elsewhere.remove(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(re.search(each, message.text) for each in self._expected):
            self.complaints.append(message.text)
