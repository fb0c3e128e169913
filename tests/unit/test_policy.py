"""The topic rules by example, with the reason that logs will show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from gateway.model import Action, Decision, Identity, Role
from gateway.policy import Reason, decide

PUBLISH, SUBSCRIBE, RECEIVE = Action.PUBLISH, Action.SUBSCRIBE, Action.RECEIVE
GATEWAYS = MappingProxyType({"DOCK1": "DOCK1", "BIRD1": "DOCK1", "DOCK2": "DOCK2", "BIRD2": "DOCK2"})
OWNERS = MappingProxyType({"DOCK1": "north", "BIRD1": "north", "DOCK2": "south", "BIRD2": "south"})


class Fleet:
    def __init__(self, gateways: Mapping[str, str] = GATEWAYS, owners: Mapping[str, str] = OWNERS) -> None:
        self.gateway_of: Callable[[str], str | None] = gateways.get
        self.organization_of: Callable[[str], str | None] = owners.get


def who(role: Role, *, sn: str | None = None, organization: str | None = None, reads_sys: bool = False) -> Identity:
    return Identity(account="a", role=role, sn=sn, organization_id=organization, can_read_sys=reads_sys, version=1)


DOCK1 = who(Role.DOCK, sn="DOCK1")
NEW_DOCK = who(Role.DOCK)
NORTH = who(Role.SERVICE, organization="north")
PLATFORM = who(Role.SERVICE, reads_sys=True)
WATCHER = who(Role.OBSERVER, organization="north")

CASES = [
    # docs/cases.md C24, C26: a dock speaks for its aircraft
    (DOCK1, PUBLISH, "thing/product/DOCK1/osd", True, Reason.OWN_TOPIC),
    (DOCK1, PUBLISH, "thing/product/BIRD1/osd", True, Reason.AIRCRAFT_TOPIC),
    (DOCK1, PUBLISH, "thing/product/BIRD1/state", True, Reason.AIRCRAFT_TOPIC),
    (DOCK1, PUBLISH, "thing/product/BIRD1/events", True, Reason.AIRCRAFT_TOPIC),
    (DOCK1, PUBLISH, "thing/product/BIRD1/requests", False, Reason.WRONG_DIRECTION),
    (DOCK1, PUBLISH, "sys/product/DOCK1/status", True, Reason.OWN_TOPIC),
    (DOCK1, PUBLISH, "sys/product/BIRD1/status", False, Reason.WRONG_DIRECTION),
    # C25: and for nobody else
    (DOCK1, PUBLISH, "thing/product/DOCK2/osd", False, Reason.FOREIGN_SN),
    (DOCK1, PUBLISH, "thing/product/BIRD2/osd", False, Reason.FOREIGN_SN),
    (DOCK1, PUBLISH, "thing/product/UNKNOWN/osd", False, Reason.FOREIGN_SN),
    (DOCK1, PUBLISH, "thing/product/DOCK1/services", False, Reason.WRONG_DIRECTION),
    (DOCK1, PUBLISH, "thing/product/DOCK1/requests_reply", False, Reason.WRONG_DIRECTION),
    (DOCK1, PUBLISH, "dockgate/events/DOCK1", False, Reason.UNKNOWN_TOPIC),
    (DOCK1, PUBLISH, "$SYS/broker/version", False, Reason.RESERVED_TOPIC),
    (DOCK1, PUBLISH, "thing/product/+/osd", False, Reason.INVALID_TOPIC),
    (DOCK1, SUBSCRIBE, "thing/product/DOCK1/requests_reply", True, Reason.OWN_TOPIC),
    (DOCK1, SUBSCRIBE, "thing/product/BIRD1/state_reply", True, Reason.AIRCRAFT_TOPIC),
    (DOCK1, SUBSCRIBE, "thing/product/BIRD1/requests_reply", False, Reason.WRONG_DIRECTION),
    (DOCK1, SUBSCRIBE, "thing/product/DOCK2/requests_reply", False, Reason.FOREIGN_SN),
    (DOCK1, SUBSCRIBE, "thing/product/DOCK1/#", False, Reason.WILDCARD),
    (DOCK1, SUBSCRIBE, "#", False, Reason.WILDCARD),
    (DOCK1, SUBSCRIBE, "thing/product/DOCK1/osd#", False, Reason.INVALID_FILTER),
    (DOCK1, SUBSCRIBE, "$share/g/thing/product/DOCK1/services", False, Reason.SHARED),
    (DOCK1, SUBSCRIBE, "$SYS/broker/uptime", False, Reason.RESERVED_TOPIC),
    (DOCK1, RECEIVE, "thing/product/DOCK1/requests_reply", True, Reason.OWN_TOPIC),
    (DOCK1, RECEIVE, "thing/product/DOCK2/requests_reply", False, Reason.FOREIGN_SN),
    (DOCK1, RECEIVE, "thing/product/DOCK1/osd", False, Reason.WRONG_DIRECTION),
    # an account that no SN is pinned to yet
    (NEW_DOCK, PUBLISH, "thing/product/DOCK9/osd", False, Reason.NOT_PINNED),
    (NEW_DOCK, SUBSCRIBE, "thing/product/DOCK9/state_reply", False, Reason.NOT_PINNED),
    (NEW_DOCK, SUBSCRIBE, "thing/product/+/services", False, Reason.WILDCARD),
    (NEW_DOCK, RECEIVE, "thing/product/DOCK9/requests_reply", False, Reason.NOT_PINNED),
    (NEW_DOCK, PUBLISH, "thing/product/BIRD1/requests", False, Reason.KNOWN_AIRCRAFT),
    (NEW_DOCK, SUBSCRIBE, "thing/product/BIRD1/services", False, Reason.KNOWN_AIRCRAFT),
    (NEW_DOCK, PUBLISH, "thing/product/DOCK9/services", False, Reason.NOT_PINNED),
    # a service of an organization
    (NORTH, RECEIVE, "thing/product/BIRD1/osd", True, Reason.IN_SCOPE),
    (NORTH, RECEIVE, "dockgate/events/DOCK1", True, Reason.IN_SCOPE),
    (NORTH, RECEIVE, "thing/product/DOCK2/osd", False, Reason.OTHER_ORGANIZATION),
    (NORTH, RECEIVE, "dockgate/events/DOCK2", False, Reason.OTHER_ORGANIZATION),
    (NORTH, RECEIVE, "thing/product/UNKNOWN/osd", False, Reason.OTHER_ORGANIZATION),
    (NORTH, RECEIVE, "thing/product/DOCK1/requests_reply", False, Reason.WRONG_DIRECTION),
    (NORTH, RECEIVE, "other", False, Reason.UNKNOWN_TOPIC),
    (NORTH, RECEIVE, "$SYS/broker/uptime", False, Reason.RESERVED_TOPIC),
    (NORTH, SUBSCRIBE, "#", True, Reason.IN_SCOPE),
    (NORTH, SUBSCRIBE, "thing/product/+/osd", True, Reason.IN_SCOPE),
    (NORTH, SUBSCRIBE, "thing/product/DOCK1/#", True, Reason.IN_SCOPE),
    (NORTH, SUBSCRIBE, "thing/product/UNKNOWN/osd", True, Reason.IN_SCOPE),
    (NORTH, SUBSCRIBE, "dockgate/events/+", True, Reason.IN_SCOPE),
    (NORTH, SUBSCRIBE, "thing/product/DOCK2/osd", False, Reason.OTHER_ORGANIZATION),
    (NORTH, SUBSCRIBE, "+/+/DOCK2/#", False, Reason.OTHER_ORGANIZATION),
    (NORTH, SUBSCRIBE, "dockgate/events/DOCK2", False, Reason.OTHER_ORGANIZATION),
    (NORTH, SUBSCRIBE, "thing/product/+/requests_reply", False, Reason.UNKNOWN_TOPIC),
    (NORTH, SUBSCRIBE, "thing/product/DOCK1/requests_reply", False, Reason.WRONG_DIRECTION),
    (NORTH, SUBSCRIBE, "thing/product/no sn/osd", False, Reason.UNKNOWN_TOPIC),
    (NORTH, SUBSCRIBE, "other/#", False, Reason.UNKNOWN_TOPIC),
    (NORTH, SUBSCRIBE, "a#", False, Reason.INVALID_FILTER),
    (NORTH, SUBSCRIBE, "$SYS/#", False, Reason.RESERVED_TOPIC),
    (NORTH, SUBSCRIBE, "$share/workers/thing/product/+/osd", True, Reason.IN_SCOPE),
    (NORTH, SUBSCRIBE, "$share/workers/thing/product/DOCK2/osd", False, Reason.OTHER_ORGANIZATION),
    (NORTH, SUBSCRIBE, "$share/workers", False, Reason.INVALID_FILTER),
    (NORTH, SUBSCRIBE, "$share/w+/thing/product/+/osd", False, Reason.INVALID_FILTER),
    (NORTH, PUBLISH, "thing/product/DOCK1/services", True, Reason.IN_SCOPE),
    (NORTH, PUBLISH, "sys/product/DOCK1/status_reply", True, Reason.IN_SCOPE),
    (NORTH, PUBLISH, "thing/product/DOCK2/services", False, Reason.OTHER_ORGANIZATION),
    (NORTH, PUBLISH, "thing/product/UNKNOWN/services", False, Reason.OTHER_ORGANIZATION),
    (NORTH, PUBLISH, "thing/product/DOCK1/osd", False, Reason.WRONG_DIRECTION),
    (NORTH, PUBLISH, "dockgate/events/DOCK1", False, Reason.UNKNOWN_TOPIC),
    (NORTH, PUBLISH, "$SYS/x", False, Reason.RESERVED_TOPIC),
    (NORTH, PUBLISH, "#", False, Reason.INVALID_TOPIC),
    # a service of every dock
    (PLATFORM, RECEIVE, "thing/product/UNKNOWN/osd", True, Reason.IN_SCOPE),
    (PLATFORM, PUBLISH, "thing/product/UNKNOWN/services", True, Reason.IN_SCOPE),
    (PLATFORM, SUBSCRIBE, "thing/product/DOCK2/osd", True, Reason.IN_SCOPE),
    (PLATFORM, SUBSCRIBE, "$SYS/#", True, Reason.BROKER_STATISTICS),
    (PLATFORM, RECEIVE, "$SYS/broker/uptime", True, Reason.BROKER_STATISTICS),
    (PLATFORM, PUBLISH, "$SYS/broker/uptime", False, Reason.RESERVED_TOPIC),
    (PLATFORM, SUBSCRIBE, "$other/#", False, Reason.RESERVED_TOPIC),
    # an observer
    (WATCHER, RECEIVE, "thing/product/DOCK1/osd", True, Reason.IN_SCOPE),
    (WATCHER, RECEIVE, "thing/product/DOCK2/osd", False, Reason.OTHER_ORGANIZATION),
    (WATCHER, SUBSCRIBE, "thing/product/+/osd", True, Reason.IN_SCOPE),
    (WATCHER, SUBSCRIBE, "$share/g/thing/product/+/osd", False, Reason.SHARED),
    (WATCHER, PUBLISH, "thing/product/DOCK1/services", False, Reason.READ_ONLY),
    (who(Role.OBSERVER, reads_sys=True), SUBSCRIBE, "$SYS/#", False, Reason.RESERVED_TOPIC),
]


@pytest.mark.parametrize(("identity", "action", "topic", "allow", "reason"), CASES)
def test_the_rule_and_its_reason(
    identity: Identity, action: Action, topic: str, *, allow: bool, reason: Reason
) -> None:
    assert decide(identity, action, topic, Fleet()) == Decision(allow, reason)


@pytest.mark.parametrize(
    ("action", "topic"),
    [
        (PUBLISH, "thing/product/{}/requests"),
        (PUBLISH, "thing/product/{}/services_reply"),
        (PUBLISH, "thing/product/{}/property/set_reply"),
        (PUBLISH, "thing/product/{}/drc/up"),
        (PUBLISH, "sys/product/{}/status"),
        (SUBSCRIBE, "thing/product/{}/services"),
        (SUBSCRIBE, "thing/product/{}/events_reply"),
        (SUBSCRIBE, "thing/product/{}/requests_reply"),
        (SUBSCRIBE, "thing/product/{}/property/set"),
        (SUBSCRIBE, "thing/product/{}/drc/down"),
        (SUBSCRIBE, "sys/product/{}/status_reply"),
    ],
)
@pytest.mark.parametrize("sn", ["DOCK9", "DOCK1"], ids=["unknown", "known-dock"])
def test_an_account_without_an_sn_is_told_which_one_to_pin(action: Action, topic: str, sn: str) -> None:
    decision = decide(NEW_DOCK, action, topic.format(sn), Fleet())
    assert decision == Decision(False, Reason.PIN_REQUIRED, pin_sn=sn)
    assert decide(who(Role.DOCK, sn=sn), action, topic.format(sn), Fleet()).allow


def test_an_aircraft_that_moved_is_the_new_docks() -> None:
    moved = Fleet({**GATEWAYS, "BIRD1": "DOCK2"})
    assert decide(DOCK1, PUBLISH, "thing/product/BIRD1/osd", moved).reason == Reason.FOREIGN_SN
    assert decide(who(Role.DOCK, sn="DOCK2"), PUBLISH, "thing/product/BIRD1/osd", moved).allow


@pytest.mark.parametrize("identity", [DOCK1, NORTH, WATCHER])
def test_an_action_without_a_rule_is_refused(identity: Identity) -> None:
    unknown: Action = "delete"  # type: ignore[assignment]
    assert decide(identity, unknown, "thing/product/DOCK1/osd", Fleet()) == Decision(False, Reason.NO_RULE)


def test_a_role_without_a_rule_is_refused() -> None:
    unknown: Role = "admin"  # type: ignore[assignment]
    for action in Action:
        assert decide(who(unknown), action, "thing/product/DOCK1/osd", Fleet()) == Decision(False, Reason.NO_RULE)
