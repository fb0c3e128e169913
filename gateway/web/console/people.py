"""Accounts, organizations with their binding codes, licenses: pages and what can be done there, on ``gateway.operations``.

A password is shown once, where it was made; of a license only its ends are ever shown.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway.model import Role
from gateway.operations import accounts, licenses, organizations
from gateway.operations.change import Db
from gateway.operations.credentials import hashed
from gateway.web import wishes
from gateway.web.console.forms import Deed, Done, Field, Secret, Tell, Told, Values, given, query_of, whole
from gateway.web.console.pages import Console, quoted
from gateway.web.declarations import Call, parsed

_ROLES = (
    ("dock", "dock: a dock with its aircraft"),
    ("service", "service: a platform's back end"),
    ("observer", "observer: reads, and changes nothing"),
)


# -- accounts


def account_at(name: str) -> str:
    return f"/accounts/show?name={quoted(name)}"


async def every_account(console: Console, call: Call) -> Response:
    text = query_of(call, "q").strip().casefold()[:128]
    found = await call.read(accounts.every)
    fitting = [one for one in found if not text or any(text in str(word).casefold() for word in one.values())]
    return console.page("accounts", call, accounts=fitting[:_MOST], found=len(fitting), total=len(found), text=text)


# A page has an end; who looks for one of more types a part of its name.
_MOST = 500


async def one_account(console: Console, call: Call) -> Response:
    found = await call.read(accounts.show, query_of(call, "name"))
    return console.page("account", call, account=found)


async def _tell_add_account(call: Call) -> Told:
    return Told(
        "Add an account",
        "/accounts",
        "Without a password of your own one is made, and shown once.",
        values={"role": "dock"},
        fields=(
            Field("account", "Name", required=True, longest=64, hint="What is typed into Pilot 2 as account."),
            Field("role", "Role", "choice", choices=_ROLES),
            Field("sn", "Serial number of the dock", hint="Empty: the first dock that uses it.", longest=64),
            Field("organization_id", "Organization", "choice", choices=await _organizations(call, "none")),
            Field(
                "password", "Password", "password", hint="Empty: one is made. A chosen one has 8 characters at least."
            ),
        ),
    )


async def _organizations(call: Call, none: str) -> list[tuple[str, str]]:
    found = await call.read(organizations.every, call.context.now)
    return [("", none), *((one["id"], f"{one['name']} ({one['id']})") for one in found)]


async def _add_account(call: Call, values: Values) -> Done | Secret:
    wish = parsed(wishes.AccountWish, {name: value for name, value in values.items() if value})
    role = Role(wish.role)
    accounts.check(wish.account, role=role, sn=wish.sn, can_read_sys=False)
    made, password_hash = await call.context.off_loop(hashed, wish.password)
    await call.change(
        lambda change: accounts.add(
            change,
            wish.account,
            role=role,
            sn=wish.sn,
            organization_id=wish.organization_id,
            can_read_sys=False,
            password_hash=password_hash,
        )
    )
    return _with_password(wish.account, made, "Added")


def _with_password(name: str, made: str | None, what: str) -> Done | Secret:
    if made is None:
        return Done(account_at(name), f"{what}: {name}")
    return Secret(
        f"Password of {name}",
        (("Account", name), ("Password", made)),
        account_at(name),
        "It is shown this once; only its hash is kept. Write it down, or type it into the dock now.",
    )


async def _tell_password(call: Call) -> Told:
    name = query_of(call, "name")
    await call.read(accounts.show, name)
    return Told(f"New password for {name}", account_at(name), "Connections with the old password end at once.")


async def _set_password(call: Call, values: Values) -> Done | Secret:
    name = query_of(call, "name")
    wish = parsed(wishes.PasswordWish, {"password": given(values, "password")})
    made, password_hash = await call.context.off_loop(hashed, wish.password)
    await call.change(lambda change: accounts.set_password(change, name, password_hash, made=made is not None))
    return _with_password(name, made, "New password")


def _about_account(title: str, what: str) -> Tell:
    async def tell(call: Call) -> Told:
        name = query_of(call, "name")
        await call.read(accounts.show, name)
        return Told(f"{title} {name}?", account_at(name), what)

    return tell


async def _disable(call: Call, _values: Values) -> Done:
    name = query_of(call, "name")
    await call.change(lambda change: accounts.switch(change, name, enabled=False))
    return Done(account_at(name), f"{name} is kept out")


async def _enable(call: Call, _values: Values) -> Done:
    name = query_of(call, "name")
    await call.change(lambda change: accounts.switch(change, name, enabled=True))
    return Done(account_at(name), f"{name} may log in again")


async def _unlock(call: Call, _values: Values) -> Done:
    name = query_of(call, "name")
    done = await call.change(lambda change: accounts.unlock(change, name))
    return Done(account_at(name), f"Locks lifted: {done['cleared']}")


async def _tell_unpin(call: Call) -> Told:
    name = query_of(call, "name")
    found = await call.read(accounts.show, name)
    return Told(
        f"Untie {name} from its dock?",
        account_at(name),
        f"It is for {found['sn'] or 'no dock yet'}. Its connections end at once, and it is for the next dock that uses it. "
        "What is bound stays bound.",
    )


async def _unpin(call: Call, values: Values) -> Done:
    name = query_of(call, "name")
    done = await call.change(lambda change: accounts.unpin(change, name, given(values, "sn")))
    return Done(account_at(name), f"{name} is for {done['sn'] or 'the next dock that uses it'}")


async def _delete_account(call: Call, _values: Values) -> Done:
    name = query_of(call, "name")
    await call.change(lambda change: accounts.delete(change, name))
    return Done("/accounts", f"Deleted: {name}")


# -- organizations and codes


def organization_at(id: str) -> str:  # noqa: A002 - the column's name
    return f"/organizations/{quoted(id)}"


async def every_organization(console: Console, call: Call) -> Response:
    return console.page("organizations", call, organizations=await call.read(organizations.every, call.context.now))


async def one_organization(console: Console, call: Call) -> Response:
    found = await call.read(_organization, call.path["id"], call.context.now)
    return console.page("organization", call, organization=found)


def _organization(db: Db, id: str, now: int) -> dict[str, Any]:  # noqa: A002
    found = organizations.show(db, id, now)
    found["codes"].sort(key=lambda code: (code["state"] != "usable", code["created_at"]))
    return found


async def _tell_add_organization(_call: Call) -> Told:
    return Told("Add an organization", "/organizations", "It gets a first binding code, good for any number of docks.")


async def _add_organization(call: Call, values: Values) -> Done:
    made = await call.change(
        lambda change: organizations.create(change, name=values.get("name", ""), wanted_id=given(values, "id"))
    )
    return Done(organization_at(made["id"]), f"Added: {made['name']}")


async def _tell_rename_organization(call: Call) -> Told:
    found = await call.read(organizations.show, call.path["id"], call.context.now)
    return Told(f"Rename {found['name']}", organization_at(found["id"]), values={"name": found["name"]})


async def _rename_organization(call: Call, values: Values) -> Done:
    done = await call.change(lambda change: organizations.rename(change, call.path["id"], values.get("name", "")))
    return Done(organization_at(call.path["id"]), f"Renamed: {done['name']}")


async def _tell_delete_organization(call: Call) -> Told:
    found = await call.read(organizations.show, call.path["id"], call.context.now)
    return Told(
        f"Delete {found['name']}?",
        organization_at(found["id"]),
        "Its binding codes and its license go with it. It must have no bound device and no account any more.",
    )


async def _delete_organization(call: Call, _values: Values) -> Done:
    await call.change(lambda change: organizations.delete(change, call.path["id"]))
    return Done("/organizations", f"Deleted: {call.path['id']}")


async def _tell_add_code(call: Call) -> Told:
    found = await call.read(organizations.show, call.path["id"], call.context.now)
    return Told(f"New binding code for {found['name']}", organization_at(found["id"]))


async def _add_code(call: Call, values: Values) -> Done:
    typed = {"uses": whole(values, "uses"), "expires": given(values, "expires"), "sn": given(values, "sn")}
    wish = parsed(wishes.CodeWish, typed)
    id = call.path["id"]  # noqa: A001
    made = await call.change(
        lambda change: organizations.add_code(change, id, uses=wish.uses, expires=wish.expires, sn=wish.sn)
    )
    return Done(organization_at(id), f"New binding code: {made['binding_code']}")


async def _tell_revoke_code(call: Call) -> Told:
    code, id = query_of(call, "code"), call.path["id"]  # noqa: A001
    return Told(
        f"Revoke {code}?", organization_at(id), "No dock can be bound with it any more. What it bound stays bound."
    )


async def _revoke_code(call: Call, _values: Values) -> Done:
    code = query_of(call, "code")
    await call.change(lambda change: organizations.revoke_code(change, code))
    return Done(organization_at(call.path["id"]), f"Revoked: {code}")


# -- licenses


async def every_license(console: Console, call: Call) -> Response:
    return console.page("licenses", call, licenses=await call.read(licenses.every))


async def _tell_license(call: Call) -> Told:
    return Told(
        "Set a license",
        "/licenses",
        "App id, key and license of one app of the kind Cloud API, from the vendor's site for developers.",
        values={"ntp_server_port": "123"},
        fields=(
            Field(
                "organization_id",
                "For",
                "choice",
                choices=await _organizations(call, "all that have none of their own"),
            ),
            Field("app_id", "App id", required=True, longest=64),
            Field("app_key", "App key", "password", required=True, longest=16_384),
            Field("app_license", "App license", "area", required=True, longest=16_384),
            Field(
                "ntp_server_host",
                "Time server",
                hint="Without one docks on a closed network refuse flight tasks (319008).",
            ),
            Field("ntp_server_port", "Port of the time server", "number"),
        ),
    )


async def _set_license(call: Call, values: Values) -> Done:
    typed = {name: value for name, value in values.items() if value}
    if "ntp_server_port" in typed:
        typed["ntp_server_port"] = whole(values, "ntp_server_port")
    if "ntp_server_host" not in typed:
        typed.pop("ntp_server_port", None)
    wish = parsed(wishes.LicenseWish, typed)
    checked = licenses.checked(wish.model_dump(include=set(licenses.KEYS)))
    await call.change(lambda change: licenses.put(change, wish.organization_id, checked))
    return Done("/licenses", f"License set for {wish.organization_id or 'all that have none of their own'}")


async def _tell_clear_license(call: Call) -> Told:
    whose = query_of(call, "org")
    return Told(
        f"Forget the license of {whose}?" if whose else "Forget the default license?",
        "/licenses",
        "Docks that would get it are refused, and disconnect, unless another one is there for them.",
    )


async def _clear_license(call: Call, _values: Values) -> Done:
    await call.change(lambda change: licenses.clear(change, query_of(call, "org") or None))
    return Done("/licenses", "Forgotten")


_NEW_PASSWORD = Field("password", "Password", "password", hint="Empty: one is made, and shown once.")

DEEDS = (
    Deed(path="/accounts/add", button="Add", tell=_tell_add_account, do=_add_account),
    Deed(
        path="/accounts/password",
        button="Set",
        tell=_tell_password,
        do=_set_password,
        fields=(_NEW_PASSWORD,),
        hurts=True,
    ),
    Deed(
        path="/accounts/disable",
        button="Disable",
        tell=_about_account("Disable", "Its connections end at once, and it can't log in until it is enabled again."),
        do=_disable,
        hurts=True,
    ),
    Deed(path="/accounts/enable", button="Enable", tell=_about_account("Enable", "It may log in again."), do=_enable),
    Deed(
        path="/accounts/unlock",
        button="Unlock",
        tell=_about_account("Unlock", "Its wrong passwords are forgotten, and it may try again."),
        do=_unlock,
    ),
    Deed(
        path="/accounts/unpin",
        button="Untie",
        tell=_tell_unpin,
        do=_unpin,
        fields=(Field("sn", "For the dock", hint="Its serial number. Empty: the next one that uses it.", longest=64),),
        hurts=True,
    ),
    Deed(
        path="/accounts/delete",
        button="Delete",
        tell=_about_account("Delete", "Its connections end at once. The dock and its binding stay known."),
        do=_delete_account,
        hurts=True,
    ),
    Deed(
        path="/organizations/add",
        button="Add",
        tell=_tell_add_organization,
        do=_add_organization,
        fields=(
            Field("name", "Name", required=True, longest=128, hint="What Pilot 2 shows."),
            Field("id", "Organization ID", longest=64, hint="Typed into Pilot 2. Empty: made from the name."),
        ),
    ),
    Deed(
        path="/organizations/{id}/rename",
        button="Rename",
        tell=_tell_rename_organization,
        do=_rename_organization,
        fields=(Field("name", "Name", required=True, longest=128),),
    ),
    Deed(
        path="/organizations/{id}/delete",
        button="Delete",
        tell=_tell_delete_organization,
        do=_delete_organization,
        hurts=True,
    ),
    Deed(
        path="/organizations/{id}/codes/add",
        button="Make",
        tell=_tell_add_code,
        do=_add_code,
        fields=(
            Field("uses", "Uses", "number", hint="How many binds it is good for. Empty: any number."),
            Field("expires", "Expires", hint="7d, 12h, 2026-05-01. Empty: never."),
            Field("sn", "Only for the dock", hint="Its serial number. Empty: any dock.", longest=64),
        ),
    ),
    Deed(path="/organizations/{id}/codes/revoke", button="Revoke", tell=_tell_revoke_code, do=_revoke_code, hurts=True),
    Deed(path="/licenses/set", button="Set", tell=_tell_license, do=_set_license),
    Deed(path="/licenses/clear", button="Forget", tell=_tell_clear_license, do=_clear_license, hurts=True),
)
