"""Finding broker.yaml, laying the environment over it, and saying in one message all that is wrong with both.

In: a path and the environment. Out: a frozen Config, or a ConfigError that names each option, its source, and its
value unless that could be a secret. Whether the files that are named exist is for ``Config.problems()`` to say.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config import complaints, reading
from gateway.config.options import ENV_PREFIX, ENV_SEPARATOR
from gateway.config.problems import Problem, problems
from gateway.config.settings import DockgateSettings, FileSettings, ListenerSettings
from gateway.errors import ConfigError

PATH_VARIABLE = "DOCKGATE_CONFIG"
SEARCHED = (Path("broker.yaml"), Path("/etc/dockgate/broker.yaml"))
Keys = tuple[str, ...]
# What amqtt's ListenerConfig knows; it refuses a key it does not know.
_AMQTT_KEYS = ("certfile", "keyfile", "cafile")
# amqtt takes this bind for "not set" and puts the default listener's in its place, which is none; the second spelling
# says the same and is kept.
_AMQTT_UNSET_BIND, _SAME_BIND = "0.0.0.0:1883", "0.0.0.0:01883"


@dataclass(frozen=True, slots=True)
class Config:
    """What the file and the environment say. ``path`` is the absolute path of the file."""

    path: Path
    _settings: FileSettings = field(repr=False)
    _sources: Mapping[Keys, str] = field(repr=False, compare=False)

    @property
    def listeners(self) -> dict[str, ListenerSettings]:
        return dict(self._settings.listeners)

    @property
    def plugins(self) -> dict[str, dict[str, Any]]:
        return copy.deepcopy(self._settings.plugins)

    @property
    def dockgate(self) -> DockgateSettings:
        return self._settings.dockgate

    def amqtt(self) -> dict[str, Any]:
        """The part for amqtt's BrokerConfig: a fresh dictionary each time, as amqtt writes into what it is given."""
        listeners: dict[str, dict[str, Any]] = {"default": {"bind": None}}
        for name, listener in self._settings.listeners.items():
            bind = str(listener.bind)
            entry: dict[str, Any] = {
                "type": listener.type,
                "bind": _SAME_BIND if bind == _AMQTT_UNSET_BIND else bind,
                "ssl": listener.ssl,
                "max_connections": listener.max_connections,
            }
            entry |= {key: str(value) for key in _AMQTT_KEYS if (value := getattr(listener, key)) is not None}
            listeners[name] = entry
        return {"listeners": listeners, "plugins": self.plugins}

    def source_of(self, option: str) -> str:
        """``log.level``, ``listeners.tls.bind`` -> "default", "file PATH", "environment NAME". ConfigError: no such."""
        parts = tuple(option.removeprefix("dockgate.").split("."))
        value: Any = self._settings
        keys = parts if parts[0] in {"listeners", "plugins"} else ("dockgate", *parts)
        for key in keys:
            known = isinstance(value, dict) and key in value
            if not known and key not in getattr(type(value), "model_fields", {}):
                raise ConfigError(f"there is no option {option}")
            value = value[key] if isinstance(value, dict) else getattr(value, key)
        return ", ".join(_sources_within(self._sources, keys)) or "default"

    def problems(self) -> list[Problem]:
        """What can be read off the configuration and the files it names; see ``gateway.config.problems``."""
        return problems(self._settings, self.path)


def find(explicit: Path | None, env: Mapping[str, str]) -> Path:
    """The file to load: ``--config``, ``$DOCKGATE_CONFIG``, ``./broker.yaml``, ``/etc/dockgate/broker.yaml``.

    ConfigError when there is none.
    """
    named = explicit or (Path(env[PATH_VARIABLE]) if env.get(PATH_VARIABLE) else None)
    if named is not None:
        if not _present(named):
            by = "" if explicit else f" (${PATH_VARIABLE})"
            raise ConfigError(f"{named}: no such configuration file{by}", hint=_hint_for(named))
        return named
    for candidate in SEARCHED:
        if _present(candidate):
            return candidate
    looked = " and no ".join(str(path) if path.is_absolute() else f"./{path}" for path in SEARCHED)
    raise ConfigError(
        f"no configuration: --config and ${PATH_VARIABLE} are not given, and there is no {looked}",
        hint="dockgate init --dir .",
    )


def _hint_for(named: Path) -> str:
    """Nobody wants an installation in the root of all files: there the name was mistyped, more likely."""
    folder = named.absolute().parent
    if folder != Path(folder.anchor):
        return f"dockgate init --dir {shlex.quote(str(named.parent))}"
    return "name the broker.yaml of an installation, or make one: dockgate init --dir NEW"


def _present(path: Path) -> bool:
    """A file that may not be looked at counts: reading it then says so, instead of "there is none"."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def load(path: Path, env: Mapping[str, str]) -> Config:
    """Read, overlay, check. ConfigError with everything that is wrong."""
    path = path.absolute()
    document = reading.read(path)
    if not complaints.is_ours(document):
        raise ConfigError(
            f"{path}: this is no configuration of dockgate: it has none of the keys listeners, plugins and dockgate",
            hint="name the broker.yaml of an installation, or make one: dockgate init --dir NEW",
        )
    sources: dict[Keys, str] = {}
    _note_sources(document, f"file {path}", (), sources)
    _fill_empty_sections(document)
    _overlay(document, env, sources)
    try:
        settings = FileSettings.model_validate(document, context={"base": path.parent})
    except ValidationError as error:
        lines = complaints.describe(error, lambda keys: _source_for_complaint(sources, keys, path))
        heading = f"{path}: " if len(lines) == 1 else f"{path}: {error.error_count()} problems:\n  "
        raise ConfigError(heading + "\n  ".join(lines)) from None  # the cause would show the values
    return Config(path, settings, sources)


# dockgate.SECTION.KEY.NAME and listeners.NAME.KEY: no option lies deeper
_DEEPEST = 4


def _note_sources(value: object, source: str, keys: Keys, sources: dict[Keys, str]) -> None:
    if isinstance(value, dict) and len(keys) < _DEEPEST:
        for key, inner in value.items():
            _note_sources(inner, source, (*keys, str(key)), sources)
    else:
        sources[keys] = source


def _sources_within(sources: Mapping[Keys, str], keys: Keys) -> list[str]:
    """Where the value came from, or the values of a section; each source once."""
    return list(dict.fromkeys(source for known, source in sources.items() if known[: len(keys)] == keys))


def _source_for_complaint(sources: Mapping[Keys, str], keys: Keys, path: Path) -> str:
    while keys and not (found := _sources_within(sources, keys)):
        keys = keys[:-1]
    return ", ".join(found) if keys else f"file {path}"


def _fill_empty_sections(document: dict[str, Any]) -> None:
    """A section whose options are all commented out is null in YAML; it means its defaults."""
    section = document.get("dockgate")
    if section is None:
        section = document["dockgate"] = {}
    if isinstance(section, dict):
        for name in [name for name, value in section.items() if value is None and name in complaints.SECTIONS]:
            section[name] = {}


def _overlay(document: dict[str, Any], env: Mapping[str, str], sources: dict[Keys, str]) -> None:
    for variable in sorted(name for name in env if name.startswith(ENV_PREFIX)):
        value = env[variable]
        if not value:
            continue  # an empty variable is what compose files and unit files make of "not set"
        keys = ("dockgate", *variable.removeprefix(ENV_PREFIX).lower().split(ENV_SEPARATOR))
        target = document
        for key in keys[:-1]:
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            target = inner
        target[keys[-1]] = value
        for stale in [known for known in sources if known[: len(keys)] == keys]:
            del sources[stale]
        sources[keys] = f"environment {variable}"
