"""A served gateway with accounts, and MQTT clients on it that end with the test."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import Gateway, Installation, Login
from tests.integration.octets import Octets, connack, publish, suback, subscribe, text

SN, OTHER_SN, BIRD = "7CTDM7100BPLUG", "7CTDM7100BELSE", "1581F5BKX0000000PLUG"


@dataclass
class Message:
    """A PUBLISH that has come."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int

    @property
    def body(self) -> Any:
        return json.loads(self.payload)


@dataclass
class Stage:
    installation: Installation
    serve: Callable[[Installation], Gateway]
    clients: ExitStack
    logins: dict[str, Login] = field(default_factory=dict)
    _gateway: Gateway | None = None

    def account(self, name: str, role: str, *options: str) -> Login:
        self.logins[name] = self.installation.account(name, role, *options)
        return self.logins[name]

    @property
    def gateway(self) -> Gateway:
        """Served from the first time that it is asked for."""
        if self._gateway is None:
            self._gateway = self.serve(self.installation)
        return self._gateway

    def socket(self, listener: str = "plain", *, tls: ssl.SSLContext | None = None) -> Octets:
        return self.clients.enter_context(Octets(self.gateway.port(listener), tls=tls))

    def client(self, account: str, client_id: str | None = None, *, present: bool = False, **options: Any) -> Octets:
        client = self.socket()
        login = self.logins[account]
        answer = client.login(client_id or account, login.account, login.password, **options)
        assert answer == connack(0, present=present)
        return client


def hear(client: Octets, *filters: str, qos: int = 0) -> None:
    client.send(subscribe(*((each, qos) for each in filters)))
    assert client.packet() == suback(1, *[qos] * len(filters))


def next_message(client: Octets) -> Message:
    got = client.packet()
    assert got[0] >> 4 == 3, got
    header = 2
    while got[header - 1] & 0x80:
        header += 1
    size = int.from_bytes(got[header : header + 2], "big")
    topic = got[header + 2 : header + 2 + size].decode()
    rest = got[header + 2 + size :]
    qos = got[0] >> 1 & 3
    return Message(topic, rest[2:] if qos else rest, qos, int.from_bytes(rest[:2], "big") if qos else 0)


def asked(sn: str, method: str, data: Any = None, *, tid: str = "t-1", qos: int = 0, **more: Any) -> bytes:
    """A dock's request as PUBLISH."""
    body = {"tid": tid, "bid": "b-1", "timestamp": 1, "method": method, "data": {} if data is None else data, **more}
    return publish(f"thing/product/{sn}/requests", json.dumps(body).encode(), qos=qos)


def topology(sn: str, *children: str) -> bytes:
    data = {"sub_devices": [{"sn": child, "domain": "0", "type": 91, "sub_type": 0} for child in children]}
    body = {"tid": "topo", "bid": "b", "timestamp": 1, "method": "update_topo", "data": data}
    return publish(f"sys/product/{sn}/status", json.dumps(body).encode())


CONFIG = {"config_type": "json", "config_scope": "product"}

__all__ = ["BIRD", "CONFIG", "OTHER_SN", "SN", "Message", "Stage", "asked", "hear", "next_message", "text", "topology"]
