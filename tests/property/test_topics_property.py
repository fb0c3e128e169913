"""The fast filter rules against the plain ones."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway import topics
from gateway.topics import Kind

from .slow_matcher import all_topics, slow_matches, slow_valid_filter

WORDS = ("a", "b", "", "$s")
TOPICS_4 = tuple(all_topics(WORDS, 4))

levels_of_topics = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)
valid_topics = levels_of_topics.map("/".join).filter(bool)
valid_filters = (
    st.tuples(st.lists(st.sampled_from((*WORDS, "+", "+")), max_size=4), st.booleans())
    .map(lambda drawn: "/".join([*drawn[0], "#"] if drawn[1] else drawn[0]))
    .filter(bool)
)
# Three levels meet in a topic of at most three levels, or of one more where both end in "#": TOPICS_4 has a witness.
short_filters = (
    st.tuples(st.lists(st.sampled_from((*WORDS, "+", "+")), max_size=2), st.booleans())
    .map(lambda drawn: "/".join([*drawn[0], "#"] if drawn[1] else drawn[0]))
    .filter(bool)
)


@settings(max_examples=1500, deadline=None)
@given(valid_filters, valid_topics)
@example("#", "$s")
@example("+/#", "$s/a")
@example("$s/#", "$s")
@example("a/#", "a")
@example("+", "/")
@example("/+", "/")
@example("+/+", "/")
def test_matches_says_what_the_specification_says(topic_filter: str, topic: str) -> None:
    assert topics.matches(topic_filter, topic) == slow_matches(topic_filter, topic)


@settings(max_examples=500, deadline=None)
@given(short_filters, short_filters)
@example("+", "/#")
@example("#", "$s/#")
@example("+/a", "$s/+")
@example("a/#", "a")
@example("/#", "#")
def test_intersects_when_and_only_when_a_common_topic_exists(one: str, other: str) -> None:
    common = [topic for topic in TOPICS_4 if slow_matches(one, topic) and slow_matches(other, topic)]
    assert topics.intersects(one, other) == bool(common)
    assert topics.intersects(other, one) == bool(common)


@settings(max_examples=400, deadline=None)
@given(valid_filters, valid_filters, valid_topics)
def test_a_topic_that_two_filters_match_proves_that_they_intersect(one: str, other: str, topic: str) -> None:
    if topics.matches(one, topic) and topics.matches(other, topic):
        assert topics.intersects(one, other)


@settings(max_examples=300, deadline=None)
@given(valid_filters, valid_topics)
def test_a_topic_is_a_filter_that_intersects_what_matches_it(topic_filter: str, topic: str) -> None:
    assert topics.matches(topic, topic)
    assert topics.intersects(topic_filter, topic) == topics.matches(topic_filter, topic)


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="a/+#$\0", max_size=7))
def test_validity_of_filters_and_topics(text: str) -> None:
    assert topics.is_valid_filter(text) == slow_valid_filter(text)
    assert topics.is_valid_topic(text) == (slow_valid_filter(text) and not set(text) & {"+", "#"})


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=20), st.text(alphabet="a/+#$", max_size=9))
def test_no_text_makes_them_raise(text: str, other: str) -> None:
    for one, two in ((text, other), (other, text), (text, text)):
        assert topics.matches(one, two) in (True, False)
        assert topics.intersects(one, two) in (True, False)
        assert topics.is_valid_filter(one) in (True, False)
        assert topics.is_valid_topic(one) in (True, False)
        assert topics.parse_device_topic(one) is None
        assert topics.split_share(one) is None
        topics.parse_event_topic(one)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(("thing", "sys", "Thing", "")),
    st.sampled_from(("product", "products", "")),
    st.sampled_from(("D1", "A-1_x", "_A", "-A", "", "+", "#", "D1\n", "d1 ", "Ä1", "x" * 64, "x" * 65)),
    st.sampled_from(
        (*(kind.value for kind in Kind), "osd/", "/osd", "OSD", "drc", "property", "osd\n", "status/reply", "+")
    ),
)
def test_a_dock_topic_is_one_of_thirty_shapes_with_a_valid_sn(first: str, second: str, sn: str, last: str) -> None:
    topic = f"{first}/{second}/{sn}/{last}"
    parsed = topics.parse_device_topic(topic)
    prefixes = {"status": "sys", "status_reply": "sys"}
    known = last in set(Kind) and first == prefixes.get(last, "thing") and second == "product"
    if known and sn in {"D1", "A-1_x", "x" * 64}:
        assert parsed is not None
        assert (parsed.sn, parsed.kind) == (sn, last)
        assert topics.device_topic(parsed.sn, parsed.kind) == topic
    else:
        assert parsed is None
