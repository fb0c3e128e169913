"""docs/errors.md names every kind of error, every finding of doctor and every reason of a refusal, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from gateway import errors
from gateway.operations import certificates
from gateway.pki import ClientFault
from gateway.refusals import Reason

from .reference_tables import ROOT

TEXT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
# The steps that a look at an address can end with (gateway/cli/probe.py)
STEPS = ("connect", "tls", "login")


def section(heading: str) -> str:
    start = TEXT.index(f"## {heading}\n")
    return TEXT[start : TEXT.find("\n## ", start) if "\n## " in TEXT[start:] else None]


def rows(heading: str) -> list[str]:
    return re.findall(r"^\| `?(\w+)`? \|", section(heading), re.MULTILINE)


def kinds() -> list[type[errors.DockgateError]]:
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.DockgateError)]


def test_every_kind_of_error_is_explained() -> None:
    text = section("Kinds of errors")
    assert len(kinds()) > 12
    for kind in kinds():
        row = rf"| `{kind.code}` | `{kind.__name__}` |"
        if not issubclass(kind, errors.PeerError):
            row = rf"| `{kind.code}` | {kind.exit_code} | `{kind.__name__}` |"
        assert row in text, kind


def test_every_reason_of_an_unusable_message_is_named() -> None:
    source = (ROOT / "gateway" / "envelope.py").read_text(encoding="utf-8")
    reasons = set(re.findall(r"EnvelopeError\(\s*\"(\w+)\"", source))
    assert reasons
    assert all(f"`{reason}`" in section("Kinds of errors") for reason in reasons)


def test_every_exit_code_is_explained() -> None:
    codes = {kind.exit_code for kind in kinds()} | {0, 130}
    assert {int(code) for code in rows("Exit codes") if code.isdecimal()} == codes


def findings() -> Iterator[str]:
    """The ids of all findings, from the source: the first argument of each ``Finding``."""
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
                yield from _ids(node.args[0])


def _ids(node: ast.expr) -> Iterator[str]:
    match ast.unparse(node):
        case "_IDS[flaw.fault]":
            yield from certificates._IDS.values()
        case "f'client_{flaw.fault}'":
            yield from (f"client_{fault}" for fault in ClientFault)
        case "f'{step}_failed'":
            yield from (f"{step}_failed" for step in STEPS)
        case _:
            found = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
            assert found, f"a finding whose id nobody can read: {ast.unparse(node)}"
            # of a condition, the texts that are chosen from
            if isinstance(node, ast.IfExp):
                found = [ast.literal_eval(node.body), ast.literal_eval(node.orelse)]
            yield from map(str, found)


def test_every_finding_of_doctor_is_explained_and_no_other() -> None:
    assert sorted(set(rows("What doctor finds")) - {"id"}) == sorted(set(findings()))


def test_every_reason_of_a_refusal_is_explained_and_no_other() -> None:
    assert rows("Why somebody was not let in")[1:] == [one.value for one in Reason]


def test_every_step_that_a_look_at_an_address_can_end_with_is_known() -> None:
    """`trust` has a finding of its own, and `ping` is for `health`."""
    source = (ROOT / "gateway" / "cli" / "probe.py").read_text(encoding="utf-8")
    assert set(re.findall(r"_step\(\"(\w+)\"\)", source)) == {*STEPS, "trust", "ping"}
