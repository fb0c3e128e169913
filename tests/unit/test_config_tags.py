"""YAML lets a value say what it is: one that is not what it says is a fault of the file, in words, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.errors import ConfigError


@pytest.mark.parametrize(
    "value",
    [
        "!!timestamp x", "!!timestamp 2026-99-99", "!!bool x", "!!bool ''", "!!int ''", "!!int x", "!!int 0x", "!!float .",
        "!!binary x", "!!binary é", "!!null x", "!!map x", "!!seq x", "!!set x", "!!omap x", "!!pairs [a]",
        "!!python/object:os.system x", "!mine x",
    ],
)  # fmt: skip
def test_a_value_that_is_not_what_its_tag_says(value: str, tmp_path: Path) -> None:
    file = tmp_path / "broker.yaml"
    file.write_text(
        f"listeners: {{default: {{bind: 127.0.0.1:1}}}}\nplugins: {{}}\ndockgate:\n  limits:\n    inflight: {value}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(file) in str(caught.value)
