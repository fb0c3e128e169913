"""A served gateway with its admin HTTP, and clients of it: programs with tokens, browsers with cookies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

PASSWORD = "correct horse battery"


class Site:
    """``http(token=…)`` is a client; ``origin`` is what a browser would call this server."""

    def __init__(self, gateway: Any, stack: ExitStack, *, scheme: str = "http", verify: Any = True) -> None:
        self.gateway = gateway
        self.installation = gateway.installation
        self.runtime = gateway.runtime
        self._stack = stack
        self._verify = verify
        host, port = gateway.ask(lambda: gateway.admin.door.address)
        self.port = port
        self.origin = f"{scheme}://{'localhost' if scheme == 'https' else host}:{port}"

    def http(self, token: str | None = None, **headers: str) -> httpx.Client:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        client = httpx.Client(base_url=self.origin, headers=headers, verify=self._verify, timeout=10)
        return self._stack.enter_context(client)

    def token(self, name: str = "ci", scope: str = "write", *words: str) -> str:
        return str(self.installation.dockgate("token", "add", name, "--scope", scope, *words)["token"])

    def api(self, scope: str = "write") -> httpx.Client:
        """A client whose paths count from /api/v1."""
        client = self.http(self.token(f"of-{scope}", scope))
        client.base_url = f"{self.origin}/api/v1"
        return client

    def operator(self, name: str = "maria") -> str:
        """The password of a new operator."""
        return str(self.installation.dockgate("operator", "add", name)["password"])

    def browser(self, name: str = "maria", password: str | None = None) -> tuple[httpx.Client, str]:
        """Logged in, and the word against forgery."""
        client = self.http(Origin=self.origin)
        found = client.post("/login", json={"operator": name, "password": password or self.operator(name)})
        assert found.status_code == 200, found.text
        return client, found.json()["csrf"]


@pytest.fixture
def open_site(serve: Callable[[Any], Any]) -> Iterator[Callable[..., Site]]:
    """Serve an installation with its admin HTTP on a port of the system's choice; ``change`` edits the section ``admin``."""
    with ExitStack() as stack:

        def make(installation: Any, change: Callable[[dict[str, Any]], None] = lambda _: None, **how: Any) -> Site:
            def edit(settings: dict[str, Any]) -> None:
                settings["dockgate"]["admin"]["bind"] = "127.0.0.1:0"
                change(settings["dockgate"]["admin"])

            installation.configure(edit)
            return Site(serve(installation), stack, **how)

        yield make


@pytest.fixture
def site(installation: Any, open_site: Callable[..., Site]) -> Site:
    """With the license that docks are given."""
    installation.license()
    return open_site(installation)
