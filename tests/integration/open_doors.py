"""Plugins that let everybody in and allow every topic but one, and a gateway with them: MQTT itself, without the rules of docks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from amqtt.contexts import Action as AmqttAction
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from gateway.model import Action
from tests.conftest import Gateway

from . import octets
from .lasting import LastingInstallation, served
from .octets import Octets
from .octets_v5 import Octets5, welcome

# Refused without a word why, as plugins for amqtt do it.
CLOSED = "closed/to/all"


class Everybody(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:  # noqa: ARG002
        return True


class Everything(BaseTopicPlugin):
    def topic_filtering_now(self, *, session: Session, topic: str, action: Action) -> bool | None:  # noqa: ARG002
        return topic != CLOSED

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,  # noqa: ARG002
        topic: str | None = None,
        action: AmqttAction | None = None,  # noqa: ARG002
    ) -> bool | None:
        return topic != CLOSED


class House:
    """The gateway, and clients that are closed with the test."""

    def __init__(self, gateway: Gateway, opened: ExitStack) -> None:
        self.gateway = gateway
        self._opened = opened

    def knock(self) -> Octets5:
        """A connection that has said nothing yet."""
        return self._opened.enter_context(Octets5(self.gateway.port()))

    def five(self, client_id: str, *each: bytes, present: bool = False, **options: Any) -> Octets5:
        """Logged in with MQTT 5; ``each``: properties of CONNECT."""
        client = self.knock()
        assert client.login(client_id, "anybody", "x", *each, **options) == welcome(present=present)
        return client

    def three(self, client_id: str, *, present: bool = False, **options: Any) -> Octets:
        """Logged in with MQTT 3.1.1."""
        client = self._opened.enter_context(Octets(self.gateway.port()))
        assert client.login(client_id, "anybody", "x", **options) == octets.connack(0, present=present)
        return client

    def ask(self, question: Callable[[], Any]) -> Any:
        return self.gateway.ask(question)


@contextmanager
def open_gateway(folder: Path) -> Iterator[Gateway]:
    installation = LastingInstallation(folder)

    def change(settings: dict[str, Any]) -> None:
        settings["plugins"] = {"open_doors.Everybody": {}, "open_doors.Everything": {}}
        settings["dockgate"]["limits"] = {"connections_per_account": 0}

    installation.configure(change)
    with patch.dict(sys.modules, {"open_doors": sys.modules[__name__]}), served(installation) as gateway:
        yield gateway


def quiet(client: Octets) -> bool:
    """Nothing has come, and nothing was about to: what the gateway leaves for its next turn has had one."""
    return client.answers() + client.answers() == b""
