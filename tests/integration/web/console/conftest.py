"""The console as a browser without script sees it: pages are fetched, forms are sent with what their page holds."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from gateway.simulator import Target, make_profile, run_dock
from gateway.simulator.models import dock_model

DOCK = "7CTDM7100B1234"
AIRCRAFT = "1581F6Q8D245H00A1B2C"


class Page(HTMLParser):
    """A page that was fetched. ``fields``: of the form that acts, as it would be sent; ``loads``: what a browser fetches for it."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.html = answer.text
        self.links: list[str] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.fields: dict[str, str] = {}
        self._is_of_form = False
        self._words: list[str] = []
        self.feed(answer.text)
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.inline += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)
        if tag == "a":
            self.links.append(found["href"])
        if tag in {"script", "img", "link", "iframe"}:
            self.loads.append(found.get("src") or found.get("href", ""))
        if tag == "form":
            self._is_of_form = found.get("method") == "post" and found.get("action") != "/logout"
        if self._is_of_form and tag in {"input", "textarea", "select"} and found.get("type") != "checkbox":
            self.fields[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_of_form = False

    def handle_data(self, data: str) -> None:
        self._words.append(data)


class Operator:
    """Logged in. ``page(path)`` fetches, ``do(path, …)`` asks first and then sends the form of that page."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.http, self.csrf = site.browser()

    def __call__(self, path: str, **headers: str) -> Page:
        return Page(self.http.get(path, headers=headers))

    def send(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.http.post(path, data=fields, headers=headers)

    def do(self, path: str, **typed: str) -> Page:
        """Where it leads to; of a refusal the page that says why."""
        asked = self(path)
        assert asked.status == 200, asked.text
        answer = self.send(path, asked.fields | typed)
        return self(answer.headers["location"]) if answer.is_redirect else Page(answer)

    def settle(self) -> None:
        """What memory has yet to write of docks and of the audit trail is in the database when this returns."""
        self.site.gateway.call(self.site.runtime.presence.flush())
        self.site.gateway.call(self.site.runtime.services.audit.flush())

    def audited(self, action: str) -> list[dict[str, Any]]:
        self.settle()
        found = self.site.installation.dockgate("audit", "list")
        return [entry for entry in found if entry["action"] == action]


@pytest.fixture
def bring_in(site: Any) -> Callable[..., Any]:
    """Lead the dock through its whole access; how it went, and its password."""

    def lead(code: str | None = None) -> tuple[Any, str]:
        password = str(site.installation.dockgate("account", "passwd", "dock")["password"])
        profile = make_profile(
            dock_model("dock2"), account="dock", password=password, sn=DOCK, aircraft_sn=AIRCRAFT,
            organization_id=site.installation.organization_id, binding_code=code or site.installation.binding_code,
        )  # fmt: skip
        return run_dock(Target(site.gateway.host, site.gateway.port("plain")), profile), password

    return lead


@pytest.fixture
def dock(bring_in: Callable[..., Any]) -> str:
    """Of a dock that is bound, and has gone offline."""
    assert bring_in()[0].ok
    return DOCK


@pytest.fixture
def page(site: Any) -> Operator:
    return Operator(site)


@pytest.fixture
def parsed() -> Callable[[httpx.Response], Page]:
    return Page
