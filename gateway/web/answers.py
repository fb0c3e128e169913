"""What the JSON API gives, by type: the OpenAPI document is made from these, and tests hold answers to them.

The keys are those that commands print with ``-o json``; ``gateway.operations`` makes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Step = Literal["seen", "connected", "licensed", "bound", "online"]
Role = Literal["dock", "service", "observer"]


class Answer(BaseModel):
    """What an answer says. Closed: a key that is not promised here is a mistake, and a test finds it."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    code: str
    message: str
    hint: str | None


class Failure(Answer):
    error: Problem


class Account(Answer):
    account: str
    role: Role
    sn: str | None
    organization_id: str | None
    enabled: bool
    can_read_sys: bool
    created_at: Moment
    changed_at: Moment
    last_login_at: Moment | None


class MadeAccount(Account):
    password: str = Field("", description="Only when it was made here; shown this once.")


class Lock(Answer):
    address: str
    failures: int
    locked_until: Moment | None


class AccountWithLocks(Account):
    locks: list[Lock]


class Unpinned(Account):
    previous_sn: str | None


class Unlocked(Answer):
    account: str | None
    address: str | None
    cleared: int


class DeletedAccount(Answer):
    account: str
    deleted: bool


class Organization(Answer):
    id: str
    name: str
    binding_code: str | None = Field(description="One that any dock can use now; cut short for who may only read.")


class Code(Answer):
    organization_id: str
    binding_code: str = Field(description="Cut short for who may only read.")
    uses_left: int | None
    expires_at: Moment | None
    sn: str | None
    state: Literal["usable", "used up", "expired", "revoked"]
    created_at: Moment
    revoked_at: Moment | None


class OrganizationWithCodes(Organization):
    created_at: Moment
    codes: list[Code]


class DeletedOrganization(Answer):
    id: str
    deleted: bool


class License(Answer):
    organization_id: str | None
    app_id: str
    app_key: str = Field(description="Cut short.")
    app_license: str = Field(description="Cut short.")
    ntp_server_host: str | None
    ntp_server_port: int
    changed_at: Moment


class ClearedLicense(Answer):
    organization_id: str | None
    cleared: bool


class Aircraft(Answer):
    sn: str
    model_key: str
    organization_id: str | None
    callsign: str
    bound: bool
    online: bool
    access_step: Step
    last_seen: Moment
    gateway_sn: str | None
    is_gateway: bool


class Dock(Aircraft):
    children: list[Aircraft]


class Binding(Answer):
    at: Moment
    account: str
    code: str = Field(description="Cut short.")


class Contact(Answer):
    account: str
    client_id: str
    first_at: Moment
    changed_at: Moment
    said: dict[str, Any] = Field(description="What that client put into CONNECT and SUBSCRIBE.")


class AttemptStep(Answer):
    at: Moment
    step: str
    ok: bool
    what: str


class Attempt(Answer):
    """One attempt of a dock to get in, with what has probably gone wrong."""

    began_at: Moment
    ended_at: Moment | None
    account: str | None
    address: str | None
    repeats: int
    steps: list[AttemptStep]
    verdict: str
    hint: str | None


class Entry(Answer):
    at: Moment
    actor: str
    action: str
    target: str
    outcome: str
    detail: dict[str, Any]


class DockInFull(Dock):
    organization_name: str | None
    first_seen: Moment
    binding: Binding | None
    contacts: list[Contact]
    attempts: list[Attempt]
    events: list[Entry]


class Unbound(Answer):
    sn: str
    organization_id: str | None
    unbound: list[str]


class Disconnected(Answer):
    sn: str
    connections: int = Field(description="How many were ended; it may come back.")


class Forgotten(Answer):
    sn: str
    forgotten: bool


class AskedRequest(Answer):
    """A request of a dock; what was said, without secrets. ``result`` null: left to a platform."""

    at: Moment
    sn: str
    method: str | None
    result: int | None
    ms: float
    request: Any
    reply: Any


class Certificate(Answer):
    subject: str
    sans: list[str]
    issuer: str
    own: bool
    not_before: Moment
    not_after: Moment
    days_left: int
    serial: str
    fingerprint_sha256: str
    file: str | None
    key_file: str | None


class ListedCertificate(Certificate):
    kind: str
    name: str
    state: Literal["in use", "replaced", "expired", "revoked"]
    revoked_at: Moment | None


class RevokedCertificate(Certificate):
    revoked: bool
    crl: str


class DockSteps(Answer):
    seen: int
    connected: int
    licensed: int
    bound: int
    online: int
    total: int


class AircraftCount(Answer):
    online: int
    total: int


class Status(Answer):
    running: bool
    pid: int | None
    started_at: Moment | None
    heartbeat_at: Moment | None
    docks: DockSteps
    aircraft: AircraftCount
    connections: dict[str, int]
    messages: dict[str, int]
    requests: dict[str, int]
    logins: dict[str, int]
    rates: dict[str, float]


class Card(Answer):
    address: str | None
    port: int | None
    tls: bool
    account: str | None
    organization_id: str | None
    binding_code: str | None = Field(description="Cut short for who may only read.")


class Found(Answer):
    id: str
    severity: Literal["error", "warning", "info"]
    what: str
    fix: str


class Findings(Answer):
    ok: bool
    findings: list[Found]


class Mistake(Answer):
    where: str
    what: str
    hint: str | None


class Mistakes(Answer):
    ok: bool
    problems: list[Mistake]


class Soundness(Answer):
    ok: bool
    database: str
    bytes: int
    version: int | None
    newest_version: int
    problems: list[str]
    foreign: list[str]


class ListedToken(Answer):
    """Of a token everything but itself."""

    name: str
    scope: Literal["read", "write"]
    state: Literal["usable", "expired", "revoked"]
    created_at: Moment
    created_by: str
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None


class ListedOperator(Answer):
    operator: str
    created_at: Moment
    changed_at: Moment
    last_login_at: Moment | None


class Caller(Answer):
    """Who asks. ``csrf`` has to come as X-CSRF-Token with whatever a session changes."""

    kind: Literal["token", "operator"]
    name: str
    scope: Literal["read", "write"]
    expires_at: Moment | None
    csrf: str | None
