"""broker.yaml as text -> plain mappings, with the file and line in every complaint. Knows YAML, knows no option.

A value may be a secret in the wrong place, so complaints about syntax never quote more than one character of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import ConfigError

# With every option spelled out a file has about 10 kB; a log named by mistake should not be parsed for minutes.
MAX_FILE_BYTES = 1024 * 1024
# What the parser says, and what somebody who has never heard of YAML can do about it; the first that fits.
_PLAIN_WORDS = (
    ("escape", "in double quotes a backslash has to be doubled; single quotes take it as it is"),
    ("recursive", "a value with * stands within what it names: write it out"),
    ("stands here twice", "delete one of the two"),
    ("a key must be a word", 'each option is a line "name: value"'),
    ("expected ',' or", "a bracket [ or { is not closed, or a comma is missing"),
    ("flow", "a bracket [ or { is not closed, or a comma is missing"),
    (
        "mapping values are not allowed",
        "put a value with a colon into quotes; or this line is not indented as its neighbours are",
    ),
    ("could not find expected ':'", 'each option is a line "name: value": a colon is missing, or the space behind it'),
    ("<block end>", "what belongs together begins in the same column: indent this line as its neighbours are"),
    ("quoted scalar", "a quote is opened and not closed"),
    ("cannot start any token", "put a value that begins with a special character into quotes"),
    ("alias", "put a value that begins with * into quotes"),
    ("anchor", "put a value that begins with & into quotes"),
    ("tag", "put a value that begins with ! into quotes"),
    ("constructor", "put a value that begins with ! into quotes"),
    ("expected a single document", "delete the line with ---: a configuration is one document"),
    ("looks like", "put it into quotes"),
)
_LOOK = "look at this line and the one before: indented as their neighbours, a colon and a space after the name, quotes in pairs"
_QUOTED = re.compile(r"'[^<'\n][^'\n]+'|\"[^\"\n]{2,}\"")


_STUMBLES = (ValueError, OverflowError, AttributeError, LookupError, TypeError)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key stands once: the safe loader lets the last of two win in silence."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key_node.value in seen and key_node.tag != "tag:yaml.org,2002:merge":
            raise yaml.constructor.ConstructorError(None, None, "this key stands here twice", key_node.start_mark)
        seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


def _constructed(loader: _StrictLoader, node: yaml.ScalarNode, build: Callable[[_StrictLoader, Any], Any]) -> object:
    """What only looks like a date or a number, or has a tag that says it is one: the loader tries, and stumbles over that."""
    try:
        return build(loader, node)
    except _STUMBLES:
        raise yaml.constructor.ConstructorError(
            None, None, "this value looks like a date or number and is none", node.start_mark
        ) from None


for _tag in ("timestamp", "int", "float", "bool", "binary"):
    _build = yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{_tag}"]
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", partial(_constructed, build=_build))
_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(path: Path) -> dict[str, Any]:
    """The top-level mapping of the file. ConfigError when it cannot be read or is not YAML of that shape."""
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a directory, not a configuration file")
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes; that is no configuration file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: is not UTF-8 text") from error
    document = _parse(path, text)
    if document is None:
        raise ConfigError(f"{path}: is empty", hint="dockgate init")
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path}: this is no configuration of dockgate: it must be a mapping with the keys listeners, plugins and dockgate",
            hint="name the broker.yaml of an installation, or make one: dockgate init --dir NEW",
        )
    return document


def _parse(path: Path, text: str) -> object:
    try:
        loader = _StrictLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = _QUOTED.sub("…", error.problem or error.context or "is not YAML")
        said = f"{error.problem or ''} {error.context or ''}"
        raise ConfigError(f"{path}: {where}{problem}", hint=_syntax_hint(text, mark) or _in_plain_words(said)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise ConfigError(
            f"{path}: line {line}, column {column}: has a character that YAML does not allow",
            hint="delete it: it cannot be seen in most editors",
        ) from None
    except _STUMBLES:
        raise ConfigError(f"{path}: has a value that cannot be read", hint="put values into quotes") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None


def _in_plain_words(said: str) -> str:
    return next((words for part, words in _PLAIN_WORDS if part in said), _LOOK)


def _syntax_hint(text: str, mark: yaml.Mark | None) -> str | None:
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines):
        return None
    line = lines[mark.line]
    if re.search(r":\s*\[[0-9A-Fa-f:.]*\]:\d", line):
        return 'put an IPv6 address into quotes: "[::]:8883"'
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, not with tabs"
    return None
