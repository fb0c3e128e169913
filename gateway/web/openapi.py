"""The OpenAPI document, made from the declarations of the endpoints; it holds no text of its own about one."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, TypeAdapter

import gateway
from gateway.store.tokens import Scope
from gateway.web import answers
from gateway.web.access import CSRF_HEADER, PLAIN_COOKIE
from gateway.web.declarations import PREFIX, Endpoint

_TEMPLATE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_TAGS = {
    "installation": "The gateway and its installation.",
    "docks": "Docks and their aircraft.",
    "accounts": "Who may connect: docks, services, observers.",
    "organizations": "Organizations, their binding codes and licenses.",
    "certificates": "Server and client certificates of this installation's own CA.",
    "streams": "What happens, as it happens (server-sent events).",
}
_OF_PATH = {
    "name": "The account.",
    "id": "The organization's id.",
    "sn": "Serial number of a dock or an aircraft.",
}
# What each endpoint can answer: no credentials or bad ones, too often, the database cannot be used.
_ALWAYS = (400, 401, 429, 503)
_MEANINGS = {
    400: "Something of the request is off.",
    401: "No token or session that counts.",
    403: "The token may only read, or the word against forgery is missing.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "It exists already, or belongs to somebody else.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "Understood, and not accepted.",
    429: "Too often; Retry-After says when it is worth another try.",
    503: "The database or a place cannot be had now.",
}


def document(endpoints: list[Endpoint]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    _schema(answers.Failure, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dockgate",
            "version": gateway.__version__,
            "description": "What the commands can do and show, over HTTP. Keys are those of `-o json`.",
        },
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`dockgate token add NAME --scope read`"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": PLAIN_COOKIE,
                    "description": f"An operator's, from /login; what changes something needs {CSRF_HEADER}, too.",
                },
            },
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": endpoint.handler.__module__.rpartition(".")[2] + "_" + endpoint.handler.__name__,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint, schemas)],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.takes is not None and endpoint.takes_body:
        schema = _schema(endpoint.takes, schemas, mode="validation")
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _OF_PATH[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(path)
    ]


def _query_parameters(endpoint: Endpoint, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.takes is None or endpoint.takes_body:
        return []
    schema = TypeAdapter(endpoint.takes).json_schema(ref_template=_TEMPLATE)
    schemas.update(schema.pop("$defs", {}))
    parameters = []
    for name, told in schema.get("properties", {}).items():
        # in a query there is no null: it is left out
        kinds = [kind for kind in told.get("anyOf", []) if kind != {"type": "null"}]
        inner = {key: value for key, value in told.items() if key not in {"description", "title", "anyOf"}}
        inner |= kinds[0] if kinds else {}
        if inner.get("default", 0) is None:
            del inner["default"]
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": told.get("description", ""),
                "schema": inner,
            }
        )
    return parameters


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    media_type = "text/event-stream" if endpoint.streams else "application/json"
    answer = {"description": "Done.", "content": {media_type: {"schema": _schema(endpoint.gives, schemas)}}}
    statuses = {*_ALWAYS, *endpoint.errors}
    if endpoint.scope is Scope.WRITE:
        statuses.add(403)
    if endpoint.takes_body:
        statuses |= {408, 413, 415}
    failure = {"application/json": {"schema": {"$ref": _TEMPLATE.format(model=answers.Failure.__name__)}}}
    return {
        str(endpoint.status): answer,
        **{str(status): {"description": _MEANINGS[status], "content": failure} for status in sorted(statuses)},
    }


def _schema(kind: Any, schemas: dict[str, Any], *, mode: Any = "serialization") -> dict[str, Any]:  # noqa: ANN401
    """A reference to ``kind``, whose schema goes into ``schemas``; what is no model stands for itself."""
    schema = TypeAdapter(kind).json_schema(ref_template=_TEMPLATE, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = schema
        return {"$ref": _TEMPLATE.format(model=kind.__name__)}
    return schema
