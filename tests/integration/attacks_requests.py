"""Rows of the table of attacks: requests, topologies and replies about others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from gateway.topics import Kind, device_topic

from . import octets_v5
from .attack_kinds import (
    OWN_EVENTS,
    OWN_OSD,
    OWN_REPLY,
    OWN_REQUESTS,
    OWN_STATUS,
    REFUSED,
    THEIR_REPLY,
    Attack,
    asks,
)
from .attack_stage import (
    DOCK_C,
    MARK,
    SECRET,
    Stage,
    ask_license,
    body,
)
from .town import (
    BIRD_A,
    BIRD_B,
    DOCK_A,
    DOCK_B,
    RIVALS,
    topics_of,
)

# -- requests about others


def _no_license_of_rivals(data: dict[str, Any]) -> bool:
    return bool(data["app_id"] == "123456")  # its own organization's


def _result(*numbers: int) -> Callable[[dict[str, Any]], bool]:
    return lambda data: data["result"] in numbers


def _err_code(*numbers: int) -> Callable[[dict[str, Any]], bool]:
    return lambda data: all(each["err_code"] in numbers for each in data["output"]["err_infos"])


def _bind(stage: Stage, sn: str, key: str, organization: str, code: str | None = None) -> bytes:
    device = {
        "sn": sn,
        "device_model_key": key,
        "device_callsign": "stolen",
        "organization_id": organization,
        "device_binding_code": code or stage.codes[organization],
    }
    return body(
        "airport_organization_bind", {"bind_devices": [device]}, tid=f"steal-{sn}-{organization}-{stage.version}"
    )


def requests() -> Iterator[Attack]:
    home = "fleet"
    yield asks("the license, naming another gateway", lambda _: ask_license("g", gateway=DOCK_B), _no_license_of_rivals)
    yield asks(
        "the license, naming another in its data",
        lambda _: body(
            "config",
            {
                "config_type": "json",
                "config_scope": "product",
                "sn": DOCK_B,
                "gateway": DOCK_B,
                "organization_id": RIVALS,
            },
        ),
        _no_license_of_rivals,
    )
    yield asks("the license, with the victim's own words", _same_words, _no_license_of_rivals)
    yield asks(
        "whose the victims are",
        lambda _: body("airport_bind_status", {"devices": [{"sn": DOCK_B}, {"sn": BIRD_B}]}),
        _tells_nothing,
    )
    yield asks(
        "the name of another organization",
        lambda _: body("airport_organization_get", {"device_binding_code": "AAAAAAAA", "organization_id": RIVALS}),
        _result(210230),
    )
    yield asks(
        "binding itself elsewhere, with a code it has come by",
        lambda stage: _bind(stage, DOCK_A, "3-2-0", RIVALS),
        _err_code(210230, 210232),
    )
    yield asks("binding the victim here", lambda stage: _bind(stage, DOCK_B, "3-2-0", home), _err_code(210231))
    yield asks(
        "binding the victim's aircraft here",
        lambda stage: _bind(stage, BIRD_B, "0-91-1", home),
        _err_code(210231, 210232),
    )
    yield asks(
        "binding the victim there again, by another dock",
        lambda stage: _bind(stage, DOCK_B, "3-2-0", RIVALS),
        _err_code(210231),
    )
    yield asks(
        "binding the victim as if it were an aircraft",
        lambda stage: _bind(stage, DOCK_B, "0-91-1", home),
        _err_code(210231, 210232),
    )
    yield asks(
        "binding the neighbour as an aircraft of its own",
        lambda stage: _bind(stage, DOCK_C, "0-91-1", home),
        _err_code(210231, 210232),
    )
    yield asks("guessing a code", lambda stage: _bind(stage, DOCK_A, "3-2-0", RIVALS, "AAAAAAAA"), _err_code(210230))
    for what, sn in (
        ("the victim's aircraft", BIRD_B),
        ("the victim itself", DOCK_B),
        ("the neighbour", DOCK_C),
        ("itself", DOCK_A),
    ):
        # the result is 0 all the same: a dock that hears anything else sends no telemetry (docs/protocol.md 4.1)
        yield asks(f"topology: {what} hangs on it", lambda _, sn=sn: _topology(sn), _result(0), topic=OWN_STATUS)  # type: ignore[misc]
        yield Attack(f"request: telemetry: {what} hangs on it", _claim_by_osd(sn))
    yield Attack("request: topology in the victim's name", _foreign_topology)
    yield Attack("request: speaking for an aircraft it was refused", _speak_for)
    yield Attack("request: a reply that somebody else waits for", _forged_reply)
    yield Attack("request: an acknowledgement to somebody else", _need_reply)
    yield Attack("request: a reply to another topic (MQTT 5)", _response_topic, (5,))
    yield Attack("request: as an account without an SN, in a name that is taken", _request_unpinned)


def _same_words(stage: Stage) -> bytes:
    """Repetitions are answered as before (docs/protocol.md 5.1), but to who asked before."""
    words = ask_license("the same words")
    stage.live.publish(device_topic(DOCK_B, Kind.REQUESTS), words)
    assert b"rivals-app-key" in stage.live.receive().payload
    return words


def _tells_nothing(data: dict[str, Any]) -> bool:
    return all(
        each["organization_id"] == each["organization_name"] == each["device_callsign"] == ""
        for each in data["output"]["bind_status"]
    )


def _topology(*sns: str) -> bytes:
    told = [{"sn": sn, "domain": "0", "type": 91, "sub_type": 1, "index": "A"} for sn in sns]
    return body("update_topo", {"domain": "3", "type": 2, "sub_type": 0, "sub_devices": told}, tid="topo")


def _claim_by_osd(sn: str) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        actor = stage.attacker()
        told = {"device_sn": sn, "device_model_key": "0-91-1", "device_online_status": 1, "device_paired": 1}
        actor.publish(
            OWN_OSD,
            json.dumps(
                {"tid": "o", "bid": "o", "timestamp": 1, "gateway": DOCK_A, "data": {"sub_device": told}}
            ).encode(),
        )
        # learnt in a task of its own
        stage.gateway.call(_settled(stage))

    return run


async def _settled(stage: Stage) -> None:
    learner = stage.gateway.runtime.dispatcher._learner
    async with asyncio.timeout(5):
        while learner._learning:  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0.002)


def _foreign_topology(stage: Stage) -> None:
    actor = stage.attacker()
    for payload in (_topology(), _topology(BIRD_A), body("update_topo", {"sub_devices": []}, gateway=DOCK_A)):
        reason = actor.publish(device_topic(DOCK_B, Kind.STATUS), payload)
        assert reason == (0x87 if stage.version == 5 else 0)


def _speak_for(stage: Stage) -> None:
    actor = stage.attacker()
    actor.subscribe(f"{OWN_STATUS}_reply")
    actor.publish(OWN_STATUS, _topology(BIRD_B, BIRD_A))
    actor.receive()
    for topic in topics_of(BIRD_B, (Kind.OSD, Kind.STATE, Kind.EVENTS)):
        assert actor.publish(topic, MARK, retain=True) == (0x87 if stage.version == 5 else 0)
    assert actor.subscribe(device_topic(BIRD_B, Kind.SERVICES))[0] in REFUSED


def _forged_reply(stage: Stage) -> None:
    """The victim has asked a platform; the attacker would like to be that."""
    requests = device_topic(DOCK_B, Kind.REQUESTS)
    stage.live.publish(
        requests, body("storage_config_get", {"module": SECRET.decode()}, tid=f"storage-{stage.version}")
    )
    asked = stage.service.receive()
    assert asked.topic == requests
    actor = stage.attacker()
    forged = body(
        "storage_config_get", {"result": 0, "output": {"endpoint": MARK.decode()}}, tid=f"storage-{stage.version}"
    )
    for topic in (THEIR_REPLY, OWN_REPLY, device_topic(DOCK_B, Kind.SERVICES_REPLY)):
        actor.publish(topic, forged)
    answer = body(
        "storage_config_get", {"result": 0, "output": {"endpoint": SECRET.decode()}}, tid=f"storage-{stage.version}"
    )
    stage.service.publish(THEIR_REPLY, answer)
    assert stage.live.receive().payload == answer


def _need_reply(stage: Stage) -> None:
    """An event that wants a reply is acknowledged to who has sent it; in another's name there is no event."""
    actor = stage.attacker()
    actor.subscribe(f"{OWN_EVENTS}_reply")
    for topic in (
        device_topic(DOCK_B, Kind.EVENTS),
        device_topic(BIRD_B, Kind.STATE),
        device_topic(DOCK_C, Kind.EVENTS),
    ):
        actor.publish(topic, body("x", {"mark": MARK.decode()}, need_reply=1))
    own = body("x", {"reply_to": THEIR_REPLY}, need_reply=1, gateway=DOCK_B, reply_topic=THEIR_REPLY, topic=THEIR_REPLY)
    actor.publish(OWN_EVENTS, own)
    assert actor.receive().topic == f"{OWN_EVENTS}_reply"
    actor.ping()
    assert list(actor.inbox) == []


def _response_topic(stage: Stage) -> None:
    actor = stage.attacker()
    actor.subscribe(OWN_REPLY)
    properties = (octets_v5.response_topic(THEIR_REPLY), octets_v5.correlation(b"victim's"))
    actor.send(octets_v5.publish(OWN_REQUESTS, ask_license(f"r-{stage.version}"), *properties, qos=1, packet_id=4))
    assert actor.receive().topic == OWN_REPLY


def _request_unpinned(stage: Stage) -> None:
    actor = stage.attacker("dock-new")
    for sn in (DOCK_B, DOCK_C, BIRD_B):
        for kind in (Kind.REQUESTS, Kind.STATUS):
            assert actor.publish(device_topic(sn, kind), ask_license("u")) == (0x87 if stage.version == 5 else 0)
    actor.ping()
    assert list(actor.inbox) == []
    assert stage.town.installation.dockgate("account", "show", "dock-new")["sn"] is None
