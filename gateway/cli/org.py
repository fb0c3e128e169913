"""``dockgate org``: organizations and the codes that bind a dock to one. Names come in, ids and codes go out.

Operators type both into Pilot 2, so that they are short and without look-alikes; a code in the audit trail is cut short.
"""

from __future__ import annotations

import re
import secrets as entropy
import unicodedata
from typing import Annotated, Any

import typer

from gateway import topics
from gateway.cli import render
from gateway.cli.context import Change, Cli, Db
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import iso, local, until
from gateway.errors import UsageError
from gateway.model import BindingCode, Organization
from gateway.store import codes, organizations

app = noun("Organizations. A dock is bound to one with its id and a binding code, both typed into Pilot 2.")
code_app = noun("Binding codes of an organization.")
app.add_typer(code_app, name="code")

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""No 0/O, 1/I/L: a code is read off a screen and typed on another."""
CODE_LENGTH = 10
"""31^10, about 49 bits; only somebody with an account can try one, and each try is audited."""
MAX_NAME = 128
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

Id = Annotated[str, typer.Argument(metavar="ID", help="The organization's id.", show_default=False)]

_COLUMNS = (
    Column("id", "id", whole=True),
    Column("name", "name"),
    Column("binding_code", "binding code", whole=True),
)
_CODE_COLUMNS = (
    Column("organization_id", "organization"),
    Column("binding_code", "binding code", whole=True),
    Column("uses_left", "uses left", show=lambda value: "any" if value is None else str(value), right=True),
    Column("expires_at", "expires", show=lambda value: "never" if value is None else local(value), whole=True),
    Column("sn", "only for", whole=True),
    Column("state", "state", whole=True),
)


@app.command("add", epilog=example('dockgate org add "Harbour team"', 'dockgate org add "Harbour team" --id harbour'))
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What Pilot 2 shows.", show_default=False)],
    id: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--id", metavar="ID", help="Its id; else made from the name.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Add an organization, with a first binding code."""
    cli = Cli.of(ctx, output)
    name = checked_name(name)
    if id is not None and not _ID.fullmatch(id):
        raise UsageError(f"--id {id!r}: an id is 1 to 64 letters, digits, dots, dashes and underscores")
    result = cli.change(lambda change: create(change, name=name, wanted_id=id))
    render.record(result, cli.format, columns=_COLUMNS)


@app.command("list", epilog=example("dockgate org list"))
def list_organizations(ctx: typer.Context, output: Output = None) -> None:
    """All organizations, each with a binding code that can be used now."""
    cli = Cli.of(ctx, output)

    def query(db: Db) -> list[dict[str, Any]]:
        all_codes = codes.list_for(db, None)
        return [describe(organization, all_codes, cli.now) for organization in organizations.list_all(db)]

    render.rows(cli.read(query), cli.format, _COLUMNS, empty="no organizations: dockgate org add NAME")


@app.command("show", epilog=example("dockgate org show harbour"))
def show(ctx: typer.Context, id: Id, output: Output = None) -> None:  # noqa: A002 - the argument's name
    """One organization with its binding codes."""
    cli = Cli.of(ctx, output)

    def query(db: Db) -> dict[str, Any]:
        organization = organizations.get(db, id)
        own = codes.list_for(db, id)
        result = describe(organization, own, cli.now)
        result["created_at"] = iso(organization.created_at)
        result["codes"] = [describe_code(code, cli.now) for code in own]
        return result

    found = cli.read(query)
    columns = (*_COLUMNS, Column("created_at", "created", show=local))
    render.record(found, cli.format, columns=columns)
    if cli.is_table:
        if found["codes"]:
            render.note("")
            render.rows(found["codes"], cli.format, _CODE_COLUMNS[1:], empty="")
        render.note(f"Another code: dockgate org code add {id}")


@app.command("rename", epilog=example('dockgate org rename harbour "Harbour and pier"'))
def rename(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the argument's name
    name: Annotated[str, typer.Argument(metavar="NAME", help="What Pilot 2 shows from now on.", show_default=False)],
    output: Output = None,
) -> None:
    """Give an organization another name; its id stays."""
    cli = Cli.of(ctx, output)
    name = checked_name(name)

    def work(change: Change) -> dict[str, Any]:
        organization = organizations.rename(change.db, id, name)
        change.audit("org.rename", id, name=name)
        return describe(organization, codes.list_for(change.db, id), change.now)

    render.record(cli.change(work), cli.format, columns=_COLUMNS)


@app.command("delete", epilog=example("dockgate org delete harbour --yes"))
def delete(ctx: typer.Context, id: Id, yes: Yes = False, output: Output = None) -> None:  # noqa: A002 - the argument's name
    """Delete an organization with its codes and its license. Refused while docks are bound or accounts belong to it."""
    cli = Cli.of(ctx, output)
    cli.read(organizations.get, id)
    cli.confirm(f"Delete the organization {id} with its codes and its license?", yes=yes)

    def work(change: Change) -> None:
        organizations.delete(change.db, id)
        change.audit("org.delete", id)

    cli.change(work)
    render.record({"id": id, "deleted": True}, cli.format, text=f"{id}: deleted")


@code_app.command(
    "add",
    epilog=example(
        "dockgate org code add harbour",
        "dockgate org code add harbour --uses 1 --expires 7d --sn 7CTDM7100B1234",
    ),
)
def code_add(
    ctx: typer.Context,
    id: Id,  # noqa: A002 - the argument's name
    uses: Annotated[
        int | None, typer.Option("--uses", min=1, max=1_000_000, help="How many binds it is good for; else any number.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="T", help="Until when: 7d, 12h, 2026-05-01; else for ever.", show_default=False
        ),
    ] = None,
    sn: Annotated[
        str | None, typer.Option("--sn", metavar="SN", help="Only for this dock.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Make a binding code."""
    cli = Cli.of(ctx, output)
    expires_at = None if expires is None else until(expires, cli.now, option="--expires")
    if sn is not None and not topics.is_valid_sn(sn):
        raise UsageError(f"--sn {sn!r}: not a serial number")

    def work(change: Change) -> BindingCode:
        code = codes.add(
            change.db,
            code=make_code(),
            organization_id=id,
            uses=uses,
            expires_at=expires_at,
            sn=sn,
            now=change.now,
        )
        change.audit("org.code.add", id, code=cut(code.code), uses=uses, expires_at=iso(expires_at), dock=sn)
        return code

    render.record(describe_code(cli.change(work), cli.now), cli.format, columns=_CODE_COLUMNS[:-1])


@code_app.command("list", epilog=example("dockgate org code list harbour"))
def code_list(
    ctx: typer.Context,
    id: Annotated[  # noqa: A002 - the argument's name
        str | None, typer.Argument(metavar="[ID]", help="Only of this organization.", show_default=False)
    ] = None,
    output: Output = None,
) -> None:
    """Binding codes, used up and revoked ones too."""
    cli = Cli.of(ctx, output)

    def query(db: Db) -> list[BindingCode]:
        if id is not None:
            organizations.get(db, id)
        return codes.list_for(db, id)

    found = [describe_code(code, cli.now) for code in cli.read(query)]
    render.rows(found, cli.format, _CODE_COLUMNS, empty=f"no codes: dockgate org code add {id or 'ID'}")


@code_app.command("revoke", epilog=example("dockgate org code revoke H4RB0RTEAM"))
def code_revoke(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The binding code.", show_default=False)],
    output: Output = None,
) -> None:
    """End a binding code. Docks that were bound with it stay bound."""
    cli = Cli.of(ctx, output)

    def work(change: Change) -> BindingCode:
        revoked = codes.revoke(change.db, code, change.now)
        change.audit("org.code.revoke", revoked.organization_id, code=cut(code))
        return revoked

    result = describe_code(cli.change(work), cli.now)
    render.record(result, cli.format, text=f"{render.visible(code)}: revoked")


def create(change: Change, *, name: str, wanted_id: str | None = None) -> dict[str, Any]:
    """Add an organization with a binding code, in one transaction; what ``org add`` and ``init`` share."""
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
