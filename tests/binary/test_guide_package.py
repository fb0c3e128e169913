"""What the guides have an operator type who installed the package: typed in a root that is thrown away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.guide_runner import DOCS, GUIDES, blocks

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
# In the order of an installation's life, which goes through two guides
TYPED = (
    ("getting-started.md", "install the package"),
    ("getting-started.md", "configure the package"),
    ("getting-started.md", "use the package"),
    ("backup-and-upgrade.md", "back up the package"),
    ("backup-and-upgrade.md", "restore the package"),
    ("backup-and-upgrade.md", "upgrade the package"),
    ("closed-networks.md", "install offline"),
)
# Typed nowhere
NOT_TYPED = {
    (
        "closed-networks.md",
        "switch on the clock",
    ): "needs systemd, and would set this machine's clock"
}


def test_what_needs_root_is_typed_or_has_its_reason() -> None:
    found = {
        (name, block.marks["root"])
        for name in GUIDES
        for block in blocks((DOCS / name).read_text(encoding="utf-8"))
        if "root" in block.marks
    }
    assert found == {*TYPED, *NOT_TYPED}


def command(name: str, why: str) -> str:
    (found,) = [one for one in blocks((DOCS / name).read_text(encoding="utf-8")) if one.marks.get("root") == why]
    return found.commands[0].command


@pytest.mark.timeout(300)
def test_the_package_does_what_the_guides_say(tmp_path: Path) -> None:
    made = []
    for script in ("binary/build.py", "deb/build.py"):
        done = subprocess.run([sys.executable, str(PACKAGING / script)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        made.append(done.stdout)
    package = ROOT / made[-1].partition(":")[0]
    # doctor ends with 1 while there is no license, and says which command mends that
    typed = "\n".join(command(*one) for one in TYPED).replace(
        "sudo dockgate doctor", "sudo dockgate doctor || test $? = 1"
    )
    commands = tmp_path / "commands"
    commands.write_text(f"{typed}\nsudo dockgate check\necho all of it\n", encoding="utf-8")
    done = subprocess.run(
        ["sh", str(Path(__file__).with_name("guide_root.sh")), str(package), str(commands)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all of it\n"), done.stdout
