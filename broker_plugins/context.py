"""How a plugin finds the program around it: amqtt hands it a context, that knows the broker, and that carries a ``runtime``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from amqtt.contexts import BaseContext

from gateway.broker.session import IDENTITY
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from amqtt.session import Session

    from gateway.model import Identity
    from gateway.runtime import Runtime


def broker_of(context: BaseContext) -> Any:  # noqa: ANN401 - a stock Broker or ours
    """Amqtt has no public way from a context to its broker; tests/contract_amqtt pins this one."""
    return cast("Any", context)._broker_instance  # noqa: SLF001


def runtime_of(context: BaseContext) -> Runtime:
    runtime = getattr(broker_of(context), "runtime", None)
    if runtime is None:
        raise ConfigError("this plugin needs a broker that dockgate serves", hint="dockgate serve")
    return cast("Runtime", runtime)


def identity_of(session: Session | None) -> Identity | None:
    return session.attributes.get(IDENTITY) if session is not None else None
