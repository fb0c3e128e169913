"""What the threat model says of the admin HTTP, for each of its routes: no secret in an answer, nothing done unasked."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from gateway import passwords
from gateway.web import console, guard
from gateway.web.api import ENDPOINTS
from gateway.web.declarations import PREFIX
from tests.conftest import LICENSE

DOCK, AIRCRAFT = "7CTDM7100B1234", "1581F6Q8D245H00A1B2C"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
CHOSEN = "ch0sen-for-the-dock-4711"
ORG_LICENSE = {
    "app_id": "7",
    "app_key": "another-app-key-0123456789abcdef",
    "app_license": "YW5vdGhlci1saWNlbnNlLTQ3MTE=",
}
STREAMS = {f"{PREFIX}{each.path}" for each in ENDPOINTS if each.streams}
# To this machine without a login; from elsewhere less still (test_web_access.py)
OPEN = {"/healthz", "/readyz", "/metrics", "/static/{digest}/{name}", "/login", f"{PREFIX}/openapi.json"}
# What has no page of its own: an answer for what is not there, and where nobody who is logged in has to go
ELSEWHERE = {"/{rest:path}", "/login"}


@pytest.fixture
def site(installation: Any, open_site: Callable[..., Any]) -> Any:
    """That may be asked as often as a crawl does."""
    installation.license()
    return open_site(installation, lambda admin: admin.update(requests_per_second=100_000))


def routes(site: Any) -> list[str]:
    """The paths that can be got. Those of the API take every method, to say which are right."""
    api = {f"{PREFIX}{each.path}" for each in ENDPOINTS}
    got = {f"{PREFIX}{each.path}" for each in ENDPOINTS if each.method == "GET"}
    found = [
        each.path
        for each in site.gateway.admin._router.routes
        if isinstance(each, Route) and "GET" in (each.methods or ())
    ]
    return [path for path in found if path not in api or path in got]


def filled(path: str, site: Any, values: dict[str, str]) -> str:
    known = {"sn": DOCK, "id": site.installation.organization_id, "name": "dock", "rest:path": "nowhere", **values}
    if path.startswith("/static/"):
        known["name"] = values["asset"]
    return re.sub(r"\{([a-z:]+)\}", lambda found: known[found[1]], path)


class Crawl:
    """Every route, asked by one caller; ``said`` is all that came, by path."""

    def __init__(self, site: Any, http: httpx.Client, values: dict[str, str]) -> None:
        self.site, self.http, self.values = site, http, values
        self.said: dict[str, str] = {}
        self.seen: set[str] = set()

    def __call__(self) -> Crawl:
        for route in routes(self.site):
            path = filled(route, self.site, self.values)
            if route in STREAMS:
                continue  # they have no end: see below
            # forms of the console are told in the query what they are about
            for query in ("", "?name=dock", f"?serial={self.values['serial']}", f"?code={self.values['code']}"):
                answer = self.http.get(path + query)
                headers = "\n".join(
                    f"{name}: {value}" for name, value in answer.headers.items() if name != "set-cookie"
                )
                self.said[path + query] = headers + answer.text
                if answer.status_code == 200:
                    self.seen.add(route)
        return self

    def leaks(self, secrets: dict[str, str]) -> list[tuple[str, str]]:
        return [(what, path) for path, text in self.said.items() for what, secret in secrets.items() if secret in text]


def live(site: Any, http: httpx.Client, work: Any) -> str:
    """What the streams say while ``work`` is done."""
    with http.stream("GET", f"{PREFIX}/events") as events, http.stream("GET", f"{PREFIX}/requests/live") as requests:
        assert (events.status_code, requests.status_code) == (200, 200)
        work()
        heard = ""
        for stream, last in ((events, '"bound"'), (requests, "airport_organization_bind")):
            for line in stream.iter_lines():
                heard += line + "\n"
                if last in line:
                    break
        return heard


@pytest.fixture
def peopled(site: Any) -> tuple[Any, dict[str, str], dict[str, str]]:
    """The site, secrets that nobody may be shown, and values to fill paths with. A dock has been through its access."""
    from gateway.simulator import Target, make_profile, run_dock
    from gateway.simulator.models import dock_model

    installation = site.installation
    made = str(installation.dockgate("account", "passwd", "dock")["password"])
    api = site.http(site.token("seeds"))
    api.base_url = f"{site.origin}{PREFIX}"
    seeded = api.post("/accounts", json={"account": "portal", "role": "service", "password": CHOSEN})
    assert seeded.status_code == 201, seeded.text
    installation.dockgate("org", "add", "Harbour")
    file = installation.folder / "harbour.json"
    file.write_text(json.dumps({**LICENSE, **ORG_LICENSE}))
    installation.dockgate("license", "set", "--file", str(file), "--org", "harbour")
    code = installation.dockgate("org", "code", "add", installation.organization_id)["binding_code"]
    issued = api.post("/certificates", json={"name": "dock"})
    assert issued.status_code == 201, issued.text
    browser, csrf = site.browser("other", password := site.operator("other"))
    profile = make_profile(
        dock_model("dock2"), account="dock", password=made, sn=DOCK, aircraft_sn=AIRCRAFT,
        organization_id=installation.organization_id, binding_code=code,
    )  # fmt: skip
    reader = site.http(site.token("live", "read"))
    heard = live(site, reader, lambda: run_dock(Target(site.gateway.host, site.gateway.port("plain")), profile))
    keys = {path.name: path.read_text().splitlines()[1] for path in installation.folder.rglob("*.key")}
    assert {"ca.key", "server.key"} < set(keys)
    with closing(sqlite3.connect(f"file:{installation.folder / 'dockgate.db'}?mode=ro", uri=True)) as db:
        digests = [row[0] for row in db.execute("SELECT digest FROM api_token")]
        hashes = [
            row[0] for row in db.execute("SELECT password_hash FROM account UNION SELECT password_hash FROM operator")
        ]
    health = installation.folder / "health.password"
    secrets = {
        "a made password": made, "a chosen password": CHOSEN, "an operator's password": password,
        "another's cookie": str(browser.cookies["dockgate"]), "another's word against forgery": csrf,
        "the default app key": LICENSE["app_key"], "the default license": LICENSE["app_license"].rstrip("="),
        "an organization's app key": ORG_LICENSE["app_key"], "an organization's license": ORG_LICENSE["app_license"].rstrip("="),
        "a token": str(api.headers["authorization"]).removeprefix("Bearer "), "argon2": "$argon2", "a cheap hash": "{SSHA512}",
        **{f"the key in {name}": line for name, line in keys.items()},
        **{f"digest {number}": digest for number, digest in enumerate(digests)},
        **{f"hash {number}": digest for number, digest in enumerate(hashes)},
        **({"the password of health": health.read_text().strip()} if health.exists() else {}),
    }  # fmt: skip
    assert [what for what, secret in secrets.items() if secret in heard or len(secret) < 7] == []
    asset = re.search(r"/static/([0-9a-f]{16})/([a-z.]+)", browser.get("/").text)
    assert asset is not None
    return site, secrets, {"serial": issued.json()["serial"], "code": code, "digest": asset[1], "asset": asset[2]}


def test_no_secret_is_in_any_answer(peopled: Any) -> None:
    site, secrets, values = peopled
    installation = site.installation
    writer, reader, stranger = site.http(site.token("w")), site.http(site.token("r", "read")), site.http()
    operator, csrf = site.browser()
    told = {who: Crawl(site, http, values)() for who, http in
            {"writer": writer, "reader": reader, "operator": operator, "stranger": stranger}.items()}  # fmt: skip
    for who, crawl in told.items():
        assert crawl.leaks(secrets) == [], who
    # it was a crawl: the pages for the operator, the API for both tokens
    every = set(routes(site)) - ELSEWHERE - STREAMS
    api = {path for path in every if path.startswith(PREFIX)}
    assert told["operator"].seen >= every
    assert told["writer"].seen >= api
    assert told["reader"].seen >= api
    assert told["stranger"].seen == OPEN
    names = told["stranger"].leaks({"a dock": DOCK, "an aircraft": AIRCRAFT, "an organization": "harbour"})
    assert [path for _, path in names if path.partition("?")[0] in OPEN] == []
    # a code lets docks in: who may write may see it, who may read may not, and in the audit it is cut short for all
    codes = {"the first code": installation.binding_code, "a code": values["code"]}
    assert told["writer"].leaks(codes) != []
    assert [path for _, path in told["reader"].leaks(codes) if values["code"] not in path] == []
    assert [path for _, path in told["writer"].leaks(codes) if "/audit" in path and "code=" not in path] == []
    # its own word is on its pages, since forms need it, and its cookie nowhere
    assert told["operator"].leaks({"its cookie": str(operator.cookies["dockgate"])}) == []
    assert told["operator"].leaks({"its word": csrf}) != []


def test_a_secret_would_be_seen(peopled: Any) -> None:
    """The crawl itself: what is shown on a page is found."""
    site, _, values = peopled
    operator, _ = site.browser()
    shown = Crawl(site, operator, values)()
    assert {path.partition("?")[0] for what, path in shown.leaks({"the dock": DOCK})} >= {
        "/",
        f"/docks/{DOCK}",
        f"{PREFIX}/docks",
    }
    # what a license is cut to is all that is left of it
    assert shown.leaks({"what the license is cut to": LICENSE["app_key"][:4]}) != []


def test_nothing_is_changed_without_a_token_that_may_or_the_word_of_a_page(site: Any) -> None:
    reader, stranger = site.http(site.token("r", "read")), site.http()
    browser, _ = site.browser()
    database = site.installation.folder / "dockgate.db"

    def state() -> list[str]:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            tables = ("account", "organization", "bind_code", "license", "device", "operator", "lockout")
            return [repr(row) for table in tables for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608

    before = state()
    changing = [each for each in ENDPOINTS if each.method != "GET"]
    assert len(changing) > 15
    for endpoint in changing:
        path = filled(f"{PREFIX}{endpoint.path}", site, {"name": "dock"})
        words = {"json": {}} if endpoint.takes_body else {}
        for who, status in ((stranger, 401), (reader, 403), (browser, 403)):
            found = who.request(endpoint.method, path, **words)
            assert found.status_code == status, (endpoint.method, path, found.text)
    for deed in console._DEEDS:
        path = filled(deed.path, site, {})
        for who, status in ((stranger, 303), (reader, 303), (browser, 403)):
            found = who.post(f"{path}?name=dock", data={"csrf": "guessed"})
            assert found.status_code == status, (path, found.text)
    assert state() == before


def test_another_name_reaches_no_route(site: Any) -> None:
    """DNS rebinding: a page whose name was pointed here brings its own name along, and no cookie could help it."""
    browser, _ = site.browser()
    values = {"digest": "0" * 16, "asset": "none.css"}
    for route in routes(site):
        path = filled(route, site, values)
        found = browser.get(path, headers={"Host": f"evil.example:{site.port}"})
        assert found.status_code == (200 if path == guard.HEALTH else 421), path


def test_every_answer_of_every_route_binds_the_browser(site: Any) -> None:
    browser, csrf = site.browser()
    answers = [
        browser.get(filled(each, site, {"digest": "0" * 16, "asset": "none.css"}))
        for each in routes(site)
        if each not in STREAMS
    ]
    answers += [
        browser.get("/docks/<script>"), browser.post("/login", data={"operator": "x", "password": "y"}),
        browser.post("/accounts/add", data={"csrf": csrf}), browser.get("/", headers={"Host": "evil.example"}),
        browser.request("BREW", "/"), browser.post(f"{PREFIX}/accounts", content=b"x" * (guard.MOST_BODY + 1)),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        where = (str(answer.url), answer.status_code, policy)
        assert policy.startswith("default-src 'none'"), where
        assert "unsafe" not in policy, where
        assert "frame-ancestors 'none'" in policy, where
        assert not re.search(r"\*|https?:|data:", policy), where
        assert answer.headers["x-content-type-options"] == "nosniff", where
        assert answer.headers["x-frame-options"] == "DENY", where
        assert "access-control-allow-origin" not in answer.headers, where
        assert "server" not in answer.headers, where


def test_the_cookie_is_for_this_server_s_own_pages_alone(site: Any) -> None:
    """In HttpOnly, SameSite=Strict, and never in an address, where logs and other sites would see it."""
    password = site.operator()
    answer = site.http(Origin=site.origin).post("/login", data={"operator": "maria", "password": password})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "domain=" not in cookie
    assert "path=/" in cookie
    value = answer.cookies["dockgate"]
    assert len(value) >= 43
    assert value not in answer.headers["location"]
    assert site.http().get(f"/?dockgate={value}").status_code == 303


def test_an_unknown_operator_costs_the_same_as_a_wrong_password(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the clock, which wavers: both go through one slow hash, and through nothing else that is slow."""
    site.operator()
    hashed: list[str] = []
    real_verify, real_burn = passwords.verify, passwords.burn

    def verify(*words: Any) -> Any:
        hashed.append("verify")
        return real_verify(*words)

    def burn(*words: Any) -> Any:
        hashed.append("burn")
        return real_burn(*words)

    monkeypatch.setattr(passwords, "verify", verify)
    monkeypatch.setattr(passwords, "burn", burn)
    answers = [
        site.http().post("/login", json={"operator": name, "password": "wrong wrong"}) for name in ("nobody", "maria")
    ]
    assert hashed == ["burn", "verify"]
    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/login", FORM), ("/login", JSON), (f"{PREFIX}/accounts", JSON), ("/accounts/add", FORM)],
)
def test_a_body_is_bounded_wherever_one_is_taken(site: Any, path: str, kind: str) -> None:
    browser, csrf = site.browser()
    headers = {"Content-Type": kind, "X-CSRF-Token": csrf}
    found = browser.post(path, content=b"a=" + b"b" * guard.MOST_BODY, headers=headers)
    assert found.status_code == 413
    assert browser.get("/healthz").status_code == 200
