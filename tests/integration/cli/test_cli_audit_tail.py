"""``audit tail`` follows what is written, as a process whose lines a test reads, until it is told to end."""

from __future__ import annotations

import json
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def following(dockgate: Any, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        dockgate.command(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dockgate.environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return line


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_entries_as_they_come(dockgate: Any, fmt: str) -> None:
    with following(dockgate, "-o", fmt, "audit", "tail") as process:
        begun = [json.loads(next_line(process)) for _ in range(2)]
        assert [entry["action"] for entry in begun] == ["org.add", "account.add"]
        assert set(begun[0]) == {"at", "actor", "action", "target", "outcome", "detail"}
        for name in ("Harbour", "Pier"):
            dockgate.ok("org", "add", name)
            assert json.loads(next_line(process))["detail"]["name"] == name
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err.strip()) == (130, "", "")


def test_only_the_newest_and_one_dock(dockgate: Any) -> None:
    with following(dockgate, "-o", "jsonl", "audit", "tail", "--lines", "1", "--dock", "7CTDM7100B1234") as process:
        dockgate.ok("org", "add", "Harbour")
        dockgate.ok("account", "add", "dock-7", "--role", "dock", "--sn", "7CTDM7100B1234")
        assert json.loads(next_line(process))["target"] == "dock-7"


def test_nothing_from_before(dockgate: Any) -> None:
    with following(dockgate, "audit", "tail", "-n", "0") as process:
        # It says nothing until something happens; until it has begun to follow, what happens is from before
        for number in range(100):
            dockgate.ok("org", "add", f"Number {number}")
            if select.select([process.stdout], [], [], 0.3)[0]:
                break
        line = next_line(process)
        assert "org.add" in line
        assert "  ok  " in line
        assert "account.add" not in line


def test_goes_on_after_a_restore(dockgate: Any, tmp_path: Path) -> None:
    file = str(tmp_path / "b.tar.gz")
    dockgate.ok("backup", "create", file)
    with following(dockgate, "-o", "jsonl", "audit", "tail", "--lines", "1") as process:
        assert json.loads(next_line(process))["action"] == "backup.create"
        dockgate.ok("backup", "restore", file, "--yes")
        for number in range(100):
            dockgate.ok("org", "add", f"Number {number}")
            if select.select([process.stdout], [], [], 0.3)[0]:
                break
        assert json.loads(next_line(process))["action"] == "org.add"


def test_a_reader_that_goes_away_ends_it(dockgate: Any) -> None:
    with following(dockgate, "-o", "jsonl", "audit", "tail") as process:
        next_line(process)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        dockgate.ok("org", "add", "One")
        assert process.wait(20) == 0


def test_without_a_database(dockgate: Any) -> None:
    dockgate.database.unlink()
    assert dockgate.run("audit", "tail").code == 6
