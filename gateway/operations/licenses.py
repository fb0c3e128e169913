"""What docks are handed when they ask for the license. Values come in and are checked; key and license never go out again but to
a dock: everything shown is cut short.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.config.values import is_host
from gateway.errors import NotFoundError, RefusedError, UsageError
from gateway.model import License
from gateway.operations.change import Change, Db
from gateway.operations.times import iso
from gateway.store import licenses, organizations

DEFAULT_NTP_PORT = 123  # docs/protocol.md 1.1: what a dock takes when none is sent
MAX_TEXT = 16_384
"""Licenses are some hundred characters; this only keeps a wrong file out."""
KEYS = ("app_id", "app_key", "app_license", "ntp_server_host", "ntp_server_port")
_SHOWN_CHARACTERS = 4
_SHOWN_FROM_LENGTH = 16
"""Of a shorter secret even four characters would be much."""
# What sample configurations carry in the place of a value; a dock that is given one disconnects without a word
_PLACEHOLDER = re.compile(
    r"please\s+(enter|input)|change[-_ ]?me|place[-_ ]?holder|your[-_ ]"
    r"|^<.*>$|^\[.*\]$|^\{.*\}$|^\$|^x{3,}$|^\.{3}$|^(todo|none|null)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Values:
    """Checked, and ready to be stored."""

    app_id: str
    app_key: str = field(repr=False)
    app_license: str = field(repr=False)
    ntp_server_host: str | None
    ntp_server_port: int


def checked(values: Mapping[str, Any]) -> Values:
    """``values``: ``KEYS``, of any JSON. Errors: ``UsageError``, ``RefusedError`` for a placeholder; never with a value."""
    ntp_host, ntp_port = _ntp(values)
    return Values(
        app_id=_app_id(values.get("app_id")),
        app_key=_text(values, "app_key"),
        app_license=_text(values, "app_license"),
        ntp_server_host=ntp_host,
        ntp_server_port=ntp_port,
    )


def put(change: Change, organization_id: str | None, values: Values) -> dict[str, Any]:
    if organization_id is not None:
        organizations.get(change.db, organization_id)
    license_ = License(
        organization_id=organization_id,
        app_id=values.app_id,
        app_key=values.app_key,
        app_license=values.app_license,
        ntp_server_host=values.ntp_server_host,
        ntp_server_port=values.ntp_server_port,
        changed_at=change.now,
    )
    licenses.put(change.db, license=license_)
    change.audit(
        "license.set",
        organization_id or "",
        app_id=values.app_id,
        ntp_server_host=values.ntp_server_host,
        ntp_server_port=values.ntp_server_port,
    )
    return describe(license_)


def every(db: Db) -> list[dict[str, Any]]:
    return [describe(one) for one in licenses.get_all(db)]


def show(db: Db, organization_id: str | None) -> dict[str, Any]:
    found = next((one for one in licenses.get_all(db) if one.organization_id == organization_id), None)
    if found is None:
        own = organization_id is not None
        whose = f"the organization {organization_id} has no license of its own" if own else "no default license is set"
        raise NotFoundError(
            whose, hint=f"dockgate license set --file license.json{f' --org {organization_id}' if own else ''}"
        )
    return describe(found)


def clear(change: Change, organization_id: str | None) -> dict[str, Any]:
    licenses.clear(change.db, organization_id)
    change.audit("license.clear", organization_id or "")
    return {"organization_id": organization_id, "cleared": True}


def describe(license_: License) -> dict[str, Any]:
    """The keys are a promise; the app id is no secret (it is in every request a dock makes), key and license are."""
    return {
        "organization_id": license_.organization_id,
        "app_id": license_.app_id,
        "app_key": redacted(license_.app_key),
        "app_license": redacted(license_.app_license),
        "ntp_server_host": license_.ntp_server_host,
        "ntp_server_port": license_.ntp_server_port,
        "changed_at": iso(license_.changed_at),
    }


def redacted(secret: str) -> str:
    """Enough to tell two apart."""
    start = secret[:_SHOWN_CHARACTERS] if len(secret) >= _SHOWN_FROM_LENGTH else ""
    return f"{start}… ({len(secret)} characters)"


def is_placeholder(value: str) -> bool:
    return _PLACEHOLDER.search(value.strip()) is not None


def _app_id(value: Any) -> str:  # noqa: ANN401 - any JSON
    # docs/protocol.md 1.1: documents disagree whether it is text or a number; docks are sent text
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    return _checked_text("app_id", value)


def _text(values: Mapping[str, Any], key: str) -> str:
    return _checked_text(key, values.get(key))


def _checked_text(key: str, value: Any) -> str:  # noqa: ANN401 - any JSON
    if value is None:
        raise UsageError(f"{key} is missing")
    if not isinstance(value, str):
        raise UsageError(f"{key} has to be text")
    text = value.strip()
    if not text:
        raise UsageError(f"{key} is empty")
    if len(text) > MAX_TEXT or not text.isprintable():
        raise UsageError(f"{key} has characters that no such value has, or too many")
    if is_placeholder(text):
        raise RefusedError(
            f"{key} is a placeholder, not a value",
            hint="copy app id, key and license from your app on developer.dji.com",
        )
    return text


def _ntp(values: Mapping[str, Any]) -> tuple[str | None, int]:
    host, port = values.get("ntp_server_host"), values.get("ntp_server_port")
    if host is None or host == "":
        host = None
    elif not isinstance(host, str) or not is_host(host.strip()):
        raise UsageError("ntp_server_host has to be a host name or an address, without scheme and port")
    else:
        host = host.strip()
    if port is None or port == "":
        return host, DEFAULT_NTP_PORT
    if isinstance(port, str) and re.fullmatch(r"[0-9]{1,5}", port):
        port = int(port)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise UsageError("ntp_server_port has to be a number from 1 to 65535")
    return host, port
