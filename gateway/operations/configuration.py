"""What is wrong with a configuration: it comes in, problems with the step that mends each go out. Nothing is started or changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from gateway import pki
from gateway.config import Config, Problem
from gateway.errors import DockgateError

Build = Callable[[Config], list[Problem]]


def problems_of(config: Config, now: int, build: Build) -> list[Problem]:
    """What the configuration says by itself, what its certificates say, and what fails while building; each told once.

    ``build`` makes everything that the configuration names, and starts nothing (``gateway.serve.check``). Blocks.
    """
    told = [*config.problems()]
    missing = {problem.where for problem in told}
    told += [problem for problem in _certificates(config, now) if problem.where not in missing]
    known = [problem.where for problem in told]
    absent = _absent_files(config)
    for problem in build(config):
        # A file that is missing makes its listener fail too, and then all of the broker; a missing database likewise
        is_consequence = any(where.startswith(f"{problem.where}.") for where in known) or any(
            file in problem.what for file in absent
        )
        if not is_consequence:
            told.append(problem)
    return told


def describe(problems: list[Problem]) -> dict[str, Any]:
    """The keys are a promise."""
    told = [{"where": problem.where, "what": problem.what, "hint": problem.hint or None} for problem in problems]
    return {"ok": not told, "problems": told}


def _absent_files(config: Config) -> list[str]:
    """Files that ``config.problems`` has told about already."""
    named = [config.dockgate.database]
    for one in config.listeners.values():
        named += [file for file in (one.certfile, one.keyfile, one.cafile, one.crlfile) if file is not None]
    admin = config.dockgate.admin
    named += [file for file in (admin.certfile, admin.keyfile) if file is not None]
    # False where pathlib raises: in a directory that this user may not look into
    return [str(file) for file in named if not os.path.isfile(file)]  # noqa: PTH113


def _certificates(config: Config, now: int) -> Iterator[Problem]:
    admin = config.dockgate.admin
    pairs = [(f"listeners.{name}", one.certfile, one.keyfile) for name, one in config.listeners.items()]
    for where, certfile, keyfile in [*pairs, ("admin", admin.certfile, admin.keyfile)]:
        if certfile is None or keyfile is None or not certfile.is_file() or not keyfile.is_file():
            continue
        try:
            pki.check_pair(certfile, keyfile, now=now)
        except DockgateError as error:
            yield Problem(f"{where}.certfile", str(error), error.hint or "")
