"""What the JSON API takes, by type: what comes in is checked with these, and the OpenAPI document is made from them.

What a document cannot say, such as which words go together, ``gateway.operations`` says.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.operations.organizations import MAX_USES


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
Role = Literal["dock", "service", "observer"]
Step = Literal["seen", "connected", "licensed", "bound", "online"]


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


class AccountWish(Wish):
    account: Name = Field(description="1 to 64 visible characters without spaces.", examples=["dock-7"])
    role: Role
    sn: Sn | None = Field(None, description="The dock it is for; else the first one that uses it.")
    organization_id: str | None = None
    can_read_sys: bool = Field(default=False, description="A service may read $SYS topics too.")
    password: Password | None = Field(None, description="Without one, one is made and answered this once.")


class PasswordWish(Wish):
    password: Password | None = Field(None, description="Without one, one is made and answered this once.")


class UnlockWish(Wish):
    account: str | None = Field(None, description="Every lock of this account, or with an address that one.")
    address: str | None = Field(None, description="Every lock of this address; of an IPv6 address its /64.")


class UnpinWish(Wish):
    sn: str | None = Field(None, description="The dock it is for from now on; else the next one that uses it.")


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


class LicenseWish(Wish):
    organization_id: str | None = Field(None, description="One organization's own; else the default.")
    app_id: str | int = Field(examples=["123456"])
    app_key: LicenseText
    app_license: LicenseText
    ntp_server_host: str | None = None
    ntp_server_port: int | None = Field(None, ge=1, le=65_535)


class OfLicense(Wish):
    organization_id: str | None = Field(None, description="One organization's own; else the default.")


class OfDocks(Wish):
    organization_id: str | None = Field(None, description="Only docks of this organization.")
    unbound: Flag = Field(default=False, description="Only docks that no organization has.")
    online: Flag = Field(default=False, description="Only docks that are online.")
    step: Step | None = Field(None, description="Only docks that have come this far, and no further.")
    after: str | None = Field(None, description="Only those after this SN, in the order of the list.")
    limit: QueryNumber = Field(100_000, ge=1, le=100_000, description="The first so many.")


class CallsignWish(Wish):
    callsign: Title = Field(examples=["Dock North"])


class CertificateWish(Wish):
    name: str = Field(description="The account that it is for.", examples=["dock-7"])
    replace: bool = Field(default=False, description="Make another one; the earlier is good until it is revoked.")


class RenewalWish(Wish):
    hosts: list[str] = Field([], max_length=64, description="What docks connect to; else the same as before.")
    new_key: bool = Field(default=False, description="With a new key, too.")


class RevokedCertificateWish(Wish):
    serial: str


class OfAudit(Wish):
    since: str | None = Field(None, description="From then on: 2h, 7d, 2026-05-01T12:00:00Z.")
    dock: str | None = Field(None, description="Only what concerns this dock.")
    limit: QueryNumber = Field(1000, ge=1, le=10_000, description="The newest so many.")


class OfCard(Wish):
    account: str | None = Field(None, description="The dock's account; else the first one.")
    organization_id: str | None = Field(None, description="The organization to bind to; else the account's.")


class OfTail(Wish):
    dock: str | None = Field(None, description="Only what concerns this dock.")
    lines: QueryNumber = Field(0, ge=0, le=1000, description="Begin with the newest so many.")


class OfStream(Wish):
    sn: str | None = Field(None, description="Only of this dock.")
