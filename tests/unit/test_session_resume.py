"""A client that comes back: it may take fewer messages at a time than before, and nothing of one QoS overtakes."""

from __future__ import annotations

import pytest

from .recording_link import RecordingLink, Released, Sent, message, session_of

NOW = 1000.0


def test_what_was_under_way_comes_again_as_the_new_window_allows() -> None:
    """MQTT 5, [MQTT-3.3.4-9]: the receive maximum is the connection's, what is in flight is the session's."""
    session, _, _ = session_of(inflight=5)
    for number in range(7):
        session.deliver(message(number), qos=1)
    session.link, session.window = (link := RecordingLink()), 2
    session.resume(NOW)
    assert link.taken() == [Sent(b"0", 1, 1, dup=True), Sent(b"1", 1, 2, dup=True)]
    session.deliver(message(7), qos=1)
    assert link.taken() == []
    session.puback(1, NOW)
    session.puback(2, NOW)
    assert link.taken() == [Sent(b"2", 1, 3, dup=True), Sent(b"3", 1, 4, dup=True)]
    session.puback(4, NOW)
    session.puback(3, NOW)
    assert link.taken() == [Sent(b"4", 1, 5, dup=True), Sent(b"5", 1, 6)]
    session.puback(5, NOW)
    session.puback(6, NOW)
    assert link.taken() == [Sent(b"6", 1, 7), Sent(b"7", 1, 8)]


def test_a_window_that_has_shrunk_twice() -> None:
    session, _, _ = session_of(inflight=4)
    for number in range(4):
        session.deliver(message(number), qos=2)
    for window in (2, 1):
        session.link, session.window = (link := RecordingLink()), window
        session.resume(NOW)
        assert link.taken() == [Sent(b"%d" % number, 2, number + 1, dup=True) for number in range(window)]


def test_what_was_released_holds_its_place() -> None:
    """It is not sent again, but its PUBCOMP is still to come."""
    session, _, _ = session_of(inflight=3)
    for number in range(3):
        session.deliver(message(number), qos=2)
    session.pubrec(2, failed=False, now=NOW)
    session.link, session.window = (link := RecordingLink()), 1
    session.resume(NOW)
    assert link.taken() == [Released(2)]
    session.pubcomp(2, NOW)
    assert link.taken() == [Sent(b"0", 2, 1, dup=True)]


@pytest.mark.parametrize("answer", ["puback", "pubrec", "refused"])
def test_an_answer_to_what_has_not_come_again_yet_is_one(answer: str) -> None:
    """The client may have got it on its last connection."""
    session, _, _ = session_of(inflight=3)
    for number in range(3):
        session.deliver(message(number), qos=1 if answer == "puback" else 2)
    session.link, session.window = (link := RecordingLink()), 1
    session.resume(NOW)
    link.taken()
    if answer == "puback":
        session.puback(2, NOW)
    else:
        assert session.pubrec(2, failed=answer == "refused", now=NOW) is (answer == "pubrec")
    session.puback(1, NOW)
    session.pubrec(1, failed=True, now=NOW)
    taken = link.taken()
    assert all(sent.packet_id == 3 for sent in taken)
    # one that is released holds its place until PUBCOMP
    assert len(taken) == (0 if answer == "pubrec" else 1)


def test_one_that_is_too_large_now_makes_room_for_the_next() -> None:
    session, _, _ = session_of(inflight=3)
    for number in range(4):
        session.deliver(message(number), qos=1)
    session.link, session.window = (link := RecordingLink(refuses=frozenset({b"0", b"2"}))), 1
    session.resume(NOW)
    assert link.taken() == [Sent(b"1", 1, 2, dup=True)]
    session.puback(2, NOW)
    assert link.taken() == [Sent(b"3", 1, 4)]


def test_qos_0_that_waited_is_not_overtaken_by_what_comes_now() -> None:
    session, _, _ = session_of(inflight=1)
    session.link = None
    for number, qos in enumerate((1, 1, 0, 1, 0)):
        session.deliver(message(number), qos=qos)
    session.link = link = RecordingLink()
    session.resume(NOW)
    session.deliver(message(5), qos=0)
    assert link.taken() == [Sent(b"0", 1, 1), Sent(b"2"), Sent(b"4"), Sent(b"5")]
    assert session.queued == 2


def test_qos_0_that_has_expired_meanwhile_is_left_out() -> None:
    session, _, _ = session_of(inflight=1)
    session.link = None
    session.deliver(message(0), qos=1)
    session.deliver(message(1), qos=1)
    session.deliver(message(2, expires_at=NOW), qos=0)
    session.link = link = RecordingLink()
    session.resume(NOW)
    assert link.taken() == [Sent(b"0", 1, 1)]
    assert session.queued == 1


def test_the_queue_has_its_bytes_back_when_qos_0_has_gone() -> None:
    session, link, drops = session_of(inflight=1, queued_bytes=10)
    session.link = None
    for _ in range(2):
        session.deliver(message(b"1234"), qos=0)
    session.link = link
    session.resume(NOW)
    session.link = None
    for _ in range(2):
        session.deliver(message(b"1234"), qos=0)
    assert drops.count == 0
