"""``dockgate check``: a configuration comes in, what is wrong with it goes out. Everything is built, nothing started or changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from gateway import pki, serve
from gateway.cli import render
from gateway.cli.context import Cli
from gateway.cli.options import Output, example
from gateway.config import Config, Problem
from gateway.errors import DockgateError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=example("dockgate --config /etc/dockgate/broker.yaml check"))
def check(ctx: typer.Context, output: Output = None) -> None:
    """Build everything the configuration names, start nothing. Exit code 1 when something is wrong."""
    cli = Cli.of(ctx, output)
    config = cli.config()
    problems = problems_of(config, cli.now)
    found = {"ok": not problems, "problems": [_describe(problem) for problem in problems]}
    render.record(found, cli.format, text=_text(config, problems))
    if problems:
        raise typer.Exit(1)


def problems_of(config: Config, now: int) -> list[Problem]:
    """What the configuration says by itself, what its certificates say, and what fails while building; each told once."""
    told = [*config.problems()]
    missing = {problem.where for problem in told}
    told += [problem for problem in _certificates(config, now) if problem.where not in missing]
    known = [problem.where for problem in told]
    absent = _absent_files(config)
    for problem in serve.check(config):
        # A file that is missing makes its listener fail too, and then all of the broker; a missing database likewise
        is_consequence = any(where.startswith(f"{problem.where}.") for where in known) or any(
            file in problem.what for file in absent
        )
        if not is_consequence:
            told.append(problem)
    return told


def _absent_files(config: Config) -> list[str]:
    """Files that ``config.problems`` has told about already."""
    named = [config.dockgate.database]
    for one in config.listeners.values():
        named += [file for file in (one.certfile, one.keyfile, one.cafile, one.crlfile) if file is not None]
    return [str(file) for file in named if not file.is_file()]


def _certificates(config: Config, now: int) -> Iterator[Problem]:
    for name, listener in config.listeners.items():
        if listener.certfile is None or listener.keyfile is None:
            continue
        if not listener.certfile.is_file() or not listener.keyfile.is_file():
            continue
        try:
            pki.check_pair(listener.certfile, listener.keyfile, now=now)
        except DockgateError as error:
            yield Problem(f"listeners.{name}.certfile", str(error), error.hint or "")


def _describe(problem: Problem) -> dict[str, Any]:
    """The keys are a promise."""
    return {"where": problem.where, "what": problem.what, "hint": problem.hint or None}


def _text(config: Config, problems: list[Problem]) -> str:
    if not problems:
        return f"{config.path}: nothing is wrong"
    return "".join(
        render.wrapped(f"{problem.where}: {problem.what}", indent="  ")
        + (render.wrapped(problem.hint, first="  > ", indent="    ") if problem.hint else "")
        for problem in problems
    )
