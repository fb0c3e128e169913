"""What docks have asked and were answered: kept for a while for who looks at a dock, and told live. Secrets are taken out before
anything is shown, and what is kept is bounded, whatever docks send.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import orjson

from gateway import logs
from gateway.operations.organizations import cut
from gateway.operations.times import iso

if TYPE_CHECKING:
    from gateway.model import Answered
    from gateway.web.streams import Channel

OF_ONE_DOCK = 32
MOST_BYTES = 16 * 1024 * 1024
MOST_OF_ONE = 8 * 1024
_MOST_VALUES = 200
_MOST_CHARACTERS = 200
_MOST_DEPTH = 8
_METHOD_CHARACTERS = 64
_CUT_OFF = "…"
# The code that somebody typed is what one looks for when it was wrong: as much of it is shown as the audit shows.
_CODES = frozenset({"device_binding_code"})


class RequestLog:
    """``channel`` gets a line for each request: when, who, what, with which result, how fast; nothing of what was said."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._of: OrderedDict[str, deque[bytes]] = OrderedDict()  # by SN, the one that asked last comes last
        self._bytes = 0

    def note(self, answered: Answered) -> None:
        """For ``Dispatcher.listen``."""
        line = {
            "at": iso(answered.at),
            "sn": answered.sn,
            "method": None if answered.method is None else answered.method[:_METHOD_CHARACTERS],
            "result": answered.result,
            "ms": round(answered.seconds * 1000, 1),
        }
        try:
            self.channel.tell(answered.sn, orjson.dumps(line))
            # As it was, secrets too: what is in this memory is in the directory's as well. Redacting costs more than
            # all the rest of a request, and is done for who reads.
            entry = orjson.dumps({**line, "request": answered.request, "reply": answered.reply})
            if len(entry) > MOST_OF_ONE:  # nobody shall push out with one what others have asked
                entry = orjson.dumps({**line, "request": redacted(answered.request), "reply": redacted(answered.reply)})
            self._keep(answered.sn, entry)
        except (TypeError, ValueError):  # what orjson can't write, as a lone surrogate in a dock's words
            return

    def of(self, sn: str) -> list[dict[str, Any]]:
        """The latest of one dock, oldest first."""
        return [_without_secrets(orjson.loads(entry)) for entry in self._of.get(sn, ())]

    def _keep(self, sn: str, entry: bytes) -> None:
        own = self._of.setdefault(sn, deque())
        self._of.move_to_end(sn)
        own.append(entry)
        self._bytes += len(entry)
        if len(own) > OF_ONE_DOCK:
            self._bytes -= len(own.popleft())
        while self._bytes > MOST_BYTES:
            _, oldest = self._of.popitem(last=False)
            self._bytes -= sum(map(len, oldest))


def _without_secrets(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "request": redacted(entry["request"]), "reply": redacted(entry["reply"])}


def redacted(value: object) -> Any:  # noqa: ANN401 - any JSON
    """``value`` without what its names tell to be secret, and no more of it than a page can show."""
    return _Redaction().of("", value, _MOST_DEPTH)


class _Redaction:
    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def of(self, name: str, value: object, depth: int) -> Any:  # noqa: ANN401
        self._left -= 1
        if name in _CODES and isinstance(value, str):
            return cut(value)
        if logs.tells_a_secret(name) and value is not None and value != "":
            return logs.REDACTED
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return value if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + _CUT_OFF
        if depth == 0 or self._left <= 0:
            return _CUT_OFF
        if isinstance(value, dict):
            found = {}
            for key, inner in value.items():
                if self._left <= 0:
                    found[_CUT_OFF] = _CUT_OFF
                    break
                inner_name = str(key)[:_MOST_CHARACTERS]
                found[inner_name] = self.of(inner_name, inner, depth - 1)
            return found
        if isinstance(value, list | tuple):
            items = []
            for inner in value:
                if self._left <= 0:
                    items.append(_CUT_OFF)
                    break
                items.append(self.of(name, inner, depth - 1))
            return items
        return _CUT_OFF
