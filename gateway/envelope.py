"""The envelope of dock messages: bytes come in, an Envelope or an EnvelopeError goes out; or a reply's bytes.

The only JSON parser of device data. It must never recurse into what a device sent, never raise anything but
EnvelopeError, and never put a payload's content into an error or its data into a repr.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple, Self, cast

import orjson

from gateway.errors import EnvelopeError

# Recorded messages are 0.3 to 2.3 kB (docs/protocol.md 5.4) and reports tell of states of 100 kB (docs/cases.md 4).
# The worst 1 MiB (all brackets) holds the loop for 35 ms; other docks do not notice that.
MAX_BYTES: Final = 1024 * 1024
# Documented messages nest less than 10 deep. Low enough for every recursive consumer behind us.
MAX_DEPTH: Final = 32

# What a reply repeats as it was sent (docs/protocol.md 1.0).
_ECHOED: Final = ("tid", "bid", "gateway", "method")
# What does not come back as it was sent, or might not
_UNEXACT: Final = frozenset({float, dict, list})
_NEED_REPLY: Final = re.compile(rb'"need_reply"\s*:\s*(?:1|true)')
_MAX_PLAIN_DIGITS: Final = 18  # always fits into orjson's 64 bits
# Keeping the characters of numbers takes a slower parser. Above this size an echoed fraction comes back equal in value
# only, or a hostile megabyte would hold the loop for 90 ms.
_MAX_EXACT_BYTES: Final = 64 * 1024


class Envelope(NamedTuple):
    """``raw`` is the whole object; ``tid``, ``bid``, ``data`` are any JSON, None when missing.

    ``data`` can hold binding codes, so neither it nor ``raw`` is shown.
    """

    method: str | None
    tid: Any
    bid: Any
    data: Any
    raw: dict[str, Any]

    def __repr__(self) -> str:
        return f"Envelope(method={self.method!r}, tid={self.tid!r}, bid={self.bid!r})"


class SubDevice(NamedTuple):
    """The aircraft in a dock's OSD; ``online`` None = the dock did not say."""

    sn: str
    model_key: str
    online: bool | None


class _Number(float):
    """A number that keeps the characters it was sent with: 1.50 must not come back as 1.5, nor 2**70 rounded."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number


def parse(payload: bytes) -> Envelope:
    """Tolerant of everything that docks, simulators and the documentation do differently (docs/protocol.md 1.0).

    Raises EnvelopeError with the reason ``too_large``, ``not_json``, ``not_object`` or ``too_deep``.
    """
    if len(payload) > MAX_BYTES:
        raise EnvelopeError("too_large", f"the message is over {MAX_BYTES} bytes")
    try:
        raw = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        # orjson stops at 1,024 levels by itself, without using the C stack up.
        if "limit" in error.msg.lower():
            raise EnvelopeError("too_deep", f"the message nests over {MAX_DEPTH} levels") from None
        raise EnvelopeError("not_json", "the message is not JSON") from None
    # Each level has an opening bracket, so few of them (in texts too) prove it shallow without a walk.
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH and _is_too_deep(raw):
        raise EnvelopeError("too_deep", f"the message nests over {MAX_DEPTH} levels")
    if type(raw) is not dict:
        raise EnvelopeError("not_object", "the message is JSON, but not an object")
    get = raw.get
    # spelled out: a loop over _ECHOED costs as much as the parser
    is_plain = not (_UNEXACT & {type(get("tid")), type(get("bid")), type(get("gateway")), type(get("method"))})
    if not is_plain and len(payload) <= _MAX_EXACT_BYTES:
        exact = json.loads(payload, parse_float=_Number, parse_int=_whole_number)
        raw.update((key, exact[key]) for key in _ECHOED if key in exact)
    method = get("method")
    return Envelope(method if type(method) is str else None, get("tid"), get("bid"), get("data"), raw)


def _is_too_deep(value: Any) -> bool:  # noqa: ANN401
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _whole_number(text: str) -> int | float:
    return int(text) if len(text) <= _MAX_PLAIN_DIGITS else _Number(text)


def wants_reply(payload: bytes) -> Envelope | None:
    """The envelope of an event or state with ``need_reply`` 1 (or true) at its top level; else None, bad JSON included.

    Telemetry is not parsed: the key is looked for as bytes first. A key spelled with escapes is not found.
    """
    if b'"need_reply"' not in payload or _NEED_REPLY.search(payload) is None:
        return None
    try:
        envelope = parse(payload)
    except EnvelopeError:
        return None
    return envelope if envelope.raw.get("need_reply") == 1 else None


def reply(envelope: Envelope, data: dict[str, Any], *, now_ms: int) -> bytes:
    """tid, bid, gateway and method exactly as sent, and left out when they were not sent."""
    raw = envelope.raw
    answer: dict[str, Any] = {key: raw[key] for key in ("tid", "bid") if key in raw}
    answer["timestamp"] = now_ms
    for key in ("gateway", "method"):
        if key in raw:
            answer[key] = raw[key]
    answer["data"] = data
    return orjson.dumps(answer, default=_as_sent)


def _as_sent(value: object) -> orjson.Fragment:
    if isinstance(value, _Number):
        return orjson.Fragment(value.text)
    raise TypeError(type(value).__name__)


def sub_device_of(payload: bytes) -> SubDevice | None:
    """The aircraft that a dock's OSD names (docs/protocol.md 2); None when it names none, as two fragments of three do.

    ``sn`` is a text that is not empty, and not yet checked for being an SN.
    """
    if b'"sub_device"' not in payload:
        return None
    try:
        data = parse(payload).data
    except EnvelopeError:
        return None
    found = data.get("sub_device") if type(data) is dict else None
    if type(found) is not dict:
        return None
    fields = cast("dict[str, Any]", found)
    sn, model_key, status = (fields.get(key) for key in ("device_sn", "device_model_key", "device_online_status"))
    if type(sn) is not str or not sn:
        return None
    online = bool(status) if type(status) in (int, bool) and status in (0, 1) else None
    return SubDevice(sn, model_key if type(model_key) is str else "", online)
