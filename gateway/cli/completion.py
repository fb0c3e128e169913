"""``dockgate completion``: the name of a shell comes in, what it has to be told to complete commands goes out.

The shell then runs ``dockgate`` at each tab with what was typed so far in a variable (``COMPLETE_VARIABLE``); the command tree that
is typed is the one that answers, so that the two cannot differ.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined] # is in its namespace, for its own use

from gateway.cli import render
from gateway.cli.app import COMPLETE_VARIABLE
from gateway.cli.options import Output, example

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PROGRAM = "dockgate"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(
    epilog=example(
        "dockgate completion bash > /etc/bash_completion.d/dockgate",
        "dockgate completion fish > ~/.config/fish/completions/dockgate.fish",
    )
)
def completion(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
    output: Output = None,
) -> None:
    """What a shell needs to complete the commands and options of dockgate."""
    given = ctx.obj
    if output is not None:
        given.output = output
    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell.value)
    render.record({"shell": shell.value, "script": script}, given.output or render.Format.TABLE, text=script)
