"""Every command of the guides is typed, in order, against a real gateway, and prints what the guide shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from .guide_runner import DOCS, GUIDES, Typed, blocks, matches, run

# They change the system: tests/binary/test_guide_package.py types them in a root that is thrown away, or says why not.
ROOT_ONLY = {
    "getting-started.md": ["install the package", "configure the package", "use the package"],
    "backup-and-upgrade.md": ["back up the package", "restore the package", "upgrade the package"],
    "closed-networks.md": ["switch on the clock", "install offline"],
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_does_what_it_says(name: str, tmp_path: Path) -> None:
    outcomes = run(DOCS / name, tmp_path)
    faults = [fault for outcome in outcomes if (fault := outcome.fault)]
    assert not faults, "\n\n".join(faults)


def test_every_guide_but_the_overview_has_something_to_type() -> None:
    for name in GUIDES:
        assert name in {"index.md", "errors.md"} or list(blocks((DOCS / name).read_text(encoding="utf-8"))), name


def test_what_is_not_run_is_listed_with_its_reason() -> None:
    found = {
        name: whys
        for name in GUIDES
        if (whys := [b.marks["root"] for b in blocks((DOCS / name).read_text(encoding="utf-8")) if "root" in b.marks])
    }
    assert found == ROOT_ONLY


def test_no_block_is_passed_over() -> None:
    """A fence with another word after it would be neither run nor listed."""
    for name in GUIDES:
        text = (DOCS / name).read_text(encoding="utf-8")
        fences = [line for line in text.splitlines() if line.lstrip().startswith("```")]
        assert set(fences) <= {"```", "```sh", "```console", "```text", "```yaml", "```json"}, name
        assert sum(line in {"```sh", "```console"} for line in fences) == len(list(blocks(text))), name


def test_the_runner_sees_a_difference(tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text(
        "```console\n$ echo one\none\n$ echo two\nthree\n```\n<!-- exit: 3 -->\n```sh\n(exit 3)\n```\n```sh\nfalse\n```\n"
    )
    faults = [outcome.fault is not None for outcome in run(guide, tmp_path / "there")]
    assert faults == [False, True, False, True]


def test_three_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert matches("made ... at ...\nend", "made a\nb at 12:00  end")
    assert not matches("made ... end", "made a and more")
    assert not matches("a.c", "abc")


def test_a_mark_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no mark"):
        list(blocks("<!-- skipped -->\n```sh\ntrue\n```\n"))


def test_a_continued_command_is_one() -> None:
    (block,) = blocks("```console\n$ echo a \\\n> b\na b\n```\n")
    assert block.commands == (Typed("echo a \\\nb", "a b"),)
