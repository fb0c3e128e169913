"""One request on its way to its answer: an envelope comes in, what belongs to it is kept together, and its method is named.

It decides nothing and answers nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.envelope import Envelope
from gateway.methods import METHODS, PLATFORM_METHODS, STATUS_METHODS, Handler
from gateway.model import Request
from gateway.recent import Key
from gateway.topics import Kind


class Asked(NamedTuple):
    """One request and what is to become of it. ``payload``: the message as it came."""

    request: Request
    topic: str
    parsed: Envelope
    payload: bytes
    key: Key | None
    handler: Handler

    def __repr__(self) -> str:
        return f"Asked({self.request!r})"


def method_of(kind: Kind, parsed: Envelope) -> str | None:
    # One method is known on the status topic, and some senders leave its name out (docs/protocol.md 4.1).
    return "update_topo" if kind is Kind.STATUS and parsed.raw.get("method") is None else parsed.method


def echo_of(parsed: Envelope) -> Envelope:
    """What a later reply needs, without the data that would be held meanwhile."""
    return parsed._replace(data=None, raw={key: value for key, value in parsed.raw.items() if key != "data"})


def label_of(method: str | None) -> str:
    """A method's name for metrics and keys: a dock can invent any number of others."""
    if method in METHODS or method in STATUS_METHODS or method in PLATFORM_METHODS:
        return str(method)
    return "other"
