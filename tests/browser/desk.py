"""What an operator sits before: a served gateway with its console, accounts, and docks that come and go."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import cli
from gateway.simulator import DockProfile, Run, SimulatedDock, Target, make_profile, payloads, run_dock
from gateway.simulator.models import dock_model
from gateway.store.connection import Store
from tests.conftest import Gateway, Installation

OPERATOR = "maria"


class LastingInstallation(Installation):
    """One that outlives a test, and so can't use a test's capture of what is printed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda: ("", ""))

    def _run(self, *words: str, alone: bool = False) -> Any:
        before = [] if alone else ["--config", str(self.config_file)]
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = cli.main([*before, "-o", "json", *words])
        assert code == 0, f"dockgate {' '.join(words)}: exit {code}: {err.getvalue()}"
        return json.loads(out.getvalue()) if out.getvalue().strip() else None

    def seed(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """One transaction, before the gateway runs."""

        async def write() -> None:
            store = await Store.open(self.folder / "dockgate.db", clock=lambda: 1)
            try:
                await store.write(work)
            finally:
                await store.close()

        asyncio.run(write())


class Desk:
    operator = OPERATOR

    def __init__(self, installation: LastingInstallation, gateway: Gateway, password: str, stack: ExitStack) -> None:
        self.installation = installation
        self.gateway = gateway
        self.password = password
        self.dockgate = installation.dockgate
        self._stack = stack
        host, port = gateway.ask(lambda: gateway.admin.door.address)
        self.origin = f"http://{host}:{port}"

    @property
    def target(self) -> Target:
        return Target(self.gateway.host, self.gateway.port("plain"))

    def profile(
        self, number: int, *, model: str = "dock2", code: str | None = None, pinned: bool = False, **changes: Any
    ) -> DockProfile:
        """A dock with an account of its own, which is made here; with ``pinned`` it is known to be this dock's.

        ``code``: what is typed into Pilot 2, the right one without.
        """
        account = f"dock-{number}"
        sn = dock_model(model).sn(number)
        pin = ["--sn", sn] if pinned else []
        password = self.dockgate("account", "add", account, "--role", "dock", *pin)["password"]
        made = make_profile(
            dock_model(model), account=account, password=password, sn=sn, number=number,
            organization_id=self.installation.organization_id, binding_code=code or self.installation.binding_code,
        )  # fmt: skip
        return replace(made, **changes)

    def visit_of(self, profile: DockProfile) -> Run:
        """Through the access, a round of telemetry, and away again."""
        return run_dock(self.target, profile)

    def dock(self, profile: DockProfile) -> SimulatedDock:
        """To be driven by hand; its connection ends with the desk."""
        return self._stack.enter_context(SimulatedDock(self.target, profile))

    def bring_online(self, profile: DockProfile) -> SimulatedDock:
        """Bound before or now, and stays."""
        assert self.visit_of(profile).ok
        dock = self.dock(profile)
        dock.connect()
        dock.subscribe()
        dock.request("config", payloads.config_data())
        dock.update_topo()
        dock.publish_osd(qos=1)
        dock.publish_aircraft_osd(qos=1)
        return dock

    def settle(self) -> None:
        """What memory has yet to write of docks and of the audit trail is in the database when this returns."""
        self.gateway.call(self.gateway.runtime.presence.flush())
        self.gateway.call(self.gateway.runtime.services.audit.flush())

    def audited(self, action: str) -> list[dict[str, Any]]:
        self.settle()
        return [entry for entry in self.dockgate("audit", "list") if entry["action"] == action]


@contextmanager
def open_desk(folder: Path, prepare: Callable[[Any], None] | None = None, **admin: Any) -> Iterator[Desk]:
    """``prepare`` is given the installation before it is served; ``admin``: options of that section."""
    installation = LastingInstallation(folder)
    installation.license()
    installation.configure(lambda settings: settings["dockgate"]["admin"].update(bind="127.0.0.1:0", **admin))
    if prepare is not None:
        prepare(installation)
    password = installation.dockgate("operator", "add", OPERATOR)["password"]
    with ExitStack() as stack:
        gateway = Gateway(installation).start()
        stack.callback(gateway.close)
        yield Desk(installation, gateway, password, stack)
