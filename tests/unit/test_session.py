"""What a session keeps for its client: window, queue, QoS 2, and the order in which a client that comes back gets it all."""

from __future__ import annotations

import pytest
from amqtt.session import Session as AmqttSession

from gateway.broker.codec.packets import Subscription, Will
from gateway.broker.session import IDENTITY, Session
from gateway.model import OutgoingMessage

from .recording_link import RecordingLink, Released, Sent, message, session_of

NOW = 1000.0


# -- QoS 0


def test_qos_0_goes_out_at_once_whatever_waits() -> None:
    session, link, _ = session_of(inflight=1)
    for number in range(3):
        session.deliver(message(number), qos=1)
    session.deliver(message(b"now"), qos=0, retain=True)
    assert link.taken() == [Sent(b"0", 1, 1), Sent(b"now", 0, 0, retain=True)]


def test_qos_0_is_dropped_for_a_client_that_reads_too_slowly() -> None:
    session, link, drops = session_of()
    link.congested = True
    session.deliver(message(1), qos=0)
    assert (link.taken(), drops.count) == ([], 1)
    session.deliver(message(2), qos=1)
    link.congested = False
    session.deliver(message(3), qos=0)
    assert link.taken() == [Sent(b"2", 1, 1), Sent(b"3")]


# -- the window


@pytest.mark.parametrize("qos", [1, 2])
def test_so_many_are_on_their_way_and_the_next_follows_an_acknowledgement(qos: int) -> None:
    session, link, _ = session_of(inflight=2)
    for number in range(5):
        session.deliver(message(number), qos=qos)
    assert link.taken() == [Sent(b"0", qos, 1), Sent(b"1", qos, 2)]
    assert (len(session.inflight_out), session.queued) == (2, 3)
    _acknowledge(session, 2, qos)
    assert link.taken() == [Sent(b"2", qos, 3)]
    _acknowledge(session, 1, qos)
    _acknowledge(session, 3, qos)
    assert link.taken() == [Sent(b"3", qos, 4), Sent(b"4", qos, 5)]


def _acknowledge(session: Session, packet_id: int, qos: int) -> None:
    if qos == 1:
        session.puback(packet_id, NOW)
    else:
        assert session.pubrec(packet_id, failed=False, now=NOW)
        session.pubcomp(packet_id, NOW)


def test_what_has_been_acknowledged_or_never_sent_changes_nothing() -> None:
    session, link, _ = session_of(inflight=1)
    session.deliver(message(0), qos=1)
    session.deliver(message(1), qos=1)
    link.taken()
    session.puback(9, NOW)
    session.pubcomp(1, NOW)
    session.pubcomp(9, NOW)
    assert link.taken() == []
    session.puback(1, NOW)
    session.puback(1, NOW)
    assert link.taken() == [Sent(b"1", 1, 2)]
    assert len(session.inflight_out) == 1


def test_a_puback_does_not_acknowledge_qos_2() -> None:
    session, _link, _ = session_of(inflight=1)
    session.deliver(message(0), qos=2)
    session.puback(1, NOW)
    assert len(session.inflight_out) == 1
    session.pubcomp(1, NOW)  # before PUBREC
    assert len(session.inflight_out) == 1


def test_identifiers_are_given_out_in_turn_and_never_twice_at_a_time() -> None:
    session, link, _ = session_of(inflight=10)
    session._next_id = 65_533
    session.deliver(message(0), qos=1)
    session.deliver(message(1), qos=1)
    session.deliver(message(2), qos=1)
    assert [sent.packet_id for sent in link.taken()] == [65_534, 65_535, 1]
    session._next_id = 65_533
    session.puback(65_535, NOW)
    session.deliver(message(3), qos=1)
    session.deliver(message(4), qos=1)
    assert [sent.packet_id for sent in link.taken()] == [65_535, 2]


# -- QoS 2


def test_qos_2_in_full() -> None:
    session, link, _ = session_of(inflight=1)
    session.deliver(message(0), qos=2)
    session.deliver(message(1), qos=2)
    assert link.taken() == [Sent(b"0", 2, 1)]
    assert session.pubrec(1, failed=False, now=NOW)
    assert session.pubrec(1, failed=False, now=NOW)  # PUBREL was lost
    assert link.taken() == []
    session.pubcomp(1, NOW)
    assert link.taken() == [Sent(b"1", 2, 2)]


def test_a_pubrec_of_an_unknown_message_is_answered() -> None:
    session, _, _ = session_of()
    assert session.pubrec(7, failed=False, now=NOW)
    assert not session.pubrec(7, failed=True, now=NOW)


def test_a_client_that_refuses_a_message_makes_room() -> None:
    """PUBREC with a reason of failure (MQTT 5, 4.3.3)."""
    session, link, _ = session_of(inflight=1)
    session.deliver(message(0), qos=2)
    session.deliver(message(1), qos=2)
    link.taken()
    assert not session.pubrec(1, failed=True, now=NOW)
    assert link.taken() == [Sent(b"1", 2, 2)]


# -- coming back


def test_what_was_not_acknowledged_comes_first_in_its_order_then_what_waited() -> None:
    session, link, _ = session_of(inflight=4)
    for number, qos in enumerate((1, 2, 2, 1)):
        session.deliver(message(number), qos=qos)
    session.pubrec(2, failed=False, now=NOW)
    session.link = None
    session.deliver(message(4), qos=1)
    session.deliver(message(5), qos=0)
    session.deliver(message(6), qos=2)
    session.link = link = RecordingLink()
    session.resume(NOW)
    assert link.taken() == [
        Sent(b"0", 1, 1, dup=True),
        Released(2),
        Sent(b"2", 2, 3, dup=True),
        Sent(b"3", 1, 4, dup=True),
        Sent(b"5"),  # the window is not for it
    ]
    session.puback(1, NOW)
    session.pubcomp(2, NOW)
    assert link.taken() == [Sent(b"4", 1, 5), Sent(b"6", 2, 6)]


def test_coming_back_again_and_again_sends_the_same() -> None:
    session, link, _ = session_of()
    session.deliver(message(0), qos=1)
    link.taken()
    for _ in range(3):
        session.link = link = RecordingLink()
        session.resume(NOW)
        assert link.taken() == [Sent(b"0", 1, 1, dup=True)]


def test_nothing_is_sent_while_nobody_is_there() -> None:
    session, link, _ = session_of()
    session.link = None
    for qos in (0, 1, 2):
        session.deliver(message(qos), qos=qos)
    session.resume(NOW)
    session.drain(NOW)
    assert (link.taken(), session.queued) == ([], 3)


def test_what_has_expired_meanwhile_is_left_out() -> None:
    session, link, _ = session_of()
    session.link = None
    session.deliver(message(0, expires_at=NOW - 1), qos=1)
    session.deliver(message(1, expires_at=NOW + 1), qos=1)
    session.deliver(message(2, expires_at=NOW), qos=0)
    session.deliver(message(3), qos=1)
    session.link = link
    session.resume(NOW)
    assert link.taken() == [Sent(b"1", 1, 1), Sent(b"3", 1, 2)]


def test_what_is_too_large_for_a_client_counts_as_delivered() -> None:
    """MQTT 5, 3.1.2.11.4."""
    session, link, _ = session_of(inflight=1)
    link.refuses = frozenset({b"0", b"2"})
    for number in range(4):
        session.deliver(message(number), qos=1)
    assert link.taken() == [Sent(b"1", 1, 2)]
    session.puback(2, NOW)
    assert link.taken() == [Sent(b"3", 1, 4)]
    session.link = link = RecordingLink(refuses=frozenset({b"3"}))
    session.resume(NOW)
    assert (link.taken(), len(session.inflight_out), session.queued) == ([], 0, 0)


# -- the limits of the queue


def test_the_oldest_qos_0_message_goes_first_then_the_oldest_of_all() -> None:
    session, link, drops = session_of(queued_messages=3)
    session.link = None
    for number, qos in enumerate((1, 0, 0, 1, 2, 1)):
        session.deliver(message(number), qos=qos)
    assert (session.queued, drops.count) == (3, 3)
    session.link = link
    session.resume(NOW)
    assert [sent.payload for sent in link.taken() if isinstance(sent, Sent)] == [b"3", b"4", b"5"]


def test_the_queue_has_so_many_bytes() -> None:
    session, _link, drops = session_of(queued_bytes=100)
    session.link = None
    for number in range(5):
        session.deliver(message(b"%d" % number * 39), qos=1)  # and a byte of topic
    assert (session.queued, drops.count) == (2, 3)
    session.deliver(message(b"x" * 100), qos=1)
    assert (session.queued, drops.count) == (0, 6)
    session.deliver(message(b"x" * 99), qos=1)
    assert (session.queued, drops.count) == (1, 6)


def test_no_queue_at_all() -> None:
    session, link, drops = session_of(inflight=1, queued_messages=0)
    session.deliver(message(0), qos=1)
    session.deliver(message(1), qos=1)
    assert (link.taken(), session.queued, drops.count) == ([Sent(b"0", 1, 1)], 0, 1)


def test_the_window_is_not_part_of_the_queue() -> None:
    session, _, drops = session_of(inflight=5, queued_messages=1)
    for number in range(7):
        session.deliver(message(number), qos=1)
    assert (len(session.inflight_out), session.queued, drops.count) == (5, 1, 1)


# -- replies


@pytest.mark.parametrize(("subscribed", "qos"), [(None, 0), (0, 0), (1, 1), (2, 1)])
def test_a_reply_has_at_most_qos_1_and_never_more_than_was_subscribed(subscribed: int | None, qos: int) -> None:
    session, link, _ = session_of()
    if subscribed is not None:
        session.subscriptions["t_reply"] = Subscription("t_reply", subscribed)
    session.reply(OutgoingMessage("t_reply", b"answer"))
    assert link.taken() == [Sent(b"answer", qos, 1 if qos else 0)]


def test_a_reply_to_who_has_gone_waits_only_if_it_can_be_acknowledged() -> None:
    session, link, _ = session_of()
    session.link = None
    session.reply(OutgoingMessage("t_reply", b"lost"))
    session.subscriptions["t_reply"] = Subscription("t_reply", 1)
    session.reply(OutgoingMessage("t_reply", b"kept"))
    session.link = link
    session.resume(NOW)
    assert link.taken() == [Sent(b"kept", 1, 1)]


# -- who it is


def test_going_on_under_a_new_login_keeps_what_is_the_sessions_and_takes_what_is_the_connections() -> None:
    session, _, _ = session_of()
    session.client_id, session.username, session.remote_address = "c", "before", "192.0.2.1"
    session.attributes[IDENTITY] = "old"
    session.will = Will("t", b"old", 0, False)
    session.subscriptions["t"] = Subscription("t", 1)
    session.received[7] = None
    session.deliver(message(0), qos=1)
    new, _, _ = session_of()
    new.client_id, new.username, new.remote_address = "c", "after", "192.0.2.2"
    new.attributes[IDENTITY] = "new"
    session.take(new)
    assert (session.username, session.remote_address, session.attributes[IDENTITY]) == ("after", "192.0.2.2", "new")
    assert session.will is None
    assert (list(session.subscriptions), list(session.received), list(session.inflight_out)) == (["t"], [7], [1])


def test_the_end_forgets_everything() -> None:
    session, _, _ = session_of(inflight=1)
    session.subscriptions["t"] = Subscription("t", 1)
    session.received[7] = None
    session.deliver(message(0), qos=1)
    session.deliver(message(1), qos=1)
    session.end()
    kept = (session.connected, session.subscriptions, session.received, session.inflight_out, session.queued)
    assert not any(kept)


def test_sessions_are_the_same_only_if_they_are_one() -> None:
    one, _, _ = session_of()
    other, _, _ = session_of()
    one.client_id = other.client_id = "same"
    assert one != other
    assert len({one, other, one}) == 2
    assert isinstance(one, AmqttSession)


def test_no_password_is_shown() -> None:
    session, _, _ = session_of()
    session.client_id, session.password = "c", "hunter2"
    assert "hunter2" not in repr(session)
