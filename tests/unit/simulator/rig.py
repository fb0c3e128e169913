"""What the simulator meets in these tests: a broker, a tiny cloud for it, servers made of a few bytes, docks nobody knows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from gateway.simulator import DockProfile, Run, SimulatedDock, Target, TlsFiles, dock_model, make_profile

PASSWORD = "correct-horse-7"
ORGANIZATIONS = {"org-7": ("Harbour team", "H4RB0R"), "org-8": ("Other team", "0TH3R")}
LICENSE = {
    "app_id": "100001",
    "app_key": "key-1",
    "app_license": "bGlj==",
    "ntp_server_host": "192.0.2.10",
    "ntp_server_port": 123,
}
FIRST_ACCESS = [
    "connect", "subscribe", "config", "bind_status", "organization_get", "organization_bind", "bind_status_after",
    "update_topo", "telemetry", "acknowledge", "disconnect",
]  # fmt: skip
NUMBERS = count(1)


@dataclass
class Broker:
    ports: dict[str, int]
    folder: Path
    host: str = "127.0.0.1"

    def target(self, kind: str, protocol: Any = 4, *, host: str | None = None, files: TlsFiles | None = None) -> Target:
        certificate = (self.folder / "client.pem", self.folder / "client.key") if kind == "mtls" else (None, None)
        tls = files or TlsFiles(self.folder / "ca.pem", *certificate)
        secure = kind in {"tls", "mtls", "wss"}
        return Target(
            host or self.host, self.ports[kind], tls if secure or files else None, kind in {"ws", "wss"}, protocol
        )


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Cloud:
    """Answers docks as a gateway should, or as ``spoil`` makes of it: good data in, what is sent out (None = silence)."""

    bound: dict[str, tuple[str, str]] = field(default_factory=dict)
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    spoil: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda _method, data: data
    spoil_envelope: Callable[[dict[str, Any]], dict[str, Any]] = lambda reply: reply

    def reset(self) -> None:
        fresh = Cloud()
        self.bound, self.seen, self.spoil, self.spoil_envelope = (
            fresh.bound,
            fresh.seen,
            fresh.spoil,
            fresh.spoil_envelope,
        )

    def topics(self, sn: str | None) -> list[str]:
        return [topic for topic, _payload in self.seen if f"/{sn}/" in topic]

    def on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.seen.append((message.topic, bytes(message.payload)))
        try:
            request = json.loads(message.payload)
            kind = message.topic.rsplit("/", 1)[1]
            if not isinstance(request["data"], dict) or (
                kind in {"state", "events"} and request.get("need_reply") != 1
            ):
                return
            method = request["method"] if kind == "requests" else kind
            data = self.spoil(method, self.answer(method, request["data"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if data is None:
            return
        reply = {key: request[key] for key in ("tid", "bid", "method") if key in request}
        reply |= {"timestamp": time.time_ns() // 1_000_000, "data": data}
        client.publish(f"{message.topic}_reply", json.dumps(self.spoil_envelope(reply)), 1)

    def answer(self, method: str, data: dict[str, Any]) -> dict[str, Any]:
        if method == "config":
            return dict(LICENSE)
        if method == "airport_bind_status":
            return {"result": 0, "output": {"bind_status": [self.status(device["sn"]) for device in data["devices"]]}}
        if method == "airport_organization_get":
            name, code = ORGANIZATIONS.get(data["organization_id"], ("", None))
            if code != data["device_binding_code"]:
                return {"result": 210230, "output": {}}
            return {"result": 0, "output": {"organization_name": name}}
        if method == "airport_organization_bind":
            return {"result": 0, "output": {"err_infos": [self.bind(wish) for wish in data["bind_devices"]]}}
        return {"result": 0} if method in {"status", "state", "events"} else {"result": 200001}

    def status(self, sn: str) -> dict[str, Any]:
        organization, callsign = self.bound.get(sn, ("", ""))
        name = ORGANIZATIONS[organization][0] if organization else ""
        return {
            "sn": sn, "is_device_bind_organization": bool(organization), "organization_id": organization,
            "organization_name": name, "device_callsign": callsign,
        }  # fmt: skip

    def bind(self, wish: dict[str, Any]) -> dict[str, Any]:
        organization = wish["organization_id"]
        if ORGANIZATIONS[organization][1] != wish["device_binding_code"]:
            return {"sn": wish["sn"], "err_code": 210231}
        if self.bound.get(wish["sn"], (organization, ""))[0] != organization:
            return {"sn": wish["sn"], "err_code": 210232}
        self.bound[wish["sn"]] = (organization, wish["device_callsign"])
        return {"sn": wish["sn"], "err_code": 0}


def a_profile(model: str = "dock3", **changes: Any) -> DockProfile:
    """A dock that no other test knows."""
    given = {"account": "dock", "password": PASSWORD, "organization_id": "org-7", "binding_code": "H4RB0R"}
    return make_profile(dock_model(model), number=next(NUMBERS), **given | changes)


def outcome(run: Run) -> list[tuple[str, bool]]:
    return [(step.step, step.ok) for step in run.steps]


def detail(run: Run, name: str) -> str:
    step = run.step(name)
    assert step is not None, run.as_dict()
    return step.detail


@contextmanager
def scripted(*answers: bytes, hang_up: bool = False) -> Iterator[int]:
    """A server for one connection: an answer each time something comes, then it waits for the end (or makes it)."""

    def serve() -> None:
        connection, _peer = listener.accept()
        connection.settimeout(10)
        with connection:
            for answer in answers:
                connection.recv(65536)
                connection.sendall(answer)
            while not hang_up and connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)  # for a test that fails before it connects
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def connected(target: Target, profile: DockProfile | None = None, **more: Any) -> Iterator[SimulatedDock]:
    with SimulatedDock(target, profile or a_profile(), **more) as dock:
        dock.connect()
        dock.subscribe()
        yield dock
