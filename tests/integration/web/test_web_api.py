"""The JSON API does and shows what commands do and show: same functions, same keys, audited, and obeyed at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.simulator import SimulatedDock, Target, make_profile, run_dock
from gateway.simulator.models import dock_model
from gateway.web.api import ENDPOINTS

DOCK, AIRCRAFT = "7CTDM7100B1234", "1581F6Q8D245H00A1B2C"


def bring_in(site: Any, password: str | None = None) -> Any:
    """A simulated dock goes through the access; it has left again when this returns."""
    password = password or site.installation.dockgate("account", "passwd", "dock")["password"]
    profile = make_profile(
        dock_model("dock2"), account="dock", password=password, sn=DOCK, aircraft_sn=AIRCRAFT,
        organization_id=site.installation.organization_id, binding_code=site.installation.binding_code,
    )  # fmt: skip
    run = run_dock(Target(site.gateway.host, site.gateway.port("plain")), profile)
    assert run.ok, run.failure
    return run


def without(value: Any, *names: str) -> Any:
    """``value`` without what moves on between two looks."""
    if isinstance(value, dict):
        return {key: without(inner, *names) for key, inner in value.items() if key not in names}
    return [without(inner, *names) for inner in value] if isinstance(value, list) else value


def assert_declared(method: str, path: str, value: Any) -> None:
    """That an answer is of the type that its endpoint declares: each key, and no other."""
    plain = path.partition("?")[0]
    (endpoint,) = [
        each
        for each in ENDPOINTS
        if each.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each.path), plain)
    ]
    TypeAdapter(endpoint.gives).validate_python(value)


def test_every_look_is_the_command_s(site: Any) -> None:
    bring_in(site)
    api, cli = site.api(), site.installation.dockgate
    cli("account", "add", "päß/ä b".replace(" ", ""), "--role", "service")
    cli("operator", "add", "maria")
    pairs = {
        "/accounts": ("account", "list"),
        "/accounts/dock": ("account", "show", "dock"),
        "/accounts/p%C3%A4%C3%9F%2F%C3%A4b": ("account", "show", "päß/äb"),
        "/organizations": ("org", "list"),
        "/organizations/fleet": ("org", "show", "fleet"),
        "/codes": ("org", "code", "list"),
        "/codes?organization_id=fleet": ("org", "code", "list", "fleet"),
        "/license": ("license", "show"),
        "/licenses": ("license", "list"),
        "/docks": ("dock", "list"),
        "/docks?online=true": ("dock", "list", "--online"),
        "/docks?unbound=true": ("dock", "list", "--unbound"),
        f"/docks/{DOCK}": ("dock", "show", DOCK),
        "/audit": ("audit", "list"),
        f"/audit?dock={DOCK}&limit=1": ("audit", "list", "--dock", DOCK, "--limit", "1"),
        "/card": ("card",),
        "/certificates": ("cert", "list"),
        "/check": ("check",),
        "/database": ("db", "check"),
        "/status": ("status",),
        "/tokens": ("token", "list"),
        "/operators": ("operator", "list"),
    }
    site.gateway.call(site.runtime.presence.flush())
    site.gateway.call(site.runtime.contacts.flush())
    site.gateway.call(site.runtime.services.audit.flush())
    for path, words in pairs.items():
        found = api.get(path)
        assert found.status_code == 200, (path, found.text)
        moving = ("last_used_at", "last_seen", "heartbeat_at", "rates", "last_login_at")
        assert without(found.json(), *moving) == without(cli(*words), *moving), path
        assert_declared("GET", path, found.json())
    # the command looks at this machine, too: ports, disk, clock
    told = api.get("/doctor").json()["findings"]
    assert told
    assert all(finding in cli("doctor")["findings"] for finding in told)


def test_docks_of_one_step(site: Any) -> None:
    bring_in(site)
    site.gateway.call(site.runtime.presence.flush())
    api = site.api("read")
    assert [dock["sn"] for dock in api.get("/docks?step=bound").json()] == [DOCK]
    assert api.get("/docks?step=online").json() == []
    assert api.get("/docks?step=nowhere").status_code == 400


def test_a_dock_is_disconnected(site: Any) -> None:
    """Of those that are there; the audit has it, and who may only read may not."""
    api = site.api()
    password = api.post("/accounts", json={"account": "dock-9", "role": "dock", "sn": "SN9"}).json()["password"]
    target = Target(site.gateway.host, site.gateway.port("plain"))
    profile = make_profile(
        dock_model("dock2"), account="dock-9", password=password, sn="SN9",
        organization_id=site.installation.organization_id, binding_code=site.installation.binding_code,
    )  # fmt: skip
    with SimulatedDock(target, profile) as dock:
        dock.connect()
        dock.subscribe()
        assert site.api("read").post("/docks/SN9/disconnect").status_code == 403
        found = api.post("/docks/SN9/disconnect")
        assert found.json() == {"sn": "SN9", "connections": 1}
        assert_declared("POST", "/docks/SN9/disconnect", found.json())
    site.gateway.call(site.runtime.presence.flush())
    assert api.post("/docks/SN9/disconnect").json()["connections"] == 0
    assert api.post("/docks/NOWHERE/disconnect").status_code == 404
    told = [entry for entry in site.installation.dockgate("audit", "list") if entry["action"] == "dock.disconnect"]
    assert [(entry["actor"], entry["target"]) for entry in told] == [("token:of-write", "SN9")] * 2


def test_the_whole_life_of_an_installation(site: Any) -> None:
    """Each change answers with the command's keys, and what it changed is so afterwards."""
    api = site.api()

    made = api.post("/accounts", json={"account": "dock-7", "role": "dock", "sn": "SN7"})
    assert made.status_code == 201
    assert len(made.json()["password"]) >= 26
    assert api.post("/accounts", json={"account": "dock-7", "role": "dock"}).json()["error"]["code"] == "conflict"
    chosen = api.post(
        "/accounts", json={"account": "p", "role": "service", "password": "long enough", "can_read_sys": True}
    )
    assert "password" not in chosen.json()
    assert chosen.json()["can_read_sys"] is True
    assert api.post("/accounts/dock-7/disable").json()["enabled"] is False
    assert api.post("/accounts/dock-7/enable").json()["enabled"] is True
    assert api.post("/accounts/dock-7/unlock").json()["cleared"] == 0
    unpinned = api.post("/accounts/dock-7/unpin", json={}).json()
    assert (unpinned["sn"], unpinned["previous_sn"]) == (None, "SN7")
    assert api.post("/accounts/dock-7/unpin", json={"sn": "SN7"}).json()["sn"] == "SN7"
    assert api.post("/locks/clear", json={"address": "192.0.2.7"}).json() == {
        "account": None, "address": "192.0.2.7", "cleared": 0,
    }  # fmt: skip
    assert api.post("/locks/clear", json={}).status_code == 400
    assert api.post("/accounts/dock-7/password", json={}).json()["password"] != made.json()["password"]
    assert api.delete("/accounts/dock-7").json() == {"account": "dock-7", "deleted": True}
    assert api.get("/accounts/dock-7").status_code == 404

    assert api.post("/organizations", json={"name": "Harbour team"}).json()["id"] == "harbour-team"
    assert api.patch("/organizations/harbour-team", json={"name": "Pier"}).json()["name"] == "Pier"
    code = api.post("/organizations/harbour-team/codes", json={"uses": 1, "expires": "7d", "sn": "SN7"}).json()
    assert (code["uses_left"], code["sn"], code["state"]) == (1, "SN7", "usable")
    assert api.post("/codes/revoke", json={"binding_code": code["binding_code"]}).json()["state"] == "revoked"
    license_ = {"app_id": 7, "app_key": "k" * 32, "app_license": "l" * 40, "organization_id": "harbour-team"}
    stored = api.put("/license", json=license_).json()
    assert stored["app_id"] == "7"
    assert "kkkkk" not in str(stored)
    assert api.put("/license", json={**license_, "app_key": "your-app-key"}).status_code == 422
    assert api.delete("/license?organization_id=harbour-team").json()["cleared"] is True
    assert api.delete("/organizations/harbour-team").json() == {"id": "harbour-team", "deleted": True}

    bring_in(site)
    assert api.patch(f"/docks/{DOCK}", json={"callsign": "North"}).json()["callsign"] == "North"
    assert api.delete(f"/docks/{DOCK}").status_code == 409
    assert api.post(f"/docks/{DOCK}/unbind").json()["unbound"] == [DOCK, AIRCRAFT]
    assert api.delete(f"/docks/{AIRCRAFT}").json() == {"sn": AIRCRAFT, "forgotten": True}

    told = [entry for entry in site.installation.dockgate("audit", "list") if entry["actor"] == "token:of-write"]
    assert [entry["action"] for entry in told] == [
        "account.add", "account.add", "account.disable", "account.enable", "account.unlock", "account.unpin",
        "account.unpin", "account.unlock", "account.passwd",
        "account.delete", "org.add", "org.rename", "org.code.add", "org.code.revoke", "license.set", "license.clear",
        "org.delete", "dock.rename", "dock.unbind", "dock.unbind", "dock.forget",
    ]  # fmt: skip
    assert all(entry["detail"]["address"] == "127.0.0.1" for entry in told)


def test_the_gateway_obeys_before_the_answer_is_out(site: Any) -> None:
    api = site.api()
    password = api.post("/accounts/dock/password", json={}).json()["password"]
    bring_in(site, password)
    assert api.post("/accounts/dock/disable").status_code == 200
    account = site.gateway.ask(lambda: site.runtime.services.directory.account("dock"))
    assert account.enabled is False
    with pytest.raises(AssertionError):
        bring_in(site, password)


def test_certificates(site: Any) -> None:
    api = site.api()
    made = api.post("/certificates", json={"name": "dock-7"})
    assert made.status_code == 201
    assert made.json()["own"] is True
    assert "PRIVATE" not in made.text
    assert api.post("/certificates", json={"name": "dock-7"}).status_code == 409
    before = {each["serial"] for each in api.get("/certificates").json() if each["kind"] == "server"}
    renewed = api.post("/certificates/renew", json={"hosts": ["dock.example.org"]}).json()
    assert "dock.example.org" in renewed["sans"]
    assert renewed["serial"] not in before
    revoked = api.post("/certificates/revoke", json={"serial": made.json()["serial"]}).json()
    assert revoked["revoked"] is True
    states = {each["serial"]: each["state"] for each in api.get("/certificates").json()}
    assert states[made.json()["serial"]] == "revoked"
    assert api.post("/certificates/revoke", json={"serial": "abc123"}).status_code == 404
    told = [
        entry["action"] for entry in site.installation.dockgate("audit", "list") if entry["action"].startswith("cert")
    ]
    assert told == ["cert.issue", "cert.renew", "cert.revoke"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/docks/NOBODY", None, 404, "not_found"),
        ("GET", "/docks?organization_id=none", None, 404, "not_found"),
        ("GET", "/docks?after=NOBODY", None, 404, "not_found"),
        ("GET", "/docks?online=yes", None, 400, "usage"),
        ("GET", "/docks?online=true&online=true", None, 400, "usage"),
        ("GET", "/docks?colour=red", None, 400, "usage"),
        ("GET", "/audit?since=tomorrow", None, 400, "usage"),
        ("GET", "/accounts/%ff", None, 400, "usage"),
        ("GET", "/nothing", None, 404, "not_found"),
        ("PUT", "/accounts", {}, 405, "method_not_allowed"),
        ("POST", "/accounts", {"account": "a b", "role": "dock"}, 400, "usage"),
        ("POST", "/accounts", {"account": "a", "role": "king"}, 400, "usage"),
        ("POST", "/accounts", {"account": "a", "role": "service", "sn": "SN1"}, 400, "usage"),
        ("POST", "/accounts", {"account": "a", "role": "dock", "organization_id": "none"}, 404, "not_found"),
        ("POST", "/accounts", {"account": "a", "role": "dock", "password": "short"}, 400, "usage"),
        ("POST", "/accounts", ["a"], 400, "usage"),
        ("POST", "/organizations", {"name": "x" * 129}, 400, "usage"),
        ("POST", "/organizations/fleet/codes", {"uses": 0}, 400, "usage"),
        ("DELETE", "/organizations/fleet", None, 409, "conflict"),
        ("PUT", "/license", {"app_id": "1", "app_key": "", "app_license": "l"}, 400, "usage"),
    ],
)  # fmt: skip
def test_every_failure_has_one_shape(site: Any, method: str, path: str, body: Any, status: int, code: str) -> None:
    found = site.api().request(method, path, json=body)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/json"
    error = found.json()["error"]
    assert found.json().keys() == {"error"}
    assert error.keys() == {"code", "message", "hint"}
    assert error["code"] == code
    if status == 405:
        assert found.headers["allow"] == "GET, HEAD, POST"


def test_a_body_that_is_none_says_so_and_repeats_nothing(site: Any) -> None:
    api = site.api()
    broken = b'{"account": "a", "password": "hunter2 hunter2", }'
    found = api.post("/accounts", content=broken, headers={"content-type": "application/json"})
    assert (found.status_code, found.json()["error"]["code"]) == (400, "usage")
    assert "hunter2" not in found.text
    assert api.post("/accounts", content=b"account=a").status_code == 415
    found = api.post("/accounts", json={"account": "a", "role": "dock", "password": ["hunter2 hunter2"]})
    assert found.status_code == 400
    assert "hunter2" not in found.text


def test_docks_are_shown_as_they_are_now_and_in_pieces(site: Any) -> None:
    password = site.installation.dockgate("account", "passwd", "dock")["password"]
    api = site.api()
    bring_in(site, password)
    # memory knows before the next flush: nothing is waited for
    (dock,) = api.get("/docks").json()
    assert dock["bound"] is True
    assert dock["access_step"] in {"bound", "online"}
    assert [child["sn"] for child in dock["children"]] == [AIRCRAFT]
    assert api.get(f"/docks?after={DOCK}").json() == []
    assert api.get("/docks?limit=1").json()[0]["sn"] == DOCK
    assert api.head("/docks").status_code == 200


def test_what_a_dock_has_asked_is_kept_without_secrets(site: Any) -> None:
    api = site.api("read")
    bring_in(site)
    found = api.get(f"/docks/{DOCK}/requests").json()
    methods = [entry["method"] for entry in found]
    assert {"config", "airport_organization_bind", "update_topo"} <= set(methods)
    config = found[methods.index("config")]
    assert config["result"] == 0
    assert config["ms"] >= 0
    assert config["reply"]["app_id"] == "123456", config
    assert config["reply"]["app_license"] == "[redacted]"
    bind = found[methods.index("airport_organization_bind")]
    assert bind["request"]["bind_devices"][0]["device_binding_code"] == f"{site.installation.binding_code[:3]}…"
    text = api.get(f"/docks/{DOCK}/requests").text
    for secret in (site.installation.binding_code, "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "bGljZW5zZS1mb3ItdGVzdHM"):
        assert secret not in text
    assert api.get("/docks/NOBODY/requests").status_code == 404


def test_who_may_only_read_sees_no_code_and_changes_nothing(site: Any) -> None:
    api = site.api("read")
    code = site.installation.binding_code
    for endpoint in ENDPOINTS:
        path = endpoint.path.format(name="dock", id="fleet", sn=DOCK)
        if endpoint.streams:
            continue
        found = api.request(endpoint.method, path, json={} if endpoint.takes_body else None)
        if endpoint.method == "GET":
            assert found.status_code in {200, 404}, path
            assert code not in found.text, path
        else:
            assert (found.status_code, found.json()["error"]["code"]) == (403, "forbidden"), path
    assert api.get("/organizations/fleet").json()["codes"][0]["binding_code"] == f"{code[:3]}…"
    assert api.get("/session").json() == {
        "kind": "token", "name": "of-read", "scope": "read", "expires_at": None, "csrf": None,
    }  # fmt: skip
