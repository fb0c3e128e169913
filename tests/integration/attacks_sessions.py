"""Rows of the table of attacks: the sessions and the packets of others, and too much of everything."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.topics import Kind, device_topic

from . import octets, octets_v5
from .attack_doors import CERTIFIED
from .attack_kinds import (
    OWN_EVENTS,
    OWN_OSD,
    OWN_REPLY,
    OWN_REQUESTS,
    REFUSED,
    THEIRS,
    Attack,
    bytes_of,
    published,
)
from .attack_stage import (
    ABSENT_ID,
    LIVE_ID,
    MARK,
    OPEN_QOS2,
    SHARE,
    STUCK_ID,
    WORKER_ID,
    Stage,
    ask_license,
)
from .town import (
    DOCK_A,
    DOCK_B,
    DOWN,
    topics_of,
)
from .wire import Will, connect_packet

# -- sessions and packets of others


def sessions() -> Iterator[Attack]:
    for what, client_id in (
        ("a dock that is connected", LIVE_ID),
        ("a dock that is away", ABSENT_ID),
        ("a dock with packets under way", STUCK_ID),
        ("a service", WORKER_ID),
    ):
        for clean in (True, False):
            yield Attack(
                f"session: the client id of {what}, {'afresh' if clean else 'to go on with it'}",
                _steal(client_id, clean),
            )
    yield Attack(
        "session: the client id of another, with a will on the way out", _steal(ABSENT_ID, True, Will(OWN_OSD, MARK))
    )
    yield Attack("session: a client id like another dock's SN", _named)
    yield Attack("session: the victim's name with its own password", _other_name)
    yield Attack(
        "session: the victim's name and password, with its own certificate", _other_certificate, doors=CERTIFIED
    )
    yield Attack("session: the victim's name and password, without a certificate", _no_certificate, doors=CERTIFIED)
    yield Attack("session: a second CONNECT as the victim", _second_connect)
    yield Attack("session: more connections than an account may have", _crowd)
    yield Attack("session: unsubscribing the victims", _unsubscribe)
    yield Attack("session: a filter of before, after the session has changed hands", _own_session)
    yield bytes_of("an end to deliveries of others", _acknowledge_everything)
    yield bytes_of("the second half of another's QoS 2", lambda _: octets.pubrel(OPEN_QOS2))
    yield bytes_of(
        "again, with the packet id of another",
        lambda stage: published(stage, THEIRS, qos=2, packet_id=OPEN_QOS2, dup=True),
    )
    yield bytes_of(
        "a new authentication",
        lambda _: octets_v5.auth(0x19, octets_v5.authentication_method("PLAIN")),
        closes=True,
        versions=(5,),
    )
    yield bytes_of("a CONNACK", lambda _: octets.connack(0), closes=True)
    yield bytes_of("a SUBACK", lambda _: octets.suback(1, 0), closes=True)
    yield bytes_of(
        "a longer life for a session that had none",
        lambda _: octets_v5.disconnect(0, octets_v5.session_expiry(3600)),
        closes=True,
        versions=(5,),
    )


def _steal(client_id: str, clean: bool, will: Will | None = None) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        for name in ("dock-a", "dock-new"):
            actor = stage.knock(certified_as=name)
            code = actor.login(client_id, name, stage.town.passwords[name], clean=clean, will=will).code
            assert code == (2 if stage.version == 4 else 0x85)
            assert actor.wait_closed(5)

    return run


def _named(stage: Stage) -> None:
    """Docks of metal may have their SN there; it gives no right."""
    actor = stage.attacker(client_id=DOCK_B)
    assert set(actor.subscribe(*topics_of(DOCK_B, DOWN))) <= set(REFUSED)
    reason = actor.publish(device_topic(DOCK_B, Kind.OSD), MARK)
    assert reason == (0x87 if stage.version == 5 else 0)


def _other_name(stage: Stage) -> None:
    # from an address of its own, which it locks for itself alone
    actor = stage.knock(stage.elsewhere())
    assert actor.login("x", "dock-b", stage.town.passwords["dock-a"]).code in (4, 5, 0x86, 0x87)


def _other_certificate(stage: Stage) -> None:
    """Whoever has read a password off a dock needs that dock's key as well."""
    for name, client_id in (("dock-b", "x"), ("dock-b", ABSENT_ID), ("dock-c", "x"), ("service-b", WORKER_ID)):
        actor = stage.knock(stage.elsewhere())
        code = actor.login(client_id, name, stage.town.passwords[name], clean=False).code
        assert code == (5 if stage.version == 4 else 0x87), name
        assert actor.wait_closed(5)


def _no_certificate(stage: Stage) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        # TLS 1.3: the refusal comes after the client's handshake
        stage.knock(certified_as=None).login("x", "dock-b", stage.town.passwords["dock-b"])


def _second_connect(stage: Stage) -> None:
    actor = stage.attacker()
    actor.send(connect_packet(ABSENT_ID, "dock-b", stage.town.passwords["dock-a"], version=stage.version, clean=False))
    assert actor.wait_closed(5)


def _crowd(stage: Stage) -> None:
    most = stage.gateway.broker.limits.connections_per_account
    for number in range(most):
        stage.attacker(client_id=f"crowd-{number}")
    late = stage.knock()
    assert late.login("one-more", "dock-a", stage.town.passwords["dock-a"]).code != 0


def _unsubscribe(stage: Stage) -> None:
    actor = stage.attacker()
    filters = ("#", *topics_of(DOCK_B, DOWN), f"$share/{SHARE}/thing/product/+/osd")
    actor.send(octets.unsubscribe(*filters) if stage.version == 4 else octets_v5.unsubscribe(*filters))
    assert actor.is_open()


def _own_session(stage: Stage) -> None:
    """A session that lasts is its account's: the other account can't go on with it, and the owner finds it as it was."""
    lasting: dict[str, Any] = {"clean": False, "expiry_s": 60 if stage.version == 5 else None}
    own = stage.attacker(client_id="lasting", **lasting)
    assert own.subscribe(device_topic(DOCK_A, Kind.SERVICES)) == [1]
    own.drop()
    other = stage.knock()
    assert other.login("lasting", "dock-new", stage.town.passwords["dock-new"], clean=False).code != 0
    back = stage.knock()
    assert back.login("lasting", "dock-a", stage.town.passwords["dock-a"], **lasting).present
    stage.attacker(client_id="lasting")  # a clean start, which ends it


def _acknowledge_everything(stage: Stage) -> bytes:
    ids = range(1, 64)
    return b"".join(octets.puback(each) + octets.pubrec(each) + octets.pubcomp(each) for each in ids)


# -- too much


def too_much() -> Iterator[Attack]:
    large = 2 * 1024 * 1024
    yield bytes_of(
        "a message that is too large", lambda stage: published(stage, OWN_OSD, MARK + b"x" * large), closes=True
    )
    yield bytes_of("a length that is none", lambda _: b"\x30\xff\xff\xff\xff\xff", closes=True)
    yield Attack("packets: half of one, and gone", _half)
    yield bytes_of(
        "a topic that is no UTF-8",
        lambda stage: octets.packet(0x30, b"\x00\x03\xff\xfe\xfd" + (b"" if stage.version == 4 else b"\x00")),
        closes=True,
    )
    yield bytes_of("a topic as long as can be", lambda stage: published(stage, f"{OWN_OSD}/" + "x" * 60_000))
    yield bytes_of("ten thousand messages at once", lambda stage: published(stage, THEIRS) * 10_000, closes=True)
    yield bytes_of("open QoS 2 handshakes without an end", _open_handshakes, closes=True, versions=(5,))
    yield Attack("request: JSON that is too deep, too long, or none", _garbage)


def _half(stage: Stage) -> None:
    for topic in (THEIRS, OWN_OSD):
        actor = stage.attacker()
        actor.send(published(stage, topic)[:-3])
        actor.drop()


def _open_handshakes(stage: Stage) -> bytes:
    return b"".join(published(stage, OWN_EVENTS, qos=2, packet_id=each) for each in range(1, 200))


def _garbage(stage: Stage) -> None:
    actor = stage.attacker()
    actor.subscribe(OWN_REPLY)
    for payload in (
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"",
        b"{}",
        b'{"method":null}',
        b'{"tid":"' + b"x" * 900_000,
    ):
        actor.publish(OWN_REQUESTS, payload)
    actor.publish(OWN_REQUESTS, ask_license(f"after-{stage.version}"))
    while b'"after-' not in actor.receive().payload:
        pass
