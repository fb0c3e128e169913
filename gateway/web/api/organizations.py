"""Organizations, their binding codes and licenses. Who may only read is shown codes cut short: a code opens a door."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gateway.operations import licenses, organizations
from gateway.operations.organizations import cut
from gateway.web import answers, wishes
from gateway.web.declarations import Call, Endpoints

endpoints = Endpoints("organizations")


@endpoints.add("GET", "/organizations", "All organizations", gives=list[answers.Organization])
async def every(call: Call) -> list[dict[str, Any]]:
    return [hidden(call, one) for one in await call.read(organizations.every, call.context.now)]


@endpoints.add(
    "POST",
    "/organizations",
    "Add an organization, with a first binding code",
    takes=wishes.OrganizationWish,
    gives=answers.Organization,
    status=HTTPStatus.CREATED,
    errors=(409,),
)
async def add(call: Call, wish: wishes.OrganizationWish) -> dict[str, Any]:
    return await call.change(lambda change: organizations.create(change, name=wish.name, wanted_id=wish.id))


@endpoints.add(
    "GET",
    "/organizations/{id}",
    "One organization with its binding codes",
    gives=answers.OrganizationWithCodes,
    errors=(404,),
)
async def show(call: Call) -> dict[str, Any]:
    found = hidden(call, await call.read(organizations.show, call.path["id"], call.context.now))
    return {**found, "codes": [hidden(call, code) for code in found["codes"]]}


@endpoints.add(
    "PATCH",
    "/organizations/{id}",
    "Give it another name; its id stays",
    takes=wishes.NameWish,
    gives=answers.Organization,
    errors=(404,),
)
async def rename(call: Call, wish: wishes.NameWish) -> dict[str, Any]:
    return await call.change(lambda change: organizations.rename(change, call.path["id"], wish.name))


@endpoints.add(
    "DELETE",
    "/organizations/{id}",
    "Delete it with its codes and its license",
    gives=answers.DeletedOrganization,
    errors=(404, 409),
)
async def delete(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: organizations.delete(change, call.path["id"]))


@endpoints.add(
    "GET", "/codes", "Binding codes, used up and revoked ones too", takes=wishes.OfOrganization, gives=list[answers.Code],
    errors=(404,),
)  # fmt: skip
async def every_code(call: Call, wish: wishes.OfOrganization) -> list[dict[str, Any]]:
    found = await call.read(organizations.every_code, wish.organization_id, call.context.now)
    return [hidden(call, code) for code in found]


@endpoints.add(
    "POST",
    "/organizations/{id}/codes",
    "Make a binding code",
    takes=wishes.CodeWish,
    gives=answers.Code,
    status=HTTPStatus.CREATED,
    errors=(404,),
)
async def add_code(call: Call, wish: wishes.CodeWish) -> dict[str, Any]:
    return await call.change(
        lambda change: organizations.add_code(change, call.path["id"], uses=wish.uses, expires=wish.expires, sn=wish.sn)
    )


@endpoints.add(
    "POST",
    "/codes/revoke",
    "End a binding code; what it bound stays bound",
    takes=wishes.RevokedCodeWish,
    gives=answers.Code,
    errors=(404,),
)
async def revoke_code(call: Call, wish: wishes.RevokedCodeWish) -> dict[str, Any]:
    return await call.change(lambda change: organizations.revoke_code(change, wish.binding_code))


# -- licenses


@endpoints.add(
    "GET", "/licenses", "The default license and those of organizations, cut short", gives=list[answers.License]
)
async def every_license(call: Call) -> list[dict[str, Any]]:
    return await call.read(licenses.every)


@endpoints.add(
    "GET",
    "/license",
    "The default license, or one organization's own, cut short",
    takes=wishes.OfLicense,
    gives=answers.License,
    errors=(404,),
)
async def show_license(call: Call, wish: wishes.OfLicense) -> dict[str, Any]:
    return await call.read(licenses.show, wish.organization_id)


@endpoints.add(
    "PUT",
    "/license",
    "Store the license that docks are given",
    takes=wishes.LicenseWish,
    gives=answers.License,
    errors=(404, 422),
)
async def put_license(call: Call, wish: wishes.LicenseWish) -> dict[str, Any]:
    values = licenses.checked(wish.model_dump(include=set(licenses.KEYS)))
    return await call.change(lambda change: licenses.put(change, wish.organization_id, values))


@endpoints.add(
    "DELETE",
    "/license",
    "Forget the default license, or one organization's own",
    takes=wishes.OfLicense,
    gives=answers.ClearedLicense,
    errors=(404,),
)
async def clear_license(call: Call, wish: wishes.OfLicense) -> dict[str, Any]:
    return await call.change(lambda change: licenses.clear(change, wish.organization_id))


def hidden(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    """``found`` with its binding code cut short, unless the caller may write."""
    code = found["binding_code"]
    return found if code is None or call.caller.may_write else {**found, "binding_code": cut(code)}
