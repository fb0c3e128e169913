"""The house keeps its one-way rule: the import contract of pyproject.toml, what it can't say, and what goes into the wheel."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "broker_plugins")

# A file that nobody can hold in his head hides a second one. May only shrink: path -> lines it has.
MAX_LINES = 400
TOO_LONG: dict[str, int] = {}

# Names that say nothing about what is inside.
ROOMS_WITHOUT_A_NAME = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "tools", "lib"}

SIMULATOR_KNOWS = {"errors", "topics", "envelope", "model", "logs", "simulator"}


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(found) > 100, "the packages are not where they should be"
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_import_contract_is_kept() -> None:
    """In a process of its own: it would switch off the loggers of this one."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    linted = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_room_is_known_to_the_simulators_contract() -> None:
    """The list of what the simulator may not know can't name "everything else"; a new room has to be added to it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(each for each in settings["contracts"] if each["name"].startswith("The simulator"))
    forbidden = {module.removeprefix("gateway.") for module in contract["forbidden_modules"]}
    rooms = {
        path.stem for path in (ROOT / "gateway").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - forbidden == {*SIMULATOR_KNOWS, "__init__", "__main__"} & rooms


def test_the_simulator_imports_nothing_of_the_server_and_speaks_through_paho() -> None:
    graph = grimp.build_graph("gateway", include_external_packages=True, cache_dir=None)
    imported = {
        target
        for module in ["gateway.simulator", *graph.find_descendants("gateway.simulator")]
        for target in graph.find_modules_directly_imported_by(module)
    }
    rooms = {target.split(".")[1] for target in imported if target.startswith("gateway.")}
    assert rooms <= SIMULATOR_KNOWS
    libraries = {name for name in imported if name.partition(".")[0] not in {"gateway", *sys.stdlib_module_names}}
    assert libraries == {"paho"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_room_is_named_after_nothing(package: str) -> None:
    nameless = [name_of(path) for path in (ROOT / package).rglob("*") if path.stem in ROOMS_WITHOUT_A_NAME]
    assert nameless == []


def test_no_file_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    too_long = {name: lines for name, lines in lengths.items() if lines > MAX_LINES}
    assert {name: lines for name, lines in too_long.items() if lines > TOO_LONG.get(name, 0)} == {}
    assert set(TOO_LONG) <= set(too_long), "the list of exceptions may shrink: take out what is short now"


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_no_module_imports_tests() -> None:
    tree = {name_of(path): ast.parse(path.read_text()) for path in modules()}
    strays = [
        (name, target)
        for name, module in tree.items()
        for target in _imported(module)
        if target.partition(".")[0] in {"tests", "bench", "pytest", "hypothesis"}
    ]
    assert strays == []


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_wheel_holds_the_two_packages_and_nothing_else(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    else:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), "."]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert {"gateway/py.typed", "gateway/store/schema.sql"} <= names
