"""Accounts: who may connect."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gateway.model import Role
from gateway.operations import accounts
from gateway.operations.credentials import hashed
from gateway.web import answers, wishes
from gateway.web.declarations import Call, Endpoints

endpoints = Endpoints("accounts")


@endpoints.add("GET", "/accounts", "All accounts", gives=list[answers.Account])
async def every(call: Call) -> Any:  # noqa: ANN401 - JSON
    return await call.read_json(accounts.every)


@endpoints.add(
    "POST",
    "/accounts",
    "Add an account",
    takes=wishes.AccountWish,
    gives=answers.MadeAccount,
    status=HTTPStatus.CREATED,
    errors=(404, 409),
)
async def add(call: Call, wish: wishes.AccountWish) -> dict[str, Any]:
    role = Role(wish.role)
    accounts.check(wish.account, role=role, sn=wish.sn, can_read_sys=wish.can_read_sys)
    made, password_hash = await call.context.off_loop(hashed, wish.password)
    result = await call.change(
        lambda change: accounts.add(
            change,
            wish.account,
            role=role,
            sn=wish.sn,
            organization_id=wish.organization_id,
            can_read_sys=wish.can_read_sys,
            password_hash=password_hash,
        )
    )
    return _with_password(result, made)


@endpoints.add("GET", "/accounts/{name}", "One account, and its locks", gives=answers.AccountWithLocks, errors=(404,))
async def show(call: Call) -> dict[str, Any]:
    return await call.read(accounts.show, call.path["name"])


@endpoints.add(
    "DELETE", "/accounts/{name}", "Delete an account; its connections end", gives=answers.DeletedAccount, errors=(404,)
)
async def delete(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: accounts.delete(change, call.path["name"]))


@endpoints.add(
    "POST",
    "/accounts/{name}/password",
    "A new password; connections with the old one end",
    takes=wishes.PasswordWish,
    gives=answers.MadeAccount,
    errors=(404,),
)
async def set_password(call: Call, wish: wishes.PasswordWish) -> dict[str, Any]:
    made, password_hash = await call.context.off_loop(hashed, wish.password)
    result = await call.change(
        lambda change: accounts.set_password(change, call.path["name"], password_hash, made=made is not None)
    )
    return _with_password(result, made)


@endpoints.add("POST", "/accounts/{name}/enable", "Let an account in again", gives=answers.Account, errors=(404,))
async def enable(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: accounts.switch(change, call.path["name"], enabled=True))


@endpoints.add(
    "POST", "/accounts/{name}/disable", "Keep an account out; its connections end", gives=answers.Account, errors=(404,)
)
async def disable(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: accounts.switch(change, call.path["name"], enabled=False))


@endpoints.add(
    "POST",
    "/accounts/{name}/unpin",
    "Untie it from its dock; its connections end",
    takes=wishes.UnpinWish,
    gives=answers.Unpinned,
    errors=(404, 409),
)
async def unpin(call: Call, wish: wishes.UnpinWish) -> dict[str, Any]:
    return await call.change(lambda change: accounts.unpin(change, call.path["name"], wish.sn))


@endpoints.add(
    "POST",
    "/accounts/{name}/unlock",
    "Forget the wrong passwords that locked it",
    gives=answers.Unlocked,
    errors=(404,),
)
async def unlock(call: Call) -> dict[str, Any]:
    return await call.change(lambda change: accounts.unlock(change, call.path["name"]))


@endpoints.add(
    "POST",
    "/locks/clear",
    "Forget wrong passwords: of an account, of an address, or of both together",
    takes=wishes.UnlockWish,
    gives=answers.Unlocked,
    errors=(404,),
)
async def clear_locks(call: Call, wish: wishes.UnlockWish) -> dict[str, Any]:
    return await call.change(lambda change: accounts.unlock(change, wish.account, wish.address))


def _with_password(result: dict[str, Any], made: str | None) -> dict[str, Any]:
    return result if made is None else {**result, "password": made}
