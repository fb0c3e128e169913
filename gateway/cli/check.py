"""``dockgate check``: a configuration comes in, what is wrong with it goes out. Everything is built, nothing started or changed."""

from __future__ import annotations

import typer

from gateway import serve
from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.options import Output, example
from gateway.config import Config, Problem
from gateway.operations.configuration import describe, problems_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=example("dockgate --config /etc/dockgate/broker.yaml check"))
def check(ctx: typer.Context, output: Output = None) -> None:
    """Build everything the configuration names, start nothing. Exit code 1 when something is wrong."""
    cli = Cli.of(ctx, output)
    config = cli.config()
    problems = problems_of(config, cli.now, serve.check)
    found = describe(problems)
    render.record(found, cli.format, text=_text(cli, config, problems))
    if not found["ok"]:
        raise typer.Exit(1)


def _text(cli: Cli, config: Config, problems: list[Problem]) -> str:
    if not problems:
        return f"{config.path}: nothing is wrong"
    return "".join(
        render.wrapped(f"{problem.where}: {problem.what}", indent="  ")
        + (
            render.wrapped(cli.naming_config(problem.hint), first="  > ", indent="    ", whole=True)
            if problem.hint
            else ""
        )
        for problem in problems
    )
