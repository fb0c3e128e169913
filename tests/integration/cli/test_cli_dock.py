"""Docks as the database knows them: seen, bound, online; and what an operator changes about them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from gateway.cli.times import iso, now_ms
from gateway.model import AccessStep
from gateway.store import bindings, devices, state
from gateway.store.bindings import BindOutcome, BindWish
from gateway.store.devices import Presence
from gateway.store.state import GatewayState

DOCK, AIRCRAFT, STRANGER = "7CTDM7100B1234", "1581F6Q8D23CT00A5N49", "7CTDM7100B9999"
KEYS = {
    "sn", "model_key", "organization_id", "callsign", "bound", "online", "access_step", "last_seen", "gateway_sn", "is_gateway",
}  # fmt: skip


def bind(
    dockgate: Any, code: str, organization_id: str = "fleet", sn: str = DOCK, aircraft: str = AIRCRAFT
) -> BindOutcome:
    wishes = [
        BindWish(aircraft, organization_id, code, "Bird 1", "0-91-1"),
        BindWish(sn, organization_id, code, "Dock North", "3-2-0"),
    ]
    outcome = dockgate.write(bindings.bind, gateway_sn=sn, account="dock", wishes=wishes, now=now_ms())
    assert isinstance(outcome, BindOutcome)
    return outcome


def beat(dockgate: Any, ago_ms: int = 0, **stats: Any) -> None:
    said = GatewayState(os.getpid(), now_ms() - 60_000, now_ms() - ago_ms, 3, stats)
    dockgate.write(state.heartbeat, said)


def presence(dockgate: Any, sn: str, step: AccessStep, *, online: bool) -> None:
    dockgate.write(devices.flush_presence, [Presence(sn, now_ms(), online, step)])


@pytest.fixture
def code(first: dict[str, Any]) -> str:
    return str(first["organization"]["binding_code"])


def test_nothing_yet(dockgate: Any) -> None:
    assert dockgate.ok("dock", "list") == []
    ended = dockgate.run("dock", "list")
    assert (ended.code, ended.out) == (0, "")
    assert "no dock" in ended.err


@pytest.mark.case(1)
def test_a_dock_that_was_only_seen_is_listed(dockgate: Any) -> None:
    seen = now_ms()
    dockgate.write(devices.see_gateway, DOCK, now=seen)
    (dock,) = dockgate.ok("dock", "list")
    assert set(dock) == {*KEYS, "children"}
    assert (dock["sn"], dock["bound"], dock["organization_id"], dock["access_step"]) == (DOCK, False, None, "seen")
    assert dock["last_seen"] == iso(seen)
    assert dockgate.ok("dock", "show", DOCK)["first_seen"] == iso(seen)
    assert dockgate.ok("dock", "list", "--unbound") == [dock]
    assert DOCK in dockgate.run("dock", "list").out


def test_bound_dock_with_its_aircraft(dockgate: Any, code: str) -> None:
    bind(dockgate, code)
    (dock,) = dockgate.ok("dock", "list")
    assert [dock[key] for key in ("sn", "model_key", "organization_id", "callsign", "bound")] == [
        DOCK, "3-2-0", "fleet", "Dock North", True,
    ]  # fmt: skip
    (child,) = dock["children"]
    assert set(child) == KEYS
    assert [child[key] for key in ("sn", "model_key", "callsign", "gateway_sn")] == [AIRCRAFT, "0-91-1", "Bird 1", DOCK]

    shown = dockgate.ok("dock", "show", DOCK)
    assert set(shown) == {
        *KEYS,
        "children",
        "organization_name",
        "first_seen",
        "binding",
        "contacts",
        "attempts",
        "events",
    }
    assert shown["binding"]["account"] == "dock"
    assert [event["action"] for event in shown["events"]] == ["bind", "bind"]
    for ended in (dockgate.run("dock", "show", DOCK), dockgate.run("-o", "json", "dock", "show", DOCK)):
        assert code not in ended.out + ended.err


@pytest.mark.case(11)
def test_show_names_the_organization_that_has_the_dock(dockgate: Any, code: str) -> None:
    dockgate.ok("org", "add", "Other", "--id", "other")
    bind(dockgate, code)
    assert dockgate.ok("dock", "list", "--org", "other") == []
    shown = dockgate.ok("dock", "show", DOCK)
    assert (shown["organization_id"], shown["organization_name"]) == ("fleet", "Fleet")
    assert dockgate.run("dock", "list", "--org", "nobody").code == 3


def test_online_only_while_a_gateway_lives(dockgate: Any, code: str) -> None:
    bind(dockgate, code)
    presence(dockgate, DOCK, AccessStep.ONLINE, online=True)
    presence(dockgate, AIRCRAFT, AccessStep.ONLINE, online=True)
    assert [dock["online"] for dock in dockgate.ok("dock", "list")] == [False]
    beat(dockgate)
    (dock,) = dockgate.ok("dock", "list", "--online")
    assert (dock["online"], dock["access_step"], dock["children"][0]["online"]) == (True, "online", True)
    beat(dockgate, ago_ms=6_000)
    assert dockgate.ok("dock", "list", "--online") == []
    assert dockgate.ok("dock", "show", DOCK)["access_step"] == "bound"


def test_status(dockgate: Any, code: str) -> None:
    empty = dockgate.ok("status")
    assert empty["docks"] == {"seen": 0, "connected": 0, "licensed": 0, "bound": 0, "online": 0, "total": 0}
    assert (empty["running"], empty["pid"], empty["heartbeat_at"]) == (False, None, None)
    assert empty["connections"] == {"total": 0}

    bind(dockgate, code)
    dockgate.write(devices.see_gateway, STRANGER, now=now_ms())
    presence(dockgate, STRANGER, AccessStep.LICENSED, online=False)
    presence(dockgate, DOCK, AccessStep.ONLINE, online=True)
    beat(dockgate, connections={"dock": 1, "service": 2}, rates={"received": 1.5})
    found = dockgate.ok("status")
    assert found["docks"] == {"seen": 0, "connected": 0, "licensed": 1, "bound": 0, "online": 1, "total": 2}
    assert found["aircraft"] == {"online": 0, "total": 1}
    assert (found["running"], found["pid"]) == (True, os.getpid())
    assert found["connections"] == {"total": 3, "dock": 1, "service": 2}
    assert found["rates"] == {"received": 1.5}
    assert f"(process {os.getpid()})" in dockgate.run("status").out

    beat(dockgate, ago_ms=5_500, connections={"dock": 1})
    late = dockgate.ok("status")
    assert (late["running"], late["pid"], late["docks"]["online"], late["docks"]["bound"]) == (False, None, 0, 1)
    assert late["connections"] == {"total": 0}
    assert late["heartbeat_at"] is not None
    assert "not running; last seen" in dockgate.run("status").out


def test_rename(dockgate: Any, code: str) -> None:
    bind(dockgate, code)
    assert dockgate.ok("dock", "rename", DOCK, "Dock South")["callsign"] == "Dock South"
    assert dockgate.ok("dock", "rename", AIRCRAFT, "Bird 2")["callsign"] == "Bird 2"
    assert dockgate.ok("dock", "show", DOCK)["callsign"] == "Dock South"
    for callsign in ("", " ", "x" * 129, "a\x1b]0;b"):
        assert dockgate.run("dock", "rename", DOCK, callsign).code == 2
    assert dockgate.ok("audit", "list", "--dock", DOCK)[-1]["detail"]["callsign"] == "Bird 2"


def test_unbind_and_forget(dockgate: Any, code: str) -> None:
    bind(dockgate, code)
    assert dockgate.run("dock", "forget", DOCK).code == 4
    freed = dockgate.ok("dock", "unbind", DOCK)
    assert freed == {"sn": DOCK, "organization_id": "fleet", "unbound": [DOCK, AIRCRAFT]}
    assert dockgate.run("dock", "unbind", DOCK).code == 4
    assert dockgate.ok("dock", "forget", DOCK) == {"sn": DOCK, "forgotten": True}
    assert [device["sn"] for device in dockgate.ok("dock", "list")] == [AIRCRAFT]
    assert dockgate.run("dock", "show", DOCK).code == 3
    actions = [(entry["action"], entry["target"]) for entry in dockgate.ok("audit", "list", "--dock", DOCK)]
    assert actions[-3:] == [("dock.unbind", DOCK), ("dock.unbind", AIRCRAFT), ("dock.forget", DOCK)]


@pytest.mark.parametrize("words", [["show"], ["unbind"], ["forget"], ["rename", "name"]], ids=lambda words: words[0])
def test_unknown_dock(dockgate: Any, words: list[str]) -> None:
    ended = dockgate.run("-o", "json", "dock", words[0], "NOBODY", *words[1:])
    assert ended.code == 3
    assert ended.error["hint"] == "dockgate dock list"


def test_what_a_device_sent_cannot_steer_the_terminal(dockgate: Any, code: str) -> None:
    wishes = [BindWish(DOCK, "fleet", code, "\x1b[2J[red]gone[/red]\x07", "3-2-0")]
    dockgate.write(bindings.bind, gateway_sn=DOCK, account="dock", wishes=wishes, now=now_ms())
    for words in (["dock", "list"], ["dock", "show", DOCK]):
        shown = dockgate.run(*words)
        assert shown.code == 0
        assert "\x1b" not in shown.out
        assert "\x07" not in shown.out
        assert "[red]gone" in "".join(shown.out.split())


def test_audit(dockgate: Any, code: str) -> None:
    bind(dockgate, code)
    bind(dockgate, "WRONGCODE1", sn=STRANGER, aircraft="1581F6Q8D23CT00A5N50")
    entries = dockgate.ok("audit", "list")
    assert all(list(entry) == ["at", "actor", "action", "target", "outcome", "detail"] for entry in entries)
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    refused = [entry for entry in entries if entry["outcome"] == "refused"]
    assert {entry["detail"]["reason"] for entry in refused} == {"code_unknown"}

    about = dockgate.ok("audit", "list", "--dock", STRANGER)
    assert {entry["target"] for entry in about} == {STRANGER, "1581F6Q8D23CT00A5N50"}
    assert dockgate.ok("audit", "list", "--limit", "1") == entries[-1:]
    assert dockgate.ok("audit", "list", "--since", "1h") == entries
    assert dockgate.ok("audit", "list", "--since", "2099-01-01") == []
    assert dockgate.ok("audit", "list", "--since", entries[-1]["at"])[-1] == entries[-1]
    assert dockgate.run("audit", "list", "--since", "whenever").code == 2
    lines = dockgate.run("-o", "jsonl", "audit", "list").out.splitlines()
    assert len(lines) == len(entries)
    table = dockgate.run("audit", "list").out
    assert "code_unknown" in table
    assert max(map(len, table.splitlines())) <= 80
