"""Organizations and the codes that bind a dock to one. Names come in, ids and codes go out.

Operators type both into Pilot 2, so that they are short and without look-alikes; a code in the audit trail is cut short.
"""

from __future__ import annotations

import re
import secrets as entropy
import unicodedata
from typing import Any

from gateway import topics
from gateway.errors import UsageError
from gateway.model import BindingCode, Organization
from gateway.operations.change import Change, Db
from gateway.operations.times import iso, until
from gateway.store import codes, organizations

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""No 0/O, 1/I/L: a code is read off a screen and typed on another."""
CODE_LENGTH = 10
"""31^10, about 49 bits; only somebody with an account can try one, and each try is audited."""
MAX_NAME = 128
MAX_USES = 1_000_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def every(db: Db, now: int) -> list[dict[str, Any]]:
    """Each with a binding code that can be used now."""
    all_codes = codes.list_for(db, None)
    return [describe(organization, all_codes, now) for organization in organizations.list_all(db)]


def show(db: Db, id: str, now: int) -> dict[str, Any]:  # noqa: A002 - the column's name
    organization = organizations.get(db, id)
    own = codes.list_for(db, id)
    result = describe(organization, own, now)
    result["created_at"] = iso(organization.created_at)
    result["codes"] = [describe_code(code, now) for code in own]
    return result


def create(change: Change, *, name: str, wanted_id: str | None = None, option: str = "id") -> dict[str, Any]:
    """Add an organization with a binding code, in one transaction."""
    name = checked_name(name)
    if wanted_id is not None and not _ID.fullmatch(wanted_id):
        raise UsageError(f"{option} {wanted_id!r}: an id is 1 to 64 letters, digits, dots, dashes and underscores")
    organization_id = wanted_id or _free_id(change.db, name)
    organization = organizations.add(change.db, id=organization_id, name=name, now=change.now)
    code = codes.add(
        change.db,
        code=make_code(),
        organization_id=organization_id,
        uses=None,
        expires_at=None,
        sn=None,
        now=change.now,
    )
    change.audit("org.add", organization_id, name=name, code=cut(code.code))
    return describe(organization, [code], change.now)


def rename(change: Change, id: str, name: str) -> dict[str, Any]:  # noqa: A002
    name = checked_name(name)
    organization = organizations.rename(change.db, id, name)
    change.audit("org.rename", id, name=name)
    return describe(organization, codes.list_for(change.db, id), change.now)


def delete(change: Change, id: str) -> dict[str, Any]:  # noqa: A002
    organizations.delete(change.db, id)
    change.audit("org.delete", id)
    return {"id": id, "deleted": True}


# -- codes


def every_code(db: Db, organization_id: str | None, now: int) -> list[dict[str, Any]]:
    """Used up and revoked ones too."""
    if organization_id is not None:
        organizations.get(db, organization_id)
    return [describe_code(code, now) for code in codes.list_for(db, organization_id)]


def add_code(
    change: Change,
    organization_id: str,
    *,
    uses: int | None = None,
    expires: str | None = None,
    sn: str | None = None,
    prefix: str = "",
) -> dict[str, Any]:
    """``expires`` as people type it; ``prefix`` is what stands before an option's name where this is called from."""
    expires_at = None if expires is None else until(expires, change.now, option=f"{prefix}expires")
    if sn is not None and not topics.is_valid_sn(sn):
        raise UsageError(f"{prefix}sn {sn!r}: not a serial number")
    code = codes.add(
        change.db,
        code=make_code(),
        organization_id=organization_id,
        uses=uses,
        expires_at=expires_at,
        sn=sn,
        now=change.now,
    )
    change.audit("org.code.add", organization_id, code=cut(code.code), uses=uses, expires_at=iso(expires_at), dock=sn)
    return describe_code(code, change.now)


def revoke_code(change: Change, code: str) -> dict[str, Any]:
    """Docks that were bound with it stay bound."""
    revoked = codes.revoke(change.db, code, change.now)
    change.audit("org.code.revoke", revoked.organization_id, code=cut(code))
    return describe_code(revoked, change.now)


# -- shapes and rules


def checked_name(name: str) -> str:
    """A name that Pilot 2 can show. Errors: ``UsageError``."""
    stripped = name.strip()
    if not stripped or len(stripped) > MAX_NAME or not stripped.isprintable():
        raise UsageError(f"an organization's name is 1 to {MAX_NAME} visible characters")
    return stripped


def describe(organization: Organization, all_codes: list[BindingCode], now: int) -> dict[str, Any]:
    """The keys are a promise. ``binding_code`` is one that any dock can use now, or null."""
    code = usable_code(all_codes, organization.id, now)
    return {"id": organization.id, "name": organization.name, "binding_code": code.code if code else None}


def describe_code(code: BindingCode, now: int) -> dict[str, Any]:
    """The keys are a promise."""
    return {
        "organization_id": code.organization_id,
        "binding_code": code.code,
        "uses_left": code.uses_left,
        "expires_at": iso(code.expires_at),
        "sn": code.sn,
        "state": _state(code, now),
        "created_at": iso(code.created_at),
        "revoked_at": iso(code.revoked_at),
    }


def usable_code(
    all_codes: list[BindingCode], organization_id: str, now: int, *, sn: str | None = None
) -> BindingCode | None:
    """A code that the dock ``sn`` (None: any dock) can use now; the one without limits that is newest, if there is one."""
    fitting = [
        code
        for code in all_codes
        if code.organization_id == organization_id and _state(code, now) == "usable" and code.sn in {None, sn}
    ]
    return max(
        fitting,
        key=lambda code: (code.sn is not None, code.uses_left is None, code.expires_at is None, code.created_at),
        default=None,
    )


def make_code() -> str:
    return "".join(entropy.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))


def cut(code: str) -> str:
    """Enough of a code to tell it from others in the audit trail, too little to use it."""
    return f"{code[:3]}…"


def _state(code: BindingCode, now: int) -> str:
    if code.revoked_at is not None:
        return "revoked"
    if code.uses_left == 0:
        return "used up"
    if code.expires_at is not None and code.expires_at <= now:
        return "expired"
    return "usable"


def _free_id(db: Db, name: str) -> str:
    """``Harbour team`` -> ``harbour-team``; a name without Latin letters gets a made id."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    if not base:
        return "org-" + "".join(entropy.choice(CODE_LETTERS.lower()) for _ in range(6))
    taken = {organization.id for organization in organizations.list_all(db)}
    return next(
        candidate
        for number in range(1, len(taken) + 2)
        if (candidate := base if number == 1 else f"{base}-{number}") not in taken
    )
