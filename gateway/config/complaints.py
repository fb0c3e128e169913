"""A failed check as text for the operator: option, value, source, what it has to be, what was probably meant.

A value is shown only when it is short and simple and nothing about it looks like a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.options import options
from gateway.config.settings import DockgateSettings, FileSettings, ListenerSettings, Section

SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in DockgateSettings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
_SHOWN_CHARACTERS = 60
_SECRET_KEY = re.compile(r"pass|secret|token|license|key(?!file)|credential|nonce", re.IGNORECASE)
# What looks like the name of an option; anything else may be a line of another file, which nobody wants to see repeated.
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST = 12
_LONGEST_TEXT = 400
_PEM = "-----BEGIN"

_TEXTS: dict[str, str] = {
    "missing": "is missing",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "finite_number": "must be a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text (put a number into quotes)",
    "path_type": "must be a path",
    "dict_type": "must be a mapping of names to values",
    "invalid_key": "must be text (put a number into quotes)",
    "model_type": "must be a mapping of names to values",
    "model_attributes_type": "must be a mapping of names to values",
}


def describe(error: ValidationError, source_of: Callable[[tuple[str, ...]], str]) -> list[str]:
    """One line per problem, in the order of the declarations; of many only the first, and how many there are more."""
    found = error.errors(include_url=False)
    lines = [_line(details, source_of) for details in found[:_MOST]]
    if len(found) > _MOST:
        lines.append(f"and {len(found) - _MOST} more")
    return lines


def is_ours(document: Mapping[Any, object]) -> bool:
    """Whether anything in a file is meant for this program. Of another file nothing may be repeated: it can hold passwords."""
    known = tuple(FileSettings.model_fields)
    return any(difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=0.6) for key in document)


def _line(details: ErrorDetails, source_of: Callable[[tuple[str, ...]], str]) -> str:
    keys = tuple(str(key) for key in details["loc"] if key != "[key]")
    shown_keys = keys[1:] if len(keys) > 1 and keys[0] == "dockgate" else keys
    option = ".".join(key if _KEY.fullmatch(key) else "…" for key in shown_keys) or "the file"
    if details["type"] == "extra_forbidden":
        return f"{option} ({source_of(keys)}): there is no such option{_suggestion(keys)}"
    if details["type"] == "missing":
        return f"{option}: is missing"
    shown = _shown(option, details.get("input"))
    return f"{option}{shown} ({source_of(keys)}): {_text(details)}"


def _text(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return str(context["error"])[:_LONGEST_TEXT]
    template = _TEXTS.get(details["type"])
    return details["msg"] if template is None else template.format(**context)


def _shown(option: str, value: object) -> str:
    if value is None:
        return " is empty"
    if not isinstance(value, str | int | float) or _SECRET_KEY.search(option.rpartition(".")[2]):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if _PEM in text or len(text) > _SHOWN_CHARACTERS or not text.isprintable():
        return ""
    return f" = {text}" if text else ' = ""'


def _suggestion(keys: tuple[str, ...]) -> str:
    *outer, name = keys
    known = tuple(_section_at(tuple(outer)).model_fields)
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    elsewhere = next((option.name for option in options() if option.name.rpartition(".")[2] == name.lower()), None)
    if elsewhere is not None:
        return f" here; did you mean {elsewhere}?"
    return f"; known here: {', '.join(known)}"


def _section_at(keys: tuple[str, ...]) -> type[BaseModel]:
    section: type[BaseModel] = FileSettings
    for key in keys:
        if key not in section.model_fields:
            return ListenerSettings  # the only mapping of sections with free names is listeners
        section = next(_models(section.model_fields[key].annotation), section)
    return section


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
