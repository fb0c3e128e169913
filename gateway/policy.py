"""Who may do what with which topic. Identity, action, topic or filter and fleet come in, a Decision goes out.

Total and without I/O: it must never raise, whatever the text is, and never allow what no rule names. The order:

1. role and action choose a rule; what has none is refused;
2. dock: the topic must be exactly a dock's topic (no wildcard, no ``$``), then of its own SN or of an aircraft that
   hangs on it, then of a kind that goes in this direction. An account without an SN is refused, and told which SN to
   pin where the topic shows one;
3. service and observer: an invalid topic or filter is refused, then ``$`` topics (``$SYS`` is for services that may
   read it; ``$share`` is for services and judged by its filter), then the direction, then the organization.

Granting a reader's wildcard gives nothing away: each message is judged once more (RECEIVE) before it is delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from gateway import topics
from gateway.model import Action, Decision, FleetView, Identity, Role
from gateway.topics import Kind


class Reason(StrEnum):
    """Why; for logs and metrics. MQTT 3.1.1 tells a client yes or no only."""

    # yes
    OWN_TOPIC = "own_topic"
    AIRCRAFT_TOPIC = "aircraft_topic"
    IN_SCOPE = "in_scope"
    BROKER_STATISTICS = "broker_statistics"
    # no
    PIN_REQUIRED = "pin_required"
    NOT_PINNED = "not_pinned"
    KNOWN_AIRCRAFT = "known_aircraft"
    FOREIGN_SN = "foreign_sn"
    OTHER_ORGANIZATION = "other_organization"
    WRONG_DIRECTION = "wrong_direction"
    READ_ONLY = "read_only"
    WILDCARD = "wildcard"
    SHARED = "shared"
    RESERVED_TOPIC = "reserved_topic"
    UNKNOWN_TOPIC = "unknown_topic"
    INVALID_TOPIC = "invalid_topic"
    INVALID_FILTER = "invalid_filter"
    NO_RULE = "no_rule"


# Made once: this runs for each message that is published and for each that is delivered.
_OWN_TOPIC: Final = Decision(allow=True, reason=Reason.OWN_TOPIC)
_AIRCRAFT_TOPIC: Final = Decision(allow=True, reason=Reason.AIRCRAFT_TOPIC)
_IN_SCOPE: Final = Decision(allow=True, reason=Reason.IN_SCOPE)
_BROKER_STATISTICS: Final = Decision(allow=True, reason=Reason.BROKER_STATISTICS)
_NO: Final = {reason: Decision(allow=False, reason=reason) for reason in Reason}
_WRONG_DIRECTION: Final = _NO[Reason.WRONG_DIRECTION]
_FOREIGN_SN: Final = _NO[Reason.FOREIGN_SN]
_NO_RULE: Final = _NO[Reason.NO_RULE]


class _DockKinds(NamedTuple):
    own: frozenset[Kind]  # under the dock's own SN
    aircraft: frozenset[Kind]  # under the SN of an aircraft that hangs on it
    pinning: frozenset[Kind]  # what shows the SN of an account that has none yet


# docs/protocol.md 2, the list per device. state_reply under both SNs: which one ends a dock's retries is unknown (5.1).
_AIRCRAFT_UP: Final = frozenset({Kind.OSD, Kind.STATE, Kind.EVENTS})
_AIRCRAFT_DOWN: Final = frozenset({Kind.STATE_REPLY, Kind.EVENTS_REPLY, Kind.SERVICES, Kind.PROPERTY_SET})
_DOCK_KINDS: Final[Mapping[Action, _DockKinds]] = {
    Action.PUBLISH: _DockKinds(topics.UP_KINDS, _AIRCRAFT_UP, topics.GATEWAY_ONLY & topics.UP_KINDS),
    Action.SUBSCRIBE: _DockKinds(topics.DOWN_KINDS, _AIRCRAFT_DOWN, topics.GATEWAY_ONLY & topics.DOWN_KINDS),
    # Asking pins, receiving does not: what arrives was chosen by somebody else.
    Action.RECEIVE: _DockKinds(topics.DOWN_KINDS, _AIRCRAFT_DOWN, frozenset()),
}

_SYS_PREFIX: Final = "$SYS/"
_READABLE: Final = (
    *(topics.device_topic("+", kind) for kind in Kind if kind in topics.UP_KINDS),
    topics.event_topic("+"),
)
_SN_LEVEL: Final = 2  # in each of the readable topics


def decide(identity: Identity, action: Action, topic: str, fleet: FleetView) -> Decision:
    """``topic`` is a filter when the action is SUBSCRIBE. Default: no."""
    if identity.role is Role.DOCK:
        return _dock(identity.sn, action, topic, fleet)
    rule = _READER_RULES.get((identity.role, action))
    return _NO_RULE if rule is None else rule(identity, topic, fleet)


def _dock(own_sn: str | None, action: Action, topic: str, fleet: FleetView) -> Decision:
    kinds = _DOCK_KINDS.get(action)
    if kinds is None:
        return _NO_RULE
    parsed = topics.parse_device_topic(topic)
    if parsed is None:
        return _NO[_why_no_dock_topic(action, topic)]
    sn = parsed.sn
    if sn == own_sn:
        return _OWN_TOPIC if parsed.kind in kinds.own else _WRONG_DIRECTION
    if own_sn is None:
        if parsed.kind not in kinds.pinning:
            return _NO[Reason.NOT_PINNED]
        if fleet.gateway_of(sn) not in (None, sn):
            return _NO[Reason.KNOWN_AIRCRAFT]
        return Decision(allow=False, reason=Reason.PIN_REQUIRED, pin_sn=sn)
    if fleet.gateway_of(sn) != own_sn:
        return _FOREIGN_SN
    return _AIRCRAFT_TOPIC if parsed.kind in kinds.aircraft else _WRONG_DIRECTION


def _why_no_dock_topic(action: Action, topic: str) -> Reason:
    if action is Action.SUBSCRIBE:
        if not topics.is_valid_filter(topic):
            return Reason.INVALID_FILTER
        if topic.startswith(topics.SHARE_PREFIX):
            return Reason.SHARED
        if "+" in topic or "#" in topic:
            return Reason.WILDCARD
    elif not topics.is_valid_topic(topic):
        return Reason.INVALID_TOPIC
    return Reason.RESERVED_TOPIC if topic.startswith("$") else Reason.UNKNOWN_TOPIC


def _receive(identity: Identity, topic: str, fleet: FleetView) -> Decision:
    parsed = topics.parse_device_topic(topic)
    if parsed is not None:
        if parsed.kind not in topics.UP_KINDS:
            return _WRONG_DIRECTION
        return _in_scope(identity, parsed.sn, fleet)
    sn = topics.parse_event_topic(topic)
    if sn is not None:
        return _in_scope(identity, sn, fleet)
    if not topics.is_valid_topic(topic):
        return _NO[Reason.INVALID_TOPIC]
    return _reserved(identity, topic) if topic.startswith("$") else _NO[Reason.UNKNOWN_TOPIC]


def _publish(identity: Identity, topic: str, fleet: FleetView) -> Decision:
    parsed = topics.parse_device_topic(topic)
    if parsed is not None:
        if parsed.kind not in topics.DOWN_KINDS:
            return _WRONG_DIRECTION
        return _in_scope(identity, parsed.sn, fleet)
    if not topics.is_valid_topic(topic):
        return _NO[Reason.INVALID_TOPIC]
    return _NO[Reason.RESERVED_TOPIC if topic.startswith("$") else Reason.UNKNOWN_TOPIC]


def _subscribe(identity: Identity, topic_filter: str, fleet: FleetView) -> Decision:
    if not topics.is_valid_filter(topic_filter):
        return _NO[Reason.INVALID_FILTER]
    if topic_filter.startswith(topics.SHARE_PREFIX):
        if identity.role is not Role.SERVICE:
            return _NO[Reason.SHARED]
        shared = topics.split_share(topic_filter)
        if shared is None:
            return _NO[Reason.INVALID_FILTER]
        topic_filter = shared[1]
    if topic_filter.startswith("$"):
        return _reserved(identity, topic_filter)
    if not any(topics.intersects(topic_filter, readable) for readable in _READABLE):
        parsed = topics.parse_device_topic(topic_filter)
        return _NO[Reason.UNKNOWN_TOPIC] if parsed is None else _WRONG_DIRECTION
    sn = _literal_sn(topic_filter)
    if sn is None:
        return _IN_SCOPE
    if not topics.is_valid_sn(sn):
        return _NO[Reason.UNKNOWN_TOPIC]
    # An SN that nobody owns yet is granted: a platform subscribes before the dock is bound, and RECEIVE protects.
    if identity.organization_id is not None and fleet.organization_of(sn) not in (None, identity.organization_id):
        return _NO[Reason.OTHER_ORGANIZATION]
    return _IN_SCOPE


def _literal_sn(topic_filter: str) -> str | None:
    """None when a wildcard stands for the SN."""
    split = topics.levels(topic_filter)
    if len(split) <= _SN_LEVEL or split[_SN_LEVEL] in ("+", "#"):
        return None
    return split[_SN_LEVEL]


def _in_scope(identity: Identity, sn: str, fleet: FleetView) -> Decision:
    organization_id = identity.organization_id
    if organization_id is None or fleet.organization_of(sn) == organization_id:
        return _IN_SCOPE
    return _NO[Reason.OTHER_ORGANIZATION]


def _reserved(identity: Identity, topic: str) -> Decision:
    if topic.startswith(_SYS_PREFIX) and identity.role is Role.SERVICE and identity.can_read_sys:
        return _BROKER_STATISTICS
    return _NO[Reason.RESERVED_TOPIC]


def _read_only(identity: Identity, topic: str, fleet: FleetView) -> Decision:  # noqa: ARG001
    return _NO[Reason.READ_ONLY]


_READER_RULES: Final[Mapping[tuple[Role, Action], Callable[[Identity, str, FleetView], Decision]]] = {
    (Role.SERVICE, Action.RECEIVE): _receive,
    (Role.SERVICE, Action.SUBSCRIBE): _subscribe,
    (Role.SERVICE, Action.PUBLISH): _publish,
    (Role.OBSERVER, Action.RECEIVE): _receive,
    (Role.OBSERVER, Action.SUBSCRIBE): _subscribe,
    (Role.OBSERVER, Action.PUBLISH): _read_only,
}
