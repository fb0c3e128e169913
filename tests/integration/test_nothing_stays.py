"""What an ended connection leaves behind in the gateway's memory, without the garbage collector's help: nothing."""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.broker import connection as connection_module

from .town import settle, until


@pytest.fixture
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("politely", [False, True], ids=["cut", "disconnect"])
def test_an_ended_connection_is_gone(installation: Any, serve: Any, tls: bool, version: int, politely: bool) -> None:
    town = settle(installation, serve, "dock-a")
    context = ssl.create_default_context(cafile=installation.ca) if tls else None
    broker = town.gateway.broker
    with town.wire(listener="tls" if tls else "plain", tls=context, version=version) as dock:
        assert dock.login("a", "dock-a", town.passwords["dock-a"]).code == 0
        dock.ping()
        (left,) = town.gateway.ask(lambda: [weakref.ref(connection) for connection in broker.admission])
        if politely:
            dock.disconnect()
    until(town.gateway, lambda: left() is None)


def test_a_session_that_is_kept_keeps_no_tls(installation: Any, serve: Any) -> None:
    town = settle(installation, serve, "dock-a")
    context = ssl.create_default_context(cafile=installation.ca)
    table = town.gateway.broker.table
    with town.wire(listener="tls", tls=context) as dock:
        assert dock.login("a", "dock-a", town.passwords["dock-a"], clean=False).code == 0
        assert town.gateway.ask(lambda: table.get("a").ssl_object) is not None
    until(town.gateway, lambda: not table.get("a").connected)
    assert town.gateway.ask(lambda: table.get("a").ssl_object) is None


def test_a_tls_peer_that_never_closes_is_given_up(
    installation: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy, or with a client that has hung: close_notify never comes, and neither does the end of the stream."""
    monkeypatch.setattr(connection_module, "_LINGER_S", 0.2)
    town = settle(installation, serve, "dock-a")
    context = ssl.create_default_context(cafile=installation.ca)
    broker = town.gateway.broker
    with town.wire(listener="tls", tls=context) as dock:
        assert dock.login("a", "dock-a", town.passwords["dock-a"]).code == 0
        (left,) = town.gateway.ask(lambda: [weakref.ref(connection) for connection in broker.admission])
        dock.send(b"\xe0\0")
        until(town.gateway, lambda: not list(broker.admission))
        assert left() is not None
        until(town.gateway, lambda: left() is None)
