"""Other people's MQTT clients under one blocking roof: paho and MQTT.js (3.1.1 and 5), gmqtt (5), and Debian's mosquitto_pub, _sub
and _rr.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import gmqtt
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

WAIT_S = 10.0


@dataclass(frozen=True)
class Arrived:
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Client:
    """``lasting``: a session that is kept while the client is away. ``will``: topic and payload."""

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        password: str,
        *,
        client_id: str,
        lasting: bool = False,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.address = (host, port)
        self.login = (name, password)
        self.client_id = client_id
        self.lasting = lasting
        self.will = will
        self.present = False
        self.arrived: queue.Queue[Arrived] = queue.Queue()
        self.ended = threading.Event()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        raise NotImplementedError

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        raise NotImplementedError

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Returns when the exchange that ``qos`` stands for is over."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        """Without a goodbye."""
        raise NotImplementedError

    def get(self) -> Arrived:
        return self.arrived.get(timeout=WAIT_S)


class Paho(Client):
    version = MQTTProtocolVersion.MQTTv311

    def open(self) -> None:
        five = self.version == MQTTProtocolVersion.MQTTv5
        clean = {} if five else {"clean_session": not self.lasting}
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, self.client_id, protocol=self.version, reconnect_on_failure=False, **clean
        )
        self._client.username_pw_set(*self.login)
        if self.will is not None:
            self._client.will_set(*self.will, qos=1)
        self._granted: queue.Queue[list[ReasonCode]] = queue.Queue()
        answered: queue.Queue[tuple[bool, ReasonCode]] = queue.Queue()
        self._client.on_connect = lambda _c, _d, flags, code, _p: answered.put((flags.session_present, code))
        self._client.on_subscribe = lambda _c, _d, _mid, codes, _p: self._granted.put(codes)
        self._client.on_message = lambda _c, _d, got: self.arrived.put(
            Arrived(got.topic, bytes(got.payload), got.qos, got.retain)
        )
        self._client.on_disconnect = lambda *_: self.ended.set()
        properties = None
        if five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600 if self.lasting else 0
        clean_start = {"clean_start": not self.lasting} if five else {}
        self._client.connect(*self.address, properties=properties, **clean_start)
        self._client.loop_start()
        self.present, code = answered.get(timeout=WAIT_S)
        if code.is_failure:
            self._client.loop_stop()
            raise ConnectionRefusedError(str(code))

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        self._client.subscribe(topic_filter, qos)
        return int(self._granted.get(timeout=WAIT_S)[0].value)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos, retain).wait_for_publish(WAIT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def drop(self) -> None:
        self._client._sock_close()
        self._client.loop_stop()


class Paho5(Paho):
    version = MQTTProtocolVersion.MQTTv5


class Gmqtt(Client):
    """On an event loop in a thread."""

    def open(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"gmqtt {self.client_id}", daemon=True)
        self._thread.start()
        self._granted: queue.Queue[int] = queue.Queue()
        self._call(self._open())

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    async def _open(self) -> None:
        will = None if self.will is None else gmqtt.Message(*self.will, qos=1)
        self._client = gmqtt.Client(
            self.client_id, clean_session=not self.lasting, will_message=will,
            session_expiry_interval=600 if self.lasting else 0,
        )  # fmt: skip
        self._client.set_auth_credentials(*self.login)
        self._client.set_config({"reconnect_retries": -2})  # 0 is once, -1 is for ever
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda _client, _mid, qos, _properties: self._granted.put(qos[0])
        self._client.on_disconnect = lambda *_: self.ended.set()
        await self._client.connect(*self.address)

    def _on_connect(self, _client: Any, flags: int, _code: int, _properties: Any) -> None:
        self.present = bool(flags & 1)

    def _on_message(self, _client: Any, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        self.arrived.put(Arrived(topic, bytes(payload), qos, bool(properties.get("retain"))))
        return 0

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        self._loop.call_soon_threadsafe(self._client.subscribe, topic_filter, qos)
        return self._granted.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        async def work() -> None:
            self._client.publish(topic, payload, qos=qos, retain=retain)
            await self._client._persistent_storage.wait_empty()

        self._call(work())

    def close(self) -> None:
        if not self._loop.is_closed():
            self._call(self._client.disconnect())
            self._end()

    def drop(self) -> None:
        async def cut() -> None:
            self._client.stop_reconnect()
            self._client._is_active = False
            self._client._connection._transport.abort()
            await asyncio.sleep(0)

        self._call(cut())
        self._end()

    def _end(self) -> None:
        async def settle() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._call(settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


_MQTT_JS = Path(__file__).parents[1] / "docs" / "node"


class MqttJs(Client):
    """In a process of its own, which mqttjs.mjs leads."""

    version = 4

    def open(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("mqttjs.mjs"))], env={**os.environ, "MQTT_JS": str(_MQTT_JS)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"MQTT.js {self.client_id}", daemon=True)
        self._reader.start()
        host, port = self.address
        options: dict[str, Any] = {
            "clientId": self.client_id, "username": self.login[0], "password": self.login[1], "protocolVersion": self.version,
            "clean": not self.lasting, "reconnectPeriod": 0,
        }  # fmt: skip
        if self.version == 5:
            options["properties"] = {"sessionExpiryInterval": 600 if self.lasting else 0}
        will = None
        if self.will is not None:
            will = {"topic": self.will[0], "payload": base64.b64encode(self.will[1]).decode(), "qos": 1}
        self._do("open", url=f"mqtt://{host}:{port}", options=options, will=will)
        told = self._told.get(timeout=WAIT_S)
        if "connected" not in told:
            self._end("close")
            raise ConnectionRefusedError(str(told))
        self.present = told["connected"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                told = json.loads(line)
                if "topic" in told:
                    payload = base64.b64decode(told["payload"])
                    self.arrived.put(Arrived(told["topic"], payload, told["qos"], told["retain"]))
                elif "ended" in told:
                    self.ended.set()
                else:
                    self._told.put(told)

    def _do(self, deed: str, **words: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"deed": deed, **words}) + "\n")
        self._process.stdin.flush()

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        self._do("subscribe", filter=topic_filter, qos=qos)
        return int(self._told.get(timeout=WAIT_S)["granted"])

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._do("publish", topic=topic, payload=base64.b64encode(payload).decode(), qos=qos, retain=retain)
        assert self._told.get(timeout=WAIT_S) == {"published": True}

    def close(self) -> None:
        self._end("close")

    def drop(self) -> None:
        self._end("drop")

    def _end(self, deed: str) -> None:
        if self._process.poll() is None:
            self._do(deed)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)


class MqttJs5(MqttJs):
    version = 5


CLIENTS: dict[str, type[Client]] = {
    "paho-3.1.1": Paho, "paho-5": Paho5, "gmqtt-5": Gmqtt, "mqtt.js-3.1.1": MqttJs, "mqtt.js-5": MqttJs5,
}  # fmt: skip


class Mosquitto:
    """The command line clients of Debian's mosquitto-clients."""

    def __init__(
        self, host: str, port: int, name: str, password: str, *, version: int = 4, ca: Path | None = None
    ) -> None:
        self._common = ["-h", host, "-p", str(port), "-u", name, "-P", password]
        self._common += ["-V", "mqttv5" if version == 5 else "mqttv311"]
        if ca is not None:
            self._common += ["--cafile", str(ca)]

    def start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program, *self._common, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, program: str, *words: str, stdin: bytes = b"") -> tuple[int, bytes]:
        """The exit code and what it wrote."""
        done = subprocess.run(
            [program, *self._common, *words], input=stdin, capture_output=True, timeout=WAIT_S, check=False
        )
        return done.returncode, done.stdout + done.stderr


def finish(process: subprocess.Popen[bytes]) -> tuple[int, list[bytes]]:
    """Wait for it to end by itself: exit code and lines."""
    out, _ = process.communicate(timeout=WAIT_S)
    return process.returncode, out.splitlines()


def drain(client: Client, count: int) -> list[bytes]:
    return [client.get().payload for _ in range(count)]


def all_of(clients: Sequence[Client], count: int) -> list[list[bytes]]:
    """What each has once all together have ``count``; who leads a client in another process hears of it later than the gateway."""
    found: list[list[bytes]] = [[] for _ in clients]
    until = time.monotonic() + WAIT_S
    while sum(map(len, found)) < count:
        assert time.monotonic() < until, found
        for client, mine in zip(clients, found, strict=True):
            with contextlib.suppress(queue.Empty):
                mine.append(client.arrived.get(timeout=0.01).payload)
    for client, mine in zip(clients, found, strict=True):
        while not client.arrived.empty():  # more than there should be
            mine.append(client.arrived.get().payload)
    return found
