"""The short form of the fuzzer (see README.md beside it), with another seed each day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from .fuzzing import fuzz_codecs, fuzz_connections

SEED = int(datetime.now(UTC).strftime("%Y%m%d"))


def test_framer_and_codecs() -> None:
    assert fuzz_codecs(200_000, SEED).inputs == 200_000


def test_connections(tmp_path: Path) -> None:
    assert fuzz_connections(20_000, SEED, tmp_path / "dockgate").inputs == 20_000
