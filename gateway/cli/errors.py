"""The only catch-all of the command line: any failure comes in, one line with its hint and an exit code go out.

Never a secret, and never a traceback unless ``-v`` asks for it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence

import typer

from gateway.cli.options import NO_INPUT, Globals
from gateway.cli.render import Format, ReaderGoneError, visible
from gateway.errors import DockgateError, UnwritableError
from gateway.logs import redact_text

# typer carries its own click since 0.2x and used the real one before: the class is found through a name that both have
_UsageProblem: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""What only writing fails with."""
_INTERRUPTED = 130
"""What shells give for a command that Ctrl-C ended: 128 + SIGINT."""


def guarded(argv: Sequence[str] | None) -> int:
    """Run ``dockgate ARGV``; everything that goes wrong ends here."""
    words = list(sys.argv[1:] if argv is None else argv)
    given = Globals(is_process=argv is None)
    NO_INPUT.set(False)  # this run's; tests run several in a process
    try:
        from gateway.cli.app import command  # noqa: PLC0415 - an import that fails is told like any failure

        code = command().main(args=words, prog_name="dockgate", standalone_mode=False, obj=given)
    except DockgateError as error:
        _tell(words, given, error.code, str(error), error.hint)
        return error.exit_code
    except _UsageProblem as error:
        return _usage(words, given, error)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("\n")
        return _INTERRUPTED
    except ReaderGoneError:
        # What is still buffered has no place to go to, and Python shall not try at exit
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        kind = UnwritableError if error.errno in _UNWRITABLE else DockgateError
        where = f"{error.filename}: " if error.filename else ""
        _tell(words, given, kind.code, f"{where}{error.strerror or type(error).__name__}", None)
        _trace(given)
        return kind.exit_code
    except Exception as error:  # noqa: BLE001 - the wall: what nobody foresaw is one line too
        # The text of a foreign exception may hold what was typed, a password too: only its kind and place are told
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"unexpected failure: {type(error).__name__} in {os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119 - a name, not a path
        _tell(words, given, DockgateError.code, text, "run it again with -v before the command for the details")
        _trace(given)
        return DockgateError.exit_code
    return code if isinstance(code, int) else 0


def _usage(words: Sequence[str], given: Globals, error: Exception) -> int:
    ctx = getattr(error, "ctx", None)
    path = str(ctx.command_path) if ctx is not None else "dockgate"
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{ctx.get_help()}\n" if ctx is not None else "")
        return 2
    given.what = path.removeprefix("dockgate").strip()
    message = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    _tell(words, given, "usage", message.strip().rstrip("."), f"{path} --help")
    return 2


def _tell(words: Sequence[str], given: Globals, code: str, message: str, hint: str | None) -> None:
    if _wants_json(words, given):
        problem = {"error": {"code": code, "message": message, "hint": hint}}
        sys.stderr.write(json.dumps(problem) + "\n")
        return
    what = given.what or _first_word(words) or "usage"
    # Only the configuration tells several things at once, each in its own line
    lines = [visible(line) for line in message.splitlines() if line.strip()]
    sys.stderr.write("\n".join((f"dockgate: {what}: {lines[0] if lines else code}", *lines[1:])) + "\n")
    if hint:
        sys.stderr.write(f"hint: {visible(given.naming_config(' '.join(hint.split())))}\n")


def _trace(given: Globals) -> None:
    if given.verbose:
        sys.stderr.write(redact_text(traceback.format_exc()))


def _first_word(words: Sequence[str]) -> str:
    from gateway.cli.app import COMMANDS  # noqa: PLC0415 - see guarded

    return next((word for word in words if word in COMMANDS), "")


def _wants_json(words: Sequence[str], given: Globals) -> bool:
    """The words may not have been understood at all, so that they are looked at here too."""
    if given.output is not None:
        return given.output is not Format.TABLE
    after = {"-o", "--output"}
    pairs = zip(words, [*words[1:], ""], strict=True)
    said = [value for word, value in pairs if word in after]
    said += [word.removeprefix("--output=") for word in words if word.startswith("--output=")]
    said += [word.removeprefix("-o") for word in words if word.startswith("-o") and word != "-o"]
    return any(value in {Format.JSON, Format.JSONL} for value in said)
