"""Docks and aircraft: seen, attached under the topology rule, present, unbound, forgotten."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import ConflictError, NotFoundError
from gateway.model import AccessStep, Device
from gateway.store import bindings, devices
from gateway.store.devices import Presence
from gateway.store.topology import UNKNOWN, ChildFacts, may_claim

Found = Callable[[sqlite3.Connection], None]


def bind(db: sqlite3.Connection, dock: str, *aircraft: str, code: str = "ALPHA", org: str = "A") -> None:
    wishes = [bindings.BindWish(dock, org, code, "", "3-2-0")]
    wishes += [bindings.BindWish(sn, org, code, "", "0-91-1") for sn in aircraft]
    outcome = bindings.bind(db, gateway_sn=dock, account="acc", wishes=wishes, now=1)
    assert all(result.fresh for result in outcome.results)


def attach(db: sqlite3.Connection, dock: str, *aircraft: str, now: int = 1) -> list[str]:
    return [device.sn for device in devices.attach(db, dock, [(sn, "0-91-1") for sn in aircraft], now=now)]


@pytest.mark.case(1)
def test_case1_a_dock_never_bound_is_listed_as_seen(db: sqlite3.Connection) -> None:
    first = devices.see_gateway(db, "DOCK1", now=5)
    assert first == Device(
        sn="DOCK1",
        gateway_sn=None,
        is_gateway=True,
        model_key="",
        callsign="",
        organization_id=None,
        bound_at=None,
        first_seen_at=5,
        last_seen_at=5,
        online=False,
        access_step=AccessStep.SEEN,
    )
    assert devices.see_gateway(db, "DOCK1", now=9) == replace(first, last_seen_at=9)
    assert devices.see_gateway(db, "DOCK1", now=7).last_seen_at == 9
    assert devices.model(db, "DOCK1", "3-2-0").model_key == "3-2-0"
    assert devices.rename(db, "DOCK1", "North").callsign == "North"
    assert devices.list_all(db) == [devices.get(db, "DOCK1")]


def test_what_is_not_there(db: sqlite3.Connection) -> None:
    for call in (
        lambda: devices.get(db, "NO"),
        lambda: devices.rename(db, "NO", "x"),
        lambda: devices.model(db, "NO", "0-1-1"),
        lambda: devices.forget(db, "NO"),
        lambda: devices.unbind(db, "NO", 1),
    ):
        with pytest.raises(NotFoundError, match="NO"):
            call()


@pytest.mark.case(11)
def test_case11_listing_by_organization(db: sqlite3.Connection, found: Found) -> None:
    found(db)
    bind(db, "DOCK1", "AIR1")
    bind(db, "DOCK2", code="BRAVO", org="B")
    attach(db, "DOCK1", "FREE")
    assert [device.sn for device in devices.list_all(db, organization_id="A")] == ["AIR1", "DOCK1"]
    assert [device.sn for device in devices.list_all(db, organization_id="B")] == ["DOCK2"]
    assert devices.get(db, "DOCK1").organization_id == "A"
    assert len(devices.list_all(db)) == 4


@pytest.mark.case(10)
@pytest.mark.case("C38")
def test_case10_attaching_nothing_keeps_what_hangs_there(db: sqlite3.Connection) -> None:
    assert attach(db, "DOCK1", "AIR1", "AIR2") == ["AIR1", "AIR2"]
    before = devices.list_all(db)
    assert devices.attach(db, "DOCK1", [], now=1) == []
    assert devices.list_all(db) == before


@pytest.mark.case(5)
def test_case5_attach_keeps_what_it_does_not_know(db: sqlite3.Connection) -> None:
    devices.attach(db, "DOCK1", [("AIR1", "0-65535-65534")], now=1)
    devices.rename(db, "AIR1", "Bird")
    (device,) = devices.attach(db, "DOCK1", [("AIR1", "")], now=5)
    assert device == devices.get(db, "AIR1")
    assert (device.model_key, device.callsign, device.first_seen_at, device.last_seen_at) == (
        "0-65535-65534",
        "Bird",
        1,
        5,
    )


def test_attach_obeys_the_topology_rule(db: sqlite3.Connection, found: Found) -> None:
    found(db)
    bind(db, "DOCK1", "AIR1")
    bind(db, "DOCK2", "AIR2", code="BRAVO", org="B")
    assert attach(db, "DOCK1", "AIR1", "NEW", "AIR2", "DOCK2", "DOCK1", "DOCKA") == ["AIR1", "NEW"]
    assert devices.get(db, "AIR2").gateway_sn == "DOCK2"
    assert devices.get(db, "DOCK2").gateway_sn is None
    assert attach(db, "DOCKA", "AIR1") == ["AIR1"], "DOCKA is of A by its account, DOCK1 by binding"
    assert devices.get(db, "AIR1").gateway_sn == "DOCKA"
    assert attach(db, "DOCKX", "NEW") == [], "a stranger's dock may not take it away"
    devices.forget(db, "NEW")
    assert attach(db, "DOCKX", "NEW") == ["NEW"], "the operator has mended it"


def test_a_device_that_logs_in_itself_hangs_on_nothing(db: sqlite3.Connection) -> None:
    attach(db, "DOCK1", "RC1")
    assert devices.see_gateway(db, "RC1", now=2) == devices.get(db, "RC1")
    assert devices.get(db, "RC1").is_gateway
    assert devices.get(db, "RC1").gateway_sn is None
    assert attach(db, "DOCK1", "RC1") == []


def test_unbinding_a_dock_frees_its_aircraft_too(db: sqlite3.Connection, found: Found) -> None:
    found(db)
    bind(db, "DOCK1", "AIR1", "AIR2")
    bind(db, "DOCK2", "AIR3")
    assert [device.sn for device in devices.unbind(db, "AIR2", 9)] == ["AIR2"]
    with pytest.raises(ConflictError, match="not bound"):
        devices.unbind(db, "AIR2", 9)
    freed = devices.unbind(db, "DOCK1", 9)
    assert [device.sn for device in freed] == ["DOCK1", "AIR1"]
    assert freed == [devices.get(db, device.sn) for device in freed]
    assert all(device.organization_id is None and device.bound_at is None for device in freed)
    assert devices.get(db, "AIR1").gateway_sn == "DOCK1", "it still hangs there"
    assert devices.get(db, "AIR3").organization_id == "A"


def test_forgetting(db: sqlite3.Connection, found: Found) -> None:
    found(db)
    bind(db, "DOCK1", "AIR1")
    attach(db, "DOCK1", "FREE")
    for sn in ("DOCK1", "AIR1"):
        with pytest.raises(ConflictError, match="is bound"):
            devices.forget(db, sn)
    devices.unbind(db, "DOCK1", 9)
    detached = devices.forget(db, "DOCK1")
    assert [(device.sn, device.gateway_sn) for device in detached] == [("AIR1", None), ("FREE", None)]
    assert devices.forget(db, "AIR1") == []
    assert [device.sn for device in devices.list_all(db)] == ["FREE"]


def test_presence(db: sqlite3.Connection) -> None:
    devices.see_gateway(db, "DOCK1", now=5)

    def flush(*rows: Presence) -> tuple[int, bool, AccessStep]:
        devices.flush_presence(db, rows)
        device = devices.get(db, "DOCK1")
        return device.last_seen_at, device.online, device.access_step

    assert flush(Presence("DOCK1", 8, online=True), Presence("UNKNOWN", 8, online=True)) == (8, True, AccessStep.SEEN)
    assert flush(Presence("DOCK1", 7, online=False)) == (8, False, AccessStep.SEEN), "time never goes back"
    for before, after in itertools.product(AccessStep, AccessStep):
        flush(Presence("DOCK1", 9, online=True, access_step=before, force_step=True))
        raised = max(before, after, key=tuple(AccessStep).index)
        assert flush(Presence("DOCK1", 9, online=True, access_step=after)) == (9, True, raised)
    assert flush(Presence("DOCK1", 9, online=True, access_step=AccessStep.SEEN, force_step=True))[2] is AccessStep.SEEN
    devices.reset_online(db)
    assert not devices.get(db, "DOCK1").online
    assert [device.sn for device in devices.list_all(db)] == ["DOCK1"]


@pytest.mark.parametrize(
    "change",
    [
        "gateway_sn = 'DOCK1' WHERE sn = 'DOCK1'",
        "gateway_sn = 'NOWHERE' WHERE sn = 'AIR1'",
        "is_gateway = 1 WHERE sn = 'AIR1'",
        "access_step = 'flying' WHERE sn = 'AIR1'",
        "organization_id = 'A' WHERE sn = 'AIR1'",
        "bound_at = 1 WHERE sn = 'AIR1'",
        "online = 2 WHERE sn = 'AIR1'",
        "last_seen_at = 'x' WHERE sn = 'AIR1'",
    ],
)
def test_the_table_itself_refuses(change: str, db: sqlite3.Connection, found: Found) -> None:
    found(db)
    attach(db, "DOCK1", "AIR1")
    with pytest.raises(sqlite3.IntegrityError):
        db.execute(f"UPDATE device SET {change}")  # noqa: S608


CLAIMS = [
    ("unknown-by-a-dock-of-none", UNKNOWN, None, True),
    ("unknown-by-a-dock-of-A", UNKNOWN, "A", True),
    ("a-dock", ChildFacts(True, None, None, None), "A", False),
    ("a-dock-that-was-its-aircraft", ChildFacts(True, "A", "DOCK1", "A"), "A", False),
    ("its-own", ChildFacts(False, None, "DOCK1", None), None, True),
    ("its-own-bound-elsewhere", ChildFacts(False, "B", "DOCK1", "B"), "A", True),
    ("free-of-A-by-A", ChildFacts(False, "A", None, None), "A", True),
    ("free-of-A-by-B", ChildFacts(False, "A", None, None), "B", False),
    ("free-of-A-by-none", ChildFacts(False, "A", None, None), None, False),
    ("of-a-dock-of-A-by-A", ChildFacts(False, None, "DOCK2", "A"), "A", True),
    ("of-a-dock-of-A-by-B", ChildFacts(False, None, "DOCK2", "A"), "B", False),
    ("of-a-dock-of-A-by-none", ChildFacts(False, None, "DOCK2", "A"), None, False),
    ("of-a-dock-of-none-by-A", ChildFacts(False, None, "DOCK2", None), "A", False),
    ("of-a-dock-of-none-by-none", ChildFacts(False, None, "DOCK2", None), None, False),
]


@pytest.mark.parametrize(("child", "of", "expected"), [pytest.param(*c[1:], id=c[0]) for c in CLAIMS])
def test_who_may_claim(child: ChildFacts, of: str | None, expected: bool) -> None:
    assert may_claim(child, gateway_sn="DOCK1", gateway_organization_id=of) is expected
