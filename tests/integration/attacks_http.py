"""Rows of the table of attacks: a dock's account and password at the admin HTTP, which is for operators and their programs."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from starlette.routing import Route

from gateway.web.api import ENDPOINTS
from gateway.web.declarations import PREFIX

from .attack_kinds import Attack
from .attack_stage import OPERATORS, SECRETS, Stage
from .town import DOCK_B, RIVALS

# Not the operators' own, which he must not be able to lock
_ADDRESS = "127.66.0.2"
_UNAUTHORIZED = 401
_FILLED = {"sn": DOCK_B, "id": RIVALS, "name": "dock-b", "serial": "01", "code": "AAAAAAAA", "rest:path": "nowhere"}
# To this machine without a login, and so with one of another kind, too
_OPEN = ("/healthz", "/readyz", "/metrics", f"{PREFIX}/openapi.json", "/login")


def http() -> Iterator[Attack]:
    shown: dict[str, Callable[[str, str], dict[str, str]]] = {
        "as Basic": lambda name, word: {
            "Authorization": "Basic " + base64.b64encode(f"{name}:{word}".encode()).decode()
        },
        "as a token": lambda _, word: {"Authorization": f"Bearer {word}"},
        "as a token with a name": lambda name, word: {"Authorization": f"Bearer {name}:{word}"},
        "as a session": lambda _, word: {"Cookie": f"dockgate={word}; __Host-dockgate={word}"},
        "in headers of its own": lambda name, word: {"X-Api-Key": word, "X-User": name, "X-Forwarded-User": name},
    }
    for how, headers in shown.items():
        yield Attack(f"http: every endpoint, its password {how}", _endpoints(headers), (4,))
        yield Attack(f"http: pages of the console, its password {how}", _pages(headers), (4,))
    yield Attack("http: the console's login, by a form and by JSON", _login, (4,))


@contextmanager
def _client(stage: Stage, **headers: str) -> Iterator[httpx.Client]:
    host, port = stage.ask(lambda: stage.gateway.admin.door.address)
    transport = httpx.HTTPTransport(local_address=_ADDRESS)
    with httpx.Client(base_url=f"http://{host}:{port}", headers=headers, transport=transport, timeout=10) as client:
        yield client


def _is_silent(answer: httpx.Response) -> bool:
    return all(secret not in answer.content for secret in SECRETS) and "set-cookie" not in answer.headers


def _logins(stage: Stage) -> list[tuple[str, str]]:
    return [(name, stage.town.passwords[name]) for name in ("dock-a", "dock-new")]


def _endpoints(headers: Callable[[str, str], dict[str, str]]) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        for name, word in _logins(stage):
            with _client(stage, **headers(name, word)) as client:
                for each in ENDPOINTS:
                    path = PREFIX + _path(each.path)
                    body: dict[str, str] | None = {} if each.method not in {"GET", "DELETE"} else None
                    for query in ({}, {"token": word, "access_token": word, "account": name, "password": word}):
                        answer = client.request(each.method, path, params=query, json=body)
                        assert answer.status_code == _UNAUTHORIZED, (each.method, path, answer.text)
                        assert _is_silent(answer), (each.method, path)

    return run


def _pages_of(stage: Stage) -> list[tuple[str, str]]:
    """What the console answers to operators, by method and path: pages, their parts, and what is done with them."""
    found = [
        (method, _path(each.path))
        for each in stage.gateway.admin._router.routes
        if isinstance(each, Route) and not each.path.startswith((PREFIX, "/static/"))
        for method in sorted({"GET", "POST"} & (each.methods or set()))
        if each.path not in (*_OPEN, "/{rest:path}")
    ]
    assert {method for method, _ in found} == {"GET", "POST"}
    assert len(found) > 20
    return found


def _path(route: str) -> str:
    return re.sub(r"\{([a-z:]+)\}", lambda name: _FILLED[name[1]], route)


def _pages(headers: Callable[[str, str], dict[str, str]]) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        for name, word in _logins(stage):
            with _client(stage, **headers(name, word)) as client:
                for method, path in _pages_of(stage):
                    answer = client.request(method, path, headers={"Origin": str(client.base_url)})
                    is_sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/login")
                    assert is_sent_away or answer.status_code == _UNAUTHORIZED, (method, path, answer.status_code)
                    assert _is_silent(answer), path
                for path in _OPEN:
                    assert _is_silent(client.get(path)), path

    return run


def _login(stage: Stage) -> None:
    """One operator is called like the dock's account; the name is all that they have in common."""
    origin = "http://{}:{}".format(*stage.ask(lambda: stage.gateway.admin.door.address))
    with _client(stage, Origin=origin) as client:
        for name, word in _logins(stage):
            for operator in (name, *OPERATORS):
                fields = {"operator": operator, "password": word, "name": operator, "account": operator}
                for answer in (client.post("/login", json=fields), client.post("/login", data=fields)):
                    assert answer.status_code not in {200, 204}, answer.text
                    assert not answer.is_redirect or "/login" in answer.headers["location"]
                    assert _is_silent(answer)
        assert not client.cookies
        assert client.get(f"{PREFIX}/accounts").status_code == _UNAUTHORIZED
    for operator, word in stage.operators.items():
        own = httpx.post(f"{origin}/login", json={"operator": operator, "password": word}, headers={"Origin": origin})
        assert own.status_code == 200, (operator, own.text)
