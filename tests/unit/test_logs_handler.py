"""How log lines get to their stream: when, how many at a time, and by the quick way as by the ordinary one."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from gateway import logs
from gateway.logs import ACCOUNT, SN


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    names = [name for name in logging.root.manager.loggerDict if name in {"amqtt", "aiosqlite", "asyncio"}]
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


def log() -> logging.Logger:
    return logging.getLogger("dockgate.test")


class Written(io.StringIO):
    """Remembers what each write was."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def to(stream: io.StringIO, form: Literal["text", "json"] = "text", level: str = "debug") -> None:
    logging.getLogger().handlers.clear()
    logs.configure(level, form, stream)


def test_lines_of_one_turn_are_written_together_and_a_warning_at_once() -> None:
    stream = Written()
    to(stream)

    async def say() -> None:
        log().info("one")
        log().debug("two")
        assert stream.writes == []
        await asyncio.sleep(0)
        assert [text.count("\n") for text in stream.writes] == [2]
        log().info("three")
        log().warning("four")
        assert [text.count("\n") for text in stream.writes] == [2, 2]

    asyncio.run(say())
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["one", "two", "three", "four"]


def test_a_line_of_a_loop_that_has_ended_is_not_lost() -> None:
    stream = Written()
    to(stream)

    async def say(word: str) -> None:
        log().info(word)

    for word in ("one", "two"):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(say(word))
        loop.close()  # before its next turn

    async def look() -> None:
        log().info("three")
        await asyncio.sleep(0)
        assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["one", "two", "three"]

    asyncio.run(look())


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "fields",
    [
        {ACCOUNT: "dock-1", logs.ADDRESS: "192.0.2.7", SN: None},
        {ACCOUNT: 'a "b" =\n', logs.ADDRESS: "fe80::1"},
        {"password": "hunter2", ACCOUNT: "x" * 5000},
        {"number": 7, "flag": True, "list": ["a", 1]},
    ],
)
def test_the_quick_way_says_the_same(form: Literal["text", "json"], fields: dict[str, Any]) -> None:
    stream = io.StringIO()
    to(stream, form)
    log().info("connected", extra=fields)
    logs.info(log(), "connected", fields)
    at = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
    slow, quick = (at.sub("", line) for line in stream.getvalue().splitlines())
    assert quick == slow
    assert "hunter2" not in quick


def test_the_quick_way_keeps_to_the_level() -> None:
    stream = io.StringIO()
    to(stream, level="warning")
    logs.info(log(), "connected", {ACCOUNT: "dock-1"})
    assert stream.getvalue() == ""
