"""A served installation for a whole module of tests: made once, where each test leaves the gateway as it was."""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.conftest import Gateway, Installation, Login


class LastingInstallation(Installation):
    """Needs no fixture of a single test; what the commands print is kept from the terminal here."""

    def __init__(self, folder: Path) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        super().__init__(folder, self._printed)

    def _printed(self) -> tuple[str, str]:
        printed = self._out.getvalue(), self._err.getvalue()
        for stream in (self._out, self._err):
            stream.seek(0)
            stream.truncate()
        return printed

    def _run(self, *words: str, alone: bool = False) -> Any:
        with redirect_stdout(self._out), redirect_stderr(self._err):
            return super()._run(*words, alone=alone)

    def account_with(self, name: str, password: str, role: str = "dock", *options: str) -> Login:
        """An account with a password of the test's choice."""
        with patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(password.encode()))):
            self.dockgate("account", "add", name, "--role", role, "--password-stdin", *options)
        return Login(name, password)


class CopiedInstallation(LastingInstallation):
    """What another installation was when it was copied: much faster made than a new one."""

    def __init__(self, original: LastingInstallation, folder: Path) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self._capture = self._printed
        self.first = original.first
        self.folder = shutil.copytree(original.folder, folder)
        self.config_file = folder / original.config_file.name


@contextmanager
def served(installation: Installation, kind: type[Gateway] = Gateway) -> Iterator[Gateway]:
    """Serve it while the ``with`` lasts; what the end of a gateway does can be looked at after it."""
    gateway = kind(installation).start()
    try:
        yield gateway
    finally:
        gateway.close()


def wait_until(gateway: Gateway, question: Callable[[], object], *, timeout_s: float = 10) -> None:
    """Wait for what no packet tells; asked on the gateway's loop."""

    async def asking() -> None:
        async with asyncio.timeout(timeout_s):
            while not question():  # noqa: ASYNC110 - nobody sets an event for it
                await asyncio.sleep(0.005)

    gateway.call(asking())
