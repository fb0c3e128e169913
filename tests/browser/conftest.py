"""A real browser for tests: Debian's Chromium, one for the session, in a thread with an event loop of its own; a test is a
coroutine that runs there, and pytest's own thread stays free for ``asyncio.run``. Each test has its own profile, each
module its own gateway.

Nothing outside of this machine can be reached from it, and a test fails for any request that leaves the gateway, and for any
complaint in the browser's console.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .chromium import Chromium, Visit
from .desk import Desk, open_desk


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine is run beside the browser."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    chromium: Chromium = pyfuncitem.funcargs["chromium"]
    chromium.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


@pytest.fixture(scope="module")
def make_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Desk]]:
    with ExitStack() as stack:

        def make(prepare: Callable[[Any], None] | None = None, **admin: Any) -> Desk:
            return stack.enter_context(open_desk(tmp_path_factory.mktemp("desk") / "dockgate", prepare, **admin))

        yield make


@pytest.fixture(scope="module")
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """A gateway with a license, an organization with its code, and an operator."""
    return make_desk()


@pytest.fixture
def visits(chromium: Chromium, desk: Desk) -> Iterator[Callable[..., Visit]]:
    """Open the console as a browser that was never here: ``visits(color_scheme="dark")``."""
    opened: list[Visit] = []

    def visit(**how: Any) -> Visit:
        opened.append(chromium.run(Visit.begin(chromium.browser, desk.origin, **how)))
        return opened[-1]

    yield visit
    for each in opened:
        chromium.run(each.end())
    for each in opened:
        assert each.went_elsewhere == []
        assert each.complaints == []


@pytest.fixture
def stranger(visits: Callable[..., Visit]) -> Visit:
    return visits()


@pytest.fixture
def visit(visits: Callable[..., Visit], chromium: Chromium, desk: Desk) -> Visit:
    """Logged in."""
    found = visits()
    chromium.run(found.enter(desk.operator, desk.password))
    return found


@pytest.fixture
def page(visit: Visit) -> Any:
    return visit.page
