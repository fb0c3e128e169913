"""A foreign broker (Debian's mosquitto), a tiny cloud behind it on paho, and servers made of a few bytes, for the simulator to meet."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import trustme

from gateway.simulator import DockProfile, SimulatedDock, Target, TlsFiles, dock_model, make_profile

PASSWORD = "correct-horse-7"
ORGANIZATIONS = {"org-7": ("Harbour team", "H4RB0R"), "org-8": ("Other team", "0TH3R")}
LICENSE = {
    "app_id": "100001",
    "app_key": "key-1",
    "app_license": "bGlj==",
    "ntp_server_host": "192.0.2.10",
    "ntp_server_port": 123,
}


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


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("mosquitto")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    stranger.cert_pem.write_to_path(folder / "stranger.pem")
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_pem.write_to_path(folder / "server.key")
    for pem in server.cert_chain_pems:
        pem.write_to_path(folder / "server.pem", append=True)
    client = authority.issue_cert("dock-1.example")
    client.private_key_pem.write_to_path(folder / "client.key")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    (folder / "users").write_text(
        "".join(f"{name}:{PASSWORD}\n" for name in ["dock", "cloud", "narrow", *(f"dock-{n}" for n in range(1, 31))])
    )
    subprocess.run(["mosquitto_passwd", "-U", folder / "users"], check=True)
    kinds = ("plain", "tls", "mtls", "ws", "wss")
    ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
    keys = f"certfile {folder}/server.pem\nkeyfile {folder}/server.key\ncafile {folder}/ca.pem\n"
    (folder / "acl").write_text(
        "user narrow\ntopic deny thing/product/+/osd\npattern readwrite thing/product/#\npattern readwrite sys/product/#\n"
    )
    (folder / "mosquitto.conf").write_text(
        f"user root\npassword_file {folder}/users\nacl_file {folder}/acl\nset_tcp_nodelay true\nmax_packet_size 1048576\n"
        f"listener {ports['plain']}\nlistener {ports['tls']}\n{keys}"
        f"listener {ports['mtls']}\n{keys}require_certificate true\n"
        f"listener {ports['ws']}\nprotocol websockets\nlistener {ports['wss']}\nprotocol websockets\n{keys}"
    )
    # Debian keeps it where the PATH of an ordinary user does not look.
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program is not None, "these tests need mosquitto: apt-get install mosquitto"
    with subprocess.Popen([program, "-c", folder / "mosquitto.conf"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        started = []
        for line in process.stderr:
            started.append(line)
            if line.rstrip().endswith("running"):
                break
        else:
            pytest.fail(f"mosquitto did not start: {started}")
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        yield Broker(ports, folder)
        process.terminate()
        process.wait()
        drain.join()


@dataclass
class Cloud:
    """Answers docks as a gateway should, or as ``spoil`` wants: the reply's data comes in, what is sent goes out (None = silence)."""

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


@pytest.fixture(scope="session")
def running_cloud(broker: Broker) -> Iterator[Cloud]:
    cloud, ready = Cloud(), threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "cloud", reconnect_on_failure=False)
    client.username_pw_set("cloud", PASSWORD)
    client.on_connect = lambda *_more: client.subscribe([("thing/product/#", 1), ("sys/product/#", 1)])
    client.on_subscribe = lambda *_more: ready.set()
    client.on_socket_open = lambda _client, _data, sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.on_message = lambda client, data, message: (
        None if message.topic.endswith("_reply") else cloud.on_message(client, data, message)
    )
    client.connect(broker.host, broker.ports["plain"])
    client.loop_start()
    (thread,) = (each for each in threading.enumerate() if each.name == "paho-mqtt-client-cloud")
    assert ready.wait(10)
    yield cloud
    client.disconnect()
    thread.join(10)


@pytest.fixture
def cloud(running_cloud: Cloud) -> Iterator[Cloud]:
    running_cloud.reset()
    yield running_cloud
    running_cloud.reset()


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def a_profile(numbers: Iterator[int]) -> Callable[..., DockProfile]:
    """Makes docks that no other test knows."""

    def make(model: str = "dock3", **changes: Any) -> DockProfile:
        given = {"account": "dock", "password": PASSWORD, "organization_id": "org-7", "binding_code": "H4RB0R"}
        return make_profile(dock_model(model), number=next(numbers), **given | changes)

    return make


@pytest.fixture
def connected(a_profile: Callable[..., DockProfile]) -> Callable[..., AbstractContextManager[SimulatedDock]]:
    """A dock that is logged in and has subscribed."""

    @contextmanager
    def make(target: Target, profile: DockProfile | None = None, **more: Any) -> Iterator[SimulatedDock]:
        with SimulatedDock(target, profile or a_profile(), **more) as dock:
            dock.connect()
            dock.subscribe()
            yield dock

    return make


@pytest.fixture
def scripted() -> Callable[..., AbstractContextManager[int]]:
    """A server for one connection, made of bytes; gives its port."""

    @contextmanager
    def make(*answers: bytes, hang_up: bool = False) -> Iterator[int]:
        """A server for one connection that sends the next answer whenever something has come; then it waits for the end, or makes it."""

        def serve() -> None:
            connection, _peer = listener.accept()
            with connection:
                for answer in answers:
                    connection.recv(65536)
                    connection.sendall(answer)
                while not hang_up and connection.recv(65536):
                    pass

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            yield listener.getsockname()[1]
            thread.join(10)
            assert not thread.is_alive()

    return make
