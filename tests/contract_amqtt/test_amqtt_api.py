"""What of amqtt the broker room and the plugins lean on. If one of these fails after an upgrade, read what it guards first."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import amqtt
import pytest
from amqtt.broker import Broker, BrokerContext
from amqtt.contexts import Action as AmqttAction
from amqtt.contexts import BaseContext, BrokerConfig, ListenerConfig
from amqtt.errors import PluginCoroError, PluginImportError, PluginInitError, PluginLoadError
from amqtt.events import BrokerEvents
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.session import IncomingApplicationMessage
from amqtt.session import Session as AmqttSession
from dacite.exceptions import UnexpectedDataError

from gateway.broker.session import Session, SessionLimits
from gateway.model import Action

from . import zoo


def config(**sections: Any) -> BrokerConfig:
    return BrokerConfig.from_dict(
        {"listeners": {"default": {"bind": None}}, "plugins": {"zoo.Open": {}}} | sections,
    )


async def made(plugins: dict[str, Any], **attributes: Any) -> Broker:
    """A broker that is not started, of a subclass that sets ``attributes`` before amqtt's own initialisation."""

    class Carrier(Broker):
        def __init__(self) -> None:
            for name, value in attributes.items():
                setattr(self, name, value)
            super().__init__(config(plugins=plugins), loop=asyncio.get_running_loop())

    return Carrier()


def test_the_version_is_the_one_that_was_read() -> None:
    assert amqtt.__version__ == version("amqtt") == "0.12.1"


# -- BrokerConfig


@pytest.mark.parametrize("section", ["dockgate", "listener", "plugin", "admin"])
def test_an_unknown_section_is_refused(section: str) -> None:
    """So the ``dockgate`` section has to be kept away from it."""
    with pytest.raises(UnexpectedDataError):
        config(**{section: {}})


@pytest.mark.parametrize("key", ["crlfile", "client_auth", "certificate"])
def test_an_unknown_key_of_a_listener_is_refused(key: str) -> None:
    """``Config.amqtt`` leaves out those of ours that amqtt does not know."""
    with pytest.raises(UnexpectedDataError):
        config(listeners={"default": {"bind": None, key: "x"}})


def test_a_default_listener_is_needed_and_without_an_address_it_is_not_opened() -> None:
    with pytest.raises(KeyError):
        config(listeners={"tcp": {"bind": "127.0.0.1:0"}})
    assert "bind" not in config(listeners={"default": {"bind": None}}).listeners["default"]
    assert "bind" in config(listeners={"default": {"bind": "127.0.0.1:0"}}).listeners["default"]


def test_what_a_listener_has_as_amqtts_default_is_taken_from_the_default_listener() -> None:
    """The unbound default would unbind a listener on 0.0.0.0:1883; ``Config.amqtt`` spells that one differently."""
    listeners = config(
        listeners={"default": {"bind": None}, "a": {"bind": "0.0.0.0:1883"}, "b": {"bind": "0.0.0.0:01883"}}
    ).listeners
    assert (listeners["a"].bind, listeners["b"].bind) == (None, "0.0.0.0:01883")
    assert ListenerConfig().bind == "0.0.0.0:1883"


def test_files_that_a_listener_names_have_to_be_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(FileNotFoundError):
        config(listeners={"default": {"bind": None, "ssl": True, "certfile": missing, "keyfile": missing}})
    with pytest.raises(ValueError, match="both are required"):
        config(listeners={"default": {"bind": None, "ssl": True, "certfile": missing}})


def test_without_plugins_amqtt_would_let_everybody_in() -> None:
    """Why a broker.yaml without plugins is refused by ours."""
    plugins = BrokerConfig.from_dict({"listeners": {"default": {"bind": None}}}).plugins
    assert isinstance(plugins, dict)
    assert plugins["amqtt.plugins.authentication.AnonymousAuthPlugin"] == {"allow_anonymous": True}


# -- loading plugins


def test_plugins_are_loaded_by_their_dotted_names_in_the_order_of_the_file() -> None:
    async def scenario() -> list[str]:
        broker = await made({"zoo.OpenTopics": {}, "zoo.Mute": {}, "zoo.Open": {}, "zoo.Diary": {}})
        return [type(plugin).__name__ for plugin in broker.plugins_manager.plugins]

    assert asyncio.run(scenario()) == ["OpenTopics", "Mute", "Open", "Diary"]


def test_a_plugins_options_become_its_config_dataclass() -> None:
    async def scenario() -> None:
        await made({"zoo.Greeting": {"word": "hello", "names": ["a", "b"]}, "zoo.Mute": {}})

    asyncio.run(scenario())
    (greeting,) = zoo.Greeting.made
    assert greeting.config == greeting.context.config == zoo.Greeting.Config("hello", 1, ["a", "b"])  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    "options", [{}, {"word": 3}, {"word": "x", "times": "many"}, {"word": "x", "color": "red"}], ids=str
)
def test_options_are_checked_strictly(options: dict[str, Any]) -> None:
    async def scenario() -> None:
        await made({"zoo.Greeting": options})

    with pytest.raises(PluginLoadError):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("zoo.Missing", PluginImportError),
        ("no.such.module.Plugin", PluginImportError),
        ("zoo.Stranger", PluginLoadError),
        ("zoo.NotConfigurable", PluginLoadError),
        ("zoo.Explosive", PluginInitError),
        ("zoo.HastyJudge", PluginCoroError),
        ("zoo.HastyTopics", PluginCoroError),
        ("zoo.HastyObserver", PluginImportError),
    ],
)
def test_what_can_not_be_a_plugin_ends_the_start(name: str, error: type[Exception]) -> None:
    async def scenario() -> None:
        await made({name: {}})

    with pytest.raises(error) as caught:
        asyncio.run(scenario())
    if error is PluginInitError:
        assert str(caught.value.__cause__) == "no"  # ``serve.build_broker`` tells the operator this


def test_closing_the_manager_closes_each_plugin_once() -> None:
    async def scenario() -> None:
        broker = await made({"zoo.Greeting": {"word": "a"}, "zoo.Mute": {}})
        await broker.plugins_manager.close()

    asyncio.run(scenario())
    assert [plugin.closed for plugin in zoo.Greeting.made] == [1]


# -- the way from a plugin to its broker


def test_a_plugin_finds_what_a_subclass_has_set_on_its_broker_before_amqtts_initialisation() -> None:
    """Two brokers in one process, each with its own."""

    async def scenario() -> tuple[Any, Any]:
        return await made({"zoo.Greeting": {"word": "a"}}, runtime=1), await made(
            {"zoo.Greeting": {"word": "b"}}, runtime=2
        )

    brokers = asyncio.run(scenario())
    assert [plugin.context._broker_instance for plugin in zoo.Greeting.made] == list(brokers)  # type: ignore[attr-defined]
    assert [plugin.context._broker_instance.runtime for plugin in zoo.Greeting.made] == [1, 2]  # type: ignore[attr-defined]


def test_each_plugin_has_a_context_and_a_logger_of_its_own() -> None:
    async def scenario() -> list[BasePlugin[Any]]:
        return (await made({"zoo.Mute": {}, "zoo.Open": {}})).plugins_manager.plugins

    one, other = asyncio.run(scenario())
    assert one.context is not other.context
    assert isinstance(one.context, BrokerContext)
    assert (one.context.logger.name, other.context.logger.name) == (
        "amqtt.broker.plugins.Mute",
        "amqtt.broker.plugins.Open",
    )


def test_the_context_asks_its_broker() -> None:
    """What GatewayBroker answers in its own way: these names, read at each call."""
    source = inspect.getsource(BrokerContext)
    for name in ("internal_message_broadcast", "retain_message", "sessions", "retained_messages", "subscriptions"):
        assert f"_broker_instance.{name}" in source
        assert hasattr(Broker, name)
    assert list(inspect.signature(Broker.internal_message_broadcast).parameters) == ["self", "topic", "data", "qos"]
    assert list(inspect.signature(Broker.retain_message).parameters) == [
        "self", "source_session", "topic_name", "data", "qos",
    ]  # fmt: skip


# -- signatures, names and numbers


def test_the_names_of_the_events() -> None:
    assert [event.value for event in BrokerEvents] == [
        "broker_pre_start",
        "broker_post_start",
        "broker_pre_shutdown",
        "broker_post_shutdown",
        "broker_client_connected",
        "broker_client_disconnected",
        "broker_client_subscribed",
        "broker_client_unsubscribed",
        "broker_retained_message",
        "broker_message_received",
        "broker_message_broadcast",
    ]
    assert f"on_{BrokerEvents.PRE_START}" == "on_broker_pre_start"


def test_the_actions_are_the_same_words_as_ours() -> None:
    assert {action.name: action.value for action in AmqttAction} == {action.name: action.value for action in Action}


def test_how_judges_are_called() -> None:
    assert zoo.accepts(BaseAuthPlugin.authenticate, "self", "session")
    assert inspect.signature(BaseAuthPlugin.authenticate).parameters["session"].kind is inspect.Parameter.KEYWORD_ONLY
    parameters = inspect.signature(BaseTopicPlugin.topic_filtering).parameters
    assert list(parameters) == ["self", "session", "topic", "action"]
    assert all(parameters[name].default is None for name in ("session", "topic", "action"))
    assert inspect.iscoroutinefunction(BaseAuthPlugin.authenticate)
    assert inspect.iscoroutinefunction(BaseTopicPlugin.topic_filtering)


def test_a_plugin_is_made_of_a_context_alone() -> None:
    for kind in (BasePlugin, BaseAuthPlugin, BaseTopicPlugin):
        assert list(inspect.signature(kind.__init__).parameters) == ["self", "context"]
    assert hasattr(BaseContext(), "loop")


def test_a_message_for_plugins() -> None:
    message = IncomingApplicationMessage(7, "a/b", 1, b"x", True)
    told = {name: getattr(message, name) for name in ("packet_id", "topic", "qos", "data", "retain")}
    assert told == {"packet_id": 7, "topic": "a/b", "qos": 1, "data": b"x", "retain": True}


# -- Session: ours leaves amqtt's initialisation out


def test_our_session_has_what_amqtts_has_but_its_queues_and_what_only_clients_use() -> None:
    ours = Session(SessionLimits(inflight=1, queued_messages=1, queued_bytes=1), dropped=print)
    left_out = {
        # a client's side of it
        "broker_uri", "cafile", "capath", "cadata", "publish_retry_delay",
        # ours has its own
        "_packet_id", "retained_messages", "delivered_message_queue",
    }  # fmt: skip
    assert {name for name in vars(AmqttSession()) if not hasattr(ours, name)} == left_out
    assert isinstance(ours, AmqttSession)
    assert (ours.inflight_in_count, ours.inflight_out_count, ours.retained_messages_count) == (0, 0, 0)


def test_attributes_of_a_session_belong_to_plugins() -> None:
    session = AmqttSession()
    assert session.attributes == {}
    assert type(session.attributes) is dict


def test_sessions_of_amqtt_are_equal_by_client_id_and_so_can_not_be_hashed() -> None:
    """Why ours has its own ``__eq__`` and ``__hash__``."""
    one, other = AmqttSession(), AmqttSession()
    assert one == other
    with pytest.raises(TypeError):
        hash(one)


def test_the_states_that_plugins_ask_for() -> None:
    session = AmqttSession()
    assert session.transitions.state == "new"
    assert AmqttSession.states == ["new", "connected", "disconnected"]
