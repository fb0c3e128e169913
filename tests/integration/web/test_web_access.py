"""Who may use the admin HTTP: tokens, sessions, and what a stranger on the network or in another page of a browser can't do."""

from __future__ import annotations

import json
import socket
import ssl
import time
from typing import Any

import httpx
import pytest

from gateway import cli, pki, serve
from gateway.config import load
from gateway.errors import ConfigError
from gateway.operations.times import now_ms
from gateway.operations.tokens import digest_of
from gateway.store import tokens as stored
from gateway.store.tokens import Scope
from gateway.web import door, guard


def refused(found: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """All that a client can see of a refusal, but the time of day."""
    return found.status_code, found.content, {name: value for name, value in found.headers.items() if name != "date"}


# -- tokens


@pytest.mark.case(20)
def test_tokens_that_do_not_count_all_look_the_same(site: Any) -> None:
    http = site.http()
    good = site.token()
    assert http.get("/api/v1/status", headers={"Authorization": f"Bearer {good}"}).status_code == 200
    revoked = site.token("revoked")
    site.installation.dockgate("token", "revoke", "revoked", "--yes")
    expired = "dgt_which-has-expired"
    site.gateway.call(
        site.runtime.services.store.write(
            stored.add,
            name="expired",
            digest=digest_of(expired),
            scope=Scope.WRITE,
            created_by="cli:me",
            expires_at=2,
            now=1,
        )
    )
    altered = good[:-1] + ("a" if good[-1] != "a" else "b")
    answers = [
        refused(http.get("/api/v1/status", headers={"Authorization": value}))
        for value in (
            f"Bearer {revoked}", f"Bearer {expired}", f"Bearer {altered}", "Bearer dgt_unknown", "Bearer", "Basic YTpi", good,
        )
    ]  # fmt: skip
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)
    assert http.get("/api/v1/status").status_code == 401
    site.gateway.call(site.runtime.services.audit.close())
    told = [entry for entry in site.installation.dockgate("audit", "list") if entry["action"] == "api"]
    assert told[0]["outcome"] == "refused"
    assert told[0]["detail"]["reason"] == "bad_token"
    assert all(token not in str(told) for token in (revoked, expired, altered, good))
    states = {each["name"]: each["state"] for each in site.installation.dockgate("token", "list")}
    assert states == {"ci": "usable", "revoked": "revoked", "expired": "expired"}


def test_a_token_is_random_and_kept_as_a_digest(site: Any) -> None:
    made = {site.token(f"t{number}") for number in range(4)}
    assert len(made) == 4
    # 256 bits: 43 characters of base64 after the prefix
    assert all(len(each.removeprefix("dgt_")) == 43 for each in made)
    api = site.http(made.pop())
    assert api.get("/api/v1/session").json()["kind"] == "token"
    stored = b"".join(path.read_bytes() for path in site.installation.folder.glob("dockgate.db*"))
    for token in made:
        assert token.encode() not in stored
    listed = site.installation.dockgate("token", "list")
    assert {"digest", "token"}.isdisjoint(listed[0])
    assert sum(each["last_used_at"] is not None for each in listed) == 1


def test_a_revoked_token_ends_at_once_and_its_name_is_not_given_again(site: Any, capsys: Any) -> None:
    api = site.http(site.token("once"))
    assert api.get("/api/v1/status").status_code == 200
    site.installation.dockgate("token", "revoke", "once", "--yes")
    assert api.get("/api/v1/status").status_code == 401
    words = ["--config", str(site.installation.config_file), "-o", "json", "token", "add", "once", "--scope", "read"]
    assert cli.main(words) == 4
    assert "revoked" in capsys.readouterr().err


# -- too much


def test_a_caller_and_an_address_have_a_share(installation: Any, open_site: Any) -> None:
    site = open_site(installation, lambda admin: admin.update(requests_per_second=5))
    api = site.http(site.token())
    found = [api.get("/api/v1/session") for _ in range(15)]
    late = [each for each in found if each.status_code == 429]
    assert found[0].status_code == 200
    assert late
    assert {each.json()["error"]["code"] for each in late} == {"too_many_requests"}
    assert all(int(each.headers["retry-after"]) >= 1 for each in late)
    # wrong tokens use up an address's share ten times as fast
    wrong = [site.http("dgt_wrong").get("/api/v1/session").status_code for _ in range(3)]
    assert wrong[-1] == 429


def test_a_body_has_a_limit(site: Any) -> None:
    api = site.api()
    large = b'{"account": "' + b"a" * guard.MOST_BODY + b'"}'
    headers = {"content-type": "application/json"}
    found = api.post("/accounts", content=large, headers=headers)
    assert (found.status_code, found.json()["error"]["code"]) == (413, "too_large")

    def chunks() -> Any:
        for _ in range(40):
            yield b"a" * 16_384

    found = api.post("/accounts", content=chunks(), headers=headers)
    assert found.status_code == 413
    assert api.get("/session").status_code == 200


def raw(site: Any, text: bytes, *, until_closed: bool = True) -> bytes:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(text)
        received = b""
        while part := client.recv(65_536):
            received += part
            if not until_closed and b"\r\n\r\n" in received:
                break
        return received


def test_a_head_that_does_not_end_is_given_up(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HEAD_S", 0.3)
    assert raw(site, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") == b""
    assert raw(site, b"") == b""
    huge = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000
    assert raw(site, huge).startswith(b"HTTP/1.1 400 ")
    assert site.http().get("/healthz").status_code == 200


def test_a_body_that_does_not_come_is_given_up(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.3)
    head = f"POST /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token()}\r\n"
    text = f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode()
    assert b" 408 " in raw(site, text).splitlines()[0]


def test_more_connections_than_there_is_room_for(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that asks for nothing goes; who asks is served."""
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 8)
    idle = [socket.create_connection(("127.0.0.1", site.port), timeout=10) for _ in range(20)]
    try:
        assert site.http().get("/healthz").status_code == 200
        assert idle[0].recv(1) == b""
    finally:
        for each in idle:
            each.close()
    assert site.gateway.ask(lambda: len(site.gateway.admin.door.all)) <= 8


# -- hosts and headers


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "10.0.0.1", "[::2]"]
)
def test_another_name_is_another_server(site: Any, host: str) -> None:
    """A page of another site whose name was pointed here (DNS rebinding) gets nothing."""
    found = site.http(site.token()).get("/api/v1/status", headers={"Host": host})
    assert (found.status_code, found.json()["error"]["code"]) == (421, "wrong_host")
    assert site.http().get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:9999", "[::1]:8080", "gate.example.org", "gate.example.org.:443"]
)
def test_names_of_this_server(installation: Any, open_site: Any, host: str) -> None:
    site = open_site(installation, lambda admin: admin.update(hosts=["gate.example.org"]))
    assert site.http(site.token()).get("/api/v1/session", headers={"Host": host}).status_code == 200


def test_every_answer_carries_what_protects_a_browser(site: Any) -> None:
    http = site.http()
    for path in ("/healthz", "/api/v1/status", "/api/v1/nothing", "/metrics", "/api/v1/openapi.json"):
        headers = http.get(path).headers
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'", path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
        assert "strict-transport-security" not in headers


def test_figures_and_the_document_are_for_this_machine_or_a_token(site: Any) -> None:
    """What a proxy passes on is from elsewhere."""
    elsewhere, token = {"X-Forwarded-For": "192.0.2.7"}, site.token("scrape", "read")
    for path in ("/metrics", "/api/v1/openapi.json"):
        assert site.http().get(path).status_code == 200, path
        assert site.http(**elsewhere).get(path).status_code == 401, path
        assert site.http(token, **elsewhere).get(path).status_code == 200, path
    assert site.http(**elsewhere).get("/healthz").json() == {"ok": True}
    assert set(site.http(**elsewhere).get("/readyz").json()) == {"ready"}
    # and whatever name it is called by, the first probe tells no more than that
    assert site.http(Host="evil.example").get("/healthz").json() == {"ok": True}


# -- operators


def test_a_login_and_what_its_cookie_may(site: Any) -> None:
    client, csrf = site.browser()
    (cookie,) = client.cookies.jar
    assert (cookie.name, cookie.path, cookie.secure, cookie.has_nonstandard_attr("HttpOnly")) == (
        "dockgate",
        "/",
        False,
        True,
    )
    assert cookie.get_nonstandard_attr("SameSite").lower() == "strict"
    who = client.get("/api/v1/session").json()
    assert (who["kind"], who["name"], who["scope"], who["csrf"]) == ("operator", "maria", "write", csrf)

    made = client.post("/api/v1/organizations", json={"name": "Pier"}, headers={"X-CSRF-Token": csrf})
    assert made.status_code == 201
    told = [each for each in site.installation.dockgate("audit", "list") if each["target"] == "pier"]
    assert [(each["action"], each["actor"]) for each in told] == [("org.add", "operator:maria")]
    assert site.installation.dockgate("operator", "list")[0]["last_login_at"] is not None

    stolen = client.cookies["dockgate"]
    assert client.post("/logout", headers={"X-CSRF-Token": csrf}).status_code == 200
    assert "dockgate" not in client.cookies
    assert site.http(Cookie=f"dockgate={stolen}").get("/api/v1/session").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "wrong"},
        {"X-CSRF-Token": "OURS", "Origin": "https://evil.example"},
        {"X-CSRF-Token": "OURS", "Origin": "null"},
        {"X-CSRF-Token": "OURS", "Origin": "", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(site: Any, headers: dict[str, str]) -> None:
    client, csrf = site.browser()
    given = {name: csrf if value == "OURS" else value for name, value in headers.items()}
    if not given.get("Origin", "-"):
        del client.headers["Origin"], given["Origin"]
    for method, path, body in (
        ("POST", "/api/v1/organizations", {"name": "Pier"}),
        ("DELETE", "/api/v1/accounts/dock", None),
    ):
        found = client.request(method, path, json=body, headers=given)
        assert (found.status_code, found.json()["error"]["code"]) == (403, "forbidden")
    assert client.post("/logout", headers=given).status_code == 403
    assert client.get("/api/v1/session").status_code == 200
    assert len(site.installation.dockgate("org", "list")) == 1


def test_a_login_from_another_site_s_page_is_none(site: Any) -> None:
    """Else somebody could have a browser work under his own name unnoticed."""
    password = site.operator()
    fields = {"operator": "maria", "password": password}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        found = site.http(**headers).post("/login", data=fields)
        assert found.status_code == 403, headers
        assert "set-cookie" not in found.headers


def test_a_form_leads_on_and_nowhere_else(site: Any) -> None:
    password = site.operator()
    http = site.http(Origin=site.origin)

    def posted(**more: str) -> httpx.Response:
        return http.post("/login", data={"operator": "maria", "password": password, **more})

    for target, place in {
        "/docks": "/docks", "": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/", "/a\nb": "/",
    }.items():  # fmt: skip
        found = posted(next=target)
        assert (found.status_code, found.headers["location"]) == (303, place)
        assert found.headers["set-cookie"].startswith("dockgate=")
    found = posted(password="wrong", next="/docks?a=1")
    assert (found.status_code, found.headers["location"]) == (303, "/login?failed=login_failed&next=%2Fdocks%3Fa%3D1")
    csrf = http.get("/api/v1/session").json()["csrf"]
    found = http.post("/logout", data={"csrf": csrf})
    assert (found.status_code, found.headers["location"]) == (303, "/login")
    assert http.get("/api/v1/session").status_code == 401


def test_wrong_passwords_look_the_same_and_lock(installation: Any, open_site: Any) -> None:
    installation.configure(
        lambda settings: settings["dockgate"]["login"].update(lockout_failures=3, address_failures=0)
    )
    site = open_site(installation)
    password = site.operator()
    http = site.http()
    unknown, wrong = (
        refused(http.post("/login", json={"operator": name, "password": "wrong wrong"})) for name in ("nobody", "maria")
    )
    assert unknown == wrong
    assert unknown[0] == 401
    for _ in range(2):
        assert http.post("/login", json={"operator": "maria", "password": "wrong wrong"}).status_code == 401
    found = http.post("/login", json={"operator": "maria", "password": password})
    assert (found.status_code, found.json()["error"]["code"]) == (429, "locked_out")
    assert int(found.headers["retry-after"]) > 60
    # a new password is a new door
    fresh = installation.dockgate("operator", "passwd", "maria")["password"]
    assert http.post("/login", json={"operator": "maria", "password": fresh}).status_code == 200
    site.gateway.call(site.runtime.services.audit.close())
    told = [each for each in installation.dockgate("audit", "list") if each["action"] == "operator.login"]
    assert {each["detail"].get("reason") for each in told} >= {"unknown_operator", "wrong_password", "locked_out"}
    assert all("wrong wrong" not in str(each) for each in told)


def test_a_session_ends_with_its_password_its_operator_and_its_time(installation: Any, open_site: Any) -> None:
    site = open_site(installation, lambda admin: admin.update(session_s=600, session_idle_s=60))
    for end in ("passwd", "delete"):
        client, _ = site.browser()
        assert client.get("/api/v1/session").status_code == 200
        installation.dockgate("operator", end, "maria", *(["--yes"] if end == "delete" else []))
        assert client.get("/api/v1/session").status_code == 401
        if end == "passwd":
            installation.dockgate("operator", "delete", "maria", "--yes")
    sessions = site.gateway.admin.context.sessions
    steady = sessions._steady
    client, _ = site.browser()
    for late_s, status in ((59, 200), (118, 200), (178, 401), (118, 401)):
        sessions._steady = lambda late_s=late_s: steady() + late_s * 1000
        assert client.get("/api/v1/session").status_code == status, late_s
    sessions._steady = steady
    client, _ = site.browser("ends", site.operator("ends"))
    for late_s, status in ((0, 200), *((late_s, 200) for late_s in range(50, 600, 50)), (601, 401)):
        sessions._steady = lambda late_s=late_s: steady() + late_s * 1000
        assert client.get("/api/v1/session").status_code == status, late_s


def test_a_login_makes_a_new_session_whatever_came_along(site: Any) -> None:
    password = site.operator()
    http = site.http(Cookie="dockgate=chosen-by-somebody", Origin=site.origin)
    found = http.post("/login", json={"operator": "maria", "password": password})
    assert "chosen-by-somebody" not in found.headers["set-cookie"]
    assert site.http(Cookie="dockgate=chosen-by-somebody").get("/api/v1/session").status_code == 401


# -- open to others


def test_others_are_served_over_tls_only(installation: Any) -> None:
    def at(**admin: Any) -> Any:
        def edit(settings: dict[str, Any]) -> None:
            settings["dockgate"]["admin"] = admin

        installation.configure(edit)
        return load(installation.config_file, {})

    with pytest.raises(ConfigError, match="no TLS") as caught:
        serve.run(at(bind="0.0.0.0:0"))
    assert "admin.certfile" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="belong together"):
        serve.run(at(bind="127.0.0.1:0", certfile="certs/server.pem"))
    with pytest.raises(ConfigError, match="can't be used"):
        serve.run(at(bind="127.0.0.1:0", certfile="certs/ca.pem", keyfile="certs/server.key"))
    at(bind="0.0.0.0:8080")
    (problem,) = installation_problems(installation)
    assert problem["where"] == "admin.bind"


def installation_problems(installation: Any) -> Any:
    installation._capture()
    assert cli.main(["--config", str(installation.config_file), "-o", "json", "check"]) == 1
    return json.loads(installation._capture()[0])["problems"]


def test_over_tls(installation: Any, open_site: Any) -> None:
    def over_tls(admin: dict[str, Any]) -> None:
        admin.update(bind="0.0.0.0:0", certfile="certs/server.pem", keyfile="certs/server.key")

    site = open_site(installation, over_tls, scheme="https", verify=ssl.create_default_context(cafile=installation.ca))
    client, _ = site.browser()
    (cookie,) = client.cookies.jar
    assert (cookie.name, cookie.secure) == ("__Host-dockgate", True)
    headers = client.get("/api/v1/session").headers
    assert headers["strict-transport-security"].startswith("max-age=")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://localhost:{site.port}/healthz", timeout=5)


def test_a_new_certificate_is_used_after_a_reload(installation: Any, open_site: Any) -> None:
    def over_tls(admin: dict[str, Any]) -> None:
        admin.update(certfile="certs/server.pem", keyfile="certs/server.key")

    site = open_site(installation, over_tls, scheme="https", verify=ssl.create_default_context(cafile=installation.ca))

    def serial() -> int:
        context = ssl.create_default_context(cafile=installation.ca)
        plain = socket.create_connection(("localhost", site.port))
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            found: Any = tls.getpeercert()
            return int(found["serialNumber"], 16)

    before = serial()
    pki.renew_server(installation.folder / "certs", now=now_ms(), hosts=None)
    assert serial() == before
    site.gateway.ask(site.gateway.admin.reload)
    renewed = serial()
    assert renewed != before
    (installation.folder / "certs" / "server.pem").write_text("half written")
    site.gateway.ask(site.gateway.admin.reload)
    assert serial() == renewed


def test_behind_a_proxy(installation: Any, open_site: Any) -> None:
    """It says who the client is, and that TLS was spoken; nobody else may say so."""
    site = open_site(
        installation, lambda admin: admin.update(trusted_proxies=["127.0.0.1"], hosts=["gate.example.org"])
    )
    password = site.operator()
    through = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "Host": "gate.example.org"}
    http = site.http(**through, Origin="https://gate.example.org")
    found = http.post("/login", json={"operator": "maria", "password": password})
    assert found.headers["set-cookie"].startswith("__Host-dockgate=")
    assert "secure" in found.headers["set-cookie"].lower()
    # what is open to this machine is not open to who comes through the proxy
    assert http.get("/metrics").status_code == 401
    assert http.get("/readyz").json().keys() == {"ready"}
    assert site.http(**{"X-Forwarded-For": "127.0.0.1"}).get("/metrics").status_code == 401
    assert site.http(site.token("prometheus", "read"), **through).get("/metrics").status_code == 200


def test_without_a_known_proxy_its_headers_say_nothing(site: Any) -> None:
    client = site.http(**{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}, Origin=site.origin)
    found = client.post("/login", json={"operator": "maria", "password": site.operator()})
    assert found.headers["set-cookie"].startswith("dockgate=")
    site.gateway.call(site.runtime.services.audit.close())
    (told,) = [each for each in site.installation.dockgate("audit", "list") if each["action"] == "operator.login"]
    assert told["detail"]["address"] == "127.0.0.1"


def test_an_address_that_is_taken_leaves_docks_alone(
    installation: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_RETRY_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        installation.configure(lambda settings: settings["dockgate"]["admin"].update(bind=f"127.0.0.1:{port}"))
        gateway = serve(installation)
        assert gateway.admin.door.address is None
        socket.create_connection((gateway.host, gateway.port("plain"))).close()
    until = time.monotonic() + 10
    while gateway.ask(lambda: gateway.admin.door.address) is None:
        assert time.monotonic() < until
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
