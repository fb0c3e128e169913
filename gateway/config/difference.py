"""Two configurations come in, what a reload changes goes out: the names of options, told apart by whether they can change while
the gateway runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gateway.config.loading import Config

# Options, or sections of them, that a reload takes over; TLS of a listener that stays where it is comes with the listener.
_LIVE = ("log.", "card.")
_LIVE_OF_LISTENER = ("certfile", "keyfile", "cafile", "crlfile", "client_auth")


def differences(old: Config, new: Config) -> tuple[list[str], list[str]]:
    """Names of the options that differ: those a reload takes over, and those that need a restart."""
    before, after = dict(_all(old)), dict(_all(new))
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    live = [name for name in changed if _is_live(name, new)]
    return live, [name for name in changed if name not in live]


def _is_live(name: str, new: Config) -> bool:
    section, _, rest = name.partition(".")
    if section != "listeners":
        return name.startswith(_LIVE)
    listener, _, option = rest.partition(".")
    return option in _LIVE_OF_LISTENER and listener in new.listeners


def _all(config: Config) -> Iterator[tuple[str, Any]]:
    yield from _walk(config.dockgate, "")
    for name, listener in config.listeners.items():
        yield from _walk(listener, f"listeners.{name}.")
    for name, options in config.plugins.items():
        yield f"plugins.{name}", options


def _walk(section: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
