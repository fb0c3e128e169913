"""Debian's mosquitto with every kind of listener, and the tiny cloud behind it, once for all tests of the simulator."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
import pytest
import trustme

from .rig import PASSWORD, Broker, Cloud, free_ports


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
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for name, another in {
        "expired": authority.issue_cert("dock-1.example", not_after=yesterday),
        "strange": stranger.issue_cert("dock-1.example"),
    }.items():
        another.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
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
