"""Subscriptions and topics -> who gets a message; MQTT's own examples, and what is left behind."""

from __future__ import annotations

import pytest

from gateway.broker.codec.packets import Subscription
from gateway.broker.router import Router


def router_with(*subscriptions: tuple[str, str]) -> Router[str]:
    """Of (session, filter)."""
    router: Router[str] = Router()
    for session, topic_filter in subscriptions:
        assert router.subscribe(session, Subscription(topic_filter, 0))
    return router


def who(router: Router[str], topic: str) -> list[str]:
    return sorted(session for session, _ in router.match(topic))


# MQTT 3.1.1, 4.7.1 and 4.7.2: filter, topics that it matches, topics that it does not
EXAMPLES = [
    (
        "sport/tennis/player1/#",
        ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"],
        ["sport/tennis/player11", "sport/tennis"],
    ),
    ("sport/#", ["sport", "sport/"], ["sports", "/sport"]),
    ("#", ["a", "/", "a/b/c"], ["$SYS", "$SYS/a"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis/player1/ranking", "sport/tennis"]),
    ("sport/+", ["sport/"], ["sport", "sport//"]),
    ("+", ["finance", "a"], ["/finance", "$SYS"]),
    ("+/+", ["/finance", "a/b"], ["finance", "$SYS/a"]),
    ("/+", ["/finance", "/"], ["finance", "//"]),
    ("+/tennis/#", ["a/tennis", "a/tennis/b/c", "/tennis"], ["tennis", "$a/tennis"]),
    ("$SYS/#", ["$SYS", "$SYS/a/b"], ["SYS/a"]),
    ("$SYS/monitor/+", ["$SYS/monitor/Clients"], ["$SYS/monitor"]),
    ("a//b", ["a//b"], ["a/b", "a///b"]),
    ("a/+/b", ["a//b", "a/x/b"], ["a/x/y/b"]),
    ("a", ["a"], ["A", "a/", "/a"]),
    ("a/$b", ["a/$b"], ["$b"]),
    ("a/+", ["a/$b"], []),
]


@pytest.mark.parametrize(("topic_filter", "matching", "others"), EXAMPLES)
def test_the_specifications_examples(topic_filter: str, matching: list[str], others: list[str]) -> None:
    router = router_with(("s", topic_filter))
    assert [topic for topic in matching if who(router, topic) != ["s"]] == []
    assert [topic for topic in others if who(router, topic)] == []


def test_each_matching_filter_of_a_session_is_named() -> None:
    router = router_with(("s", "a/b"), ("s", "a/+"), ("s", "#"), ("other", "a/b"), ("s", "b"))
    found = router.match("a/b")
    assert sorted((session, subscription.filter) for session, subscription in found) == [
        ("other", "a/b"), ("s", "#"), ("s", "a/+"), ("s", "a/b"),
    ]  # fmt: skip


@pytest.mark.parametrize("topic_filter", ["a/b", "a/+", "a/#", "#", "$share/g/a/+"])
def test_subscribing_again_replaces(topic_filter: str) -> None:
    router: Router[str] = Router()
    assert router.subscribe("s", Subscription(topic_filter, 0))
    assert not router.subscribe("s", Subscription(topic_filter, 2))
    assert router.count == 1
    shared = [pair for members in router.match_shared("a/b") for pair in members]
    assert router.match("a/b") + shared == [("s", Subscription(topic_filter, 2))]


@pytest.mark.parametrize("topic_filter", ["a/b", "a/+", "a/#", "#", "+/+", "$share/g/a/b", "$share/g/#"])
def test_unsubscribing_leaves_nothing_behind(topic_filter: str) -> None:
    router = router_with(("s", topic_filter))
    assert not router.unsubscribe("other", topic_filter)
    assert router.unsubscribe("s", topic_filter)
    assert not router.unsubscribe("s", topic_filter)
    assert router.match("a/b") == []
    assert router.match_shared("a/b") == []
    assert _is_empty(router)


def _is_empty(router: Router[str]) -> bool:
    return router.count == 0 and router._root.empty and not router._exact and not router._groups


def test_unsubscribing_touches_no_neighbour() -> None:
    filters = ["a/+/c", "a/+", "a/#", "a/+/#", "#", "a/b", "a/b/c", "+/b/c"]
    router = router_with(*(("s", each) for each in filters))
    for index, topic_filter in enumerate(filters):
        assert router.unsubscribe("s", topic_filter)
        left = filters[index + 1 :]
        assert sorted(subscription.filter for _, subscription in router.match("a/b/c")) == sorted(
            each for each in left if each not in ("a/b", "a/+")
        )
    assert _is_empty(router)


def shared(router: Router[str], topic: str) -> list[list[str]]:
    return [[session for session, _ in members] for members in router.match_shared(topic)]


def test_the_members_of_a_share_take_turns() -> None:
    router = router_with(("a", "$share/g/t"), ("b", "$share/g/t"), ("c", "$share/g/t"))
    assert router.match("t") == []
    rounds = [shared(router, "t")[0] for _ in range(6)]
    assert [sorted(each) for each in rounds] == [["a", "b", "c"]] * 6
    assert [each[0] for each in rounds[:3]] == [each[0] for each in rounds[3:]]
    assert {each[0] for each in rounds[:3]} == {"a", "b", "c"}


def test_looking_at_a_share_takes_nobodys_turn() -> None:
    router = router_with(("a", "$share/g/t"), ("b", "$share/g/t"))
    firsts = []
    for _ in range(4):
        assert len(router.match_shared("t", look_only=True)[0]) == 2
        firsts.append(shared(router, "t")[0][0])
    assert sorted(firsts) == ["a", "a", "b", "b"]


def test_shares_are_apart_by_name_and_by_filter() -> None:
    router = router_with(
        ("a", "$share/g/t/+"), ("b", "$share/g/t/x"), ("c", "$share/h/t/+"), ("d", "t/x"), ("e", "$share/g/u")
    )
    assert sorted(shared(router, "t/x")) == [["a"], ["b"], ["c"]]
    assert who(router, "t/x") == ["d"]


def test_a_share_with_a_leading_wildcard_meets_no_dollar_topic() -> None:
    router = router_with(("a", "$share/g/#"), ("b", "$share/g/$SYS/#"))
    assert shared(router, "$SYS/a") == [["b"]]


def test_who_leaves_a_share_leaves_the_others_their_turns() -> None:
    router = router_with(("a", "$share/g/t"), ("b", "$share/g/t"), ("c", "$share/g/t"))
    shared(router, "t")
    shared(router, "t")
    assert router.unsubscribe("c", "$share/g/t")
    assert {shared(router, "t")[0][0] for _ in range(2)} == {"a", "b"}
    assert router.unsubscribe("a", "$share/g/t")
    assert shared(router, "t") == [["b"]]
    assert router.unsubscribe("b", "$share/g/t")
    assert _is_empty(router)
