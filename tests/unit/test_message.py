"""A message on its way: what is left of its time."""

from __future__ import annotations

import pytest

from gateway.broker.codec.packets import Properties
from gateway.broker.message import Message


def left(expiry_s: int, *, waited_s: float, now: float = 1000.0) -> int | None:
    message = Message("t", b"", properties=Properties(message_expiry_s=expiry_s), expires_at=now + expiry_s)
    properties = message.properties_at(now + waited_s)
    assert properties is not None
    return properties.message_expiry_s


@pytest.mark.parametrize(
    ("waited_s", "expected"), [(0, 10), (0.4, 10), (1, 9), (1.5, 9), (9, 1), (9.9, 1), (10, 1), (11, 1)]
)
def test_the_time_that_it_has_waited_is_taken_off(waited_s: float, expected: int) -> None:
    """MQTT 5, 3.3.2.3.3, in whole seconds; what is delivered at all has one left."""
    assert left(10, waited_s=waited_s) == expected


def test_it_never_gets_more_time_than_it_had() -> None:
    """Of now + 10 - now a float makes more than 10 at one moment in a hundred."""
    for step in range(20_000):
        now = step * 7.0001237
        assert left(10, waited_s=0, now=now) == 10
        assert left(604_800, waited_s=0, now=now) == 604_800


def test_what_does_not_expire_stays_as_it_is() -> None:
    properties = Properties(content_type="text")
    assert Message("t", b"", properties=properties).properties_at(5) is properties
    assert Message("t", b"").properties_at(5) is None


def test_the_original_is_not_changed() -> None:
    properties = Properties(message_expiry_s=10)
    message = Message("t", b"", properties=properties, expires_at=1010.0)
    message.properties_at(1005)
    assert properties.message_expiry_s == 10
