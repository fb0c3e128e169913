"""What is remembered of a CONNECT is small, whatever a client says."""

from __future__ import annotations

import orjson

from gateway.broker.codec.packets import Connect
from gateway.broker.first_contact import facts_of


def test_hundreds_of_thousands_of_user_properties_are_not_remembered() -> None:
    connect = Connect(5, "c", True, 60, "a", b"x", user_properties=(("n" * 65_535, "v"), *[("", "")] * 400_000))
    facts = facts_of(connect, listener="plain", tls=None)
    names = facts["properties"]["user_property_names"]
    assert (len(names), names[0], names[1]) == (16, "n" * 64, "")
    assert len(orjson.dumps(facts)) < 1000


def test_a_few_are_told_as_they_are() -> None:
    connect = Connect(5, "c", True, 60, "a", b"x", user_properties=(("b", "1"), ("a", "2"), ("b", "3")))
    assert facts_of(connect, listener="plain", tls=None)["properties"] == {"user_property_names": ["b", "a", "b"]}
