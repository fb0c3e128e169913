"""The text of a new broker.yaml, with every option explained beside its default.

It only makes text, never overwrites: writing it is for ``dockgate init``.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Mapping

import yaml

from gateway.config.options import ENV_PREFIX, Option, options
from gateway.config.problems import SHIPPED_PLUGINS
from gateway.config.values import parse_bind
from gateway.errors import ConfigError

DEFAULT_TLS_BIND = "0.0.0.0:8883"
DEFAULT_PLAIN_BIND = "127.0.0.1:1883"
DEFAULT_ADMIN_BIND = "127.0.0.1:8080"
_WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z0-9._/:-]+")

_HEAD = f"""\
# Configuration of dockgate. Relative paths count from the directory of this file.
# `dockgate check` says what is wrong with it; `dockgate serve` runs it; SIGHUP reloads it.
# Each option under `dockgate` can also be set from the environment: {ENV_PREFIX}LOG__LEVEL=debug sets log.level.
# Secrets do not belong here: passwords, licenses and binding codes are in the database, keys in their files.
"""
_PLUGIN_NOTES = (
    "who may log in",
    "which topics each account may use",
    "answers the requests of docks",
    "who is online",
)


def render(
    *,
    tls_bind: str = DEFAULT_TLS_BIND,
    plain_bind: str | None = DEFAULT_PLAIN_BIND,
    admin_bind: str | None = DEFAULT_ADMIN_BIND,
    database: str = "dockgate.db",
    certs: str = "certs",
    card_address: str | None = None,
    card_port: int | None = None,
) -> str:
    """YAML that ``load`` reads back to these values; None leaves a listener out. ConfigError: a bind that is none."""
    # what others can reach speaks TLS, with the certificate that docks are shown
    is_open = admin_bind is not None and not parse_bind(_bind(admin_bind)).is_loopback
    given = {
        "database": database,
        "admin.bind": "off" if admin_bind is None else _bind(admin_bind),
        **({"admin.certfile": f"{certs}/server.pem", "admin.keyfile": f"{certs}/server.key"} if is_open else {}),
        "card.address": card_address,
        "card.port": card_port,
    }
    return "\n".join(
        (
            _HEAD,
            *_listeners(_bind(tls_bind), plain_bind and _bind(plain_bind), certs),
            "",
            *_plugins(),
            "",
            *_dockgate(given),
            "",
        )
    )


def _bind(text: str) -> str:
    try:
        return str(parse_bind(text))
    except ValueError as error:
        raise ConfigError(f"{text!r}: {error}") from None


def _listeners(tls_bind: str, plain_bind: str | None, certs: str) -> list[str]:
    lines = [
        "# The doors for MQTT, by a name for logs and metrics.",
        "listeners:",
        "  tls:",
        f"    bind: {_scalar(tls_bind)}",
        "    ssl: true",
        f"    certfile: {_scalar(f'{certs}/server.pem')}",
        f"    keyfile: {_scalar(f'{certs}/server.key')}",
        "    # Client certificates besides passwords (`dockgate cert issue`): optional | required.",
        f"    # cafile: {_scalar(f'{certs}/ca.pem')}",
        f"    # crlfile: {_scalar(f'{certs}/crl.pem')}",
        "    # client_auth: optional",
    ]
    if plain_bind is not None:
        lines += ["  # Without TLS: for programs on this machine.", "  plain:", f"    bind: {_scalar(plain_bind)}"]
    return [*lines, "  # MQTT over WebSocket:", "  # ws:", "  #   type: ws", "  #   bind: 127.0.0.1:8083"]


def _plugins() -> list[str]:
    lines = ["# What decides and answers, in the order of this list."]
    lines.append("plugins:")
    for name, note in zip(SHIPPED_PLUGINS, _PLUGIN_NOTES, strict=True):
        lines.append(f"  {name}: {{}}  # {note}")
    return lines


def _dockgate(given: Mapping[str, object]) -> list[str]:
    """An option is written out when it was given and is commented out at its default otherwise."""
    lines = ["dockgate:"]
    section = ""
    for option in options():
        if option.env is None:
            continue
        outer, _, name = option.name.rpartition(".")
        if outer != section:
            section = outer
            lines += ["", f"  {outer}:"]
        indent = "    " if outer else "  "
        value = given.get(option.name)
        lines += _comment(option, indent)
        lines.append(
            f"{indent}{name}: {_scalar(value)}" if value is not None else f"{indent}# {name}: {_scalar(option.default)}"
        )
    return lines


def _comment(option: Option, indent: str) -> list[str]:
    text = option.description + (f" ({option.range})" if option.range else "")
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_long_words=False
    )


def _scalar(value: object) -> str:
    """A value as YAML; text goes without quotes where YAML reads the same text back."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, default=str)  # numbers, booleans and empty mappings are the same in YAML
    if _PLAIN.fullmatch(value):
        try:
            if yaml.safe_load(value) == value:
                return value
        except (ValueError, yaml.YAMLError):
            pass  # 2026-13-01 looks like a date and is none
    return yaml.safe_dump(value, default_style='"', width=math.inf, allow_unicode=True).strip()
