"""A simulated dock that is driven step by step: connect, ask, publish, expect, close. Used by ``run_dock``, by tests
and by hand.

Goes in: a target and a profile. Comes out: replies that a strict dock accepts, or a DockgateError in an operator's
words. Thread-safe; it never retries and never connects again by itself, so that what a test sees is what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from gateway.errors import DockgateError, RefusedError
from gateway.simulator import checks, payloads, remedies
from gateway.simulator.causes import FAILURE
from gateway.simulator.checks import ABSENT, Asked
from gateway.simulator.client import Link, Message
from gateway.simulator.models import DockProfile
from gateway.simulator.payloads import Json
from gateway.simulator.target import Target


class SimulatedDock:
    """One dock. ``timeout_s`` bounds every wait; after ``close`` or ``drop`` it may ``connect`` again."""

    def __init__(
        self,
        target: Target,
        profile: DockProfile,
        *,
        timeout_s: float = 10.0,
        client_id: str | None = None,
        keepalive_s: int = 30,
    ) -> None:
        self.target = target
        self.profile = profile
        self.timeout_s = timeout_s
        # What a real dock sends as client id is not known (docs/protocol.md 3); no server may rely on it.
        self.client_id = client_id if client_id is not None else profile.sn
        self._keepalive_s = keepalive_s
        self._link: Link | None = None
        self.connack: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the connection -----------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Raises RefusedError when the login is refused (``connack`` has the code), DockgateError for any other
        failure.
        """
        if self._link is not None:
            self._link.close()
        profile = self.profile
        link = Link(
            self.target, client_id=self.client_id, username=profile.account, password=profile.password,
            keepalive_s=self._keepalive_s, timeout_s=self.timeout_s,
        )  # fmt: skip
        self._link = link
        try:
            link.open()
        finally:
            self.connack = link.connack

    @property
    def is_open(self) -> bool:
        return self._link is not None and self._link.is_open

    @property
    def closed_because(self) -> str:
        return "" if self._link is None else self._link.closed_because

    def wait_closed(self, timeout_s: float | None = None) -> bool:
        return self._open_link().wait_closed(self._wait(timeout_s))

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    def drop(self) -> None:
        """Lose the network: no DISCONNECT is sent."""
        if self._link is not None:
            self._link.drop()

    def try_subscribe(self, filters: Sequence[str], *, qos: int = 1) -> dict[str, int]:
        """Filter -> granted QoS, or a code from 128 up."""
        return self._open_link().subscribe(filters, qos)

    def subscribe(self, filters: Sequence[str] | None = None) -> tuple[str, ...]:
        """The dock's own topics unless others are given. Raises RefusedError that names each refused one."""
        wanted = payloads.dock_subscriptions(self.profile.sn) if filters is None else tuple(filters)
        granted = self.try_subscribe(wanted)
        refused = [
            f"{name} (code {granted.get(name, 'missing')})" for name in wanted if granted.get(name, FAILURE) >= FAILURE
        ]
        if refused:
            account = self.profile.account
            raise RefusedError(
                f"refused to let account {account} subscribe to {', '.join(refused)}",
                hint=remedies.of_subscribing(account),
            )
        return wanted

    # -- asking -------------------------------------------------------------------------------------------------------

    @property
    def requests_topic(self) -> str:
        return payloads.topic(self.profile.sn, "requests")

    def request(
        self,
        method: str,
        data: object,
        *,
        tid: object = None,
        bid: object = None,
        raw: bytes | None = None,
        strict: bool = True,
        timeout_s: float | None = None,
    ) -> Json:
        """Ask on the requests topic and return the whole reply.

        ``raw`` is sent instead of the message built from the other arguments; without a tid in it, the next reply is
        taken. ``strict`` raises DockgateError when a dock could not accept the reply; a refusal in the right shape is
        returned.
        """
        message = payloads.request(method, data, gateway=self.profile.sn, tid=tid, bid=bid)
        asked = self.send(self.requests_topic, message) if raw is None else self.send_raw(self.requests_topic, raw)
        return self.reply(asked, strict=strict, timeout_s=timeout_s)

    def update_topo(
        self, *, with_aircraft: bool = True, tid: object = None, bid: object = None, strict: bool = True
    ) -> Json:
        """Tell which aircraft is here, or that none is, and return the reply."""
        message = payloads.update_topo(self.profile, with_aircraft=with_aircraft, tid=tid, bid=bid)
        return self.reply(self.send(payloads.status_topic(self.profile.sn), message), strict=strict)

    def send(self, topic: str, message: Json, *, qos: int = 1) -> Asked:
        """Publish a message; the result is what ``reply`` waits for. Raises RefusedError when MQTT 5 tells of a
        refusal.
        """
        self.publish(topic, payloads.encode(message), qos=qos)
        return Asked.of(topic, self.profile.sn, message)

    def send_raw(self, topic: str, payload: bytes, *, qos: int = 1) -> Asked:
        self.publish(topic, payload, qos=qos)
        try:
            message = checks.parse(payload)
        except ValueError:
            message = {}
        return Asked.of(topic, self.profile.sn, message)

    def reply(self, asked: Asked, *, strict: bool = True, timeout_s: float | None = None) -> Json:
        """Wait for the reply to a message sent before."""
        topic, wait_s = f"{asked.topic}_reply", self._wait(timeout_s)
        message = self._open_link().take(
            topic, lambda arrived: asked.tid is ABSENT or _tid(arrived) == (type(asked.tid), asked.tid), wait_s
        )
        what = asked.method if isinstance(asked.method, str) else "a message"
        if message is None:
            others = len(self._open_link().waiting(topic))
            note = f"; what came there ({others}) does not carry its tid" if others else ""
            raise DockgateError(f"nothing answered {what} on {topic} within {wait_s:g} s{note}")
        complaints = checks.check(asked, message.topic, message.payload)
        if complaints and strict:
            raise DockgateError(f"a dock cannot accept the reply to {what}: {checks.describe(complaints)}")
        try:
            return checks.parse(message.payload)
        except ValueError as error:
            raise DockgateError(f"the reply to {what} is not a JSON object: {type(error).__name__}") from None

    def expect(self, topic: str, timeout_s: float | None = None) -> Message:
        """The next message on exactly this topic that nobody took. Raises DockgateError in silence."""
        wait_s = self._wait(timeout_s)
        message = self._open_link().take(topic, lambda _message: True, wait_s)
        if message is None:
            raise DockgateError(f"nothing came on {topic} within {wait_s:g} s")
        return message

    def waiting(self, topic: str) -> tuple[Message, ...]:
        """What has come on this topic and was not taken."""
        return self._open_link().waiting(topic)

    # -- telling ------------------------------------------------------------------------------------------------------

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, timeout_s: float | None = None) -> None:
        """Returns when acknowledged (QoS 0: written). Raises RefusedError when the server says no; MQTT 3.1.1 cannot
        tell.
        """
        code = self._open_link().publish(topic, payload, qos=qos, timeout_s=timeout_s)
        if code >= FAILURE:
            raise RefusedError(f"refused to let account {self.profile.account} publish on {topic} (code {code})")

    def publish_osd(self, *, qos: int = 0) -> int:
        """The dock's three fragments; the result is the number of messages."""
        topic = payloads.topic(self.profile.sn, "osd")
        return self._publish_all(
            topic, (payloads.dock_osd(self.profile, number) for number in range(payloads.DOCK_OSD_FRAGMENTS)), qos
        )

    def publish_aircraft_osd(self, *, qos: int = 0) -> int:
        return self._publish_all(payloads.topic(self._aircraft(), "osd"), [payloads.aircraft_osd(self.profile)], qos)

    def publish_hms(self, *, qos: int = 0) -> int:
        """Under the aircraft's SN, which no document says and every Dock 3 does (case C26)."""
        return self._publish_all(payloads.topic(self._aircraft(), "events"), [payloads.hms(self.profile)], qos)

    def publish_airsense(self, *, qos: int = 0) -> int:
        return self._publish_all(payloads.topic(self.profile.sn, "events"), [payloads.airsense(self.profile)], qos)

    def publish_state(
        self, *, sn: str | None = None, data: object = None, need_reply: int | None = 1, tid: object = None
    ) -> Asked:
        """Under the aircraft's SN, or the dock's without one; ``reply`` waits for the acknowledgement."""
        message = payloads.state(self.profile, data=data, need_reply=need_reply, tid=tid)
        return self.send(payloads.topic(sn or self.profile.aircraft_sn or self.profile.sn, "state"), message)

    def publish_event(
        self, method: str | None = None, *, data: object = None, need_reply: int | None = 1, tid: object = None
    ) -> Asked:
        name = {} if method is None else {"method": method}
        message = payloads.event(self.profile, **name, data=data, need_reply=need_reply, tid=tid)
        return self.send(payloads.topic(self.profile.sn, "events"), message)

    def _publish_all(self, topic: str, messages: Iterable[Json], qos: int) -> int:
        count = 0
        for message in messages:
            self.publish(topic, payloads.encode(message), qos=qos)
            count += 1
        return count

    def _aircraft(self) -> str:
        if self.profile.aircraft_sn is None:
            raise DockgateError(f"dock {self.profile.sn} has no aircraft")
        return self.profile.aircraft_sn

    def _open_link(self) -> Link:
        if self._link is None:
            raise DockgateError("the dock is not connected yet")
        return self._link

    def _wait(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else timeout_s


def _tid(message: Message) -> tuple[type, object] | None:
    """With its type: a tid that went out as the number 7 does not come back as the text "7"."""
    try:
        tid = checks.parse(message.payload).get("tid", ABSENT)
    except ValueError:
        return None
    return type(tid), tid
