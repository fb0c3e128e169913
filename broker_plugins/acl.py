"""Topic rules: session, topic and action -> ``gateway.policy`` -> yes or no; never None from amqtt's method, never an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqtt.plugins.base import BaseTopicPlugin

from broker_plugins.context import identity_of, runtime_of
from gateway.auth import Denied
from gateway.broker.session import DENIED, IDENTITY
from gateway.model import Action
from gateway.policy import decide

if TYPE_CHECKING:
    from amqtt.contexts import Action as AmqttAction
    from amqtt.contexts import BaseContext
    from amqtt.session import Session


class TopicRulesPlugin(BaseTopicPlugin):
    begins_at_once = True

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        runtime = runtime_of(context)
        self._directory = runtime.services.directory
        self._authenticator = runtime.authenticator
        self._presence = runtime.presence

    def topic_filtering_now(self, *, session: Session, topic: str, action: Action) -> bool | None:
        """The answer from memory. None: the account has no SN yet, and this topic would give it one."""
        identity = identity_of(session)
        if identity is None:
            return False
        decision = decide(identity, action, topic, self._directory)
        if decision.pin_sn is not None:
            return None
        if not decision.allow and action is not Action.RECEIVE:
            session.attributes[DENIED] = str(decision.reason)
            self._authenticator.denied(identity, topic)
        return decision.allow

    def rules_version(self) -> int:
        return self._directory.version

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: AmqttAction | None = None
    ) -> bool | None:
        identity = identity_of(session)
        if identity is None or session is None or topic is None or action is None:
            return False
        wanted = Action(action.value)
        decision = decide(identity, wanted, topic, self._directory)
        if decision.pin_sn is not None:
            pinned = await self._authenticator.pin(identity, decision.pin_sn)
            if isinstance(pinned, Denied):
                session.attributes[DENIED] = str(pinned.reason)
                return False
            session.attributes[IDENTITY] = pinned
            # Here, and not with its first message: that may be answered, and told of, before anybody knows who is there.
            # One that is not open yet, as when its will is judged, is told of when it opens.
            if session.transitions.is_connected():
                self._presence.connected(pinned, id(session), session.remote_address or "")
            decision = decide(pinned, wanted, topic, self._directory)
        if not decision.allow and wanted is not Action.RECEIVE:
            session.attributes[DENIED] = str(decision.reason)
        return decision.allow
