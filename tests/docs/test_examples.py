"""docs/platform.md: its programs are the files in docs/examples, and each runs against a real gateway with a dock, over TLS."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.simulator import MODELS, DockProfile, SimulatedDock, Target, TlsFiles, make_profile
from gateway.simulator.device import Asked

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "platform.md"
EXAMPLES = ROOT / "docs" / "examples"
NODE_MODULES = Path(__file__).with_name("node") / "node_modules"
SN, AIRCRAFT = "7CTDM7100B1234", "1581F6Q8D245H00A1B2C"
WAIT_S = 30.0


class Program:
    """An example in a process of its own, which is ended with the test. ``line(begin)`` waits for it to say something."""

    def __init__(self, words: list[str], environment: dict[str, str], folder: Path) -> None:
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, **environment}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name=f"what {words[-1]} says", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def line(self, begin: str) -> str:
        while True:
            try:
                said = self._lines.get(timeout=WAIT_S)
            except queue.Empty:
                raise AssertionError(f"{begin!r} did not come; before it: {self.said}") from None
            assert said is not None, f"ended before {begin!r}: {self.said}"
            self.said.append(said)
            if said.startswith(begin):
                return said


class House:
    """A gateway with a dock's and a platform's account; programs and docks are ended with the test."""

    def __init__(self, gateway: Any, folder: Path, stack: ExitStack) -> None:
        self.gateway, self.folder, self.stack = gateway, folder, stack
        installation = gateway.installation
        login = installation.account("dock-7", "dock", "--org", installation.organization_id)
        service = installation.account("portal", "service", "--org", installation.organization_id)
        token = str(installation.dockgate("token", "add", "portal", "--scope", "read")["token"])
        (folder / "password").write_text(service.password)
        (folder / "token").write_text(token)
        host, port = gateway.ask(lambda: gateway.admin.door.address)
        self.environment = {
            "DOCKGATE_HOST": "localhost", "DOCKGATE_PORT": str(gateway.port("tls")), "DOCKGATE_CA": str(installation.ca),
            "DOCKGATE_ACCOUNT": "portal", "DOCKGATE_PASSWORD_FILE": str(folder / "password"),
            "DOCKGATE_ADMIN": f"http://{host}:{port}", "DOCKGATE_TOKEN_FILE": str(folder / "token"),
        }  # fmt: skip
        self.profile: DockProfile = make_profile(
            MODELS["dock2"], account="dock-7", password=login.password, sn=SN, aircraft_sn=AIRCRAFT,
            organization_id=installation.organization_id, binding_code=installation.binding_code,
        )  # fmt: skip

    def run(self, name: str, *words: str) -> Program:
        """As a reader would: the file in a directory of one's own, with what it needs beside it."""
        file = Path(shutil.copy(EXAMPLES / name, self.folder / name))
        if file.suffix == ".mjs":
            assert NODE_MODULES.is_dir(), "npm ci --prefix tests/docs/node"
            with contextlib.suppress(FileExistsError):
                (self.folder / "node_modules").symlink_to(NODE_MODULES, target_is_directory=True)
            return self.stack.enter_context(Program(["node", str(file), *words], self.environment, self.folder))
        return self.stack.enter_context(Program([sys.executable, str(file), *words], self.environment, self.folder))

    def dock(self) -> SimulatedDock:
        """Bound and with its topics, but not online yet."""
        target = Target("localhost", self.gateway.port("tls"), tls=TlsFiles(ca=self.gateway.installation.ca))
        dock = self.stack.enter_context(SimulatedDock(target, self.profile))
        dock.connect()
        dock.subscribe()
        installation = self.gateway.installation
        told = {
            "sn": SN, "device_model_key": "3-2-0", "device_callsign": "Pier", "organization_id": installation.organization_id,
            "device_binding_code": installation.binding_code,
        }  # fmt: skip
        bound = dock.request("airport_organization_bind", {"bind_devices": [told]})
        assert bound["data"]["output"]["err_infos"] == [{"sn": SN, "err_code": 0}]
        return dock


@pytest.fixture
def house(installation: Any, serve: Callable[[Any], Any], tmp_path: Path) -> Iterator[House]:
    installation.license()

    def change(settings: dict[str, Any]) -> None:
        settings["dockgate"]["admin"].update(bind="127.0.0.1:0")
        settings["dockgate"]["requests"].update(handler_timeout_s=1.0)

    installation.configure(change)
    gateway = serve(installation)
    with ExitStack() as stack:
        folder = tmp_path / "mine"
        folder.mkdir()
        yield House(gateway, folder, stack)


def ask(dock: SimulatedDock, method: str) -> Asked:
    body = {"tid": f"t-{method}", "bid": "b", "timestamp": 1, "method": method, "data": {"module": 0}}
    return dock.send(dock.requests_topic, body)


@pytest.mark.parametrize("name", ["portal.py", "portal.mjs"])
def test_a_platform(house: House, name: str) -> None:
    platform = house.run(name)
    platform.line("listening")
    dock = house.dock()
    platform.line(f"event {SN} bound")
    dock.update_topo()
    platform.line(f"event {SN} online")
    # it has sent a command, as soon as the dock was there
    command = json.loads(dock.expect(f"thing/product/{SN}/services").payload)
    assert command["method"] == "debug_mode_open"
    done = {**command, "data": {"result": 0}}
    dock.publish(f"thing/product/{SN}/services_reply", json.dumps(done).encode())
    assert platform.line("answer") == f"answer {SN} debug_mode_open 0"
    dock.publish_osd(qos=1)
    assert platform.line("telemetry").startswith(f"telemetry {SN} ")
    # what is left to a platform
    reply = dock.reply(ask(dock, "storage_config_get"), strict=False)
    assert platform.line("request") == f"request {SN} storage_config_get"
    assert reply["bid"] == "b"
    assert reply["data"]["output"]["object_key_prefix"] == SN
    # what the platform does not know, the gateway refuses after its time
    assert dock.reply(ask(dock, "a_method_of_tomorrow"), strict=False, timeout_s=20)["data"]["result"] == 200001
    # what the gateway answers, a platform does not see
    assert dock.request("config", {"config_type": "json", "config_scope": "product"})["data"]["app_id"]
    dock.publish_osd(qos=1)
    platform.line("telemetry")
    asked = [line.split()[-1] for line in platform.said if line.startswith("request")]
    assert asked == ["storage_config_get", "a_method_of_tomorrow"]


def test_workers_share(house: House) -> None:
    workers = [house.run("worker.py", name) for name in ("one", "two")]
    for worker in workers:
        worker.line("listening")
    dock = house.dock()
    for _ in range(2):  # three fragments each
        dock.publish_osd(qos=1)
    for worker, name in zip(workers, ("one", "two"), strict=True):
        for _ in range(3):
            assert worker.line(name) == f"{name} thing/product/{SN}/osd"


@pytest.mark.parametrize("name", ["events.py", "events.mjs"])
def test_events_over_http(house: House, name: str) -> None:
    reader = house.run(name)
    reader.line("listening")
    with house.dock():
        for event in ("connected", "bound"):
            assert reader.line(f"event {SN} {event}")
    assert reader.line(f"event {SN} disconnected")
    again = house.run(name)
    again.line("listening")
    assert f"dock {SN} bound" in again.said


def test_the_page_shows_the_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = dict(re.findall(r"<!-- file: (examples/[\w.]+) -->\n```\w+\n(.*?)```\n", text, re.DOTALL))
    files = {f"examples/{path.name}": path.read_text(encoding="utf-8") for path in EXAMPLES.iterdir() if path.is_file()}
    assert shown == files


def test_every_example_is_run_here() -> None:
    own = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert f'"{path.name}"' in own, path
