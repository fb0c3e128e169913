"""What the built program has in it is what docs/licenses.md names, and no part of it is under a license that asks for more."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "binary"

pytestmark = pytest.mark.timeout(300)


def licenses() -> Any:
    spec = importlib.util.spec_from_file_location("supply_licenses", ROOT / "packaging" / "supply" / "licenses.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as dataclasses look for theirs there
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("program")
def test_nothing_is_in_it_that_the_page_does_not_name() -> None:
    strangers = licenses().strangers(BUILT / "tree" / "dockgate", BUILT / "work" / "dockgate" / "PYZ-00.toc")
    assert strangers == [], (
        "name them in packaging/supply/licenses.py, or leave them out in packaging/binary/dockgate.spec"
    )
