"""Manual pages made from the commands themselves: ``python packaging/man/pages.py DIRECTORY`` writes dockgate.1 and one page for
each command, in roff (man(7)). What is not declared in a command is not in its page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gateway
from gateway.cli.app import COMMANDS, command

_FILES = (
    (
        "./broker.yaml, /etc/dockgate/broker.yaml",
        "The configuration, unless --config or $DOCKGATE_CONFIG names another.",
    ),
    ("dockgate.db", "The database, where the configuration says."),
    ("certs/", "The CA, certificates and their keys, where the configuration says."),
)
_ENVIRONMENT = (
    ("DOCKGATE_CONFIG", "The configuration."),
    ("DOCKGATE__SECTION__OPTION", "Any option of the configuration, above what the file says."),
    ("NO_COLOR", "When it is not empty, nothing is coloured."),
)
_EXIT_CODES = (
    ("0", "done"),
    ("1", "a check failed, or an unexpected failure"),
    ("2", "the words of the command are off"),
    ("3", "not found"),
    ("4", "conflict: exists already, or belongs to somebody else"),
    ("5", "refused: understood, and not allowed"),
    ("6", "the database or a file cannot be used: locked, damaged, newer, disk full, no permission"),
    ("7", "the configuration cannot be used"),
    ("130", "ended by Ctrl-C"),
)


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    root = command()
    made = {"dockgate.1": _overview(root)}
    for name in COMMANDS:
        made[f"dockgate-{name}.1"] = _page(name, root.get_command(None, name))
    return made


def _overview(root: Any) -> str:
    parts = [
        _title("dockgate"),
        ".SH NAME",
        r"dockgate \- self-hosted gateway for drone docks",
        ".SH SYNOPSIS",
        r"\fBdockgate\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIWORDS\fR]",
        ".SH DESCRIPTION",
        _text(root.help or ""),
        ".PP",
        "Results go to standard output, everything else to standard error. JSON keys are a promise, tables are for eyes.",
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
        *(
            line
            for name, what in COMMANDS.items()
            for line in (".TP", rf"\fBdockgate-{_text(name)}\fR(1)", _text(what))
        ),
        ".SH EXIT STATUS",
        *_pairs(_EXIT_CODES),
        ".SH ENVIRONMENT",
        *_pairs(_ENVIRONMENT),
        ".SH FILES",
        *_pairs(_FILES),
    ]
    return "\n".join(parts) + "\n"


def _page(name: str, found: Any) -> str:
    parts = [
        _title(f"dockgate-{name}"),
        ".SH NAME",
        rf"dockgate-{_text(name)} \- {_text(COMMANDS[name].rstrip('.'))}",
        ".SH SYNOPSIS",
    ]
    leaves = list(_leaves((name,), found))
    for words, leaf in leaves:
        parts += [_usage(words, leaf), ".br"]
    parts += [".SH DESCRIPTION", _text(found.help or "")]
    for words, leaf in leaves:
        if leaf is not found:
            parts += [f".SS {_text(' '.join(('dockgate', *words)))}", _text(leaf.help or "")]
        parts += [*_arguments(leaf), *_options(leaf), *_example(leaf)]
    parts += [".SH SEE ALSO", r"\fBdockgate\fR(1)"]
    return "\n".join(parts) + "\n"


def _leaves(words: tuple[str, ...], found: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    names = found.list_commands(None) if hasattr(found, "list_commands") else []
    if not names:
        yield words, found
    for name in names:
        yield from _leaves((*words, name), found.get_command(None, name))


def _usage(words: tuple[str, ...], leaf: Any) -> str:
    arguments = " ".join(rf"\fI{_text(one.metavar or one.name.upper())}\fR" for one in _of(leaf, "argument"))
    options = r"[\fIOPTIONS\fR]" if _of(leaf, "option") else ""
    return " ".join(filter(None, (rf"\fB{_text(' '.join(('dockgate', *words)))}\fR", arguments, options)))


def _arguments(leaf: Any) -> Iterator[str]:
    for one in _of(leaf, "argument"):
        yield from (".TP", rf"\fI{_text((one.metavar or one.name.upper()).strip('[]'))}\fR", _text(one.help or ""))


def _options(leaf: Any) -> Iterator[str]:
    for one in _of(leaf, "option"):
        value = "" if one.is_flag else rf" \fI{_text(one.metavar or one.name.upper())}\fR"
        names = ", ".join(rf"\fB{_text(name)}\fR{value}" for name in one.opts)
        default = one.default if isinstance(one.default, str | int | float) and not one.is_flag else None
        shown = f" Default: {default}." if default is not None and one.show_default is not False else ""
        yield from (".TP", names, _text(f"{one.help or ''}{shown}{' Required.' if one.required else ''}"))


def _example(leaf: Any) -> Iterator[str]:
    lines = [line for line in (leaf.epilog or "").splitlines() if line.startswith("  ")]
    if lines:
        yield from (".PP", "Example:", ".PP", ".nf", *(_text(line) for line in lines), ".fi")


def _of(leaf: Any, kind: str) -> list[Any]:
    return [one for one in leaf.params if one.param_type_name == kind and one.name != "help"]


def _pairs(pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, what in pairs:
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(what))


def _title(name: str) -> str:
    # No date: the same source makes the same page
    return f'.TH "{name.upper()}" "1" "" "dockgate {gateway.__version__}" "dockgate"'


def _text(text: str) -> str:
    r"""Roff takes a backslash, a leading dot or quote, and a bare hyphen for its own (groff_man_style(7))."""
    escaped = " ".join(text.split()) if "\n" in text else text
    escaped = escaped.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
