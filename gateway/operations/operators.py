"""Who may log in to the console. Names and a hash come in, a record goes out; never a password, never a hash."""

from __future__ import annotations

from typing import Any

from gateway.operations.accounts import check_name
from gateway.operations.change import Change, Db
from gateway.operations.times import iso
from gateway.store import operators
from gateway.store.operators import Operator


def add(change: Change, name: str, password_hash: str) -> dict[str, Any]:
    check_name(name, what="an operator")
    operator = operators.add(change.db, name=name, password_hash=password_hash, now=change.now)
    change.audit("operator.add", name)
    return describe(operator)


def every(db: Db) -> list[dict[str, Any]]:
    return [describe(operator) for operator in operators.list_all(db)]


def set_password(change: Change, name: str, password_hash: str, *, made: bool) -> dict[str, Any]:
    operator = operators.set_password(change.db, name, password_hash, change.now)
    change.audit("operator.passwd", name, made=made)
    return describe(operator)


def delete(change: Change, name: str) -> dict[str, Any]:
    operators.delete(change.db, name)
    change.audit("operator.delete", name)
    return {"operator": name, "deleted": True}


def describe(operator: Operator) -> dict[str, Any]:
    """The keys are a promise; the hash is not among them."""
    return {
        "operator": operator.name,
        "created_at": iso(operator.created_at),
        "changed_at": iso(operator.changed_at),
        "last_login_at": iso(operator.last_login_at),
    }
