"""The options as a list, read off their declarations: for help, documentation and the shipped example.

It cannot drift from what is accepted, as it is made from the same fields; it holds no text of its own about an option.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from gateway.config.settings import DockgateSettings, ListenerSettings, Section
from gateway.config.values import Bind

ENV_PREFIX = "DOCKGATE__"
ENV_SEPARATOR = "__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """``name`` is dotted: ``log.level``, ``listeners.NAME.bind``.

    ``range`` is text, "" when anything goes; ``env`` is None for what only the file can set.
    """

    name: str
    kind: str
    default: Any
    required: bool
    range: str
    description: str
    env: str | None


def options() -> tuple[Option, ...]:
    """Every option: those of the section ``dockgate`` in the order of their declaration, then those of a listener."""
    return _options()


@cache
def _options() -> tuple[Option, ...]:
    return (
        *_walk(DockgateSettings, "", with_env=True),
        *_walk(ListenerSettings, "listeners.NAME.", with_env=False),
    )


def _walk(section: type[Section], prefix: str, *, with_env: bool) -> Iterator[Option]:
    for name, field in section.model_fields.items():
        dotted = prefix + name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _walk(inner, f"{dotted}.", with_env=with_env)
            continue
        yield Option(
            name=dotted,
            kind=_kind(field.annotation),
            default=None if field.is_required() else field.get_default(call_default_factory=True, validated_data={}),
            required=field.is_required(),
            range=_range(field),
            description=field.description or "",
            env=ENV_PREFIX + dotted.upper().replace(".", ENV_SEPARATOR) if with_env else None,
        )


_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "number",
    float: "seconds",
    str: "text",
    Path: "path",
    Bind: "address:port",
}


def _kind(annotation: object) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return "word"
    if origin is dict:
        return "mapping"
    if origin is tuple:
        return "list of names" if get_args(get_args(annotation)[0])[:1] == (str,) else "list of networks"
    if origin in {Union, types.UnionType}:
        return " or ".join(_kind(part) for part in get_args(annotation) if part is not type(None))
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    return _KINDS[annotation]


def _range(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " | ".join(get_args(field.annotation))
    low = next((mark.ge for mark in field.metadata if isinstance(mark, annotated_types.Ge)), None)
    high = next((mark.le for mark in field.metadata if isinstance(mark, annotated_types.Le)), None)
    return "" if low is None or high is None else f"{low} to {high}"
