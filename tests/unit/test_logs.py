"""Log lines: what they look like, what they must never show, and that nobody outside can forge or flood them."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from gateway import logs
from gateway.logs import ACCOUNT, REASON, SN, SUPPRESSED, TID, Bound, RateLimited

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error|critical) ")
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIO\n-----END EC PRIVATE KEY-----"
Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    names = [name for name in logging.root.manager.loggerDict if name in {"amqtt", "aiosqlite", "asyncio"}]
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


def configured(form: Literal["text", "json"] = "text", level: str = "debug") -> Lines:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own handler raises for lines that cannot be formatted
    logs.configure(level, form, stream)
    return lambda: stream.getvalue().splitlines()


def log() -> logging.Logger:
    return logging.getLogger("dockgate.test")


def log_failure(text: str) -> None:
    try:
        _fail(text)
    except ValueError:
        log().exception("failed")


def _fail(text: str) -> None:
    raise ValueError(text)


# -- shape ---------------------------------------------------------------------------------------------------------


def test_a_text_line_has_time_level_message_and_fields() -> None:
    lines = configured()
    log().warning("login %s", "refused", extra={ACCOUNT: "dock-1", REASON: "wrong password", TID: None, "ok": True})
    (line,) = lines()
    assert LINE.match(line)
    assert line.endswith(' warning login refused account=dock-1 reason="wrong password" ok=true')


def test_a_json_line_has_the_same_as_an_object() -> None:
    lines = configured("json")
    log().error("bound", extra={SN: "7CTDL", "count": 3, "data": {"a": [1, None]}, "level": "forged", "at": "forged"})
    entry = json.loads(lines()[0])
    assert re.fullmatch(r"\d{4}-.*Z", entry.pop("at"))
    assert entry == {
        "level": "error",
        "logger": "dockgate.test",
        "message": "bound",
        "sn": "7CTDL",
        "count": 3,
        "data": {"a": [1, None]},
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain-1.2:3/x", "plain-1.2:3/x"),
        ("", '""'),
        ("a b", '"a b"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a=b", '"a=b"'),
        ("grün", "grün"),
        (7, "7"),
        (False, "false"),
        (b"\xffab", r'"\\xffab"'),
        ({"k": "v w"}, r'"{\"k\": \"v w\"}"'),
        (("x", 2), r'"[\"x\", 2]"'),
        ({"k": {"k": {"k": {"k": {"k": {"k": {"k": 1}}}}}}}, None),
    ],
)
def test_a_value_reads_back_unambiguously(value: Any, shown: str | None) -> None:
    lines = configured()
    log().info("x", extra={"field": value})
    (line,) = lines()
    field = line.split(" field=", 1)[1]
    assert field == shown if shown is not None else "…" in field


def test_a_traceback_follows_indented_and_is_one_field_in_json() -> None:
    for form in ("text", "json"):
        lines = configured(form)
        log_failure("bad\n2026-01-01T00:00:00.000Z info forged line")
        entry, *rest = lines()
        if form == "text":
            assert entry.endswith(" error failed")
            assert rest[0] == "    Traceback (most recent call last):"
            assert all(line.startswith("    ") for line in rest)
        else:
            assert rest == []
            assert "ValueError: bad" in json.loads(entry)["traceback"]


def test_the_stack_is_shown_when_asked_for() -> None:
    lines = configured()
    log().info("here", stack_info=True)
    assert any("test_the_stack_is_shown" in line for line in lines()[1:])


# -- forging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "nasty",
    [
        "a\n2026-01-01T00:00:00.000Z info forged",
        "a\r\nb",
        "a\x1b[2K\x1b[1Ab",
        "a\x00b",
        "a\x85b",
        "a\u2028b",
        "a\u202eb",
        "a\ud800b",
        "a\x7fb\tb",
        "a\U000e0001b",
    ],
)
def test_what_a_client_sends_stays_inside_its_line(form: Literal["text", "json"], nasty: str) -> None:
    lines = configured(form)
    log().info("from %s", nasty, extra={"client_id": nasty, nasty: 1})
    text = "\n".join(lines())
    assert len(lines()) == 1
    assert text.isprintable()
    if form == "json":
        assert json.loads(text)["client_id"] == nasty
        assert text.isascii()


def test_long_values_are_cut_and_say_so() -> None:
    lines = configured()
    log().info("m" * 100_000, extra={"topic": "t" * 65_535})
    (line,) = lines()
    assert len(line) < 6_000
    assert f"…({65_535 - 512} more)" in line


# -- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "fields",
    [
        {"password": "hunter2"},
        {"password_hash": b"hunter2"},
        {"app_key": "hunter2"},
        {"app_license": "hunter2"},
        {"device_secret": "hunter2"},
        {"nonce": "hunter2"},
        {"api_token": ["hunter2"]},
        {"device_binding_code": "hunter2"},
        {"Authorization": "hunter2"},
        {"data": {"output": [{"app_key": "hunter2", "app_license": {"x": "hunter2"}}]}},
        {"data": {"deep": ({"private_key": "hunter2"},)}},
        {"note": "password=hunter2"},
        {"note": 'sent {"app_key": "hunter2"}'},
        {"note": KEY.replace("MHcC", "hunter2")},
        {"note": "-----BEGIN PRIVATE KEY-----\nhunter2 cut off"},
    ],
)
def test_a_field_never_shows_a_secret(form: Literal["text", "json"], fields: dict[str, Any]) -> None:
    lines = configured(form)
    log().warning("x", extra=fields)
    text = "\n".join(lines())
    assert logs.REDACTED in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("connect password='hunter2 x', username='u'", ()),
        ("key: %s", (KEY.replace("MHcC", "hunter2"),)),
        ("%(password)s for %(user)s", ({"password": "hunter2", "user": "u"},)),
        ('{"app_license":"hunter2"}', ()),
    ],
)
def test_a_message_never_shows_a_secret(message: str, arguments: tuple[Any, ...]) -> None:
    lines = configured()
    log().info(message, *arguments)
    assert "hunter2" not in "\n".join(lines())
    assert logs.REDACTED in lines()[0]


def test_a_traceback_never_shows_a_private_key() -> None:
    lines = configured()
    log_failure(KEY.replace("MHcC", "hunter2"))
    assert "hunter2" not in "\n".join(lines())


def test_ordinary_words_stay() -> None:
    lines = configured()
    log().info("token expired, secret santa", extra={"keyfile": "certs/server.key", "license_served": True, "key": "k"})
    assert lines()[0].endswith("token expired, secret santa keyfile=certs/server.key license_served=true key=k")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("hunter2")


def test_a_line_that_cannot_be_formatted_harms_nobody_and_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = configured()
    log().info("%d items", "hunter2", extra={"password": "hunter2"})
    log().info("x", extra={"value": Unprintable()})
    assert [("could not be formatted" in line, "test_logs.py" in line) for line in lines()] == [(True, True)] * 2
    assert "hunter2" not in "\n".join(lines()) + "".join(capsys.readouterr())


def test_a_stream_that_is_gone_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    logs.configure("info", "text", Gone())
    log().info("x", extra={"password": "hunter2"})
    assert "".join(capsys.readouterr()) == ""


# -- configuration -------------------------------------------------------------------------------------------------


def test_configuring_again_replaces_and_never_doubles() -> None:
    first = configured("text")
    second = io.StringIO()
    logs.configure("warning", "json", second)
    log().info("too low")
    log().warning("once")
    assert first() == []
    assert [json.loads(line)["message"] for line in second.getvalue().splitlines()] == ["once"]


def test_without_a_stream_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    log().info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(" info hello\n")


@pytest.mark.parametrize("name", ["amqtt.broker", "asyncio", "uvloop", "aiosqlite", "websockets.server", "transitions"])
def test_libraries_are_heard_from_warnings_on(name: str) -> None:
    lines = configured(level="debug")
    logging.getLogger(name).info("executing with password hash")
    logging.getLogger(name).warning("heard")
    assert len(lines()) == 1
    lines = configured(level="error")
    logging.getLogger(name).warning("too low now")
    assert lines() == []


def test_a_bound_logger_adds_its_fields_and_the_call_wins() -> None:
    lines = configured()
    bound = Bound(log(), {SN: "A", TID: "t1"})
    bound.info("x", extra={TID: "t2", REASON: "r"})
    bound.info("y")
    assert lines()[0].endswith("info x sn=A tid=t2 reason=r")
    assert lines()[1].endswith("info y sn=A tid=t1")


def test_field_names_are_distinct_and_do_not_collide_with_logging() -> None:
    names = [
        value for name, value in vars(logs).items() if name.isupper() and isinstance(value, str) and name != "REDACTED"
    ]
    assert len(names) == len(set(names)) > 15
    log().info("accepted", extra=dict.fromkeys(names, 1))  # logging raises KeyError for a name of its own


# -- limiting ------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def limited(**options: Any) -> tuple[RateLimited, Clock, Lines]:
    clock = Clock()
    return RateLimited(log(), clock=clock, **options), clock, configured()


def test_one_line_per_key_and_interval_then_how_many_were_left_out() -> None:
    limit, clock, lines = limited(interval_s=10)
    assert limit.warning("A", "bad json", sn="A")
    assert [limit.warning("A", "bad json", sn="A") for _ in range(3)] == [False] * 3
    assert limit.warning("B", "bad json", sn="B")
    clock.now += 9.9
    assert not limit.warning("A", "bad json", sn="A")
    clock.now += 0.1
    assert limit.warning("A", "bad json", sn="A")
    assert limit.warning("B", "bad json", sn="B")
    assert [line.split(" ", 2)[2] for line in lines()] == [
        "bad json sn=A",
        "bad json sn=B",
        f"bad json sn=A {SUPPRESSED}=4",
        "bad json sn=B",
    ]


def test_the_end_tells_what_was_left_out() -> None:
    limit, _, lines = limited()
    for _ in range(5):
        limit.warning("A", "100 % bad json")
    limit.warning("B", "fine")
    limit.flush()
    limit.flush()
    assert [line.split(" ", 2)[2] for line in lines()] == [
        "100 % bad json",
        "fine",
        "100 % bad json: 4 more suppressed",
    ]
    assert len(limit) == 0


def test_a_key_of_which_nothing_more_is_heard_is_counted_when_its_room_is_needed() -> None:
    limit, clock, lines = limited(interval_s=10, max_keys=2)
    limit.warning("A", "first")
    limit.warning("A", "first")
    limit.warning("B", "second")
    clock.now += 10
    limit.warning("C", "third")
    assert [line.split(" ", 2)[2] for line in lines()] == ["first", "second", "first: 1 more suppressed", "third"]
    assert len(limit) == 1


def test_ever_new_keys_cost_neither_memory_nor_lines() -> None:
    limit, clock, lines = limited(interval_s=10, max_keys=50)
    for number in range(10_000):
        limit.warning(f"address-{number}", "refused", address=number)
    assert len(lines()) == 51
    assert len(limit) == 51
    assert "too many different log lines of one kind sample=refused address=50" in lines()[-1]
    clock.now += 10
    limit.warning("a new one", "refused")
    assert "9949 more suppressed" in "\n".join(lines())
    assert len(limit) == 1
