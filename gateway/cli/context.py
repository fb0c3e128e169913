"""What a command works with: the configuration, the database, the clock, who is typing. Global options come in; every change
made through here has its audit entry in the same transaction, and is on disk before the command says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import typer

from gateway import config as configuration
from gateway import logs
from gateway.backup import placing
from gateway.cli import render
from gateway.cli.options import Globals, may_ask
from gateway.cli.render import Format
from gateway.cli.times import now_ms
from gateway.config import Config
from gateway.config.loading import PATH_VARIABLE, SEARCHED
from gateway.errors import RefusedError
from gateway.operations.change import Change, Db, Who, perform
from gateway.store.connection import Store

__all__ = ["Change", "Cli", "Db", "actor", "who"]

P = ParamSpec("P")
T = TypeVar("T")


def actor() -> str:
    """Who the audit trail names: the user of the operating system that this process runs as."""
    uid = os.geteuid()
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # containers run as users that have no name
        return f"cli:{uid}"


def who() -> Who:
    """``actor``, who called root, and from where: the user's name alone would not tell who it was. sudo drops what tells of
    SSH; the terminal then leads there (``who``, ``last``).
    """
    origin = {"sudo_user": os.environ.get("SUDO_USER"), "terminal": _terminal(), "ssh_from": _ssh_client()}
    return Who(actor(), {key: value for key, value in origin.items() if value})


def _terminal() -> str | None:
    """The one that this command is typed on, even where its input and output are redirected."""
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):  # none there, or one that this container does not know
            return os.ttyname(descriptor).removeprefix("/dev/")
    return None


def _ssh_client() -> str | None:
    """The address that sshd has put there; it is the user's own environment, and could say anything."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    try:
        return str(ipaddress.ip_address(words[0])) if words else None
    except ValueError:
        return None


class Cli:
    """One command being carried out."""

    def __init__(self, given: Globals) -> None:
        self._given = given
        self.format = given.output or Format.TABLE
        self.now = now_ms()
        """One moment for all that a command says and stores."""

    @classmethod
    def of(cls, ctx: typer.Context, output: Format | None = None) -> Cli:
        """``output`` is the option after the command; it wins over the one before."""
        given: Globals = ctx.obj
        given.what = ctx.command_path.removeprefix("dockgate").strip()
        if output is not None:
            given.output = output
        if given.is_process:
            # What the rooms below have to say beside their results; `serve` sets up its own
            logs.configure("debug" if given.verbose else "error", "text")
        return cls(given)

    @property
    def is_table(self) -> bool:
        return self.format is Format.TABLE

    def naming_config(self, text: str) -> str:
        """A hint as it can be pasted (``Globals.naming_config``)."""
        return self._given.naming_config(text)

    @property
    def verbose(self) -> bool:
        return self._given.verbose

    @property
    def names_config(self) -> bool:
        """Somebody said which configuration to take, so that one that cannot be read is an error."""
        return self._given.config is not None or bool(os.environ.get(PATH_VARIABLE))

    def config(self, extra: Mapping[str, str] | None = None) -> Config:
        """``extra`` is laid over the environment. Errors: ``ConfigError``."""
        env = {**os.environ, **(extra or {})}
        return configuration.load(self.config_path(), env)

    def config_path(self, *, may_be_missing: bool = False) -> Path:
        """Where the configuration is; what a killed `init` or `backup restore` has begun there is finished first.

        ``may_be_missing``: a name that was given is enough. Errors: ``ConfigError``.
        """
        given = self._given.config or (Path(os.environ[PATH_VARIABLE]) if os.environ.get(PATH_VARIABLE) else None)
        for candidate in [given] if given else SEARCHED:
            placing.finish(candidate.absolute().parent)
        if given and may_be_missing:
            return given.absolute()
        return configuration.find(self._given.config, os.environ).absolute()

    def read(self, query: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``query`` on the database of the configuration. Nothing is written, migrated or waited for."""
        path = self.config().dockgate.database

        async def ask() -> T:
            store = await Store.open(path, clock=now_ms, read_only=True)
            try:
                return await store.read(query, *args, **kwargs)
            finally:
                await store.close()

        return asyncio.run(ask())

    def change(self, work: Callable[[Change], T]) -> T:
        """Run ``work`` in one transaction together with the audit entries it names; it is on disk when this returns."""
        return asyncio.run(change_at(self.config().dockgate.database, work, now=self.now))

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost; only a terminal is asked, a script meant what it wrote. Errors: ``RefusedError``."""
        if yes or not sys.stdin.isatty() or not sys.stderr.isatty():
            return
        if not may_ask():
            raise RefusedError("not confirmed, as --no-input forbids to ask; nothing was changed", hint="--yes")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise RefusedError("not confirmed; nothing was changed")

    def show(self, value: Mapping[str, Any], *, text: str | None = None) -> None:
        render.record(value, self.format, text=text)


async def change_at(path: Path, work: Callable[[Change], T], *, now: int, create: bool = False) -> T:
    """``Cli.change`` for a database that no configuration names yet."""
    store = await Store.open(path, clock=now_ms, create=create)
    try:
        return await store.write(perform, work, now, who(), durable=True)
    finally:
        await store.close()
