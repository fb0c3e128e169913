"""Cases of a dock's way in: license, bind status, organization."""

from __future__ import annotations

from .dock_case import (
    CONFIG,
    NAMED_A,
    Case,
    Step,
    ask_bind,
    ask_organization,
    ask_status,
    bound,
    flat,
    refused,
    status,
    statuses,
)
from .dock_world import (
    BIRD1,
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
    TEAM_A,
    license_of,
    message,
    wish,
)

# -- config -------------------------------------------------------------------------------------------

_CONFIG = (
    Case("6-C8-C9-config-is-flat-with-a-text-app-id", (Step(CONFIG, flat()),)),
    Case(
        "C10-C11-config-with-time-server",
        (Step(CONFIG, flat(ntp_server_host="192.0.2.10", ntp_server_port=123)),),
        licenses=(license_of(None, host="192.0.2.10"),),
    ),
    Case(
        "C10-config-with-time-server-on-another-port",
        (Step(CONFIG, flat(ntp_server_host="ntp.example", ntp_server_port=1123)),),
        licenses=(license_of(None, host="ntp.example", port=1123),),
    ),
    Case(
        "7-C7-config-without-license-is-refused",
        (Step(CONFIG, refused(200001)),),
        licenses=(),
        audit=(("config", DOCK1, "license_missing"),),
    ),
    Case(
        "7-config-without-license-with-another-number",
        (Step(CONFIG, refused(514000)),),
        licenses=(),
        settings={"result_codes": {"license_missing": 514000}},
    ),
    Case(
        "config-of-the-account-s-organization",
        (Step(CONFIG, flat(ORG_A), dock=DOCK_A),),
        licenses=(license_of(None), license_of(ORG_A)),
    ),
    Case(
        "config-of-the-bound-organization",
        (
            Step(CONFIG, flat()),
            Step(ask_bind(wish(DOCK1, code=CODE_B, organization_id=ORG_B)), bound((DOCK1, 0))),
            Step(message("config", {}, tid="c-2"), flat(ORG_B)),
        ),
        licenses=(license_of(None), license_of(ORG_A), license_of(ORG_B)),
    ),
    Case(
        "config-of-another-organization-is-not-served",
        (Step(CONFIG, refused(200001)),),
        licenses=(license_of(ORG_A), license_of(ORG_B)),
    ),
    Case("config-without-scope-and-type", (Step(message("config", {}), flat()),)),
    Case("config-with-null-data", (Step(message("config", None), flat()),)),
    Case(
        "config-with-unknown-scope",
        (Step(message("config", {"config_scope": "device", "config_type": "json"}), refused(200001)),),
    ),
    Case(
        "config-with-unknown-type",
        (Step(message("config", {"config_scope": "product", "config_type": "xml"}), refused(200001)),),
    ),
    Case("config-with-a-number-for-scope", (Step(message("config", {"config_scope": 1}), refused(200001)),)),
    Case("config-with-a-list-for-data", (Step(message("config", ["json"]), refused(200001)),)),
)

# -- bind status --------------------------------------------------------------------------------------

_STATUS = (
    Case(
        "C16-C18-status-of-unknown-devices-is-false-with-empty-texts",
        (Step(ask_status(BIRD1, DOCK1), statuses(status(BIRD1), status(DOCK1))),),
    ),
    Case("C17-status-of-one-device", (Step(ask_status(DOCK1), statuses(status(DOCK1))),)),
    Case("status-of-no-device", (Step(ask_status(), statuses()),)),
    Case(
        "status-of-the-same-device-twice",
        (Step(ask_status(DOCK1, BIRD1, DOCK1), statuses(status(DOCK1), status(BIRD1), status(DOCK1))),),
    ),
    Case(
        "status-of-entries-that-are-no-devices",
        (
            Step(
                message(
                    "airport_bind_status", {"devices": [DOCK1, None, {}, {"sn": 7}, [], {"sn": ""}, {"sn": DOCK1}]}
                ),
                statuses(*[status("")] * 6, status(DOCK1)),
            ),
        ),
    ),
    Case(
        "status-of-strange-sns",
        (Step(ask_status("a/b", "+", "x" * 300), statuses(status("a/b"), status("+"), status("x" * 300))),),
    ),
    Case(
        "status-of-1000-devices",
        (Step(ask_status(*[f"SN{i}" for i in range(1000)]), statuses(*[status(f"SN{i}") for i in range(1000)])),),
    ),
    Case("status-of-1001-devices", (Step(ask_status(*[f"SN{i}" for i in range(1001)]), refused(200001)),)),
    Case("status-without-devices", (Step(message("airport_bind_status", {}), refused(200001)),)),
    Case(
        "status-with-an-object-for-devices", (Step(message("airport_bind_status", {"devices": {}}), refused(200001)),)
    ),
    Case("status-with-null-data", (Step(message("airport_bind_status", None), refused(200001)),)),
    Case(
        "status-of-bound-devices-tells-organization-and-callsign",
        (
            Step(
                ask_bind(wish(DOCK1, callsign="Dock North"), wish(BIRD1, callsign="Bird 1")),
                bound((DOCK1, 0), (BIRD1, 0)),
            ),
            Step(
                ask_status(BIRD1, DOCK1),
                statuses(status(BIRD1, ORG_A, TEAM_A, "Bird 1"), status(DOCK1, ORG_A, TEAM_A, "Dock North")),
            ),
        ),
    ),
    Case(
        "status-names-no-foreign-organization",
        (
            Step(ask_bind(wish(DOCK1, callsign="Secret"), wish(BIRD1)), bound((DOCK1, 0), (BIRD1, 0))),
            Step(
                ask_status(DOCK1, BIRD1, DOCK2),
                statuses(status(DOCK1, bound=True), status(BIRD1, bound=True), status(DOCK2)),
                dock=DOCK2,
            ),
        ),
    ),
    Case(
        "status-within-an-organization-tells-all",
        (
            Step(ask_bind(wish(DOCK1, callsign="Dock North")), bound((DOCK1, 0))),
            Step(ask_status(DOCK1), statuses(status(DOCK1, ORG_A, TEAM_A, "Dock North")), dock=DOCK_A),
        ),
    ),
)

# -- organization -------------------------------------------------------------------------------------

_ORGANIZATION = (
    Case("2-organization-by-code-and-id", (Step(ask_organization(CODE_A, ORG_A), NAMED_A),)),
    Case("2-organization-with-blanks-around", (Step(ask_organization(f" {CODE_A}", f"{ORG_A} \n"), NAMED_A),)),
    Case(
        "2-C5-C12-organization-by-unknown-code",
        (Step(ask_organization("wrong", ORG_A), refused(210230)),),
        audit=(("organization_get", DOCK1, "code_unknown"),),
        unknown=(DOCK1,),
    ),
    Case("organization-by-code-in-other-case", (Step(ask_organization(CODE_A.lower(), ORG_A), refused(210230)),)),
    Case("organization-by-unknown-id", (Step(ask_organization(CODE_A, "org-x"), refused(210230)),)),
    Case(
        "12-organization-by-code-of-another",
        (Step(ask_organization(CODE_A, ORG_B), refused(210230)),),
        audit=(("organization_get", DOCK1, "wrong_organization"),),
    ),
    Case(
        "12-organization-without-id",
        (Step(message("airport_organization_get", {"device_binding_code": CODE_A}), refused(210230)),),
    ),
    Case("organization-with-null-id", (Step(ask_organization(CODE_A, None), refused(210230)),)),
    Case("organization-with-empty-code", (Step(ask_organization("", ORG_A), refused(210230)),)),
    Case("organization-with-a-number-for-code", (Step(ask_organization(7, ORG_A), refused(210230)),)),
    Case("organization-with-null-data", (Step(message("airport_organization_get", None), refused(200001)),)),
    Case(
        "20-organization-by-expired-code",
        (Step(ask_organization(CODE_LAPSED, ORG_A), refused(210230)),),
        audit=(("organization_get", DOCK1, "code_expired"),),
    ),
    Case(
        "20-organization-by-revoked-code",
        (Step(ask_organization(CODE_REVOKED, ORG_A), refused(210230)),),
        audit=(("organization_get", DOCK1, "code_revoked"),),
    ),
    Case(
        "organization-by-code-for-another-dock",
        (
            Step(ask_organization(CODE_FOR_DOCK2, ORG_A), refused(210230)),
            Step(ask_organization(CODE_FOR_DOCK2, ORG_A), NAMED_A, dock=DOCK2),
        ),
        audit=(("organization_get", DOCK1, "code_for_other_dock"),),
    ),
    Case(
        "organization-by-used-up-code",
        (
            Step(ask_bind(wish(DOCK2, code=CODE_ONCE)), bound((DOCK2, 0)), dock=DOCK2),
            Step(ask_organization(CODE_ONCE, ORG_A), refused(210230)),
        ),
        audit=(("organization_get", DOCK1, "code_used_up"),),
    ),
    Case(
        "organization-again-by-the-dock-that-used-the-code-up",
        (
            Step(ask_bind(wish(DOCK1, code=CODE_ONCE)), bound((DOCK1, 0))),
            Step(ask_organization(CODE_ONCE, ORG_A), NAMED_A),
        ),
    ),
    Case(
        "organization-that-is-not-the-account-s",
        (Step(ask_organization(CODE_B, ORG_B), refused(210230), dock=DOCK_A),),
        audit=(("organization_get", DOCK_A, "wrong_organization"),),
    ),
)


ACCESS = (*_CONFIG, *_STATUS, *_ORGANIZATION)
