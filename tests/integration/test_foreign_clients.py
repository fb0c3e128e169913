"""Clients that others wrote, through the gateway: QoS, retained, sessions that last, take-over, wills, shared subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.simulator import MODELS, Target, TlsFiles, make_profile, run_dock
from gateway.topics import Kind, device_topic

from .foreign import CLIENTS, Client, Mosquitto, all_of, drain, finish
from .test_requests import dock_of, profile_of
from .town import DOCK_A, Town, settle, until

OSD, EVENTS, SERVICES = (device_topic(DOCK_A, kind) for kind in (Kind.OSD, Kind.EVENTS, Kind.SERVICES))
every_client = pytest.mark.parametrize("kind", CLIENTS.values(), ids=CLIENTS.keys())
both_versions = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])


@pytest.fixture
def town(installation: Any, serve: Any) -> Town:
    return settle(installation, serve, "dock-a", "service-a", "service-all")


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


def client(town: Town, kind: type[Client], name: str, **options: Any) -> Client:
    words = {"client_id": f"{name}-{kind.__name__}", **options}
    return kind(town.gateway.host, town.gateway.port(), name, town.passwords[name], **words)


def mosquitto(town: Town, name: str, version: int, *, tls: bool = False) -> Mosquitto:
    ca = town.installation.ca if tls else None
    port = town.gateway.port("tls" if tls else "plain")
    return Mosquitto(
        "localhost" if tls else town.gateway.host, port, name, town.passwords[name], version=version, ca=ca
    )


@pytest.mark.parametrize("speaker", CLIENTS.values(), ids=CLIENTS.keys())
@pytest.mark.parametrize("listener", CLIENTS.values(), ids=[f"to-{name}" for name in CLIENTS])
def test_every_qos_between_a_dock_and_a_service(
    town: Town, keep: Any, speaker: type[Client], listener: type[Client]
) -> None:
    dock = keep(client(town, speaker, "dock-a"))
    for granted in (0, 1, 2):
        service = keep(client(town, listener, "service-a", client_id=f"listens-{granted}"))
        assert service.subscribe("thing/product/+/osd", granted) == granted
        for sent in (0, 1, 2):
            for number in range(5):
                dock.publish(OSD, b"%d-%d" % (sent, number), qos=sent)
            got = [service.get() for _ in range(5)]
            assert [each.payload for each in got] == [b"%d-%d" % (sent, number) for number in range(5)]
            assert {each.qos for each in got} == {min(sent, granted)}
        assert service.arrived.empty()
    # and down
    assert dock.subscribe(SERVICES, 2) == 2
    for sent in (0, 1, 2):
        service.publish(SERVICES, b"down", qos=sent)
        got = dock.get()
        assert (got.topic, got.payload, got.qos) == (SERVICES, b"down", sent)


@every_client
def test_retained(town: Town, keep: Any, kind: type[Client]) -> None:
    dock = keep(client(town, kind, "dock-a"))
    early = keep(client(town, kind, "service-a", client_id="early"))
    early.subscribe("thing/product/+/events", 1)
    dock.publish(EVENTS, b"old", retain=True)
    dock.publish(EVENTS, b"kept", retain=True)
    assert drain(early, 2) == [b"old", b"kept"]
    late = keep(client(town, kind, "service-a", client_id="late"))
    late.subscribe("thing/product/+/events", 1)
    got = late.get()
    assert (got.payload, got.retain) == (b"kept", True)
    dock.publish(EVENTS, b"", retain=True)
    assert late.get().payload == b""
    last = keep(client(town, kind, "service-a", client_id="last"))
    last.subscribe("thing/product/+/events", 1)
    dock.publish(EVENTS, b"fence")
    assert last.get().payload == b"fence"


@every_client
def test_a_session_that_lasts_gets_what_it_missed(town: Town, keep: Any, kind: type[Client]) -> None:
    dock = client(town, kind, "dock-a", client_id="the-dock", lasting=True)
    dock.open()
    assert not dock.present
    dock.subscribe(SERVICES, 2)
    service = keep(client(town, kind, "service-a"))
    service.publish(SERVICES, b"while here")
    assert dock.get().payload == b"while here"
    until(town.gateway, lambda: not town.gateway.broker.table.get("the-dock").inflight_out)
    dock.drop()
    until(town.gateway, lambda: not town.gateway.broker.table.get("the-dock").connected)
    missed = [b"missed %d" % number for number in range(50)]
    for number, payload in enumerate(missed):
        service.publish(SERVICES, payload, qos=1 + number % 2)
    back = keep(client(town, kind, "dock-a", client_id="the-dock", lasting=True))
    assert back.present
    got = drain(back, 50)
    assert sorted(got) == sorted(missed)
    for start in (0, 1):  # in order within each QoS (MQTT 3.1.1, 4.6)
        assert [payload for payload in got if payload in missed[start::2]] == missed[start::2]
    service.publish(SERVICES, b"and on")
    assert back.get().payload == b"and on"
    back.close()
    # who starts clean starts with nothing
    until(town.gateway, lambda: not town.gateway.broker.table.get("the-dock").connected)
    service.publish(SERVICES, b"lost")
    clean = keep(client(town, kind, "dock-a", client_id="the-dock"))
    assert not clean.present
    clean.subscribe(SERVICES, 1)
    service.publish(SERVICES, b"fresh")
    assert clean.get().payload == b"fresh"


@every_client
def test_the_newer_connection_takes_over(town: Town, keep: Any, kind: type[Client]) -> None:
    first = client(town, kind, "dock-a", client_id="the-dock", lasting=True)
    first.open()
    first.subscribe(SERVICES, 1)
    second = keep(client(town, kind, "dock-a", client_id="the-dock", lasting=True))
    assert first.ended.wait(5)
    assert second.present
    service = keep(client(town, kind, "service-a"))
    service.publish(SERVICES, b"for the second")
    assert second.get().payload == b"for the second"
    assert first.arrived.empty()
    first.close()


@every_client
def test_a_will_is_for_who_leaves_without_a_word(town: Town, keep: Any, kind: type[Client]) -> None:
    service = keep(client(town, kind, "service-a"))
    service.subscribe("thing/product/+/events", 1)
    for number, leave in enumerate((Client.close, Client.drop)):
        dock = client(town, kind, "dock-a", client_id=f"dock-{number}", will=(EVENTS, b"will %d" % number))
        dock.open()
        getattr(dock, leave.__name__)()
    assert service.get().payload == b"will 1"
    assert service.arrived.empty()


@every_client
def test_a_shared_subscription_gives_each_message_to_one(town: Town, keep: Any, kind: type[Client]) -> None:
    dock = keep(client(town, kind, "dock-a"))
    group = [keep(client(town, kind, "service-a", client_id=f"worker-{number}")) for number in range(3)]
    for member in group:
        assert member.subscribe("$share/workers/thing/product/+/osd", 1) == 1
    everything = keep(client(town, kind, "service-all", client_id="all"))
    everything.subscribe("thing/product/+/osd", 1)
    sent = [b"%d" % number for number in range(60)]
    for payload in sent:
        dock.publish(OSD, payload)
    assert drain(everything, 60) == sent
    until(town.gateway, lambda: not any(session.inflight_out for session in town.gateway.broker.table))
    shares = all_of(group, 60)
    assert sorted(int(each) for share in shares for each in share) == list(range(60))
    assert min(len(share) for share in shares) >= 10  # each has its part
    # one leaves: the others go on
    group[0].close()
    until(town.gateway, lambda: town.gateway.broker.table.get("worker-0") is None)
    for payload in sent:
        dock.publish(OSD, payload)
    drain(everything, 60)
    until(town.gateway, lambda: not any(session.inflight_out for session in town.gateway.broker.table))
    assert sorted(int(each) for share in all_of(group, 60) for each in share) == list(range(60))


@both_versions
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_mosquitto_pub_and_sub(town: Town, keep: Any, version: int, tls: bool) -> None:
    service, dock = mosquitto(town, "service-a", version, tls=tls), mosquitto(town, "dock-a", version, tls=tls)
    words = ("-t", "thing/product/+/osd", "-F", "%t %q %p", "-C", "4", "-W", "10", "-i", "sub")
    with service.start("mosquitto_sub", "-q", "2", *words) as sub:
        until(town.gateway, lambda: (found := town.gateway.broker.table.get("sub")) and found.subscriptions)
        for qos in ("0", "1", "2"):
            assert dock.run("mosquitto_pub", "-t", OSD, "-q", qos, "-m", f"at {qos}") == (0, b"")
        assert dock.run("mosquitto_pub", "-t", OSD, "-q", "1", "-s", stdin=b"{}") == (0, b"")
        assert finish(sub) == (0, [f"{OSD} {qos} at {qos}".encode() for qos in (0, 1, 2)] + [f"{OSD} 1 {{}}".encode()])
    # what it may not, it is told as its version can
    code, said = dock.run("mosquitto_pub", "-t", device_topic("7CTDM7100B000B", Kind.OSD), "-q", "1", "-m", "x")
    assert (b"ot authori" in said) == (version == 5), code
    code, said = mosquitto(town, "dock-a", version).run("mosquitto_sub", "-t", "#", "-W", "2")
    assert code != 0 or b"denied" in said.lower() or b"rejected" in said.lower()
    wrong = Mosquitto(town.gateway.host, town.gateway.port(), "dock-a", "guess", version=version)
    code, said = wrong.run("mosquitto_pub", "-t", OSD, "-m", "x")
    assert code != 0
    assert b"refused" in said or b"ot authori" in said or b"password" in said.lower()


@both_versions
def test_mosquitto_sub_keeps_its_session(town: Town, version: int) -> None:
    service, dock = mosquitto(town, "service-a", version), mosquitto(town, "dock-a", version)
    lasting = ("-i", "lasting", "-c", "-q", "1", "-t", "thing/product/+/events")
    if version == 5:
        lasting += ("-x", "600")
    with service.start("mosquitto_sub", *lasting, "-C", "1") as sub:
        until(town.gateway, lambda: (found := town.gateway.broker.table.get("lasting")) and found.subscriptions)
        dock.run("mosquitto_pub", "-t", EVENTS, "-q", "1", "-m", "first")
        assert finish(sub) == (0, [b"first"])
    until(town.gateway, lambda: not town.gateway.broker.table.get("lasting").connected)
    for number in range(5):
        dock.run("mosquitto_pub", "-t", EVENTS, "-q", "1", "-m", f"missed {number}")
    with service.start("mosquitto_sub", *lasting, "-C", "5") as sub:
        assert finish(sub) == (0, [b"missed %d" % number for number in range(5)])


@both_versions
def test_mosquitto_rr_asks_a_dock(town: Town, keep: Any, version: int) -> None:
    dock = keep(dock_of(town, profile_of(town), protocol=version))
    reply = device_topic(DOCK_A, Kind.SERVICES_REPLY)
    service = mosquitto(town, "service-a", version)
    with service.start(
        "mosquitto_rr", "-t", SERVICES, "-e", reply, "-m", '{"method":"cover_open"}', "-q", "1", "-W", "10"
    ) as rr:
        assert dock.expect(SERVICES).payload == b'{"method":"cover_open"}'
        dock.publish(reply, b'{"result":0}')
        assert finish(rr) == (0, [b'{"result":0}'])


def test_properties_of_mqtt_5_pass_through(town: Town) -> None:
    async def scenario() -> None:
        def made(name: str) -> aiomqtt.Client:
            return aiomqtt.Client(
                town.gateway.host, town.gateway.port(), username=name, password=town.passwords[name],
                identifier=f"{name}-aio", protocol=aiomqtt.ProtocolVersion.V5,
            )  # fmt: skip

        async with made("dock-a") as dock, made("service-a") as service:
            await service.subscribe("thing/product/+/osd", qos=1)
            await dock.subscribe(SERVICES, qos=1)
            for speaker, listener, topic in ((dock, service, OSD), (service, dock, SERVICES)):
                properties = Properties(PacketTypes.PUBLISH)
                properties.ContentType = "application/json"
                properties.ResponseTopic = device_topic(DOCK_A, Kind.SERVICES_REPLY)
                properties.CorrelationData = b"\0\1\2"
                properties.PayloadFormatIndicator = 1
                properties.MessageExpiryInterval = 300
                properties.UserProperty = [
                    ("a", "1"),
                    ("a", "2"),
                    ("site", "Z\N{LATIN SMALL LETTER U WITH DIAERESIS}rich"),
                ]
                await speaker.publish(topic, b"{}", qos=1, properties=properties)
                got = await anext(aiter(listener.messages))
                assert got.properties is not None
                assert got.properties.json() == {
                    **properties.json(),
                    "MessageExpiryInterval": got.properties.MessageExpiryInterval,
                }
                assert 298 <= got.properties.MessageExpiryInterval <= 300

    asyncio.run(scenario())


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@both_versions
def test_a_dock_over_websocket(installation: Any, serve: Any, version: Any, tls: bool) -> None:
    def change(settings: dict[str, Any]) -> None:
        settings["listeners"]["web"] = {"type": "ws", "bind": "127.0.0.1:0"}
        if tls:
            files = {"certfile": "certs/server.pem", "keyfile": "certs/server.key"}
            settings["listeners"]["web"].update(ssl=True, **files)

    installation.configure(change)
    installation.license()
    login = installation.account("dock-1")
    gateway = serve(installation)
    profile = make_profile(
        MODELS["dock2"], account="dock-1", password=login.password, organization_id=installation.organization_id,
        binding_code=installation.binding_code,
    )  # fmt: skip
    files = TlsFiles(ca=installation.ca) if tls else None
    run = run_dock(Target("localhost", gateway.port("web"), tls=files, websocket=True, protocol=version), profile)
    assert [(step.step, step.detail) for step in run.steps if not step.ok] == []
