"""The tables of docs/reference.md, and the layers in docs/architecture.md, made from the declarations:
``python tests/docs/reference_tables.py`` writes them in place.

Each stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; a test compares them with what is made here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway import config, errors, results
from gateway.cli.app import command
from gateway.config.options import Option, options
from gateway.metrics import Metrics
from gateway.web import exposition
from gateway.web.api import ENDPOINTS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
_EVERYWHERE = frozenset({"output"})  # said once, before the tables
_BLOCK = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(<!-- end (?P=name) -->)", re.DOTALL)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command and group, by the words that one types after ``dockgate``; "" is the program."""
    yield from _walk("", command())


def _walk(path: str, found: Any) -> Iterator[tuple[str, Any]]:
    yield path, found
    for name in found.list_commands(None) if hasattr(found, "list_commands") else ():
        yield from _walk(f"{path} {name}".strip(), found.get_command(None, name))


def parameters(found: Any) -> list[Any]:
    return [one for one in found.params if one.name not in _EVERYWHERE]


def _command_tables() -> str:
    parts = []
    for path, found in commands():
        if not path or hasattr(found, "list_commands"):
            continue
        arguments = [one for one in found.params if one.param_type_name == "argument"]
        words = " ".join(["dockgate", path, *(_argument(one) for one in arguments)])
        parts += [f"#### `{words}`", "", found.help, ""]
        rows = [one for one in parameters(found) if one.param_type_name == "option"]
        if rows:
            parts += ["| option | what |", "|---|---|"]
            parts += [f"| {_names(one)} | {_cell(_what(one))} |" for one in rows]
            parts.append("")
    return "\n".join(parts)


def _global_table() -> str:
    _, program = next(commands())
    rows = [f"| {_names(one)} | {_cell(one.help)} |" for one in program.params]
    return "\n".join(["| option | what |", "|---|---|", *rows, ""])


def _argument(one: Any) -> str:
    name = (one.metavar or one.name.upper()).strip("[]")
    return name if one.required else f"[{name}]"


def _names(one: Any) -> str:
    value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
    return ", ".join(f"`{name}{_cell(value)}`" for name in one.opts)


def _what(one: Any) -> str:
    text = one.help or ""
    if one.required:
        text += " Required."
    elif isinstance(one.show_default, str):
        text += f" Default: `{one.show_default}`."
    elif not one.is_flag and one.default is not None:
        text += f" Default: `{one.default}`."
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _configuration_tables() -> str:
    parts = []
    sections: dict[str, list[Option]] = {}
    for option in options():
        sections.setdefault(option.name.rpartition(".")[0], []).append(option)
    for section, members in sections.items():
        name = "the section `dockgate` itself" if not section else f"`{section}`"
        parts += [f"#### {name[0].upper()}{name[1:]}", ""]
        parts += ["| option | default | values | what |", "|---|---|---|---|"]
        for option in members:
            values = option.range.replace(" | ", ", ") or option.kind
            parts.append(
                f"| `{option.name.rpartition('.')[2]}` | {_default(option)} | {values} | {_cell(option.description)} |"
            )
        parts.append("")
    return "\n".join(parts)


def _default(option: Option) -> str:
    if option.required:
        return "(has to be given)"
    value = option.default
    if value is None or value == ():
        return "(none)"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _tree(kind: type[errors.DockgateError]) -> Iterator[type[errors.DockgateError]]:
    yield kind
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from _tree(one)


def error_kinds() -> list[type[errors.DockgateError]]:
    """Those that leave the process; a device's mistakes are answered, never told by a command."""
    return [kind for kind in _tree(errors.DockgateError) if not issubclass(kind, errors.PeerError)]


def _error_table() -> str:
    rows = [f"| `{kind.code}` | {kind.exit_code} |" for kind in error_kinds()]
    return "\n".join(["| `error.code` | exit code |", "|---|---|", *rows, ""])


def _result_table() -> str:
    rows = [f"| `{name}` | {number} | {results.MEANINGS[name]} |" for name, number in results.NUMBERS.items()]
    return "\n".join(["| name | number | when |", "|---|---|---|", *rows, ""])


def _plugin_table() -> str:
    rows = [f"| `{name}` | {loss} |" for name, loss in config.problems.SHIPPED_PLUGINS.items()]
    return "\n".join(["| plugin | without it |", "|---|---|", *rows, ""])


def _layers() -> str:
    """From the import contract, top down; one in brackets is not there yet."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    layers = [layer for layer in contract["layers"] if not layer.startswith(("(", "__"))]
    return (
        "\n".join(f"{number}. `{layer.replace(' | ', '`, `')}`" for number, layer in enumerate(layers, start=1)) + "\n"
    )


def _endpoint_table() -> str:
    rows = [f"| `{one.method} {one.path}` | {_takes(one)} | {one.scope} | {_cell(one.summary)} |" for one in ENDPOINTS]
    return "\n".join(["| endpoint | takes | scope | what |", "|---|---|---|---|", *rows, ""])


def _takes(endpoint: Any) -> str:
    if endpoint.takes is None:
        return ""
    fields = endpoint.takes.model_fields.items()
    names = [f"`{name}`" if field.is_required() else f"[`{name}`]" for name, field in fields]
    return f"{'body' if endpoint.takes_body else 'query'}: {', '.join(names)}"


def _metric_table() -> str:
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{name}`' for name in one.label_names)} | {_cell(one.help)} |"
        for one in Metrics().samples()
    ]
    rows += [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"
        for name, kind, labels, text in exposition.BESIDES
    ]
    return "\n".join(["| metric | kind | labels | what |", "|---|---|---|---|", *rows, ""])


TABLES: dict[str, Callable[[], str]] = {
    "global-options": _global_table,
    "commands": _command_tables,
    "errors": _error_table,
    "configuration": _configuration_tables,
    "plugins": _plugin_table,
    "results": _result_table,
    "layers": _layers,
    "endpoints": _endpoint_table,
    "metrics": _metric_table,
}


def blocks(text: str) -> dict[str, str]:
    return {match["name"]: match["text"] for match in _BLOCK.finditer(text)}


def renewed(text: str) -> str:
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}{match[4]}", text)


if __name__ == "__main__":
    for document in (REFERENCE, ARCHITECTURE):
        document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
