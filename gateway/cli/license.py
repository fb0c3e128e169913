"""``dockgate license``: what docks are handed when they ask for it. A JSON file comes in; key and license never go out again but
to a dock: everything shown here is cut short.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from gateway.cli import render, secrets
from gateway.cli.context import Change, Cli
from gateway.cli.options import Output, Yes, example, noun
from gateway.cli.render import Column
from gateway.cli.times import iso, local
from gateway.config.values import is_host
from gateway.errors import NotFoundError, RefusedError, UsageError
from gateway.model import License
from gateway.store import licenses, organizations

app = noun("App id, key and license from developer.dji.com: the default for all docks, or one organization's own.")

DEFAULT_NTP_PORT = 123  # docs/protocol.md 1.1: what a dock takes when none is sent
MAX_TEXT = 16_384
"""Licenses are some hundred characters; this only keeps a wrong file out."""
_KEYS = ("app_id", "app_key", "app_license", "ntp_server_host", "ntp_server_port")
_SHOWN_CHARACTERS = 4
_SHOWN_FROM_LENGTH = 16
"""Of a shorter secret even four characters would be much."""
# What sample configurations carry in the place of a value; a dock that is given one disconnects without a word
_PLACEHOLDER = re.compile(
    r"please\s+(enter|input)|change[-_ ]?me|place[-_ ]?holder|your[-_ ]"
    r"|^<.*>$|^\[.*\]$|^\{.*\}$|^\$|^x{3,}$|^\.{3}$|^(todo|none|null)$",
    re.IGNORECASE,
)

OrgOption = Annotated[
    str | None,
    typer.Option("--org", metavar="ID", help="One organization's own; else the default.", show_default=False),
]
_COLUMNS = (
    Column(
        "organization_id", "organization", show=lambda value: "(default)" if value is None else render.visible(value)
    ),
    Column("app_id", "app id", whole=True),
    Column("app_key", "app key"),
    Column("app_license", "license"),
    Column("ntp_server_host", "ntp server"),
)
_DETAILS = (*_COLUMNS, Column("ntp_server_port", "ntp port"), Column("changed_at", "changed", show=local))


@app.command(
    "set",
    epilog=example(
        "dockgate license set --file license.json",
        "pass show dji-license | dockgate license set --file - --org harbour",
    ),
)
def set_license(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Option(
            "--file",
            metavar="F",
            help=f"JSON object with {', '.join(_KEYS)}; - is standard input.",
            show_default=False,
        ),
    ],
    org: OrgOption = None,
    output: Output = None,
) -> None:
    """Store the license that docks are given."""
    cli = Cli.of(ctx, output)
    values = _parsed(secrets.read_file(file, what="a license"), file)
    for key in sorted(set(values) - set(_KEYS)):
        render.note(f"dockgate: license set: {file}: {render.visible(key)} is not known here and is left out")
    app_id = _app_id(values.get("app_id"))
    app_key = _text(values, "app_key")
    app_license = _text(values, "app_license")
    ntp_host, ntp_port = _ntp(values)

    def work(change: Change) -> License:
        if org is not None:
            organizations.get(change.db, org)
        license_ = License(
            organization_id=org,
            app_id=app_id,
            app_key=app_key,
            app_license=app_license,
            ntp_server_host=ntp_host,
            ntp_server_port=ntp_port,
            changed_at=change.now,
        )
        licenses.put(change.db, license=license_)
        change.audit("license.set", org or "", app_id=app_id, ntp_server_host=ntp_host, ntp_server_port=ntp_port)
        return license_

    render.record(describe(cli.change(work)), cli.format, columns=_DETAILS)
    if ntp_host is None:
        render.note(
            "hint: without ntp_server_host a dock that cannot reach the internet has a wrong clock and refuses flight tasks"
        )


@app.command("show", epilog=example("dockgate license show", "dockgate license show --org harbour"))
def show(ctx: typer.Context, org: OrgOption = None, output: Output = None) -> None:
    """The default license, or one organization's own. Key and license are cut short."""
    cli = Cli.of(ctx, output)
    found = next((one for one in cli.read(licenses.get_all) if one.organization_id == org), None)
    if found is None:
        whose = f"the organization {org} has no license of its own" if org else "no default license is set"
        raise NotFoundError(whose, hint=f"dockgate license set --file license.json{f' --org {org}' if org else ''}")
    render.record(describe(found), cli.format, columns=_DETAILS)


@app.command("list", epilog=example("dockgate license list"))
def list_licenses(ctx: typer.Context, output: Output = None) -> None:
    """The default license and those of organizations. Keys and licenses are cut short."""
    cli = Cli.of(ctx, output)
    found = [describe(one) for one in cli.read(licenses.get_all)]
    render.rows(found, cli.format, _COLUMNS, empty="no license is set: dockgate license set --file license.json")


@app.command("clear", epilog=example("dockgate license clear --org harbour --yes"))
def clear(ctx: typer.Context, org: OrgOption = None, yes: Yes = False, output: Output = None) -> None:
    """Forget the default license, or one organization's own."""
    cli = Cli.of(ctx, output)
    whose = f"the license of {render.visible(org)}" if org else "the default license"
    cli.confirm(f"Clear {whose}?", yes=yes)

    def work(change: Change) -> None:
        licenses.clear(change.db, org)
        change.audit("license.clear", org or "")

    cli.change(work)
    render.record({"organization_id": org, "cleared": True}, cli.format, text=f"{whose}: cleared")


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


def _parsed(content: bytes, file: str) -> dict[str, Any]:
    hint = f"it has to be a JSON object with {', '.join(_KEYS[:3])}"
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        # The text around the place could be the key itself
        raise UsageError(f"{file}: not JSON (line {error.lineno}, column {error.colno})", hint=hint) from None
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"{file}: not JSON", hint=hint) from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: JSON, but not an object", hint=hint)
    return values


def _app_id(value: Any) -> str:  # noqa: ANN401 - any JSON
    # docs/protocol.md 1.1: documents disagree whether it is text or a number; docks are sent text
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    return _checked_text("app_id", value)


def _text(values: dict[str, Any], key: str) -> str:
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


def _ntp(values: dict[str, Any]) -> tuple[str | None, int]:
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
