"""What plugins are told: the same events with the same arguments by amqtt's broker and by ours; by ours in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amqtt.events import BrokerEvents

from tests.conftest import Gateway, Installation
from tests.integration.lasting import served, wait_until
from tests.integration.octets import Octets, connack, puback, publish, suback, subscribe, unsuback, unsubscribe

from .conftest import StockGateway
from .zoo import Diary

Write = Callable[..., None]


def a_clients_life(port: int) -> None:
    with Octets(port) as client:
        assert client.login("client", "alice", "secret") == connack(0)
        assert client.answers(subscribe(("elsewhere", 1))) == suback(1, 1)
        assert client.answers(publish("a/b", b"x", qos=1, packet_id=7, retain=True)) == puback(7)
        client.send(unsubscribe("elsewhere", packet_id=3))
        assert client.packet() == unsuback(3)
        client.close()


def told(event: BrokerEvents) -> list[dict[str, Any]]:
    return [arguments for name, arguments in Diary.events if name == f"on_{event}"]


@pytest.mark.parametrize("kind", [Gateway, StockGateway], ids=["ours", "amqtt's"])
def test_every_event_comes_with_the_arguments_that_plugins_expect(
    kind: type[Gateway], installation: Installation, with_plugins: Write
) -> None:
    with_plugins("zoo.Open", "zoo.OpenTopics", "zoo.Diary")
    with served(installation, kind) as gateway:
        a_clients_life(gateway.port())
        wait_until(gateway, lambda: told(BrokerEvents.CLIENT_DISCONNECTED))
    assert {name for name, _ in Diary.events} == {f"on_{event}" for event in BrokerEvents}
    for event in (
        BrokerEvents.PRE_START,
        BrokerEvents.POST_START,
        BrokerEvents.PRE_SHUTDOWN,
        BrokerEvents.POST_SHUTDOWN,
    ):
        assert told(event) == [{}]
    for event in (BrokerEvents.CLIENT_CONNECTED, BrokerEvents.CLIENT_DISCONNECTED):
        (arguments,) = told(event)
        assert set(arguments) == {"client_id", "client_session"}
        session = arguments["client_session"]
        assert (arguments["client_id"], session.client_id, session.username) == ("client", "client", "alice")
        assert session.remote_address == "127.0.0.1"
    assert {"client_id": "client", "topic": "elsewhere", "qos": 1} in told(BrokerEvents.CLIENT_SUBSCRIBED)
    assert {"client_id": "client", "topic": "elsewhere"} in told(BrokerEvents.CLIENT_UNSUBSCRIBED)
    for event in (BrokerEvents.MESSAGE_RECEIVED, BrokerEvents.MESSAGE_BROADCAST):
        (arguments,) = told(event)
        assert set(arguments) == {"client_id", "message"}
        message = arguments["message"]
        assert (message.topic, bytes(message.data), message.qos) == ("a/b", b"x", 1)
    (arguments,) = told(BrokerEvents.RETAINED_MESSAGE)
    assert set(arguments) == {"client_id", "retained_message"}
    retained = arguments["retained_message"]
    assert arguments["client_id"] is None
    assert (retained.topic, bytes(retained.data), retained.qos, retained.retain) == ("a/b", b"x", 1, True)


def test_events_come_in_the_order_in_which_things_happened(installation: Installation, with_plugins: Write) -> None:
    with_plugins("zoo.Open", "zoo.OpenTopics", "zoo.SlowObserver", "zoo.Diary")
    with served(installation) as gateway, Octets(gateway.port()) as client:
        assert client.login("client", "alice", "secret") == connack(0)
        client.send(*(publish("a/b", b"%d" % number) for number in range(20)))
        assert client.is_silent()
        client.close()
        wait_until(gateway, lambda: gateway.broker.metrics.connections.open == 0)
    order = [
        bytes(arguments["message"].data) if "message" in arguments else name
        for name, arguments in Diary.events
        if name not in {"on_broker_message_broadcast", "on_broker_client_unsubscribed"}
    ]
    assert order == [
        "on_broker_pre_start",
        "on_broker_post_start",
        "on_broker_client_connected",
        *(b"%d" % number for number in range(20)),
        "on_broker_client_disconnected",
        "on_broker_pre_shutdown",
        "on_broker_post_shutdown",
    ]


def test_a_denied_publish_is_no_event(installation: Installation, with_plugins: Write) -> None:
    """Fact 9: amqtt tells of it before it is judged; a plugin that answers would answer what is not allowed."""
    with_plugins("zoo.Open", "zoo.UndecidedTopics", "zoo.Diary")
    with served(installation) as gateway, Octets(gateway.port()) as client:
        assert client.login("client", "alice", "secret") == connack(0)
        assert client.answers(publish("a/b", b"x", qos=1, retain=True)) == puback()
    assert told(BrokerEvents.MESSAGE_RECEIVED) == told(BrokerEvents.MESSAGE_BROADCAST) == []
    assert told(BrokerEvents.RETAINED_MESSAGE) == []
