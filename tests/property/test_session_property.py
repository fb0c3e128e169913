"""Messages, acknowledgements and broken connections in any order: nothing is lost but what is counted, nothing overtakes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.recording_link import RecordingLink, Released, Sent, message, session_of

WINDOW, QUEUED = 3, 6
NOW = 1000.0


class SessionMachine(RuleBasedStateMachine):
    """The client on the other side keeps books: what it has got for good, and what it has to acknowledge."""

    def __init__(self) -> None:
        super().__init__()
        self.session, self.link, self.drops = session_of(inflight=WINDOW, queued_messages=QUEUED)
        self.count = 0
        self.offered: list[tuple[int, int]] = []
        self.got: list[tuple[int, int]] = []
        self.unacknowledged: dict[int, tuple[int, int]] = {}
        self.released: set[int] = set()

    def read(self) -> None:
        """Take what has been sent, as MQTT tells a client to (4.3)."""
        for sent in self.link.taken():
            if isinstance(sent, Released):
                assert sent.packet_id in self.released
                continue
            what = (int(sent.payload), sent.qos)
            if not sent.qos:
                assert (sent.packet_id, sent.dup) == (0, False)
                self.got.append(what)
                continue
            assert 1 <= sent.packet_id <= 65_535
            if sent.packet_id in self.unacknowledged:
                assert sent.dup
                assert self.unacknowledged[sent.packet_id] == what
            else:
                self.unacknowledged[sent.packet_id] = what
                self.got.append(what)

    @rule(qos=st.integers(0, 2))
    def deliver(self, qos: int) -> None:
        self.count += 1
        self.offered.append((self.count, qos))
        self.session.deliver(message(self.count), qos=qos)

    @precondition(lambda self: self.session.connected and self.unacknowledged)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        self.read()
        packet_id = data.draw(st.sampled_from(sorted(self.unacknowledged)))
        if self.unacknowledged[packet_id][1] == 1:
            del self.unacknowledged[packet_id]
            self.session.puback(packet_id, NOW)
        elif packet_id not in self.released:
            self.released.add(packet_id)
            assert self.session.pubrec(packet_id, failed=False, now=NOW)
        else:
            self.released.discard(packet_id)
            del self.unacknowledged[packet_id]
            self.session.pubcomp(packet_id, NOW)

    @precondition(lambda self: self.session.connected)
    @rule(packet_id=st.integers(1, 20))
    def talk_nonsense(self, packet_id: int) -> None:
        self.read()
        if packet_id not in self.unacknowledged:
            self.session.puback(packet_id, NOW)
            self.session.pubcomp(packet_id, NOW)

    @precondition(lambda self: self.session.connected)
    @rule(is_read=st.booleans())
    def lose_the_connection(self, is_read: bool) -> None:
        if is_read:
            self.read()
        else:
            # QoS 0 that was on its way is gone; the rest will come again
            lost = [sent for sent in self.link.taken() if isinstance(sent, Sent) and not sent.qos]
            self.got += [(int(sent.payload), 0) for sent in lost]
        self.session.link = None

    @precondition(lambda self: not self.session.connected)
    @rule()
    def come_back(self) -> None:
        self.session.link = self.link = RecordingLink()
        self.session.resume(NOW)
        again = [sent.packet_id for sent in self.link.sent if isinstance(sent, Released) or sent.dup]
        assert again == [packet_id for packet_id in self.session.inflight_out if packet_id in again]
        self.read()

    @invariant()
    def limits_are_kept(self) -> None:
        assert len(self.session.inflight_out) <= WINDOW
        assert self.session.queued <= QUEUED
        if self.session.connected and self.session.queued:
            assert len(self.session.inflight_out) == WINDOW

    @invariant()
    def nothing_is_lost_uncounted_and_nothing_overtakes(self) -> None:
        if not self.session.connected:
            return
        self.read()
        assert len(self.offered) == len(self.got) + self.session.queued + self.drops.count
        assert len(set(self.got)) == len(self.got)
        for qos in (0, 1, 2):
            order = [number for number, its_qos in self.got if its_qos == qos]
            assert order == sorted(order)


SessionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSession = SessionMachine.TestCase
