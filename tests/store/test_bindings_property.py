"""Whatever docks ask in whatever order, with operators unbinding and revoking in between, what binding promises stays true."""

from __future__ import annotations

import sqlite3
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.model import Role
from gateway.store import accounts, bindings, checks, codes, devices, migrate, organizations
from gateway.store.bindings import BindOutcome, BindWish

DOCKS = ["DOCK1", "DOCK2", "DOCK3"]
AIRCRAFT = ["AIR1", "AIR2", "AIR3"]
OF_CODE = {"A0": "A", "A2": "A", "B0": "B", "B1": "B"}
USES = {"A2": 2, "B1": 1}
OF_ACCOUNT = {"DOCK3": "B"}

# mostly what could go well: a run of refusals proves little
wish = st.builds(
    lambda sn, code, callsign, key: BindWish(sn, code[1], code[0], callsign, key),
    st.sampled_from([*DOCKS, *AIRCRAFT, *AIRCRAFT, "+"]),
    st.sampled_from([*OF_CODE.items(), *OF_CODE.items(), ("A0", "B"), ("NO", "A")]),
    st.sampled_from(["", "Bird"]),
    st.sampled_from(["0-91-1", "0-91-1", "0-91-1", "3-2-0", "bad"]),
)


class Binding(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.execute("PRAGMA foreign_keys=ON")
        self.db.executescript(migrate.schema())
        for name in ("A", "B"):
            organizations.add(self.db, id=name, name=name, now=0)
        for code, of in OF_CODE.items():
            codes.add(self.db, code=code, organization_id=of, uses=USES.get(code), expires_at=None, sn=None, now=0)
        for sn in DOCKS:
            accounts.add(
                self.db,
                name=f"acc-{sn}",
                role=Role.DOCK,
                sn=sn,
                organization_id=OF_ACCOUNT.get(sn),
                password_hash="$",
                can_read_sys=False,
                now=0,
            )
        self.organization: dict[str, str] = {}
        self.used: Counter[str] = Counter()
        self.revoked: set[str] = set()
        self.last: tuple[str, list[BindWish], BindOutcome] | None = None

    def teardown(self) -> None:
        self.db.close()

    def ask(self, dock: str, wishes: list[BindWish]) -> BindOutcome:
        return bindings.bind(self.db, gateway_sn=dock, account=f"acc-{dock}", wishes=wishes, now=1)

    @rule(dock=st.sampled_from(DOCKS), wishes=st.lists(wish, max_size=4))
    def bind(self, dock: str, wishes: list[BindWish]) -> None:
        outcome = self.ask(dock, wishes)
        fresh_codes = set()
        first: dict[str, BindWish] = {}
        for asked, result in zip(wishes, outcome.results, strict=True):
            decided = first.setdefault(asked.sn, asked)
            assert result.sn == asked.sn
            if result.refusal is not None:
                continue
            assert OF_CODE[decided.code] == decided.organization_id
            assert asked.sn == dock or asked.sn in AIRCRAFT
            if result.fresh:
                assert asked.sn not in self.organization or decided is not asked
                assert decided.code not in self.revoked
                assert OF_ACCOUNT.get(dock) in {None, decided.organization_id}
                fresh_codes.add(decided.code)
            self.organization.setdefault(asked.sn, decided.organization_id)
            assert self.organization[asked.sn] == decided.organization_id, "no device changes hands by asking"
        self.used.update(fresh_codes)
        self.last = (dock, wishes, outcome)

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self) -> None:
        assert self.last is not None
        dock, wishes, answered = self.last
        again = self.ask(dock, wishes)
        assert [result.refusal for result in again.results] == [result.refusal for result in answered.results]
        assert not any(result.fresh for result in again.results)
        assert again.devices == ()
        assert again.codes == ()

    @rule(sn=st.sampled_from(DOCKS + AIRCRAFT))
    def unbind(self, sn: str) -> None:
        if sn in self.organization:
            for device in devices.unbind(self.db, sn, 1):
                del self.organization[device.sn]
            self.last = None

    @rule(code=st.sampled_from([*OF_CODE]))
    def revoke(self, code: str) -> None:
        codes.revoke(self.db, code, 1)
        self.revoked.add(code)
        self.last = None

    @rule(dock=st.sampled_from(DOCKS), aircraft=st.lists(st.sampled_from(AIRCRAFT + DOCKS), max_size=3))
    def attach(self, dock: str, aircraft: list[str]) -> None:
        devices.attach(self.db, dock, [(sn, "0-91-1") for sn in aircraft], now=1)
        self.last = None

    @invariant()
    def devices_are_where_they_were_bound(self) -> None:
        known = devices.list_all(self.db)
        assert {d.sn: d.organization_id for d in known if d.organization_id} == self.organization
        for device in known:
            assert device.is_gateway == (device.sn in DOCKS)
            parent = self.organization.get(device.gateway_sn or "")
            assert device.organization_id is None or parent in {None, device.organization_id}

    @invariant()
    def uses_are_counted_by_request(self) -> None:
        for code, uses in USES.items():
            assert codes.get(self.db, code).uses_left == uses - self.used[code]
        assert checks.problems(self.db) == []


TestBinding = Binding.TestCase
TestBinding.settings = settings(
    max_examples=150, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
