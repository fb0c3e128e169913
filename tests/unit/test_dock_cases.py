"""Every named case, through the dispatcher."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.model import Outcome, OutgoingMessage
from gateway.topics import Kind, device_topic

from .dock_cases import CASES, Case, Step
from .dock_world import NOW, World, opened


def test_the_names_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, with_licenses=case.licenses, **case.settings) as world:
            for step in case.steps:
                check(step, await world.outcome(step.payload, dock=step.dock, kind=step.kind, sn=step.sn))
            await check_effects(case, world)

    asyncio.run(scenario())


def is_topology(step: Step) -> bool:
    """What a platform wants to know too; its method's name may be left out."""
    is_read = step.kind is Kind.STATUS and step.data is not None
    return is_read and json.loads(step.payload).get("method", "update_topo") == "update_topo"


def check(step: Step, outcome: Outcome | None) -> None:
    assert (outcome is None or outcome.route) == (step.routed or is_topology(step))
    replies = () if outcome is None else outcome.replies
    if step.data is None:
        assert replies == ()
    else:
        (reply,) = replies
        check_reply(step, reply)


def check_reply(step: Step, reply: OutgoingMessage) -> None:
    sent, answer = json.loads(step.payload), json.loads(reply.payload)
    assert reply.topic == device_topic(step.sn or step.dock, step.kind) + "_reply"
    assert answer["data"] == step.data
    assert answer["timestamp"] == NOW
    # cases 17, C21: as sent, and left out where it was not sent
    for key in ("tid", "bid", "method", "gateway"):
        assert (key in answer) == (key in sent)
        assert answer.get(key) == sent.get(key)
        assert type(answer.get(key)) is type(sent.get(key))
    assert set(answer) <= {"tid", "bid", "timestamp", "gateway", "method", "data"}


async def check_effects(case: Case, world: World) -> None:
    stored = await world.stored()
    assert {sn: stored.get(sn) for sn in case.owners} == dict(case.owners)
    assert not stored.keys() & set(case.unknown)
    # memory says what the database says
    assert {d.sn: (d.organization_id, d.gateway_sn) for d in world.directory.devices()} == stored
    audited = {
        (action, target, reason) for action, target, outcome, reason in await world.audited() if outcome == "refused"
    }
    assert set(case.audit) <= audited
