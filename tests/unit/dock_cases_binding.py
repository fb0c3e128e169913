"""Cases of binding and of topology."""

from __future__ import annotations

from gateway.topics import Kind

from .dock_case import (
    EMPTY_BIND,
    UNDERSTOOD,
    Case,
    Step,
    ask_bind,
    bird,
    bound,
    refused,
    topo,
)
from .dock_world import (
    BIRD1,
    BIRD2,
    BIRD3,
    CODE_A,
    CODE_B,
    CODE_FOR_DOCK2,
    CODE_LAPSED,
    CODE_ONCE,
    CODE_REVOKED,
    DOCK1,
    DOCK2,
    DOCK_A,
    ORG_A,
    ORG_B,
    message,
    wish,
)

# -- bind ---------------------------------------------------------------------------------------------

_BIND = (
    Case(
        "C18-bind-dock-first",
        (Step(ask_bind(wish(DOCK1), wish(BIRD1)), bound((DOCK1, 0), (BIRD1, 0))),),
        owners={DOCK1: (ORG_A, None), BIRD1: (ORG_A, DOCK1)},
    ),
    Case(
        "C18-bind-aircraft-first",
        (Step(ask_bind(wish(BIRD1), wish(DOCK1)), bound((BIRD1, 0), (DOCK1, 0))),),
        owners={DOCK1: (ORG_A, None), BIRD1: (ORG_A, DOCK1)},
    ),
    Case("C17-bind-dock-alone", (Step(ask_bind(wish(DOCK1)), bound((DOCK1, 0))),), owners={DOCK1: (ORG_A, None)}),
    Case(
        "C20-bind-aircraft-without-dock",
        (Step(ask_bind(wish(BIRD1)), bound((BIRD1, 0))),),
        owners={BIRD1: (ORG_A, DOCK1), DOCK1: (None, None)},
    ),
    Case("bind-nothing", (Step(EMPTY_BIND, bound()),), unknown=(DOCK1,)),
    Case(
        "bind-the-same-device-twice",
        (Step(ask_bind(wish(DOCK1), wish(BIRD1), wish(DOCK1)), bound((DOCK1, 0), (BIRD1, 0), (DOCK1, 0))),),
    ),
    *(
        Case(
            f"3-C4-C19-bind-with-unlisted-model-{key}",
            (
                Step(
                    ask_bind(wish(DOCK1, model_key="3-88099-0"), wish(BIRD1, model_key=key)),
                    bound((DOCK1, 0), (BIRD1, 0)),
                ),
            ),
            owners={BIRD1: (ORG_A, DOCK1)},
        )
        for key in ("0-99-0", "2-174-0", "0-65535-65534", "7-0-0")
    ),
    *(
        Case(
            f"3-bind-with-malformed-model-{key!r}",
            (Step(ask_bind(wish(DOCK1), wish(BIRD1, model_key=key)), bound((DOCK1, 0), (BIRD1, 210231))),),
            owners={DOCK1: (ORG_A, None)},
            unknown=(BIRD1,),
            audit=(("bind", BIRD1, "bad_model_key"),),
        )
        for key in ("", "9-9", "0-91-x", "a-b-c")
    ),
    Case(
        "2-bind-with-unknown-code",
        (Step(ask_bind(wish(DOCK1, code="wrong")), bound((DOCK1, 210230))),),
        audit=(("bind", DOCK1, "code_unknown"),),
    ),
    Case(
        "12-bind-with-code-of-another-organization",
        (Step(ask_bind(wish(DOCK1, code=CODE_A, organization_id=ORG_B)), bound((DOCK1, 210230))),),
        audit=(("bind", DOCK1, "wrong_organization"),),
    ),
    *(
        Case(
            f"20-bind-with-code-{code}",
            (Step(ask_bind(wish(DOCK1, code=code)), bound((DOCK1, 210230))),),
            audit=(("bind", DOCK1, reason),),
        )
        for code, reason in (
            (CODE_LAPSED, "code_expired"),
            (CODE_REVOKED, "code_revoked"),
            (CODE_FOR_DOCK2, "code_for_other_dock"),
        )
    ),
    Case(
        "bind-with-used-up-code",
        (
            Step(ask_bind(wish(DOCK1, code=CODE_ONCE), wish(BIRD1, code=CODE_ONCE)), bound((DOCK1, 0), (BIRD1, 0))),
            Step(ask_bind(wish(DOCK2, code=CODE_ONCE)), bound((DOCK2, 210230)), dock=DOCK2),
            Step(ask_bind(wish(DOCK1, code=CODE_ONCE), tid="b-2"), bound((DOCK1, 0))),
        ),
        audit=(("bind", DOCK2, "code_used_up"),),
    ),
    Case(
        "13-C13-bind-elsewhere-is-refused",
        (
            Step(ask_bind(wish(DOCK1)), bound((DOCK1, 0))),
            Step(ask_bind(wish(DOCK1, code=CODE_B, organization_id=ORG_B), tid="b-2"), bound((DOCK1, 210232))),
        ),
        owners={DOCK1: (ORG_A, None)},
        audit=(("bind", DOCK1, "bound_elsewhere"),),
    ),
    Case(
        "14-C14-C15-bind-dock-but-not-its-aircraft",
        (
            Step(ask_bind(wish(DOCK2), wish(BIRD1)), bound((DOCK2, 0), (BIRD1, 0)), dock=DOCK2),
            Step(
                ask_bind(
                    wish(DOCK1, code=CODE_B, organization_id=ORG_B),
                    wish(BIRD1, code=CODE_B, organization_id=ORG_B),
                    tid="m-1",
                ),
                bound((DOCK1, 0), (BIRD1, 210232)),
            ),
            Step(
                ask_bind(
                    wish(DOCK1, code=CODE_B, organization_id=ORG_B),
                    wish(BIRD1, code=CODE_B, organization_id=ORG_B),
                    tid="m-1",
                ),
                bound((DOCK1, 0), (BIRD1, 210232)),
            ),
        ),
        owners={DOCK1: (ORG_B, None), DOCK2: (ORG_A, None), BIRD1: (ORG_A, DOCK2)},
        audit=(("bind", BIRD1, "bound_elsewhere"),),
    ),
    Case(
        "C25-bind-another-dock",
        (Step(ask_bind(wish(DOCK2, model_key="3-2-0"), wish(DOCK1)), bound((DOCK2, 210231), (DOCK1, 0))),),
        owners={DOCK1: (ORG_A, None)},
        audit=(("bind", DOCK2, "not_yours"),),
    ),
    Case(
        "bind-entries-that-are-no-devices",
        (
            Step(
                ask_bind(DOCK1, None, {}, wish(7), {**wish(DOCK1), "device_model_key": None}, {"sn": BIRD1}),
                bound(("", 210231), ("", 210231), ("", 210231), ("", 210231), (DOCK1, 210231), (BIRD1, 210231)),
            ),
        ),
        unknown=(DOCK1, BIRD1),
    ),
    Case("bind-without-list", (Step(message("airport_organization_bind", {}), refused(200001)),)),
    Case("bind-with-null-data", (Step(message("airport_organization_bind", None), refused(200001)),)),
    Case(
        "bind-1001-devices",
        (Step(ask_bind(*[wish(f"SN{i}") for i in range(1001)]), refused(200001)),),
        unknown=(DOCK1, "SN0"),
    ),
    Case(
        "C46-bind-aircraft-later",
        (
            Step(ask_bind(wish(DOCK1)), bound((DOCK1, 0))),
            Step(ask_bind(wish(BIRD2), tid="b-2"), bound((BIRD2, 0))),
        ),
        owners={BIRD2: (ORG_A, DOCK1)},
    ),
)

# -- topology -----------------------------------------------------------------------------------------

_TOPO = (
    Case(
        "1-C1-C2-topology-of-a-dock-never-bound",
        (Step(topo(bird(BIRD1)), UNDERSTOOD, kind=Kind.STATUS),),
        owners={DOCK1: (None, None), BIRD1: (None, DOCK1)},
    ),
    Case(
        "10-C38-topology-without-aircraft",
        (
            Step(topo(bird(BIRD1)), UNDERSTOOD, kind=Kind.STATUS),
            Step(topo(tid="u-2"), UNDERSTOOD, kind=Kind.STATUS),
        ),
        owners={BIRD1: (None, DOCK1)},
    ),
    Case(
        "C39-topology-with-texts-and-without-domain",
        (
            Step(
                topo(
                    {"sn": BIRD1, "type": "91", "sub_type": "1"},
                    {"sn": BIRD2, "domain": 0, "type": 67, "sub_type": 0},
                    version=1,
                ),
                UNDERSTOOD,
                kind=Kind.STATUS,
            ),
        ),
        owners={BIRD1: (None, DOCK1), BIRD2: (None, DOCK1)},
    ),
    Case(
        "5-topology-with-types-out-of-range",
        (
            Step(
                topo(bird(BIRD1, type=65535, sub_type=-1), bird(BIRD2, type=1.5, index=None), bird(BIRD3, type=10**30)),
                UNDERSTOOD,
                kind=Kind.STATUS,
            ),
        ),
        owners={BIRD1: (None, DOCK1), BIRD2: (None, DOCK1), BIRD3: (None, DOCK1)},
    ),
    Case(
        "topology-with-entries-that-are-no-devices",
        (
            Step(
                topo(BIRD1, None, {}, {"sn": 7}, {"sn": "a/b"}, {"sn": "+"}, bird(BIRD2)), UNDERSTOOD, kind=Kind.STATUS
            ),
        ),
        owners={BIRD2: (None, DOCK1)},
        unknown=(BIRD1, "a/b", "+"),
    ),
    Case("C1-topology-without-list", (Step(message("update_topo", {"type": 2}), UNDERSTOOD, kind=Kind.STATUS),)),
    Case("C1-topology-with-null-list", (Step(topo(sub_devices=None), UNDERSTOOD, kind=Kind.STATUS),)),
    Case("topology-with-a-text-for-list", (Step(topo(sub_devices="none"), refused(200001), kind=Kind.STATUS),)),
    Case("topology-with-null-data", (Step(message("update_topo", None), refused(200001), kind=Kind.STATUS),)),
    Case(
        "C40-topology-without-method",
        (Step(message(..., {"sub_devices": [bird(BIRD1)]}), UNDERSTOOD, kind=Kind.STATUS),),
        owners={BIRD1: (None, DOCK1)},
    ),
    Case(
        "status-topic-with-unknown-method",
        (Step(message("update_weather", {}), refused(200001), kind=Kind.STATUS),),
    ),
    Case(
        "C45-aircraft-moves-within-an-organization",
        (
            Step(ask_bind(wish(DOCK1), wish(BIRD1)), bound((DOCK1, 0), (BIRD1, 0))),
            Step(topo(bird(BIRD1)), UNDERSTOOD, dock=DOCK_A, kind=Kind.STATUS),
        ),
        owners={BIRD1: (ORG_A, DOCK_A)},
    ),
    Case(
        "C25-aircraft-is-not-taken-from-another-organization",
        (
            Step(ask_bind(wish(DOCK1), wish(BIRD1)), bound((DOCK1, 0), (BIRD1, 0))),
            Step(topo(bird(BIRD1), bird(DOCK1)), UNDERSTOOD, dock=DOCK2, kind=Kind.STATUS),
        ),
        owners={BIRD1: (ORG_A, DOCK1), DOCK1: (ORG_A, None), DOCK2: (None, None)},
        audit=(("attach", BIRD1, "not_claimable"), ("attach", DOCK1, "not_claimable")),
    ),
)


BINDING = (*_BIND, *_TOPO)
