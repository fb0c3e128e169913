"""The pure parts of the command line: times, cells, redaction, names, steps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.cli import times
from gateway.cli.render import cell, visible
from gateway.errors import UsageError
from gateway.model import AccessStep, BindingCode, Device
from gateway.operations.accounts import check_name
from gateway.operations.licenses import is_placeholder, redacted
from gateway.operations.live import Live
from gateway.operations.organizations import cut, usable_code

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "ahead_ms"),
    [("90s", 90_000), ("15m", 900_000), ("12h", 12 * HOUR), ("7d", 168 * HOUR), ("2w", 336 * HOUR), (" 1 h ", HOUR)],
)
def test_spans(text: str, ahead_ms: int) -> None:
    assert times.until(text, NOW, option="--expires") == NOW + ahead_ms
    assert times.since(text, NOW, option="--since") == NOW - ahead_ms


def test_moments() -> None:
    assert times.since("2025-12-31T23:00:00Z", NOW, option="--since") == NOW - HOUR
    assert times.since("2026-01-01T00:00:00+01:00", NOW, option="--since") == NOW - HOUR
    assert times.until("2026-01-01T00:00:00.001Z", NOW, option="--expires") == NOW + 1
    local_midnight = int(datetime(2026, 5, 1).astimezone().timestamp() * 1000)
    assert times.until("2026-05-01", NOW, option="--expires") == local_midnight


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "0d", "7 years", "tomorrow", "2026-13-01", "99999-01-01", "9" * 20 + "d"]
)
def test_no_times(text: str) -> None:
    with pytest.raises(UsageError):
        times.since(text, NOW, option="--since")


@pytest.mark.parametrize("text", ["2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z"])
def test_nothing_expires_in_the_past(text: str) -> None:
    with pytest.raises(UsageError, match="past"):
        times.until(text, NOW, option="--expires")


def test_iso_goes_back_and_forth() -> None:
    assert times.iso(NOW) == "2026-01-01T00:00:00.000Z"
    assert times.iso(NOW + 7) == "2026-01-01T00:00:00.007Z"
    assert times.since(times.iso(NOW + 7) or "", NOW, option="--since") == NOW + 7
    assert times.iso(None) is None
    assert times.local(None) == "-"
    expected = datetime.fromtimestamp(NOW / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert times.local(times.iso(NOW)) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ([], "-"),
        (["a", None], "a, -"),
        ({"a": 1, "b": None}, "a=1, b=-"),
        ("Häfen 港口", "Häfen 港口"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines\x00", "two\\nlines\\x00"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\udcff", "\\udcff"),
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert cell(value) == shown
    assert visible(cell(value)) == shown


@pytest.mark.parametrize("name", ["a", "dock-7", "Dock.7@site", "x" * 64, "гнездо"])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", " ", "a b", "a\tb", "a\u00a0b", "a\x7f", "\ud800", "x" * 65])
def test_no_names(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_redaction_shows_four_characters_at_most() -> None:
    for secret in ("a" * 4, "abcdefghijklmno", "abcdefghijklmnop", "x" * 500):
        assert sum(char in secret for char in redacted(secret).split("…")[0]) <= 4
        assert str(len(secret)) in redacted(secret)
    assert redacted("abcdefghijklmno").startswith("…")
    assert cut("H4RB0RTEAM") == "H4R…"


@pytest.mark.parametrize(
    "value", ["123456", "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "bGljZW5zZQ==", "yourself", "exchange"]
)
def test_real_values_are_no_placeholders(value: str) -> None:
    assert not is_placeholder(value)


def code(name: str, **changes: object) -> BindingCode:
    fields: dict[str, object] = {
        "organization_id": "fleet", "uses_left": None, "expires_at": None, "sn": None, "revoked_at": None, "created_at": NOW,
    }  # fmt: skip
    return BindingCode(code=name, **{**fields, **changes})  # type: ignore[arg-type]


def test_the_code_that_is_offered() -> None:
    unusable = [
        code("REVOKED", revoked_at=NOW),
        code("USED", uses_left=0),
        code("EXPIRED", expires_at=NOW),
        code("ELSEWHERE", organization_id="other"),
        code("OTHERDOCK", sn="SN2"),
    ]
    assert usable_code(unusable, "fleet", NOW, sn="SN1") is None
    limited = code("LIMITED", uses_left=1, created_at=NOW + 2)
    free = code("FREE")
    own = code("OWN", sn="SN1", uses_left=1)
    for order in ([*unusable, limited, free, own], [own, free, limited, *unusable]):
        assert usable_code(order, "fleet", NOW) == free
        assert usable_code(order, "fleet", NOW, sn="SN1") == own
    assert usable_code([limited], "fleet", NOW) == limited


@pytest.mark.parametrize(
    ("step", "bound", "online", "running", "shown"),
    [
        (AccessStep.CONNECTED, False, False, True, AccessStep.CONNECTED),
        (AccessStep.BOUND, True, False, True, AccessStep.BOUND),
        (AccessStep.ONLINE, True, True, True, AccessStep.ONLINE),
        (AccessStep.ONLINE, True, False, True, AccessStep.BOUND),
        (AccessStep.ONLINE, True, True, False, AccessStep.BOUND),
        (AccessStep.ONLINE, False, False, True, AccessStep.LICENSED),
    ],
)
def test_step_that_still_holds(step: AccessStep, bound: bool, online: bool, running: bool, shown: AccessStep) -> None:
    dock = Device(
        sn="SN1",
        gateway_sn=None,
        is_gateway=True,
        model_key="3-2-0",
        callsign="",
        organization_id="fleet" if bound else None,
        bound_at=NOW if bound else None,
        first_seen_at=NOW,
        last_seen_at=NOW,
        online=online,
        access_step=step,
    )
    assert Live(running, None).step(dock) is shown
