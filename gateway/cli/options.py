"""The options that many commands share, declared once: words come in, typed values go out. Imports nothing that takes time."""

from __future__ import annotations

import re
import shlex
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.render import Format


@dataclass(slots=True)
class Globals:
    """What stands before the command. ``what`` is filled in as the words are understood: errors are told under that name.

    ``is_process``: the words came from the system, so that this command may set up the logging of its process.
    """

    config: Path | None = None
    output: Format | None = None
    verbose: bool = False
    what: str = ""
    is_process: bool = False

    def naming_config(self, text: str) -> str:
        """``text`` with the configuration that was named in each command of it, so that it can be pasted."""
        if self.config is None:
            return text
        return re.sub(
            # "sudo -u dockgate" names a user
            r"(?<!-u )\bdockgate (?!init\b)(?=[a-z])",
            lambda _: f"dockgate --config {shlex.quote(str(self.config))} ",
            text,
        )


NO_INPUT: ContextVar[bool] = ContextVar("no_input", default=False)


def may_ask() -> bool:
    """Whether somebody is there who can answer, and wants to."""
    return not NO_INPUT.get() and sys.stdin.isatty()


Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="Print a table, JSON, or JSON lines.", show_default=False, metavar="FORMAT"),
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
AskPassword = Annotated[bool, typer.Option("--ask-password", help="Ask for the password on the terminal.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def example(*lines: str) -> str:
    """The epilog of a command's help: what somebody would really type."""
    # A line with a backspace character makes the formatter keep the lines that follow as they are
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def first_example(epilog: str) -> list[str]:
    """The lines of the first command of an ``example``."""
    lines = [line.removeprefix("  ") for line in epilog.removeprefix(example()).splitlines()]
    ends = next((at for at, line in enumerate(lines, 1) if not line.endswith("\\")), len(lines))
    return lines[:ends]


def noun(help_text: str) -> typer.Typer:
    """A group of commands about one noun."""
    app = typer.Typer(help=help_text, add_completion=False, rich_markup_mode=None, no_args_is_help=True)

    @app.callback(help=help_text)
    def group() -> None:
        # With a callback it stays a group even where it has one command only
        pass

    return app
