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
_OVERHEAD = 512  # what an entry takes beside what was said
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
        self._of: OrderedDict[str, deque[Answered]] = OrderedDict()  # by SN, the one that asked last comes last
        self._bytes = 0

    def note(self, answered: Answered) -> None:
        """For ``Dispatcher.listen``. Kept as it was, secrets too: what is in this memory is in the directory's as well, and
        taking them out costs more than all the rest of a request. That is done for who reads.
        """
        self.channel.tell(answered.sn, answered)
        if _size(answered) > MOST_OF_ONE:  # nobody shall push out with one what others have asked
            answered = answered._replace(request=_shortened(answered.request), reply=_shortened(answered.reply))
        self._keep(answered)

    def of(self, sn: str) -> list[dict[str, Any]]:
        """The latest of one dock, oldest first."""
        return [
            {**_line(answered), "request": _shown(answered.request), "reply": _shown(answered.reply)}
            for answered in self._of.get(sn, ())
        ]

    def _keep(self, answered: Answered) -> None:
        own = self._of.get(answered.sn)
        if own is None:
            own = self._of[answered.sn] = deque()
        else:
            self._of.move_to_end(answered.sn)
        own.append(answered)
        self._bytes += _size(answered)
        if len(own) > OF_ONE_DOCK:
            self._bytes -= _size(own.popleft())
        while self._bytes > MOST_BYTES:
            _, oldest = self._of.popitem(last=False)
            self._bytes -= sum(map(_size, oldest))


def rendered(answered: Answered) -> bytes:
    """The line for ``RequestLog.channel``."""
    return orjson.dumps(_line(answered))


def _line(answered: Answered) -> dict[str, Any]:
    return {
        "at": iso(answered.at),
        "sn": answered.sn,
        "method": None if answered.method is None else answered.method[:_METHOD_CHARACTERS],
        "result": answered.result,
        "ms": round(answered.seconds * 1000, 1),
    }


def _size(answered: Answered) -> int:
    return _OVERHEAD + len(answered.request or b"") + len(answered.reply or b"")


def _data(message: bytes | None) -> Any:  # noqa: ANN401 - any JSON
    return None if message is None else orjson.loads(message).get("data")


def _shown(message: bytes | None) -> Any:  # noqa: ANN401 - any JSON
    return redacted(_data(message))


def _shortened(message: bytes | None) -> bytes | None:
    return None if message is None else orjson.dumps({"data": redacted(_data(message))})


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
