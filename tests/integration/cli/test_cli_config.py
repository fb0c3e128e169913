"""``--config`` on a file that is none, or has a mistake in it: said in plain words, with the place, and nothing of it repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SHADOW = "root:$6$hunter2hunter2:19000:0:99999:7:::\nadmin:$y$hunter2hunter2:19001:0:99999:7:::\n"


@pytest.mark.parametrize("text", [SHADOW, "admin: hunter2hunter2\nhunter2: hunter2hunter2\n"])
@pytest.mark.parametrize("words", [("check",), ("doctor",), ("account", "list"), ("backup", "create", "b.tar.gz")])
def test_a_file_of_passwords(outside: Any, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "shadow"
    file.write_text(text)
    ended = outside.bare("-o", "json", "--config", str(file), *words)
    assert "hunter2" not in ended.out + ended.err
    assert "this is no configuration of dockgate" in ended.out + ended.err
    assert ended.code == 7


def test_a_mistake_in_the_file(dockgate: Any) -> None:
    lines = dockgate.config.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, 1) if line.startswith("  tls:"))
    lines[number - 1] = "  tls: here: there"
    dockgate.config.write_text("\n".join(lines))
    ended = dockgate.run("-o", "json", "account", "list")
    assert (ended.code, ended.error["code"]) == (7, "configuration")
    assert f"line {number}, column 12: " in ended.error["message"]
    assert "put a value with a colon into quotes" in ended.error["hint"]


def test_keys_that_cannot_be_options(dockgate: Any) -> None:
    dockgate.config.write_text(dockgate.config.read_text() + "\n$6$hunter2hunter2: x\n" + "h" * 70 + ": y\nkay: z\n")
    ended = dockgate.run("account", "list")
    assert ended.code == 7
    assert "hunter2" not in ended.err
    assert "hhhh" not in ended.err
    assert "kay (file" in ended.err
