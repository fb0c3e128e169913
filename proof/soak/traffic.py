"""What docks say on an ordinary day, and how much of it: kinds of messages with their rates, as bytes. Pure.

Rates and sizes as docs/protocol.md 5.3 and 5.4 tell of them; a dock at rest sends less than one in flight.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final


class Kind(Enum):
    """``per_s``: of one dock at rest. ``replied``: on that topic, for each of them."""

    OSD = (0.5, "osd", None)
    AIRCRAFT_OSD = (0.1, "osd", None)
    STATE = (0.02, "state", "state_reply")
    EVENT = (0.05, "events", None)
    EVENT_TO_REPLY = (0.05, "events", "events_reply")
    REQUEST = (6 / 411, "requests", "requests_reply")

    def __init__(self, per_s: float, last: str, replied: str | None) -> None:
        self.per_s = per_s
        self.last = last
        self.replied = replied


class Order(Enum):
    """What a platform sends to a dock, which answers each on ``replied``. ``per_s``: of one dock that gets any."""

    SERVICE = (0.05, "services", "services_reply")
    PROPERTY = (0.02, "property/set", "property/set_reply")

    def __init__(self, per_s: float, last: str, replied: str) -> None:
        self.per_s = per_s
        self.last = last
        self.replied = replied


PER_DOCK: Final = sum(kind.per_s for kind in Kind)
REPLY_TOPICS: Final = ("requests_reply", "events_reply", "state_reply")
_TID: Final = b'{"tid":"%019d"'
_TID_KEY: Final = b'"tid":"'
_DIGITS: Final = 19
_REQUESTS: Final = ("config", "airport_bind_status", "airport_organization_get", "flight_areas_get")
_FRAGMENTS: Final = 3  # every third message of a dock's OSD names its aircraft (docs/protocol.md C32)


def aircraft_of(sn: str) -> str:
    return f"1581F{sn[5:]}"


def tid_of(data: bytes, start: int, end: int) -> int | None:
    at = data.find(_TID_KEY, start, end)
    if at < 0:
        return None
    at += len(_TID_KEY)
    digits = data[at : at + _DIGITS]
    return int(digits) if digits.isdigit() else None


def packet(first: int, body: bytes) -> bytes:
    length, size = len(body), b""
    while True:
        length, low = divmod(length, 128)
        size += bytes([low | 0x80 if length else low])
        if not length:
            return bytes([first]) + size + body


def text(value: str) -> bytes:
    return struct.pack("!H", len(value)) + value.encode()


@dataclass(frozen=True, slots=True)
class Form:
    """A PUBLISH of QoS 0 but for the number in its ``tid``."""

    head: bytes
    tail: bytes

    def stamped(self, number: int) -> bytes:
        return self.head + _TID % number + self.tail


def _form(topic: str, body: dict[str, Any], size: int = 0, *, level: int = 4) -> Form:
    """``size``: bytes of the payload, filled up if it has fewer. ``level``: of the protocol; 5 has room for properties."""
    tail = b"," + json.dumps(body).encode()[1:]
    short = size - len(tail) - len(_TID % 0)
    if short > 0:
        tail = b',"rest":"' + b"x" * max(0, short - 10) + b'"' + tail
    named = text(topic) + (b"\0" if level == 5 else b"")
    rest = len(named) + len(_TID % 0) + len(tail)
    sized = packet(0x30, b"\0" * rest)
    return Form(sized[: len(sized) - rest] + named, tail)


def orders(sn: str) -> dict[Order, Form]:
    """Of a platform that speaks 3.1.1."""
    common = {"bid": "b", "timestamp": 1767225606000, "gateway": sn}
    return {
        Order.SERVICE: _form(f"thing/product/{sn}/services", {**common, "method": "cover_open", "data": {}}, 200),
        Order.PROPERTY: _form(f"thing/product/{sn}/property/set", {**common, "data": {"night_lights_state": 1}}, 200),
    }


class Words:
    """All that one dock says: for each kind its forms, in turn."""

    __slots__ = ("_answers", "_forms", "_turn")

    def __init__(self, sn: str, organization: str, code: str, *, level: int = 4) -> None:
        self._turn = dict.fromkeys(Kind, 0)
        bird = aircraft_of(sn)
        dock, aircraft = f"thing/product/{sn}/", f"thing/product/{bird}/"
        common = {"bid": "b", "timestamp": 1767225606000, "gateway": sn}
        numbers = {"latitude": 22.577, "longitude": 113.943, "height": 37.42, "mode_code": 0, "cover_state": 0}
        told = {"sub_device": {"device_sn": bird, "device_model_key": "0-91-1", "device_online_status": 1}}
        named = {"device_binding_code": code, "organization_id": organization}
        asks: dict[str, Any] = {
            "config": {"config_type": "json", "config_scope": "product"},
            "airport_bind_status": {"devices": [{"sn": sn}, {"sn": bird}]},
            "airport_organization_get": named,
            "flight_areas_get": None,
        }
        form = partial(_form, level=level)
        done: dict[str, Any] = {"bid": "b", "timestamp": 1767225606000, "data": {"result": 0}}
        self._answers = {
            Order.SERVICE: form(f"{dock}{Order.SERVICE.replied}", {**done, "method": "cover_open"}),
            Order.PROPERTY: form(f"{dock}{Order.PROPERTY.replied}", done),
        }
        self._forms = {
            Kind.OSD: [
                form(f"{dock}osd", {**common, "data": {**numbers, **(told if not fragment else {})}}, 1100)
                for fragment in range(_FRAGMENTS)
            ],
            Kind.AIRCRAFT_OSD: [form(f"{aircraft}osd", {**common, "data": numbers}, 1100)],
            Kind.STATE: [form(f"{dock}state", {**common, "need_reply": 1, "data": {"firmware_version": "10.01"}}, 200)],
            Kind.EVENT: [
                form(f"{aircraft}events", {**common, "method": "hms", "need_reply": 0, "data": {"list": []}}, 300)
            ],
            Kind.EVENT_TO_REPLY: [
                form(f"{dock}events", {**common, "method": "fileupload_progress", "need_reply": 1, "data": {}}, 300)
            ],
            Kind.REQUEST: [form(f"{dock}requests", {**common, "method": m, "data": asks[m]}) for m in _REQUESTS],
        }

    def answer(self, order: Order, number: int) -> bytes:
        return self._answers[order].stamped(number)

    def next(self, kind: Kind, number: int) -> bytes:
        forms = self._forms[kind]
        turn = self._turn[kind]
        self._turn[kind] = turn + 1
        return forms[turn % len(forms)].stamped(number)
