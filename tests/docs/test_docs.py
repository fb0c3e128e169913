"""The documents hold together: links, sections that the code names, cases and their tests, rooms, and no trace of a workplace."""

from __future__ import annotations

import ast
import codecs
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(path for name in ("certs", "bench") for path in (ROOT / name).glob("*.md")),
    ]
)
PROTOCOL = (DOCS / "protocol.md").read_text(encoding="utf-8")
CASES = (DOCS / "cases.md").read_text(encoding="utf-8")


def files_of_the_project() -> list[Path]:
    """What is, or would be, under version control; everything where there is none (an unpacked release)."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        left_out = {"node_modules", "__pycache__", "var"}
        parts = ((path, path.relative_to(ROOT).parts) for path in ROOT.rglob("*") if path.is_file())
        return [path for path, names in parts if not any(name in left_out or name.startswith(".") for name in names)]
    found = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in found if path.is_file()]


# -- links


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The names that a heading can be linked by: lower case, dashes for blanks, nothing else but letters and digits."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def links() -> Iterator[tuple[Path, str]]:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:", target):
                yield document, target


def test_internal_links_lead_somewhere() -> None:
    count = 0
    for document, target in links():
        count += 1
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        assert file.exists(), f"{document.relative_to(ROOT)}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{document.relative_to(ROOT)}: {target}"
    assert count > 30


def test_documents_that_the_code_names_exist() -> None:
    for path in [*sources(), ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "broker.yaml"]:
        for name in re.findall(r"\bdocs/[\w/.-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)} names {name}"


def sources() -> Iterator[Path]:
    for room in ("gateway", "broker_plugins", "tests"):
        yield from (ROOT / room).rglob("*.py")


def test_sections_that_the_code_names_exist() -> None:
    headings = set(re.findall(r"^#+ (\d(?:\.\d)?)\.? ", PROTOCOL, re.MULTILINE))
    rows = set(re.findall(r"^\| (C\d+) \|", PROTOCOL, re.MULTILINE))
    named = 0
    for path in sources():
        for words in re.findall(
            r"docs/protocol\.md ((?:(?:section )?(?:\d(?:\.\d)?|C\d+)(?:, | and )?)+)", path.read_text(encoding="utf-8")
        ):
            for word in re.findall(r"\d\.\d|C\d+|\d", words):
                named += 1
                assert word in headings | rows, f"{path.relative_to(ROOT)}: docs/protocol.md {word}"
    assert named > 30


# -- cases

# The reports from the field that have a number of their own; gaps mean nothing.
FIELD = [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    11,
    12,
    13,
    14,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    24,
    26,
    27,
    28,
    29,
    30,
    32,
    33,
    34,
    36,
    37,
    38,
    39,
    41,
]


def rows() -> dict[str, list[str]]:
    """The cells of each case, by its number."""
    found = {}
    for line in CASES.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"C?\d+", cells[0]):
            assert cells[0] not in found, f"case {cells[0]} twice"
            found[cells[0]] = cells[1:]
    return found


def test_every_case_has_its_row() -> None:
    assert list(rows()) == [*map(str, FIELD), *(f"C{number}" for number in range(1, 57))]
    assert re.findall(r"^\| (C\d+) \|", PROTOCOL, re.MULTILINE) == [f"C{number}" for number in range(1, 57)]


def test_the_test_of_each_case_exists() -> None:
    for number, cells in rows().items():
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", cells[-1])
        assert named or cells[-1].startswith(("not yet", "no code")), f"case {number}: {cells[-1]}"
        for file, function in named:
            path = ROOT / file
            assert path.is_file(), f"case {number}: {file}"
            if function:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (
                    f"case {number}: {file}::{function}"
                )


def test_no_marked_case_is_missing() -> None:
    """``@pytest.mark.case(27)`` names a row of the table, and no other number."""
    known = rows().keys()
    for path in (ROOT / "tests").rglob("*.py"):
        for number in re.findall(r"mark\.case\(\"?(C?\d+)\"?\)", path.read_text(encoding="utf-8")):
            assert number in known, f"{path.relative_to(ROOT)}: case {number}"


# -- rooms


def test_every_room_is_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "gateway").iterdir():
        if path.name.startswith("_") or path.suffix not in {"", ".py"} or path.name == "py.typed":
            continue
        name = path.name if path.suffix else f"{path.name}/"
        assert f"`{name}" in text, name


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (DOCS / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    for one in project["dependencies"]:
        name = re.split(r"[<>=\[; ]", one)[0]
        assert f"`{name}`" in text, name


# -- no trace of a workplace


def workplace() -> set[str]:
    """Where this checkout, this interpreter and this user are; none of it is anybody else's business."""
    shared = {Path(name) for name in ("/", "/home", "/opt", "/srv", "/usr", "/usr/local", "/var", "/root", "/app")}
    shared |= {Path(tempfile.gettempdir())}
    places = {ROOT, ROOT.parent, Path.home(), Path(sys.prefix)} - shared
    return {f"{place}/" for place in places if not Path("/usr").is_relative_to(place)}


def test_no_file_tells_where_it_was_written() -> None:
    traces = {place.encode() for place in workplace()}
    for path in files_of_the_project():
        content = path.read_bytes()
        for trace in traces:
            assert trace not in content, f"{path.relative_to(ROOT)} holds {trace.decode()}"


# Programs that write code; turned, so that this file does not hold what it looks for
_TURNED = ("pynhqr", "naguebcvp", "pbcvybg", "pungtcg", "bcranv", "pbqrk", "trzvav", "jvaqfhes", "ntragf.zq")


@pytest.mark.parametrize("turned", _TURNED)
def test_no_file_names_what_it_was_written_with(turned: str) -> None:
    name = codecs.decode(turned, "rot13").encode()
    for path in files_of_the_project():
        assert name not in path.read_bytes().lower(), f"{path.relative_to(ROOT)} holds {name.decode()}"
        assert name.decode() not in str(path.relative_to(ROOT)).lower()
