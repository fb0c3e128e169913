"""Our four plugins under amqtt's own Broker: ordinary plugins of amqtt's, that need a ``runtime`` on their broker and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig
from amqtt.errors import PluginInitError

from gateway.simulator import MODELS, Target, make_profile, run_dock
from tests.conftest import Installation, Login
from tests.integration.lasting import wait_until
from tests.integration.octets import Octets, connack, packet, publish, suback, subscribe, text

from .conftest import OURS, StockGateway

SN = "7CTDM7100BSTCK"
OSD = f"thing/product/{SN}/osd"


@pytest.fixture
def dock(installation: Installation) -> Login:
    installation.license()
    return installation.account("dock-1", "dock", "--sn", SN)


@pytest.fixture
def service(installation: Installation) -> Login:
    return installation.account("platform", "service")


@pytest.fixture
def stock(
    installation: Installation, dock: Login, service: Login, serve_stock: Callable[[Installation], StockGateway]
) -> StockGateway:
    return serve_stock(installation)


def logged_in(stock: StockGateway, login: Login, client_id: str) -> Octets:
    client = Octets(stock.port())
    assert client.login(client_id, login.account, login.password) == connack(0)
    return client


def test_logins(stock: StockGateway, dock: Login) -> None:
    for account, password in ((dock.account, "wrong"), ("nobody", dock.password)):
        with Octets(stock.port()) as client:
            assert client.login("dock", account, password)[3] != 0
    with logged_in(stock, dock, "dock") as client:
        assert client.is_silent()


def test_topic_rules(stock: StockGateway, dock: Login, service: Login) -> None:
    with logged_in(stock, service, "platform") as reader, logged_in(stock, dock, "dock") as sender:
        reader.send(subscribe(("thing/product/+/osd", 0), ("thing/product/+/services", 0), ("$SYS/#", 0)))
        assert reader.packet() == suback(1, 0, 0x80, 0x80)
        sender.send(subscribe((f"thing/product/{SN}/services", 0), ("thing/product/OTHER/services", 0)))
        assert sender.packet() == suback(1, 0, 0x80)
        sender.send(publish("thing/product/OTHER/osd", b"forged"), publish(OSD, b"own"))
        assert reader.packet() == packet(0x30, text(OSD) + b"own")


def test_a_docks_request_is_answered_to_that_dock(stock: StockGateway, dock: Login, service: Login) -> None:
    requests = f"thing/product/{SN}/requests"
    data = {"config_type": "json", "config_scope": "product"}
    asked = {"tid": "t-1", "bid": "b-1", "timestamp": 1, "method": "config", "data": data}
    with logged_in(stock, service, "platform") as stranger, logged_in(stock, dock, "dock") as asking:
        stranger.send(subscribe(("thing/product/#", 0)))
        assert stranger.packet() == suback(1, 0)
        asking.send(publish(requests, json.dumps(asked).encode()))
        reply = asking.packet()
        topic = text(f"{requests}_reply")
        assert reply[0] == 0x30
        assert topic in reply[:80]
        body = json.loads(reply[reply.index(topic) + len(topic) :])
        assert (body["tid"], body["bid"]) == ("t-1", "b-1")
        assert body["data"]["app_id"] == "123456"
        # amqtt can't keep a request from its subscribers; the reply goes to nobody else
        assert text(requests) in stranger.packet()
        assert stranger.is_silent()


def test_the_whole_access_of_a_dock_through_paho(stock: StockGateway, installation: Installation, dock: Login) -> None:
    profile = make_profile(
        next(iter(MODELS.values())),
        account=dock.account,
        password=dock.password,
        organization_id=installation.organization_id,
        binding_code=installation.binding_code,
        sn=SN,
    )
    run = run_dock(Target(stock.host, stock.port()), profile)
    assert [(step.step, step.detail) for step in run.steps if not step.ok] == []
    assert installation.dockgate("dock", "show", SN)["bound"] is True


def test_presence(stock: StockGateway, dock: Login) -> None:
    presence = stock.runtime.presence

    def is_connected() -> bool:
        return stock.ask(lambda: presence.is_connected(SN))

    assert not is_connected()
    client = logged_in(stock, dock, "dock")
    assert client.is_silent()
    assert is_connected()
    client.send(publish(OSD, b'{"data":{}}', qos=1))
    assert client.packet()[0] == 0x40
    wait_until(stock, lambda: presence.is_online(SN))
    client.close()
    wait_until(stock, lambda: not presence.is_connected(SN))


@pytest.mark.parametrize("name", OURS)
def test_a_plugin_without_a_runtime_says_what_is_wrong(name: str) -> None:
    async def scenario() -> None:
        Broker(BrokerConfig.from_dict({"listeners": {"default": {"bind": None}}, "plugins": {name: {}}}))

    with pytest.raises(PluginInitError) as caught:
        asyncio.run(scenario())
    assert "dockgate" in str(caught.value.__cause__)
