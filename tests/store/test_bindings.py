"""Every rule of the bind transaction as a table of named cases: what was, what is asked, answered, and then there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.errors import NotFoundError
from gateway.model import AccessStep, Device
from gateway.store import accounts, audit, bindings, codes, devices, organizations
from gateway.store.bindings import BindOutcome, BindRefusal, BindWish

R = BindRefusal
FRESH, SAME = "fresh", "same"
ACCOUNTS = {"DOCK1": "acc1", "DOCK2": "acc2", "DOCKA": "accA"}

Answer = BindRefusal | str
State = tuple[str | None, str | None]  # organization, dock that it hangs on


def wish(sn: str, code: str = "ALPHA", org: str = "A", *, callsign: str = "", key: str | None = None) -> BindWish:
    return BindWish(sn, org, code, callsign, key or ("3-2-0" if sn.startswith("DOCK") else "0-91-1"))


def ask(db: sqlite3.Connection, gateway_sn: str, *wishes: BindWish, now: int) -> BindOutcome:
    return bindings.bind(
        db, gateway_sn=gateway_sn, account=ACCOUNTS.get(gateway_sn, "stranger"), wishes=wishes, now=now
    )


@dataclass(frozen=True)
class Case:
    """``before``: steps that must succeed. ``uses``: what is left on codes. ``after``: where devices are; None = unknown."""

    id: str
    wishes: Sequence[BindWish]
    answers: Sequence[Answer]
    gateway: str = "DOCK1"
    before: Sequence[Callable[[sqlite3.Connection, int], object]] = ()
    after: Mapping[str, State | None] = field(default_factory=dict)
    uses: Mapping[str, int] = field(default_factory=dict)
    numbers: Sequence[int | str] = ()


def bound(gateway: str, *sns: str, code: str = "ALPHA", org: str = "A") -> Callable[[sqlite3.Connection, int], object]:
    def step(db: sqlite3.Connection, now: int) -> None:
        outcome = ask(db, gateway, *(wish(sn, code, org) for sn in sns), now=now)
        assert [result.refusal for result in outcome.results] == [None] * len(sns)

    return step


def attached(gateway: str, *sns: str) -> Callable[[sqlite3.Connection, int], object]:
    def step(db: sqlite3.Connection, now: int) -> None:
        hung = devices.attach(db, gateway, [(sn, "0-91-1") for sn in sns], now=now)
        assert [device.sn for device in hung] == list(sns)

    return step


def seen(gateway: str) -> Callable[[sqlite3.Connection, int], object]:
    return lambda db, now: devices.see_gateway(db, gateway, now=now)


def unbound(sn: str) -> Callable[[sqlite3.Connection, int], object]:
    return lambda db, now: devices.unbind(db, sn, now)


def revoked(code: str) -> Callable[[sqlite3.Connection, int], object]:
    return lambda db, now: codes.revoke(db, code, now)


CASES = [
    # what goes well
    Case(
        "dock-and-aircraft",
        [wish("DOCK1", callsign="North"), wish("AIR1")],
        [FRESH, FRESH],
        after={"DOCK1": ("A", None), "AIR1": ("A", "DOCK1")},
    ),
    Case(
        "C18-aircraft-listed-first",
        [wish("AIR1"), wish("DOCK1")],
        [FRESH, FRESH],
        after={"DOCK1": ("A", None), "AIR1": ("A", "DOCK1")},
        numbers=["C18"],
    ),
    Case("C17-dock-alone", [wish("DOCK1")], [FRESH], after={"DOCK1": ("A", None)}, numbers=["C17"]),
    Case(
        "C20-aircraft-alone-from-a-dock-never-noted",
        [wish("AIR1")],
        [FRESH],
        after={"AIR1": ("A", "DOCK1"), "DOCK1": (None, None)},
        numbers=["C17", "C20"],
    ),
    Case(
        "C17-aircraft-swapped-later",
        [wish("AIR2")],
        [FRESH],
        before=[bound("DOCK1", "DOCK1", "AIR1")],
        after={"AIR1": ("A", "DOCK1"), "AIR2": ("A", "DOCK1")},
        numbers=["C17"],
    ),
    Case("nothing-asked", [], [], after={"DOCK1": None}),
    Case(
        "case1-seen-before-it-was-bound",
        [wish("DOCK1"), wish("AIR1")],
        [FRESH, FRESH],
        before=[seen("DOCK1"), attached("DOCK1", "AIR1")],
        after={"DOCK1": ("A", None), "AIR1": ("A", "DOCK1")},
        numbers=[1],
    ),
    Case(
        "named-twice-is-answered-twice-and-decided-once",
        [wish("DOCK1", "ONCE"), wish("DOCK1", "BRAVO", "B"), wish("DOCK1", "ONCE")],
        [FRESH, FRESH, FRESH],
        after={"DOCK1": ("A", None)},
        uses={"ONCE": 0},
    ),
    # model keys, as in case 3
    Case(
        "case3-unlisted-model-keys",
        [wish("DOCK1", key="3-88099-0"), wish("AIR1", key="0-174-12"), wish("RC1", key="2-174-0")],
        [FRESH, FRESH, FRESH],
        after={"DOCK1": ("A", None), "AIR1": ("A", "DOCK1"), "RC1": ("A", "DOCK1")},
        numbers=[3, "C4"],
    ),
    *(
        Case(
            f"case3-malformed-model-key-{name}",
            [wish("DOCK1"), BindWish("AIR1", "A", "ALPHA", "", key)],
            [FRESH, R.BAD_MODEL_KEY],
            after={"DOCK1": ("A", None), "AIR1": None},
            numbers=[3, "C19"],
        )
        for name, key in {
            "empty": "",
            "two-parts": "9-9",
            "four-parts": "0-1-2-3",
            "letters": "0-x-1",
            "minus": "0--1-1",
            "space": "0-91-1 ",
            "newline": "0-91-1\n",
            "other-digits": "0-٩-1",
            "endless": "0-" + "9" * 400 + "-1",
        }.items()
    ),
    # codes, as in case 2
    Case("case2-unknown-code", [wish("DOCK1", "NOPE")], [R.CODE_UNKNOWN], after={"DOCK1": None}, numbers=[2, "C12"]),
    Case("case2-empty-code", [wish("DOCK1", "")], [R.CODE_UNKNOWN], numbers=[2]),
    Case("case2-code-in-other-case", [wish("DOCK1", "alpha")], [R.CODE_UNKNOWN], numbers=[2]),
    Case("case20-expired-code", [wish("DOCK1", "LAPSED")], [R.CODE_EXPIRED], after={"DOCK1": None}, numbers=[20]),
    Case("case20-code-in-its-last-millisecond", [wish("DOCK1", "FRESH")], [FRESH], numbers=[20]),
    Case("case20-altered-code", [wish("DOCK1", "ALPHB")], [R.CODE_UNKNOWN], numbers=[20]),
    Case("revoked-code", [wish("DOCK1", "REVOKED")], [R.CODE_REVOKED], after={"DOCK1": None}),
    Case("code-for-this-dock", [wish("DOCK1", "FORDOCK1"), wish("AIR1", "FORDOCK1")], [FRESH, FRESH]),
    Case(
        "code-for-another-dock",
        [wish("DOCK2", "FORDOCK1"), wish("AIR1", "FORDOCK1")],
        [R.CODE_FOR_OTHER_DOCK, R.CODE_FOR_OTHER_DOCK],
        gateway="DOCK2",
        after={"DOCK2": None, "AIR1": None},
    ),
    Case(
        "one-use-is-one-request",
        [wish("DOCK1", "ONCE"), wish("AIR1", "ONCE"), wish("AIR2", "ONCE")],
        [FRESH, FRESH, FRESH],
        uses={"ONCE": 0},
    ),
    Case(
        "used-up",
        [wish("DOCK2", "ONCE"), wish("AIR2", "ONCE")],
        [R.CODE_USED_UP, R.CODE_USED_UP],
        gateway="DOCK2",
        before=[bound("DOCK1", "DOCK1", code="ONCE")],
        after={"DOCK2": None, "AIR2": None},
        uses={"ONCE": 0},
    ),
    Case(
        "only-the-last-use-left",
        [wish("DOCK2", "TWICE"), wish("AIR2", "TWICE")],
        [FRESH, FRESH],
        gateway="DOCK2",
        before=[bound("DOCK1", "DOCK1", "AIR1", code="TWICE")],
        uses={"TWICE": 0},
    ),
    Case(
        "two-codes-in-one-request-are-each-used-once",
        [wish("DOCK1", "ONCE"), wish("AIR1", "TWICE")],
        [FRESH, FRESH],
        uses={"ONCE": 0, "TWICE": 1},
    ),
    Case("a-refused-request-uses-nothing", [wish("DOCK1", "ONCE", key="x")], [R.BAD_MODEL_KEY], uses={"ONCE": 1}),
    # code and organization, as in case 12
    Case(
        "case12-code-of-A-with-organization-B",
        [wish("DOCK1", "ALPHA", "B"), wish("AIR1", "ALPHA", "B")],
        [R.WRONG_ORGANIZATION, R.WRONG_ORGANIZATION],
        after={"DOCK1": None, "AIR1": None},
        numbers=[12],
    ),
    Case("case12-unknown-organization", [wish("DOCK1", "ALPHA", "nowhere")], [R.WRONG_ORGANIZATION], numbers=[12]),
    Case("case12-empty-organization", [wish("DOCK1", "ALPHA", "")], [R.WRONG_ORGANIZATION], numbers=[12]),
    Case(
        "case12-account-of-another-organization",
        [wish("DOCKA", "BRAVO", "B"), wish("AIR1", "BRAVO", "B")],
        [R.WRONG_ORGANIZATION, R.WRONG_ORGANIZATION],
        gateway="DOCKA",
        after={"DOCKA": None, "AIR1": None},
        numbers=[12],
    ),
    Case("case12-account-of-the-same-organization", [wish("DOCKA")], [FRESH], gateway="DOCKA", numbers=[12]),
    # bound elsewhere, as in cases 13 and 14
    Case(
        "case13-bound-elsewhere",
        [wish("DOCK1", "BRAVO", "B"), wish("AIR1", "BRAVO", "B")],
        [R.BOUND_ELSEWHERE, R.BOUND_ELSEWHERE],
        before=[bound("DOCK1", "DOCK1", "AIR1")],
        after={"DOCK1": ("A", None), "AIR1": ("A", "DOCK1")},
        numbers=[13, "C13"],
    ),
    Case(
        "case13-free-aircraft-of-a-dock-bound-elsewhere",
        [wish("DOCK1", "BRAVO", "B"), wish("AIR1", "BRAVO", "B")],
        [R.BOUND_ELSEWHERE, R.BOUND_ELSEWHERE],
        before=[bound("DOCK1", "DOCK1"), attached("DOCK1", "AIR1")],
        after={"DOCK1": ("A", None), "AIR1": (None, "DOCK1")},
        numbers=[13],
    ),
    Case(
        "case13-after-unbind",
        [wish("DOCK1", "BRAVO", "B"), wish("AIR1", "BRAVO", "B")],
        [FRESH, FRESH],
        before=[bound("DOCK1", "DOCK1", "AIR1"), unbound("DOCK1")],
        after={"DOCK1": ("B", None), "AIR1": ("B", "DOCK1")},
        numbers=[13],
    ),
    Case(
        "case14-mixed-dock-ok-aircraft-bound-elsewhere",
        [wish("DOCK1"), wish("AIR2")],
        [FRESH, R.BOUND_ELSEWHERE],
        before=[bound("DOCK2", "DOCK2", "AIR2", code="BRAVO", org="B")],
        after={"DOCK1": ("A", None), "AIR2": ("B", "DOCK2")},
        numbers=[14, "C15"],
    ),
    Case(
        "case14-mixed-the-other-way-round-in-the-list",
        [wish("AIR2"), wish("DOCK1")],
        [R.BOUND_ELSEWHERE, FRESH],
        before=[bound("DOCK2", "DOCK2", "AIR2", code="BRAVO", org="B")],
        after={"DOCK1": ("A", None), "AIR2": ("B", "DOCK2")},
        numbers=[14, "C15"],
    ),
    Case(
        "case14-mixed-with-the-last-use",
        [wish("DOCK1", "ONCE"), wish("AIR2", "ONCE")],
        [FRESH, R.BOUND_ELSEWHERE],
        before=[bound("DOCK2", "DOCK2", "AIR2", code="BRAVO", org="B")],
        after={"DOCK1": ("A", None), "AIR2": ("B", "DOCK2")},
        uses={"ONCE": 0},
        numbers=[14],
    ),
    Case(
        "case14-dock-ok-its-own-aircraft-bound-elsewhere-is-let-go",
        [wish("DOCK1"), wish("AIR1")],
        [FRESH, R.BOUND_ELSEWHERE],
        before=[bound("DOCK1", "AIR1", code="BRAVO", org="B")],
        after={"DOCK1": ("A", None), "AIR1": ("B", None)},
        numbers=[14, "C15"],
    ),
    Case(
        "case14-two-organizations-in-one-request",
        [wish("AIR1", "BRAVO", "B"), wish("DOCK1")],
        [R.BOUND_ELSEWHERE, FRESH],
        before=[bound("DOCK1", "AIR1", code="BRAVO", org="B")],
        after={"DOCK1": ("A", None), "AIR1": ("B", None)},
        numbers=[14],
    ),
    # bound here already
    Case(
        "again-the-same",
        [wish("DOCK1"), wish("AIR1")],
        [SAME, SAME],
        before=[bound("DOCK1", "DOCK1", "AIR1")],
        after={"DOCK1": ("A", None), "AIR1": ("A", "DOCK1")},
    ),
    Case(
        "again-though-the-code-is-used-up",
        [wish("DOCK1", "ONCE"), wish("AIR1", "ONCE")],
        [SAME, SAME],
        before=[bound("DOCK1", "DOCK1", "AIR1", code="ONCE")],
        uses={"ONCE": 0},
    ),
    Case("again-with-an-expired-code", [wish("DOCK1", "LAPSED")], [SAME], before=[bound("DOCK1", "DOCK1")]),
    Case(
        "again-though-the-code-was-revoked",
        [wish("DOCK1", "TWICE")],
        [SAME],
        before=[bound("DOCK1", "DOCK1", code="TWICE"), revoked("TWICE")],
        uses={"TWICE": 1},
    ),
    Case("again-with-a-wrong-code", [wish("DOCK1", "NOPE")], [R.CODE_UNKNOWN], before=[bound("DOCK1", "DOCK1")]),
    Case(
        "again-and-one-more",
        [wish("DOCK1", "TWICE"), wish("AIR1", "TWICE")],
        [SAME, FRESH],
        before=[bound("DOCK1", "DOCK1", code="TWICE")],
        uses={"TWICE": 0},
    ),
    # what is not the asking dock's
    Case(
        "another-docks-sn",
        [wish("DOCK1"), wish("DOCK2")],
        [FRESH, R.NOT_YOURS],
        after={"DOCK2": None},
        numbers=["C25"],
    ),
    Case(
        "another-dock-disguised-as-aircraft-known-by-its-account",
        [wish("DOCK1"), wish("DOCK2", key="0-91-1")],
        [FRESH, R.NOT_YOURS],
        after={"DOCK2": None},
    ),
    Case(
        "another-dock-disguised-as-aircraft-known-by-sight",
        [wish("DOCK1"), wish("DOCKX", key="0-91-1")],
        [FRESH, R.NOT_YOURS],
        before=[seen("DOCKX")],
        after={"DOCKX": (None, None)},
    ),
    Case(
        "a-dock-with-an-aircrafts-model-key-is-still-the-dock",
        [wish("DOCK1", key="0-91-1")],
        [FRESH],
        after={"DOCK1": ("A", None)},
    ),
    Case(
        "free-aircraft-on-a-dock-of-another-organization",
        [wish("DOCK1"), wish("AIR2")],
        [FRESH, R.NOT_YOURS],
        before=[bound("DOCK2", "DOCK2", code="BRAVO", org="B"), attached("DOCK2", "AIR2")],
        after={"AIR2": (None, "DOCK2")},
    ),
    Case(
        "free-aircraft-on-a-dock-whose-account-is-of-another-organization",
        [wish("DOCK1", "BRAVO", "B"), wish("AIR2", "BRAVO", "B")],
        [FRESH, R.NOT_YOURS],
        before=[attached("DOCKA", "AIR2")],
        after={"AIR2": (None, "DOCKA")},
    ),
    Case(
        "aircraft-on-a-dock-of-no-organization",
        [wish("DOCK1"), wish("AIR2")],
        [FRESH, R.NOT_YOURS],
        before=[attached("DOCK2", "AIR2")],
        after={"AIR2": (None, "DOCK2")},
    ),
    Case(
        "C45-aircraft-moves-within-the-organization",
        [wish("DOCK1"), wish("AIR2")],
        [FRESH, SAME],
        before=[bound("DOCK2", "DOCK2", "AIR2")],
        after={"AIR2": ("A", "DOCK1")},
        numbers=["C45"],
    ),
    Case(
        "C45-free-aircraft-moves-within-the-organization-by-account",
        [wish("DOCK1"), wish("AIR2")],
        [FRESH, FRESH],
        before=[attached("DOCKA", "AIR2")],
        after={"AIR2": ("A", "DOCK1")},
        numbers=["C45"],
    ),
    Case(
        "bound-aircraft-is-not-taken-by-an-unbound-dock-that-knows-the-code",
        [wish("AIR2")],
        [R.NOT_YOURS],
        before=[bound("DOCK2", "DOCK2", "AIR2")],
        after={"AIR2": ("A", "DOCK2"), "DOCK1": None},
    ),
    Case(
        "bound-aircraft-without-a-dock-comes-to-a-dock-of-its-organization",
        [wish("DOCK1"), wish("AIR2")],
        [FRESH, SAME],
        before=[
            bound("DOCK2", "DOCK2", "AIR2"),
            lambda db, _: db.execute("UPDATE device SET gateway_sn = NULL WHERE sn = 'AIR2'"),
        ],
        after={"AIR2": ("A", "DOCK1")},
    ),
    Case(
        "what-was-taken-for-an-aircraft-logs-in-as-a-dock",
        [wish("DOCK1")],
        [FRESH],
        before=[
            lambda db, _: accounts.delete(db, "acc1"),
            attached("DOCK2", "DOCK1"),
        ],
        after={"DOCK1": ("A", None)},
    ),
    # serial numbers
    *(
        Case(f"bad-sn-{name}", [BindWish(sn, "A", "ALPHA", "", "0-91-1"), wish("DOCK1")], [R.BAD_SN, FRESH])
        for name, sn in {
            "empty": "",
            "wildcard": "+",
            "slash": "AIR/1",
            "long": "A" * 65,
            "dash": "-1",
            "nul": "AIR\0",
            "quote": "AIR'1",
        }.items()
    ),
]


def params() -> list[Any]:
    return [pytest.param(case, id=case.id, marks=[pytest.mark.case(n) for n in case.numbers]) for case in CASES]


def answers(outcome: BindOutcome) -> list[Answer]:
    return [result.refusal or (FRESH if result.fresh else SAME) for result in outcome.results]


def device_or_none(db: sqlite3.Connection, sn: str) -> Device | None:
    try:
        return devices.get(db, sn)
    except NotFoundError:
        return None


@pytest.mark.parametrize("case", params())
def test_bind(case: Case, db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int) -> None:
    found(db)
    for step in case.before:
        step(db, now)
    before = {device.sn: device for device in devices.list_all(db)}
    audited = len(audit.list_since(db))

    outcome = ask(db, case.gateway, *case.wishes, now=now)

    assert answers(outcome) == list(case.answers)
    assert [result.sn for result in outcome.results] == [w.sn for w in case.wishes]
    after = {device.sn: device for device in devices.list_all(db)}
    for sn, expected in case.after.items():
        device = after.get(sn)
        assert (device and (device.organization_id, device.gateway_sn)) == expected, sn
    for code, left in case.uses.items():
        assert codes.get(db, code).uses_left == left

    # what memory is told is what is in the database, all of it and nothing else
    changed = {sn: device for sn, device in after.items() if before.get(sn) != device}
    assert {device.sn: device for device in outcome.devices} == changed
    assert all(codes.get(db, code.code) == code for code in outcome.codes)
    refused = {result.sn for result in outcome.results if result.refusal}
    for sn in refused & set(changed):  # at most it loses its dock
        assert after[sn] == replace(before[sn], gateway_sn=None)

    # one audit entry for each device decided, in the same transaction
    entries = audit.list_since(db)[audited:]
    assert len(entries) == len({w.sn for w in case.wishes})
    for entry in entries:
        answer = next(a for w, a in zip(case.wishes, case.answers, strict=True) if w.sn[:64] == entry.target)
        assert entry.outcome == ("refused" if isinstance(answer, BindRefusal) else "ok")
        assert entry.detail.get("reason") == (answer.value if isinstance(answer, BindRefusal) else None)
        assert entry.detail["dock"] == case.gateway
        assert (entry.at, entry.action, entry.actor) == (now, "bind", ACCOUNTS[case.gateway])
        assert not any(code.code in str(entry) for code in codes.list_for(db, None))

    # asked again (a dock repeats what it got no answer to): the same verdicts, nothing used up, nothing changed
    uses = {code.code: code.uses_left for code in codes.list_for(db, None)}
    again = ask(db, case.gateway, *case.wishes, now=now)
    assert answers(again) == [SAME if answer == FRESH else answer for answer in case.answers]
    assert again.devices == ()
    assert again.codes == ()
    assert {code.code: code.uses_left for code in codes.list_for(db, None)} == uses
    assert {device.sn: device for device in devices.list_all(db)} == after


def test_a_binding_keeps_code_account_and_time(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int
) -> None:
    found(db)
    ask(db, "DOCK1", wish("DOCK1", "ONCE"), wish("AIR1"), now=now)
    ask(db, "DOCK1", wish("DOCK1", "ALPHA"), now=now + 5)
    assert bindings.get(db, "DOCK1") == bindings.Binding("DOCK1", "A", now, "acc1", "ONCE")
    assert bindings.get(db, "AIR1") == bindings.Binding("AIR1", "A", now, "acc1", "ALPHA")
    devices.unbind(db, "DOCK1", now)
    for sn in ("DOCK1", "nowhere"):
        with pytest.raises(NotFoundError):
            bindings.get(db, sn)


def test_callsign_and_model_key(db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int) -> None:
    found(db)

    def bind(callsign: str, key: str) -> tuple[str, str]:
        ask(db, "DOCK1", wish("DOCK1", callsign=callsign, key=key), now=now)
        device = devices.get(db, "DOCK1")
        return device.callsign, device.model_key

    assert bind("North", "3-2-0") == ("North", "3-2-0")
    assert bind("", "3-3-0") == ("North", "3-3-0"), "an empty callsign keeps the old one"
    assert bind("Süd 🚁", "3-3-0") == ("Süd 🚁", "3-3-0")
    assert bind("x" * 1000, "3-3-0") == ("x" * bindings.MAX_CALLSIGN, "3-3-0")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (AccessStep.SEEN, AccessStep.BOUND),
        (AccessStep.LICENSED, AccessStep.BOUND),
        (AccessStep.ONLINE, AccessStep.ONLINE),
    ],
)
def test_binding_raises_the_access_step_and_unbinding_lowers_it(
    before: AccessStep,
    after: AccessStep,
    db: sqlite3.Connection,
    found: Callable[[sqlite3.Connection], None],
    now: int,
) -> None:
    found(db)
    devices.see_gateway(db, "DOCK1", now=now)
    devices.flush_presence(db, [devices.Presence("DOCK1", now, online=True, access_step=before)])
    ask(db, "DOCK1", wish("DOCK1"), wish("AIR1"), now=now)
    assert devices.get(db, "DOCK1").access_step is after
    assert devices.get(db, "DOCK1").online
    assert devices.get(db, "AIR1").access_step is AccessStep.BOUND
    assert [d.access_step for d in devices.unbind(db, "DOCK1", now)] == [AccessStep.LICENSED, AccessStep.SEEN]


def test_a_device_cannot_be_bound_with_a_code_of_another_organization(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int
) -> None:
    found(db)
    ask(db, "DOCK1", wish("DOCK1"), now=now)
    for column, value in (
        ("organization_id", "B"),
        ("bound_code", "BRAVO"),
        ("bound_by", None),
        ("organization_id", None),
    ):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(f"UPDATE device SET {column} = ? WHERE sn = 'DOCK1'", (value,))  # noqa: S608


def test_an_organization_with_devices_cannot_go(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int
) -> None:
    found(db)
    ask(db, "DOCK1", wish("DOCK1", "BRAVO", "B"), now=now)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("DELETE FROM organization WHERE id = 'B'")
    devices.unbind(db, "DOCK1", now)
    organizations.delete(db, "B")
    assert codes.find(db, "BRAVO") is None


def test_a_request_of_thousands_is_answered(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int
) -> None:
    found(db)
    wishes = [wish(f"AIR{n}") for n in range(5000)]
    db.execute("BEGIN")
    outcome = ask(db, "DOCK1", *wishes, now=now)
    db.execute("COMMIT")
    assert len(outcome.results) == 5000
    assert all(result.fresh for result in outcome.results)


def test_the_same_request_again_and_again_is_told_of_once_a_minute(
    db: sqlite3.Connection, found: Callable[[sqlite3.Connection], None], now: int
) -> None:
    found(db)
    for seconds, code in (*enumerate(["ALPHA"] * 3 + ["NOPE"] * 2), (65, "ALPHA"), (66, "ALPHA")):
        wish = BindWish("DOCK1", "A", code, "", "3-2-0")
        bindings.bind(db, gateway_sn="DOCK1", account="acc1", wishes=[wish], now=now + seconds * 1000)
    told = [((entry.at - now) // 1000, entry.outcome) for entry in audit.list_since(db, dock="DOCK1")]
    assert told == [(0, "ok"), (1, "ok"), (3, "refused"), (65, "ok")]
