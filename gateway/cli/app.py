"""The words before the command: global options come in, the command that was typed goes out. Knows no command's inside.

The table below is the whole list, in the order ``--help`` shows it; ``gateway.cli.NAME`` is imported when NAME is typed.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined] # is in its namespace, for its own use
from typer.core import TyperGroup

import gateway
from gateway.cli.options import NO_INPUT, Globals, Output, example, first_example

COMMANDS = {
    "init": "First run: configuration, database, certificates, an organization.",
    "serve": "Run the gateway.",
    "check": "Build everything the configuration names, start nothing.",
    "doctor": "Find what is missing or about to go wrong, and how to mend it.",
    "health": "Can a dock get in right now.",
    "card": "What to type into Pilot 2.",
    "status": "Docks by how far they have come, and connections.",
    "account": "Who may connect: docks, services, observers.",
    "org": "Organizations and their binding codes.",
    "license": "What docks are given when they ask for the license.",
    "dock": "Docks and their aircraft.",
    "cert": "Certificates: issue, renew, import, revoke.",
    "operator": "People who may log in to the console.",
    "token": "Tokens with which programs use the JSON API.",
    "audit": "Who changed what, what was bound, who was refused.",
    "backup": "Everything in one file, and back.",
    "db": "Whether the database is sound, and of this version.",
    "simulate": "A dock that goes through the access, to try a gateway.",
    "demo": "A gateway and a simulated dock on loopback, through the whole access.",
    "completion": "What a shell needs to complete these commands.",
}


COMPLETE_VARIABLE = "_DOCKGATE_COMPLETE"
"""In which a shell says that it wants to complete (``gateway.cli.completion``); the name is typer's."""


class Commands(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002, ANN401 - typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002, ANN401 - typer's signature
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(import_module(f"gateway.cli.{cmd_name}").app)
        command.name = cmd_name
        _add_no_input(command)
        _add_examples(command)
        return command

    def resolve_command(self, ctx: Any, args: Any) -> Any:  # noqa: ANN401 - typer's signature
        # typer suggests what is near by itself, but not among commands that are not imported yet
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

            if near := get_close_matches(args[0], COMMANDS):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {', '.join(map(repr, near))}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002, ANN401 - typer's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


_EXAMPLES = 3
_ASKING = frozenset({"yes", "ask_password", "password_stdin", "org_name"})
"""Options of commands that may ask."""


def _no_input(wanted: bool) -> None:
    if wanted:
        NO_INPUT.set(True)


def _asks_nothing(
    no_input: Annotated[
        bool,
        typer.Option("--no-input", help="Ask nothing; fail where an answer would be needed.", callback=_no_input),
    ] = False,
) -> None:
    """A command that is never run: what typer makes of its option is the same for all."""


def _add_no_input(command: Any) -> None:  # noqa: ANN401 - click's class has moved into typer, or not
    """Every command that may ask has it: for a confirmation, a password, or what it needs at the first run."""
    for each in getattr(command, "commands", {}).values():
        _add_no_input(each)
    if _ASKING & {each.name for each in command.params}:
        alone = typer.Typer(add_completion=False)
        alone.command()(_asks_nothing)
        option = next(each for each in typer.main.get_command(alone).params if each.name == "no_input")
        option.expose_value = False
        command.params.append(option)


def _add_examples(command: Any) -> None:  # noqa: ANN401 - see _add_no_input
    """The help of a group shows the first examples of its first commands."""
    children = list(getattr(command, "commands", {}).values())
    for each in children:
        _add_examples(each)
    if children and not command.epilog:
        found = [lines for each in children if (lines := first_example(each.epilog or ""))]
        command.epilog = example(*(line for lines in found[:_EXAMPLES] for line in lines))


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dockgate {gateway.__version__}")
        raise typer.Exit


@app.callback(
    epilog=example(
        "dockgate init --dir /srv/dockgate",
        "dockgate --config /srv/dockgate/broker.yaml serve",
        "dockgate -o json dock list",
    )
)
def _root(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The configuration; else $DOCKGATE_CONFIG, ./broker.yaml, /etc/dockgate/broker.yaml.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on standard error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """A self-hosted gateway for drone docks: MQTT broker, access to your own cloud, operator commands."""
    del version  # _version has seen to it
    given: Globals = ctx.obj
    given.config, given.output, given.verbose = config, output, verbose


def command() -> Any:  # noqa: ANN401 - what typer builds has no public type
    if COMPLETE_VARIABLE in os.environ:  # a shell asks what could come next
        completion_init()
    return typer.main.get_command(app)
