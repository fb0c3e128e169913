"""What ``dockgate init`` asks on a terminal: what this machine is found to have is offered, answers that cannot be used are asked
for again, and at the end of the input everything is taken as offered.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gateway.cli import license as license_file
from gateway.cli import secrets
from gateway.cli.ports import trouble_with
from gateway.cli.reach import offered
from gateway.config import Bind, parse_bind
from gateway.config.loading import SEARCHED
from gateway.errors import DockgateError, UsageError
from gateway.operations import licenses
from gateway.operations.licenses import Values
from gateway.operations.organizations import checked_name
from gateway.pki.names import alternative_names

T = TypeVar("T")

LATER = "later"
SYSTEM = SEARCHED[-1].parent
HERE = (Path("gateway"), Path("dockgate"))
_NEXT_PORTS = 100


def ask(question: str, offered: str, check: Callable[[str], T]) -> T:
    """``check`` makes a value of the answer, or raises ``DockgateError`` with what is wrong with it."""
    while True:
        sys.stderr.write(f"{question} [{offered}]: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        try:
            return check(line.strip() or offered)
        except DockgateError as error:
            if not line:  # nobody will answer any more
                raise
            sys.stderr.write(f"  {error}\n")


def ask_hosts(found: tuple[str, ...]) -> list[str]:
    """Names and addresses; the first is what the card tells docks to connect to."""

    def check(answer: str) -> list[str]:
        hosts = [host.strip() for host in answer.split(",") if host.strip()]
        for host in hosts:
            if len(host.split()) > 1:
                raise UsageError(f"{host!r} is no name and no address; several have commas between them")
        alternative_names(hosts)
        return hosts

    return ask("Names and addresses that docks connect to (the first is the card's)", ", ".join(offered(found)), check)


def ask_directory(usable: Callable[[Path], None]) -> Path:
    """Where to make the installation. ``usable`` raises ``DockgateError`` for a directory that cannot be taken."""

    def check(answer: str) -> Path:
        try:
            directory = Path(answer).expanduser()  # no shell has looked at it
        except RuntimeError as error:
            raise UsageError(f"{answer}: {error}") from None
        usable(directory)
        return directory

    return ask("Directory for configuration, database and certificates", str(_free_directory()), check)


def _free_directory() -> Path:
    """The system's, where an installation has made it and this user may write there; else one here, as the guides call it."""
    if SYSTEM.is_dir() and os.access(SYSTEM, os.W_OK) and not SEARCHED[-1].exists():
        return SYSTEM
    return next((one for one in HERE if not one.exists() or (one.is_dir() and not any(one.iterdir()))), HERE[-1])


def ask_organization(offered: str) -> str:
    return ask("Name of the first organization", offered, checked_name)


def ask_license() -> Values | None:
    """None: later."""

    def check(answer: str) -> Values | None:
        return None if answer == LATER else read_license(answer)

    return ask("License from developer.dji.com, a JSON file", LATER, check)


def read_license(file: str) -> Values:
    values: dict[str, Any] = license_file.parsed(secrets.read_file(file, what="a license"), file)
    return licenses.checked(values)


def ask_bind(what: str, wished: str) -> str:
    """``wished`` when it is free; else another that is, which has to be agreed to."""
    bind = parse_bind(wished)
    trouble = trouble_with(bind)
    if trouble is None:
        return wished
    sys.stderr.write(f"{bind}: {trouble}\n")
    return ask(f"Listen {what} on", str(_free_one(bind)), _free_bind)


def _free_one(bind: Bind) -> Bind:
    candidates = (Bind(bind.host, bind.port + step) for step in range(1, _NEXT_PORTS) if bind.port + step < 65_536)
    return next((one for one in candidates if trouble_with(one) is None), bind)


def _free_bind(answer: str) -> str:
    try:
        bind = parse_bind(answer)
    except ValueError as error:
        raise UsageError(f"{answer!r}: {error}") from None
    if trouble := trouble_with(bind):
        raise UsageError(f"{bind}: {trouble}")
    return str(bind)
