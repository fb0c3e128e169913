"""Where attacks with a login are played: attackers, their victims, and what the victims have, before and after.

A row of the table (``attacks.py``) comes in; out goes whether a victim was reached, or the attacker has heard anything.
"""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from gateway.topics import Kind, device_topic, parse_device_topic, parse_event_topic
from tests.conftest import LICENSE

from .attack_doors import CERTIFIED, PLAIN, SECURE_WEBSOCKET, TLS, WEBSOCKET, Framed, Keys, listener_of
from .lasting import LastingInstallation, served
from .town import (
    AIRCRAFT_DOWN,
    BIRD_A,
    BIRD_B,
    DOCK_A,
    DOCK_B,
    DOWN,
    RIVALS,
    Town,
    settle,
    topics_of,
    until,
)
from .wire import Got, Wire, packet

DOCK_C, BIRD_C = "7CTDM7100B000C", "1581F5BKX000000000CC"  # of the attacker's own organization
SECRET = b"for the victims alone"
MARK = b"made by the attacker"
RIVAL_LICENSE = {
    "app_id": "654321",
    "app_key": "rivals-app-key-0123456789abcdef0",
    "app_license": "cml2YWxzLWxpY2Vuc2U=",
}
SECRETS = (SECRET, RIVAL_LICENSE["app_key"].encode(), RIVAL_LICENSE["app_license"].encode(), b"Rivals")
VICTIMS = ("dock-b", "dock-c", "service-b", "service-all")
STUCK_ID, ABSENT_ID, LIVE_ID, WORKER_ID = "b-stuck", "b-absent", "b-live", "b-worker"
SHARE = "workers"
# One of them called like the attacker's account
OPERATORS = ("maria", "dock-a")
OPEN_QOS2 = 7

# What an attack may leave is not here: its own doings, and times of day.
_OURS = {
    "account": "SELECT name, role, sn, organization_id, password_hash, enabled, can_read_sys, version FROM account"
    " WHERE name NOT IN ('dock-a', 'dock-new')",
    "device": "SELECT sn, gateway_sn, is_gateway, model_key, callsign, organization_id, bound_at, bound_by, bound_code, online,"
    " access_step FROM device WHERE sn NOT IN (?, ?)",
    "bind_code": "SELECT * FROM bind_code",
    "license": "SELECT * FROM license",
    "organization": "SELECT * FROM organization",
    "contact": "SELECT account, client_id, sn FROM contact WHERE account NOT IN ('dock-a', 'dock-new')",
    "operator": "SELECT name, password_hash, created_at FROM operator",
    "api_token": "SELECT * FROM api_token",
}


class Recorded(Wire):
    """A connection of the attacker; ``heard`` is every packet that came, whatever it was."""

    def __init__(self, *words: Any, framed: bool = False, **options: Any) -> None:
        self.heard = b""
        self.packets: list[tuple[int, bytes]] = []
        super().__init__(*words, **options)
        # the handshake of QoS 2 would wait for the kernel
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if framed:
            bare = self.sock
            try:
                self.sock = Framed(bare, words[0])  # type: ignore[assignment] # it has what a Wire asks of a socket
            except BaseException:
                bare.close()
                raise

    def _cut(self) -> tuple[int, bytes] | None:
        found = super()._cut()
        if found is not None:
            self.heard += bytes([found[0]]) + found[1]
            self.packets.append(found)
        return found

    def is_open(self) -> bool:
        """After whatever it has sent was dealt with."""
        try:
            self.ping()
        except (AssertionError, OSError):
            return False
        return True


def body(method: str, data: Any, *, tid: str = "t", **more: Any) -> bytes:
    return json.dumps({"tid": tid, "bid": "b", "timestamp": 1, "method": method, "data": data, **more}).encode()


def ask_license(tid: str, **more: Any) -> bytes:
    return body("config", {"config_type": "json", "config_scope": "product"}, tid=tid, **more)


class Stage:
    """``version``: of MQTT, as the attacker of the moment speaks it; ``door``: where he knocks."""

    def __init__(self, town: Town, codes: dict[str, str], keys: Keys) -> None:
        self.town = town
        self.codes = codes
        self.version = 4
        self.door = PLAIN
        self.operators: dict[str, str] = {}
        self._keys = keys
        self._numbers = count()
        self._connections: list[Recorded] = []
        self._victims = ExitStack()
        self.live = self._victim("dock-b", LIVE_ID)
        self.neighbour = self._victim("dock-c", "c-live")
        self.service = self._victim("service-b", "b-service")
        self.worker = self._victim("service-b", WORKER_ID)
        self.watcher = self._victim("service-all", "watcher")

    def _victim(self, name: str, client_id: str, *, clean: bool = True) -> Wire:
        return self._victims.enter_context(self.town.login(name, client_id=client_id, clean=clean))

    @property
    def gateway(self) -> Any:
        return self.town.gateway

    # -- before the first attack

    def people(self) -> None:
        with self.town.login("dock-a", client_id="a-first") as own:
            self._settle_in(own, DOCK_A, BIRD_A, self.town.installation.organization_id)
        self._settle_in(self.live, DOCK_B, BIRD_B, RIVALS)
        self._settle_in(self.neighbour, DOCK_C, BIRD_C, self.town.installation.organization_id)
        for dock, sn, bird in ((self.live, DOCK_B, BIRD_B), (self.neighbour, DOCK_C, BIRD_C)):
            assert set(dock.subscribe(*topics_of(sn, DOWN), *topics_of(bird, AIRCRAFT_DOWN))) == {1}
        assert self.service.subscribe("thing/#", "sys/#") == [1, 1]
        assert self.worker.subscribe(f"$share/{SHARE}/thing/product/+/osd") == [1]
        assert self.watcher.subscribe("#") == [1]
        services = device_topic(DOCK_B, Kind.SERVICES)
        # one that waits with its queue, and one with packets under way in both directions
        absent = self._victim("dock-b", ABSENT_ID, clean=False)
        absent.subscribe(services)
        absent.drop()
        until(self.gateway, lambda: not self.gateway.broker.table.get(ABSENT_ID).connected)
        stuck = self._victim("dock-b", STUCK_ID)
        stuck.subscribe(services)
        self.service.publish(services, SECRET + b" order", retain=True)
        assert self.live.receive().payload == SECRET + b" order"
        stuck.send_publish(device_topic(DOCK_B, Kind.EVENTS), SECRET + b" event", qos=2, packet_id=OPEN_QOS2)
        until(self.gateway, lambda: self.gateway.broker.table.get(STUCK_ID).received)
        self.live.publish(device_topic(DOCK_B, Kind.STATE), SECRET + b" state", retain=True)
        self._forget()
        with self.town.login("dock-b", client_id="b-login"):
            until(self.gateway, lambda: self.gateway.broker.table.get("b-login") is not None)
        self._flush()

    def _settle_in(self, dock: Wire, sn: str, bird: str, organization_id: str) -> None:
        requests = device_topic(sn, Kind.REQUESTS)
        dock.subscribe(f"{requests}_reply")
        devices = [
            {"sn": each, "device_model_key": key, "device_callsign": each[-2:], "organization_id": organization_id,
             "device_binding_code": self.codes[organization_id]}
            for each, key in ((sn, "3-2-0"), (bird, "0-91-1"))
        ]  # fmt: skip
        self.town.aircraft(dock, sn, bird)
        dock.publish(requests, body("airport_organization_bind", {"bind_devices": devices}, tid=f"bind-{sn}"))
        answer = json.loads(dock.receive().payload)["data"]
        assert {each["err_code"] for each in answer["output"]["err_infos"]} == {0}, answer

    def _flush(self) -> None:
        self.gateway.call(self.gateway.runtime.presence.flush())
        self.gateway.call(self.gateway.runtime.contacts.flush())

    def _forget(self) -> None:
        """What has come so far, setting up included."""
        for each in self._listening():
            each.ping()
            each.inbox.clear()

    def _listening(self) -> tuple[Wire, ...]:
        return (self.live, self.neighbour, self.service, self.worker, self.watcher)

    def close(self) -> None:
        self._victims.close()

    # -- for the rows

    def attacker(self, name: str = "dock-a", *, client_id: str = "attacker", **options: Any) -> Recorded:
        """Logged in."""
        wire = self.knock(certified_as=name)
        answer = wire.login(client_id, name, self.town.passwords[name], **options)
        assert answer.code == 0
        return wire

    def knock(self, source: str | None = None, *, certified_as: str | None = "dock-a") -> Recorded:
        """Not logged in. ``certified_as``: whose certificate is shown, where one has to be."""
        tls = None
        if self.door in (TLS, *CERTIFIED):
            shown = certified_as if self.door in CERTIFIED else None
            tls = self._keys.context(self.town.installation.ca, shown)
        wire = Recorded(
            self.gateway.host, self.gateway.port(listener_of(self.door)), version=self.version, source=source, tls=tls,
            framed=self.door in (WEBSOCKET, SECURE_WEBSOCKET),
        )  # fmt: skip
        self._connections.append(wire)
        return wire

    def elsewhere(self) -> str:
        """An address of the attacker's that has guessed no password yet, as wrong ones lock those alone."""
        return f"127.66.{next(self._numbers) % 250}.{next(self._numbers) % 250 + 1}"

    def raw(self, first: int, content: bytes) -> bytes:
        return packet(first, content)

    def session(self, client_id: str) -> Any:
        return self.gateway.broker.table.get(client_id)

    def ask(self, question: Callable[[], Any]) -> Any:
        return self.gateway.ask(question)

    # -- the two questions

    @contextmanager
    def unharmed(self, version: int, door: str = PLAIN) -> Iterator[None]:
        """Whatever is done meanwhile, the victims have and hear the same, and the attacker hears nothing of theirs."""
        self.version, self.door = version, door
        self._forget()
        before = self.belongings()
        try:
            yield
            self._exchange()
            for each in self._connections:
                each.is_open()
            for each in self._connections:
                assert all(secret not in each.heard for secret in SECRETS), "the attacker has heard a secret"
        finally:
            for each in self._connections:
                each.drop()
            self._connections.clear()
        until(self.gateway, lambda: all(each.account not in ("dock-a", "dock-new") or not each.connected
                                        for each in self.gateway.broker.table))  # fmt: skip
        self._exchange()
        after = self.belongings()
        for name, mine in before.items():
            assert after[name] == mine, f"{name}: {mine} became {after[name]}"

    def belongings(self) -> dict[str, Any]:
        """All that is the victims', in the database and in memory."""
        self._flush()
        database = self.town.installation.folder / "dockgate.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            found: dict[str, Any] = {
                name: sorted(map(repr, db.execute(sql, (DOCK_A, BIRD_A) if "?" in sql else ())))
                for name, sql in _OURS.items()
            }
        return {**found, **self.ask(self._in_memory)}

    def _in_memory(self) -> dict[str, Any]:
        broker, directory = self.gateway.broker, self.gateway.runtime.services.directory
        return {
            "sessions": {
                each.client_id: (
                    each.account, each.connected, sorted(map(repr, each.subscriptions.values())), each.queued,
                    sorted(each.inflight_out), sorted(each.received), each.expiry_s, each.will,
                )
                for each in broker.table
                if each.account in VICTIMS
            },
            "retained": sorted((one.topic, one.payload) for one in broker.delivery.retained if not _is_own(one.topic)),
            "hang on": {sn: directory.gateway_of(sn) for sn in (DOCK_B, BIRD_B, DOCK_C, BIRD_C)},
            "belong to": {sn: directory.organization_of(sn) for sn in (DOCK_B, BIRD_B, DOCK_C, BIRD_C)},
        }  # fmt: skip

    def _exchange(self) -> None:
        """The victims' ordinary traffic: all of it arrives, and with it nothing that the attacker has made."""
        secret = SECRET + b" %d" % next(self._numbers)
        osd, bird = device_topic(DOCK_B, Kind.OSD), device_topic(BIRD_B, Kind.OSD)
        orders = device_topic(DOCK_B, Kind.PROPERTY_SET)
        requests = device_topic(DOCK_B, Kind.REQUESTS)
        self.live.publish(osd, secret)
        self.live.publish(bird, secret)
        self.service.publish(orders, secret)
        # the tid is a new one each time, so that the answer is none of before; the attacker may know it all the same
        self.live.publish(requests, ask_license(secret.decode()))
        self.neighbour.publish(device_topic(DOCK_C, Kind.OSD), secret)
        heard = [self.live.receive(), self.live.receive()]
        assert {each.topic for each in heard} == {orders, f"{requests}_reply"}
        reply = next(json.loads(each.payload) for each in heard if each.topic != orders)
        assert reply["data"]["app_key"] == RIVAL_LICENSE["app_key"]
        assert [self.service.receive().topic, self.service.receive().topic] == [osd, bird]
        # of the whole town's OSD, only its own organization's reaches the worker of a share
        assert [self.worker.receive().topic, self.worker.receive().topic] == [osd, bird]
        with self.town.login("dock-b", client_id="b-login"):
            pass
        for each in self._listening():
            each.ping()
        left = {"dock-b": self.live, "dock-c": self.neighbour, "service-b": self.service, "worker": self.worker}
        for name, each in left.items():
            assert list(each.inbox) == [], name
        strange = [each for each in self.watcher.inbox if not _is_plain(each)]
        assert strange == []
        self._forget()


def _is_own(topic: str) -> bool:
    parsed = parse_device_topic(topic)
    return parsed is not None and parsed.sn in (DOCK_A, BIRD_A)


def _is_plain(got: Got) -> bool:
    """What who may read everything should see: the victims' exchange, events, and what attackers send under their own names."""
    return SECRET in got.payload or parse_event_topic(got.topic) is not None or _is_own(got.topic)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A gateway with two organizations, a dock account that attacks, another without an SN, and their victims."""
    installation = LastingInstallation(folder)
    installation.license()
    keys = Keys(folder)

    def open_doors(settings: dict[str, Any]) -> None:
        keys.open_doors(settings)
        # as many questions as the table has, and none refused for their number alone
        settings["dockgate"]["admin"].update(bind="127.0.0.1:0", requests_per_second=100_000)

    installation.configure(open_doors)
    with ExitStack() as stack:
        town = settle(installation, lambda made: stack.enter_context(served(made)),
                      "dock-a", "dock-b", "dock-new", "service-b", "service-all")  # fmt: skip
        home = installation.organization_id
        town.passwords["dock-c"] = installation.account("dock-c", "dock", "--sn", DOCK_C, "--org", home).password
        file = folder / "rivals.json"
        file.write_text(json.dumps({**LICENSE, **RIVAL_LICENSE}))
        installation.dockgate("license", "set", "--file", str(file), "--org", RIVALS)
        code = installation.dockgate("org", "code", "add", RIVALS)["binding_code"]
        stage = Stage(town, {home: installation.binding_code, RIVALS: code}, keys)
        stack.callback(stage.close)
        stage.people()
        for name in OPERATORS:
            stage.operators[name] = installation.dockgate("operator", "add", name)["password"]
        yield stage
