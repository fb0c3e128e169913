"""Whatever is subscribed and unsubscribed in whatever order: the router finds what a plain list of filters would."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.broker.codec.packets import Subscription
from gateway.broker.router import Router

from .slow_matcher import all_topics, slow_matches, slow_valid_filter

SESSIONS = ("one", "two", "three")
GROUPS = ("g", "h")
LEVELS = ("", "a", "b", "$SYS")
TOPICS = tuple(topic for topic in all_topics(LEVELS, 3) if topic.count("$SYS") < 2)

levels = st.sampled_from([*LEVELS, "+"])
filters = st.builds(
    lambda inner, last: "/".join([*inner, *last]),
    st.lists(levels, max_size=3),
    st.sampled_from([["#"], ["+"], [""], ["a"], []]),
).filter(slow_valid_filter)
sessions = st.sampled_from(SESSIONS)
qualities = st.integers(0, 2)


class RouterMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.router: Router[str] = Router()
        self.plain: dict[tuple[str, str], Subscription] = {}
        self.shared: dict[tuple[str, str, str], Subscription] = {}

    @rule(session=sessions, topic_filter=filters, qos=qualities)
    def subscribe(self, session: str, topic_filter: str, qos: int) -> None:
        subscription = Subscription(topic_filter, qos)
        assert self.router.subscribe(session, subscription) == ((session, topic_filter) not in self.plain)
        self.plain[session, topic_filter] = subscription

    @rule(session=sessions, topic_filter=filters)
    def unsubscribe(self, session: str, topic_filter: str) -> None:
        known = self.plain.pop((session, topic_filter), None) is not None
        assert self.router.unsubscribe(session, topic_filter) == known

    @rule(session=sessions, group=st.sampled_from(GROUPS), topic_filter=filters, qos=qualities)
    def share(self, session: str, group: str, topic_filter: str, qos: int) -> None:
        subscription = Subscription(f"$share/{group}/{topic_filter}", qos)
        assert self.router.subscribe(session, subscription) == ((session, group, topic_filter) not in self.shared)
        self.shared[session, group, topic_filter] = subscription

    @rule(session=sessions, group=st.sampled_from(GROUPS), topic_filter=filters)
    def unshare(self, session: str, group: str, topic_filter: str) -> None:
        known = self.shared.pop((session, group, topic_filter), None) is not None
        assert self.router.unsubscribe(session, f"$share/{group}/{topic_filter}") == known

    @rule(data=st.data())
    def unsubscribe_one_that_is_there(self, data: st.DataObject) -> None:
        if self.plain:
            session, topic_filter = data.draw(st.sampled_from(sorted(self.plain)))
            del self.plain[session, topic_filter]
            assert self.router.unsubscribe(session, topic_filter)
        if self.shared:
            session, group, topic_filter = data.draw(st.sampled_from(sorted(self.shared)))
            del self.shared[session, group, topic_filter]
            assert self.router.unsubscribe(session, f"$share/{group}/{topic_filter}")

    @rule(topic=st.sampled_from(TOPICS))
    def match(self, topic: str) -> None:
        expected = Counter(
            (session, subscription)
            for (session, topic_filter), subscription in self.plain.items()
            if slow_matches(topic_filter, topic)
        )
        assert Counter(self.router.match(topic)) == expected
        groups = {(group, topic_filter) for _, group, topic_filter in self.shared if slow_matches(topic_filter, topic)}
        found = self.router.match_shared(topic)
        assert len(found) == len(groups)
        assert self.router.is_named(topic) == any(topic_filter == topic for _, topic_filter in self.plain)
        roots = {topic_filter.partition("/")[0] for *_, topic_filter in (*self.plain, *self.shared)}
        assert self.router.reaches(topic.partition("/")[0]) == bool(roots & {topic.partition("/")[0], "+", "#"})
        assert Counter(pair for members in found for pair in members) == Counter(
            (session, subscription)
            for (session, group, topic_filter), subscription in self.shared.items()
            if (group, topic_filter) in groups
        )

    @rule(topic=st.sampled_from(TOPICS))
    def everybody_in_a_share_gets_a_turn(self, topic: str) -> None:
        sizes = [len(members) for members in self.router.match_shared(topic, look_only=True)]
        if len(sizes) == 1:
            firsts = [self.router.match_shared(topic)[0][0][0] for _ in range(sizes[0])]
            assert len(set(firsts)) == sizes[0]

    @invariant()
    def nothing_is_left_behind(self) -> None:
        assert self.router.count == len(self.plain) + len(self.shared)
        if not self.plain:
            assert not self.router._exact
            assert self.router._root.empty
        if not self.shared:
            assert not self.router._groups


RouterMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestRouter = RouterMachine.TestCase
