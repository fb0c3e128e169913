"""What the JSON API takes and gives, by type: the OpenAPI document is made from these, and what comes in is checked with them.

The keys of answers are those that commands print with ``-o json``; ``gateway.operations`` makes them, and tests hold both together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.operations.organizations import MAX_USES

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def _text(least: int, most: int, pattern: str | None = None) -> Any:  # noqa: ANN401 - a field of pydantic
    """For who reads the document; ``gateway.operations`` checks it, in words that help."""
    told: dict[str, Any] = {"minLength": least, "maxLength": most}
    return Field(json_schema_extra=told if pattern is None else {**told, "pattern": pattern})


Name = Annotated[str, _text(1, 64, r"^\S+$")]
Sn = Annotated[str, _text(1, 64, r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
OrganizationId = Annotated[str, _text(1, 64, r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Title = Annotated[str, _text(1, 128)]
Password = Annotated[str, _text(8, 1024)]
LicenseText = Annotated[str, _text(1, 16_384)]
Step = Literal["seen", "connected", "licensed", "bound", "online"]
Role = Literal["dock", "service", "observer"]


class Wish(BaseModel):
    """What a request says. Closed against names it does not know, and without guesses at types."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _flag(value: object) -> object:
    if value not in {"true", "false"}:
        raise ValueError("has to be true or false")
    return value == "true"


def _number(value: object) -> object:
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal():
        raise ValueError("has to be a number")
    return int(value[:20])


# In a query everything is text.
Flag = Annotated[bool, BeforeValidator(_flag)]
QueryNumber = Annotated[int, BeforeValidator(_number)]


class Answer(BaseModel):
    """What an answer says. Closed: a key that is not promised here is a mistake, and a test finds it."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    code: str
    message: str
    hint: str | None


class Failure(Answer):
    error: Problem


# -- accounts


class AccountWish(Wish):
    account: Name = Field(description="1 to 64 visible characters without spaces.", examples=["dock-7"])
    role: Role
    sn: Sn | None = Field(None, description="The dock it is for; else the first one that uses it.")
    organization_id: str | None = None
    can_read_sys: bool = Field(default=False, description="A service may read $SYS topics too.")
    password: Password | None = Field(None, description="Without one, one is made and answered this once.")


class PasswordWish(Wish):
    password: Password | None = Field(None, description="Without one, one is made and answered this once.")


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


class Unlocked(Answer):
    account: str
    cleared: int


class DeletedAccount(Answer):
    account: str
    deleted: bool


# -- organizations and codes


class OrganizationWish(Wish):
    name: Title = Field(description="What Pilot 2 shows.", examples=["Harbour team"])
    id: OrganizationId | None = Field(None, description="Else made from the name.")


class NameWish(Wish):
    name: Title


class CodeWish(Wish):
    uses: int | None = Field(None, ge=1, le=MAX_USES, description="How many binds it is good for; else any number.")
    expires: str | None = Field(None, description="7d, 12h, 2026-05-01; else for ever.")
    sn: Sn | None = Field(None, description="Only for this dock.")


class RevokedCodeWish(Wish):
    binding_code: str


class OfOrganization(Wish):
    organization_id: str | None = Field(None, description="Only of this organization.")


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


# -- licenses


class LicenseWish(Wish):
    organization_id: str | None = Field(None, description="One organization's own; else the default.")
    app_id: str | int = Field(examples=["123456"])
    app_key: LicenseText
    app_license: LicenseText
    ntp_server_host: str | None = None
    ntp_server_port: int | None = Field(None, ge=1, le=65_535)


class OfLicense(Wish):
    organization_id: str | None = Field(None, description="One organization's own; else the default.")


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


# -- docks


class OfDocks(Wish):
    organization_id: str | None = Field(None, description="Only docks of this organization.")
    unbound: Flag = Field(default=False, description="Only docks that no organization has.")
    online: Flag = Field(default=False, description="Only docks that are online.")
    after: str | None = Field(None, description="Only those after this SN, in the order of the list.")
    limit: QueryNumber = Field(100_000, ge=1, le=100_000, description="The first so many.")


class CallsignWish(Wish):
    callsign: Title = Field(examples=["Dock North"])


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
    events: list[Entry]


class Unbound(Answer):
    sn: str
    organization_id: str | None
    unbound: list[str]


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


# -- the gateway


class OfAudit(Wish):
    since: str | None = Field(None, description="From then on: 2h, 7d, 2026-05-01T12:00:00Z.")
    dock: str | None = Field(None, description="Only what concerns this dock.")
    limit: QueryNumber = Field(1000, ge=1, le=10_000, description="The newest so many.")


class OfCard(Wish):
    account: str | None = Field(None, description="The dock's account; else the first one.")
    organization_id: str | None = Field(None, description="The organization to bind to; else the account's.")


class OfStream(Wish):
    sn: str | None = Field(None, description="Only of this dock.")


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


class Caller(Answer):
    """Who asks. ``csrf`` has to come as X-CSRF-Token with whatever a session changes."""

    kind: Literal["token", "operator"]
    name: str
    scope: Literal["read", "write"]
    expires_at: Moment | None
    csrf: str | None
