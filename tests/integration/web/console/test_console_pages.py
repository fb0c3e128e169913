"""What each page of the console shows, to whom, and what a browser is allowed to do with it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from gateway.web.console import samples

DOCK = "7CTDM7100B1234"
AIRCRAFT = "1581F6Q8D245H00A1B2C"
PAGES = (
    "/", "/accounts", "/accounts/show?name=dock", "/accounts/add", "/organizations", "/organizations/add", "/licenses",
    "/licenses/set",
    "/certificates", "/certificates/issue", "/certificates/renew", "/requests", "/audit", "/health", "/card", "/access",
)  # fmt: skip
OF_DOCK = ("", "/rename", "/unbind", "/disconnect")


def test_every_page_is_whole_without_a_script_and_loads_from_here_only(site: Any, page: Any, bring_in: Any) -> None:
    assert bring_in()[0].ok
    organization = f"/organizations/{site.installation.organization_id}"
    assets = set()
    for path in (*PAGES, organization, f"{organization}/codes/add", *(f"/docks/{DOCK}{each}" for each in OF_DOCK)):
        found = page(path)
        assert found.status == 200, (path, found.text)
        assert found.inline == [], path
        assert found.loads
        assert all(re.fullmatch(r"/static/[0-9a-f]{16}/[a-z.]+", each) for each in found.loads), path
        assert all(each.startswith(("/", "#")) and not each.startswith("//") for each in found.links), path
        headers = found.answer.headers
        assert headers["cache-control"] == "no-store"
        # with "no-referrer" a browser would send each form with "Origin: null", as another site's page does
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assets |= set(found.loads)
    stranger = site.http()
    for path in assets:
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in answer.text
    assert stranger.get(re.sub("[0-9a-f]{16}", "0" * 16, assets.pop())).status_code == 404


def test_every_way_that_a_page_names_leads_somewhere(site: Any, page: Any, bring_in: Any) -> None:
    assert bring_in()[0].ok
    ways, seen = ["/"], set()
    while ways:
        path = ways.pop()
        found = page(path)
        assert found.status == 200, (path, found.text)
        new = {each.partition("#")[0] or path for each in found.links} - seen - {path}
        seen |= new | {path}
        ways += new
    assert {"/accounts", "/audit", "/health", f"/docks/{DOCK}", f"/docks/{AIRCRAFT}", f"/docks/{DOCK}/unbind"} <= seen


def test_nobody_sees_anything_before_the_login(site: Any, parsed: Any) -> None:
    stranger = site.http()
    for path in (*PAGES, f"/docks/{DOCK}", f"/docks/{DOCK}/unbind"):
        answer = stranger.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=%2F")
        assert answer.content == b""
    assert stranger.get("/", headers={"X-Fragment": "1"}).status_code == 401
    # a token is for programs
    assert site.http(site.token()).get("/").status_code == 303
    login = parsed(stranger.get("/login"))
    assert "There is no operator yet" in login.text
    assert "dockgate operator add" in login.text
    assert login.inline == []
    site.operator()
    assert "no operator" not in stranger.get("/login").text


def test_the_audit_trail_can_be_read_back_to_its_beginning(page: Any) -> None:
    record = page.site.runtime.services.audit.record

    def write() -> None:
        for number in range(450):
            record(actor="system", action="test", target=f"entry-{number}", outcome="ok", detail={})

    page.site.gateway.ask(write)
    page.settle()
    seen: list[str] = []
    path: str | None = "/audit?q=&dock=&since=1h"
    while path:
        found = page(path)
        seen += re.findall(r"entry-\d+", found.html)
        assert ("data-every" in found.html) == ("before=" not in path)
        path = next((link for link in found.links if "before=" in link), None)
        assert path is None or "since=1h" in path
    assert seen == [f"entry-{number}" for number in reversed(range(450))]
    assert "entry-7<" in page("/audit?q=ENTRY-7").html
    assert "No entry is like that" in page("/audit?q=entry-nine").text
    assert page("/audit?before=nonsense").status == 200


def test_the_charts_count_accesses_that_were_completed(
    installation: Any, open_site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dock that was refused has logged in, too."""
    from gateway.simulator import Target, make_profile, run_dock
    from gateway.simulator.models import dock_model

    monkeypatch.setattr(samples, "EVERY_S", 0.05)
    installation.license()
    site = open_site(installation)
    browser, _ = site.browser()
    password = installation.dockgate("account", "passwd", "dock")["password"]
    profile = make_profile(
        dock_model("dock2"), account="dock", password=password, sn=DOCK,
        organization_id=installation.organization_id, binding_code=installation.binding_code,
    )  # fmt: skip
    target = Target(site.gateway.host, site.gateway.port("plain"))

    def most(title: str) -> float:
        found = re.search(
            rf'aria-label="{title}: [0-9.,]+ [a-z ]+ now, ([0-9.,]+) at most"', browser.get("/health").text
        )
        assert found is not None
        return float(found[1].replace(",", ""))

    def passed() -> None:
        before = site.gateway.ask(lambda: len(site.gateway.admin._samples))
        until = time.monotonic() + 10
        while site.gateway.ask(lambda: len(site.gateway.admin._samples)) < before + 2:
            assert time.monotonic() < until

    run_dock(target, profile, misbehaviour="wrong-code")
    passed()
    assert most("Logins") > 0
    assert most("Accesses") == 0
    assert run_dock(target, profile).ok
    passed()
    assert most("Accesses") > 0


def test_after_the_login_one_is_where_one_wanted_to_be(site: Any, parsed: Any) -> None:
    password = site.operator()
    browser = site.http(Origin=site.origin)
    asked = browser.get("/audit?q=dock&since=2h")
    login = parsed(browser.get(asked.headers["location"]))
    wrong = browser.post("/login", data=login.fields | {"operator": "maria", "password": "no"})
    again = parsed(browser.get(wrong.headers["location"]))
    assert "Name or password is wrong" in again.text
    right = browser.post("/login", data=again.fields | {"operator": "maria", "password": password})
    assert (right.status_code, right.headers["location"]) == (303, "/audit?q=dock&since=2h")
    assert browser.get(right.headers["location"]).status_code == 200
    assert browser.get("/login?next=//elsewhere.example").headers["location"] == "/"


def test_a_session_that_ended_leads_to_the_login_and_back(site: Any, page: Any) -> None:
    assert page("/certificates").status == 200
    site.gateway.ask(site.gateway.admin.context.sessions.close)
    assert page("/certificates", **{"X-Fragment": "1"}).status == 401
    assert page("/certificates").answer.headers["location"] == "/login?next=%2Fcertificates"
    assert page.send("/accounts/delete?name=dock", {"csrf": page.csrf}).headers["location"] == "/login?next=%2F"
    assert page.audited("account.delete") == []


def test_who_logs_out_is_out(page: Any) -> None:
    assert page.send("/logout", {"csrf": "wrong"}).status_code == 403
    assert page("/").status == 200
    assert page.send("/logout", {"csrf": page.csrf}).headers["location"] == "/login"
    assert page("/").status == 303


@pytest.mark.parametrize(
    "path", ["/nowhere", "/docks/NOBODY", "/accounts/show?name=nobody", "/organizations/none", "/docks/NOBODY/unbind"]
)
def test_what_is_not_there_is_said_on_a_page(page: Any, path: str) -> None:
    found = page(path)
    assert found.status == 404
    assert "Not found" in found.text
    assert "/" in found.links


def test_the_board_counts_steps_and_shows_trouble_first(site: Any, page: Any, bring_in: Any) -> None:
    empty = page("/")
    assert "No dock has been here yet" in empty.text
    assert "/card" in empty.links
    assert bring_in()[0].ok
    found = page("/")
    assert f"/docks/{DOCK}" in found.links
    assert f"/docks/{AIRCRAFT}" in found.links
    assert "1 in all" in found.text
    assert "1 dock;" in page(f"/?q={AIRCRAFT[:8].lower()}").text
    assert "No dock is like that" in page("/?q=nothing-like-it").text
    assert "No dock is like that" in page("/?step=connected").text
    assert "No dock is like that" in page("/?org=other").text
    for page_number in ("0", "99999", "x", "-1", "9" * 40):
        assert f"/docks/{DOCK}" in page(f"/?page={page_number}").links
    part = page("/", **{"X-Fragment": "1"})
    assert "<html" not in part.html
    assert f"/docks/{DOCK}" in part.links


def test_a_refused_dock_is_on_the_board_with_its_reason_and_what_mends_it(site: Any, page: Any, bring_in: Any) -> None:
    run, _ = bring_in("WRONGCODE1")
    assert not run.ok
    page.settle()
    found = page("/")
    assert "Refused in the last hour" in found.text
    assert "no such binding code" in found.text.lower()
    assert "dockgate card" in found.text
    story = page(f"/docks/{DOCK}")
    assert "no such binding code" in story.text.lower()
    assert "airport_organization_get" in story.text


def test_no_page_holds_a_secret(site: Any, page: Any, bring_in: Any) -> None:
    run, password = bring_in()
    assert run.ok
    session = site.gateway.ask(lambda: next(iter(site.gateway.admin.context.sessions._sessions.values())))
    secrets = (
        password,
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "bGljZW5zZS1mb3ItdGVzdHM",
        session.password_hash,
        "$argon2id$",
    )
    for path in (*PAGES, *(f"/docks/{DOCK}{each}" for each in OF_DOCK), f"/docks/{AIRCRAFT}"):
        html = page(path).html
        assert [secret for secret in secrets if secret in html] == [], path
        assert str(page.http.cookies.get("dockgate")) not in html
    assert "config" in page(f"/docks/{DOCK}").text


def test_what_devices_and_people_say_is_text_and_no_markup(site: Any, page: Any, bring_in: Any) -> None:
    assert bring_in()[0].ok
    nasty = "<img src=x onerror=alert(1)>"
    site.installation.dockgate("dock", "rename", DOCK, nasty)
    for path in ("/", f"/docks/{DOCK}", f"/docks/{DOCK}/rename", f"/?q={nasty}", f"/audit?q={nasty}"):
        found = page(path)
        assert "<img" not in found.html, path
        assert found.inline == []
    assert nasty in page("/").text


def test_health_says_whether_it_is_ready_and_what_to_see_to(site: Any, page: Any) -> None:
    found = page("/health")
    assert "Ready for docks." in found.text
    assert found.html.count("<polyline") == 6
    page.site.installation.dockgate("license", "clear", "--yes")
    site.gateway.call(site.runtime.reload())
    assert "license" in page("/health").text.lower()
