"""broker.yaml as text -> plain mappings, with the file and line in every complaint. Knows YAML, knows no option.

A value may be a secret in the wrong place, so complaints about syntax never quote more than one character of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import ConfigError

# With every option spelled out a file has about 10 kB; a log named by mistake should not be parsed for minutes.
MAX_FILE_BYTES = 1024 * 1024
_QUOTED = re.compile(r"'[^<'\n][^'\n]+'|\"[^\"\n]{2,}\"")


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
        raise ConfigError(f"{path}: must be a mapping with the keys listeners, plugins and dockgate")
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
        raise ConfigError(f"{path}: {where}{problem}", hint=_syntax_hint(text, mark)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}: line {line}: has a character that YAML does not allow") from None
    except (ValueError, OverflowError, AttributeError, LookupError, TypeError):
        # What only looks like a date or a number, or has a tag that says it is one: the loader tries, and stumbles over that.
        raise ConfigError(
            f"{path}: has a value that looks like a date or number and is none; put it into quotes"
        ) from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None


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
