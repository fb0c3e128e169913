"""Where a secret may come from: standard input, a file, the terminal, the environment; never an argument. What is read is
handed over and forgotten; nothing here prints or keeps it.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from gateway.cli.options import may_ask
from gateway.errors import NotFoundError, UsageError
from gateway.operations.credentials import MAX_CHOSEN, checked_password

MAX_FILE = 1 << 20
"""No license file has a thousandth of this; a wrong file (a disk image, /dev/zero) ends here."""
ENVIRONMENT = "DOCKGATE_PASSWORD"


def chosen_password(*, from_stdin: bool, ask: bool) -> str | None:
    """A password somebody chose, or None when one is to be made. Errors: ``UsageError``."""
    if from_stdin and ask:
        raise UsageError("--password-stdin and --ask-password exclude each other")
    if from_stdin:
        return checked_password(_line_of_stdin())
    if ask:
        return checked_password(_ask_twice())
    return None


def known_password(*, from_stdin: bool) -> str:
    """The password of an account that exists: standard input, else ``$DOCKGATE_PASSWORD``, else the terminal."""
    if from_stdin:
        return _line_of_stdin()
    if value := os.environ.get(ENVIRONMENT):
        return value
    if may_ask():
        return getpass.getpass("Password: ", stream=sys.stderr)
    raise UsageError("a password is needed", hint=f"--password-stdin, or ${ENVIRONMENT}")


def chosen_secret(what: str, *, from_stdin: bool) -> str:
    """A secret that seals a file: standard input, else the terminal, twice. Errors: ``UsageError``."""
    if not from_stdin and not may_ask():
        raise UsageError(f"{what} is needed", hint="--password-stdin reads it from standard input")
    chosen = _line_of_stdin() if from_stdin else _ask_twice()
    try:
        return checked_password(chosen)
    except UsageError as error:
        raise UsageError(
            f"{what}: {error}", hint="choose another; none is made here, as the file has to be opened again"
        ) from None


def known_secret(what: str, *, from_stdin: bool) -> str:
    """What a file was sealed with: standard input, else the terminal."""
    if from_stdin:
        return _line_of_stdin()
    if not may_ask():
        raise UsageError(f"{what} is needed", hint="--password-stdin reads it from standard input")
    return getpass.getpass("Password: ", stream=sys.stderr)


def read_file(name: str, *, what: str) -> bytes:
    """The content of a file that may hold a secret; ``-`` is standard input."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{name}: no such file") from None
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    if len(content) > MAX_FILE:
        raise UsageError(f"{name}: too large for {what}")
    return content


def _line_of_stdin() -> str:
    content = sys.stdin.buffer.readline(MAX_CHOSEN * 4 + 2)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("the password on standard input is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError("no password came on standard input")
    return text


def _ask_twice() -> str:
    if not may_ask():
        raise UsageError("--ask-password needs a terminal", hint="--password-stdin reads it from standard input")
    first = getpass.getpass("Password: ", stream=sys.stderr)
    if getpass.getpass("Again: ", stream=sys.stderr) != first:
        raise UsageError("the two passwords differ")
    return first
