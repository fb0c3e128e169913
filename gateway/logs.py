"""Structured logging: records with named fields come in, one line each goes out, text for people or JSON for programs.

A line never carries a secret, and nothing that a client sends can start a new line or hide one. The process configures
it once; everybody else calls ``logging.getLogger(__name__)`` and hands over fields: ``extra={SN: sn, REASON: reason}``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

# The names of fields: a search over log lines relies on their spelling.
ACCOUNT = "account"
ACTION = "action"
ADDRESS = "address"
CLIENT_ID = "client_id"
CONNECTIONS = "connections"
COUNT = "count"
DURATION_MS = "duration_ms"
ERROR = "error"
EVENT = "event"
LISTENER = "listener"
METHOD = "method"
OPTION = "option"
ORGANIZATION = "organization"
PATH = "path"
REASON = "reason"
RESULT = "result"
ROLE = "role"
SN = "sn"
SUPPRESSED = "suppressed"
TID = "tid"
TOPIC = "topic"
VERSION = "version"

REDACTED = "[redacted]"
# A client id or topic may have 64 KiB (MQTT 1.5.4); a line has to stay readable and a disk has to last.
MAX_VALUE_CHARACTERS = 512
MAX_MESSAGE_CHARACTERS = 4096
MAX_TRACEBACK_CHARACTERS = 32_768
# Lines that wait for the end of a turn of the event loop.
_MOST_WAITING_LINES = 256
# Deeper than any object we log; what lies deeper is cut off, not searched for secrets.
_MAX_DEPTH = 6

# Libraries whose debug and info lines hold statements, packets or passwords (aiosqlite prints the parameters of each
# statement, amqtt whole packets), or are of use to their authors only.
_TAMED = ("amqtt", "aiosqlite", "asyncio", "passlib", "transitions", "uvloop", "websockets")

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|nonce|credential|authorization|cookie"
    r"|(?:app|private|api|session)_?key(?!_?file)|app_?license|binding_?code|\bpem\b",
    re.IGNORECASE,
)
_SECRET_IN_TEXT = re.compile(
    r"(?P<name>\b\w*(?:password|passwd|secret|token|nonce|app_key|app_license|private_key)\b[\"']?\s*[=:]\s*)"
    r"(?P<value>b?\"[^\"]*\"?|b?'[^']*'?|[^\s,;}\])]+)",
    re.IGNORECASE,
)
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_BARE_VALUE = re.compile(r"[^\s\"'=\\]+")
# Prints as it is, in text and in JSON, and has nothing that a secret could stand behind.
_WORD = re.compile(r"[A-Za-z0-9_./@-]+")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields handed over as ``extra``, in their order."""
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


class Redact(logging.Filter):
    """Takes secrets out of a record and cuts what is too long: values whose name tells them, private keys anywhere.

    Drops no record and never raises: logging calls filters without a net, in the middle of the caller's work.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        fields = fields_of(record)
        try:
            for name, value in fields.items():
                if not _is_harmless(name, value):
                    setattr(record, name, _without_secrets(name, value, _MAX_DEPTH))
            if isinstance(record.args, Mapping):
                record.args = {name: _without_secrets(name, value, _MAX_DEPTH) for name, value in record.args.items()}
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001  any object's __str__ runs in here
            message = f"a line that could not be formatted ({type(error).__name__}), {record.pathname}:{record.lineno}"
            for name in fields:
                delattr(record, name)
        record.msg, record.args = redact_text(_cut(message, MAX_MESSAGE_CHARACTERS)), None
        return True


def _is_harmless(name: str, value: object) -> bool:
    """Most values are a short word or a number, and nothing can be hidden in those."""
    return (
        (type(value) is str and len(value) <= MAX_VALUE_CHARACTERS and _WORD.fullmatch(value) is not None)
        or value is None
        or type(value) is int
    ) and not tells_a_secret(name)


@lru_cache(maxsize=4096)
def tells_a_secret(name: str) -> bool:
    return _SECRET_KEY.search(name) is not None


def _without_secrets(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401  anything can be logged
    if tells_a_secret(name):
        return REDACTED
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value[: MAX_VALUE_CHARACTERS + 1]).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        if depth == 0:
            return "…"
        return {str(key): _without_secrets(str(key), inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        if depth == 0:
            return "…"
        return [_without_secrets(name, inner, depth - 1) for inner in value]
    return redact_text(_cut(str(value), MAX_VALUE_CHARACTERS))


def redact_text(text: str) -> str:
    """Text without private keys and without what stands after ``password=`` and its like."""
    if "-----BEGIN" in text:
        text = _KEY_BLOCK.sub(REDACTED, text)
    if "=" not in text and ":" not in text:  # most values; the search below is what costs
        return text
    return _SECRET_IN_TEXT.sub(lambda found: found["name"] + REDACTED, text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…({len(text) - limit} more)"


def escape(text: str) -> str:
    """Characters that do not print (line ends, terminal control, bidirectional marks, lone surrogates) by number."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    number = ord(character)
    short = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}.get(number)
    if short is not None:
        return short
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


@lru_cache(maxsize=2)
def _second(created: int) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _time(record: logging.LogRecord) -> str:
    return _written(record.created)


def _written(at: float) -> str:
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1000):03d}Z"


class _Formatter(logging.Formatter):
    def traceback_of(self, record: logging.LogRecord) -> str:
        text = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        if record.stack_info:
            text = f"{text}\n{record.stack_info}" if text else record.stack_info
        return redact_text(_cut(text, MAX_TRACEBACK_CHARACTERS))


class TextFormatter(_Formatter):
    """``2026-01-31T12:00:00.000Z warning login refused account=dock-1 reason="wrong password"``.

    Fields without value are left out. A traceback follows on lines that begin with blanks, as no entry does.
    """

    def format(self, record: logging.LogRecord) -> str:
        parts = [_time(record), record.levelname.lower(), escape(record.getMessage())]
        parts += [
            f"{escape(name)}={_text_value(value)}" for name, value in fields_of(record).items() if value is not None
        ]
        line = " ".join(parts)
        if not (record.exc_info or record.exc_text or record.stack_info):
            return line
        return "\n".join([line, *(f"    {escape(text)}" for text in self.traceback_of(record).split("\n") if text)])


def _text_value(value: Any) -> str:  # noqa: ANN401  anything can be logged
    if type(value) is str and _WORD.fullmatch(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
    if _BARE_VALUE.fullmatch(text):
        return escape(text)
    backslash_first = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape(backslash_first)}"'


class JsonFormatter(_Formatter):
    """One JSON object on one line of ASCII: ``at``, ``level``, ``logger``, ``message``, the fields, ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            **fields_of(record),
            "at": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if traceback := self.traceback_of(record):
            entry["traceback"] = traceback
        return json.dumps(entry, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """The one handler of the process; its class is how ``configure`` finds the one of an earlier call.

    Lines up to ``info`` of one turn of the event loop are written together: for each by itself the kernel would be
    called. From ``warning`` on, and outside a loop, a line is written at once, behind those that wait.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []
        self._awaited: asyncio.AbstractEventLoop | None = None  # whose turn's end writes them

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  logging's rule: no line may end the work that it tells of
            self.handleError(record)
            return
        self.add(line, record.levelno)

    def add(self, line: str, level: int) -> None:
        """``line`` is ready to be read. Under the handler's lock."""
        self._waiting.append(line)
        loop = None
        if level <= logging.INFO and len(self._waiting) < _MOST_WAITING_LINES:
            with suppress(RuntimeError):  # no loop in this thread
                loop = asyncio.get_running_loop()
        if loop is None:
            self.flush()
        elif loop is not self._awaited:  # one that has ended meanwhile has written nothing
            self._awaited = loop
            loop.call_soon(self.flush)

    def flush(self) -> None:
        with self.lock or nullcontext():
            self._awaited = None
            if not self._waiting:
                return
            text = "\n".join(self._waiting) + "\n"
            self._waiting.clear()
            try:
                self.stream.write(text)
                self.stream.flush()
            except (OSError, ValueError):
                return  # the stream is gone: there is nobody to tell

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        # logging's own report prints the raw arguments, secrets included
        self.add(f"a log line of {record.name} could not be written", logging.ERROR)


def configure(level: str, format: Literal["text", "json"], stream: TextIO | None = None) -> None:  # noqa: A002  the option's name
    """Send every logger's lines to ``stream`` (standard error when None). A later call replaces an earlier one."""
    # No line shows thread or process: the logging module need not look for them (its manual, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Handler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    handler.addFilter(Redact())
    root = logging.getLogger()
    for earlier in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(earlier)
        earlier.flush()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _TAMED:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def info(log: logging.Logger, message: str, fields: Mapping[str, Any]) -> None:
    """``log.info(message, extra=fields)``, without the record where only the handler of ``configure`` would see it: for the
    lines that come with every connection. ``message`` is the program's own.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    handlers = log.handlers or logging.root.handlers
    handler = handlers[0] if len(handlers) == 1 else None
    if type(handler) is _Handler and type(handler.formatter) is TextFormatter and handler.lock is not None:
        told = [f"{name}={value}" for name, value in fields.items() if value is not None and _is_harmless(name, value)]
        if len(told) == sum(value is not None for value in fields.values()):
            with handler.lock:
                handler.add(" ".join((_written(time.time()), "info", message, *told)), logging.INFO)
            return
    log.info(message, extra=fields)


class Bound(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds its fields to each line: ``Bound(log, {SN: sn, TID: tid})``. Fields of the call win."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:  # noqa: ANN401
        return msg, {**kwargs, "extra": {**(self.extra or {}), **(kwargs.get("extra") or {})}}


@dataclass(slots=True)
class _Window:
    opened_at: float
    level: int
    message: str
    suppressed: int = 0


_OTHERS = object()  # stands for all keys that found no room


class RateLimited:
    """At most one line per key and interval; the next line of the key, or ``flush``, says how many were left out.

    Memory and lines are bounded: while ``max_keys`` keys are within their interval, others share one line. Not for
    several threads.
    """

    def __init__(
        self,
        log: logging.Logger | logging.LoggerAdapter[Any],
        *,
        interval_s: float = 60.0,
        max_keys: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._interval_s = interval_s
        self._max_keys = max_keys
        self._clock = clock
        self._windows: dict[Hashable, _Window] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._windows)

    def log(self, level: int, key: Hashable, message: str, **fields: Any) -> bool:  # noqa: ANN401  anything can be logged
        """Write the line or count it; True when it was written."""
        now = self._clock()
        window = self._windows.get(key)
        if window is None and len(self._windows) >= self._max_keys:
            self._close_windows(now)
            if len(self._windows) >= self._max_keys:
                key, message, fields = (
                    _OTHERS,
                    "too many different log lines of one kind",
                    {"sample": message, **fields},
                )
                window = self._windows.get(key)
        if window is not None and now - window.opened_at < self._interval_s:
            window.suppressed += 1
            return False
        if window is not None:
            del self._windows[key]  # so that it becomes the youngest
            if window.suppressed:
                fields = {**fields, SUPPRESSED: window.suppressed}
        self._windows[key] = _Window(now, level, message)
        self._log.log(level, message, extra=fields)
        return True

    def warning(self, key: Hashable, message: str, **fields: Any) -> bool:  # noqa: ANN401  anything can be logged
        return self.log(logging.WARNING, key, message, **fields)

    def flush(self) -> None:
        """Write what is still uncounted, whether or not an interval is over: for the end of the process."""
        self._close_windows(float("inf"))

    def _close_windows(self, now: float) -> None:
        for key, window in list(self._windows.items()):
            if now - window.opened_at < self._interval_s:
                break
            del self._windows[key]
            if window.suppressed:
                self._log.log(window.level, "%s: %d more suppressed", window.message, window.suppressed)
