"""The frozen records that plugins, handlers, store, CLI and simulator share. No I/O, no rule, no default that hides a choice.

Times are ``int`` milliseconds since 1970 (``…_at``). Rows and JSON are converted at the edge, not here.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class Role(StrEnum):
    """What an account may be (interfaces, MQTT)."""

    DOCK = "dock"
    SERVICE = "service"
    OBSERVER = "observer"


class Action(StrEnum):
    """What a session wants to do with a topic; the same three words as amqtt's plugin API."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    RECEIVE = "receive"


class AccessStep(StrEnum):
    """How far a dock has come on its way in; the order of the members is the order of the steps."""

    SEEN = "seen"
    CONNECTED = "connected"
    LICENSED = "licensed"
    BOUND = "bound"
    ONLINE = "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """``version`` grows with every change that must end a live connection: password, enabled, role, SN, organization."""

    name: str
    role: Role
    sn: str | None
    organization_id: str | None
    enabled: bool
    can_read_sys: bool
    version: int
    created_at: int
    changed_at: int
    last_login_at: int | None
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    id: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingCode:
    """``uses_left`` None = without limit; ``sn`` set = for that dock only. A use is one bind request that binds something new."""

    code: str
    organization_id: str
    uses_left: int | None
    expires_at: int | None
    sn: str | None
    revoked_at: int | None
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """What ``config`` is answered with. ``organization_id`` None = the default for organizations without one of their own."""

    organization_id: str | None
    app_id: str
    app_key: str = field(repr=False)
    app_license: str = field(repr=False)
    ntp_server_host: str | None
    ntp_server_port: int
    changed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A dock (``gateway_sn`` None) or what hangs on one. Bound when ``organization_id`` is set."""

    sn: str
    gateway_sn: str | None
    is_gateway: bool
    model_key: str
    callsign: str
    organization_id: str | None
    bound_at: int | None
    first_seen_at: int
    last_seen_at: int
    online: bool
    access_step: AccessStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a session is: made by a login, replaced (never changed) when the account is pinned to an SN."""

    account: str
    role: Role
    sn: str | None
    organization_id: str | None
    can_read_sys: bool
    version: int


class Decision(NamedTuple):
    """``pin_sn``: denied only because the account has no SN yet; pin it to this one and ask again."""

    allow: bool
    reason: str
    pin_sn: str | None = None


class FleetView(Protocol):
    """What the topic rules need to know of the docks; answered from memory."""

    def gateway_of(self, sn: str) -> str | None:
        """The dock that ``sn`` hangs on; ``sn`` itself when it is a dock; None when unknown."""

    def organization_of(self, sn: str) -> str | None:
        """The organization that ``sn`` belongs to for reading: bound to it, or its dock is, or its dock's account is of it."""


# Tuples from here on: some of each are made for every request, and a frozen dataclass costs three times as much to make.


class Request(NamedTuple):
    """One parsed request of a dock. ``envelope`` is the whole object as sent; ``data`` is its ``data`` (any JSON)."""

    gateway_sn: str
    identity: Identity
    method: str
    data: Any
    envelope: dict[str, Any]
    received_at: int

    def __repr__(self) -> str:
        return f"Request(gateway_sn={self.gateway_sn!r}, method={self.method!r})"


class Reply(NamedTuple):
    """The ``data`` of a reply. ``result`` is what became of it, for logs and metrics: 0 = success; that of ``data``, or of a list
    that was worked on the first code of an entry that was refused.
    """

    data: dict[str, Any]
    result: int

    def __repr__(self) -> str:
        return f"Reply(result={self.result})"


class Answered(NamedTuple):
    """What became of one request of a dock, for those who look on. ``result`` None: passed on to a platform.

    ``request`` and ``reply`` are the messages as they came and went (None: not kept): there are secrets in them.
    """

    at: int
    sn: str
    method: str | None
    result: int | None
    seconds: float
    request: bytes | None
    reply: bytes | None

    def __repr__(self) -> str:
        return f"Answered(sn={self.sn!r}, method={self.method!r}, result={self.result})"


class OutgoingMessage(NamedTuple):
    topic: str
    payload: bytes

    def __repr__(self) -> str:
        return f"OutgoingMessage(topic={self.topic!r}, {len(self.payload)} bytes)"


class Outcome(NamedTuple):
    """What a plugin's ``intercept`` makes of an accepted publish.

    ``route``: pass the message on to subscribers, now. ``replies``: for the asking session and nobody else. ``work``: the
    rest, to be awaited in the order of this session's messages; only the replies of its own outcome count.
    """

    route: bool = True
    replies: tuple[OutgoingMessage, ...] = ()
    work: Coroutine[Any, Any, Outcome] | None = None
